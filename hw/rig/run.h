/* The machine of a run: EAL, ports, the stack, the loop. */
#ifndef TGW_RIG_RUN_H
#define TGW_RIG_RUN_H

/* Play the run that `file` describes, with "KEY=VALUE" overrides up to a NULL. Exit status: 0 done,
 * 1 sessions were refused or lost, 2 cannot run. */
int run_file(const char *file, char *const overrides[]);

#endif

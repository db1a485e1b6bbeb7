/* What the control process must remember over its own restarts: one small file in
 * state_dir, replaced whole. */
#ifndef TGW_CONTROL_STATE_H
#define TGW_CONTROL_STATE_H

#include <stdbool.h>
#include <stdint.h>

struct state {
    uint32_t admit_percent;
    uint64_t starts; /* of the control process with this state_dir */
    /* A drain belongs to the dataplane it was ordered for: 0, 0 when there is none. */
    uint64_t drain_deadline_s;              /* unix time */
    uint32_t drain_pid;                     /* of the dataplane */
    uint32_t config_version, config_newest; /* in force; the last one given out */
    bool frozen;                            /* changes of the configuration are refused */
};

/* Missing file: the defaults. A file that cannot be read or parsed is logged, and the
 * defaults hold. */
void state_load(struct state *s, const char *dir);
/* False: could not be written; logged. */
bool state_save(const struct state *s, const char *dir);

#endif

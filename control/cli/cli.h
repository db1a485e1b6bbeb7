/* tgwctl as a library, so that tests run it whole: arguments in, text and an exit status
 * out. main.c only hands over the process's own streams. */
#ifndef TGW_CLI_CLI_H
#define TGW_CLI_CLI_H

#include <stdio.h>

enum cli_exit {
    CLI_DONE = 0,
    CLI_REFUSED = 1, /* or unhealthy */
    CLI_USAGE = 2,
    CLI_UNREACHABLE = 3,
};

/* argv as main() gets it; envp for TGW_SOCKET and `config check`. */
enum cli_exit cli_run(int argc, char *const argv[], char *const envp[], FILE *in, FILE *out,
                      FILE *err);

#endif

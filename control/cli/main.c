/* tgwctl: commands of an operator over the control socket. */
#include "cli.h"
#include <signal.h>

int main(int argc, char **argv, char **envp) {
    signal(SIGPIPE, SIG_IGN); /* a peer that hangs up is an error with a message */
    return cli_run(argc, argv, envp, stdin, stdout, stderr);
}

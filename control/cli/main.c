/* tgwctl: commands of an operator over the control socket. */
#include "cli.h"

int main(int argc, char **argv, char **envp) {
    return cli_run(argc, argv, envp, stdin, stdout, stderr);
}

/* tgw-rig: plays browsers and node agents against a gateway, at line rate. */
#include "run.h"
#include <stdio.h>
#include <string.h>

static int usage(FILE *to, int status) {
    fputs("usage: tgw-rig run FILE        play the run that FILE describes\n"
          "       tgw-rig --version\n",
          to);
    return status;
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return printf("tgw-rig %s\n", TGW_VERSION) < 0;
    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return usage(stdout, 0);
    if (argc == 3 && strcmp(argv[1], "run") == 0)
        return run_file(argv[2]);
    return usage(stderr, 2);
}

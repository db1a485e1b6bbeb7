/* tgw-rig: plays browsers and node agents against a gateway, at line rate. */
#include "reports.h"
#include "run.h"
#include <stdio.h>
#include <string.h>

static int usage(FILE *to, int status) {
    fputs("usage: tgw-rig run FILE [KEY=VALUE ...]   play the run that FILE describes\n"
          "       tgw-rig compare REPORT REPORT      the second against the first\n"
          "       tgw-rig plot REPORT DIRECTORY      latency and series as SVG\n"
          "       tgw-rig --version\n",
          to);
    return status;
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return printf("tgw-rig %s\n", TGW_VERSION) < 0;
    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return usage(stdout, 0);
    if (argc >= 3 && strcmp(argv[1], "run") == 0)
        return run_file(argv[2], argv + 3);
    if (argc == 4 && strcmp(argv[1], "compare") == 0)
        return compare_reports(argv[2], argv[3]);
    if (argc == 4 && strcmp(argv[1], "plot") == 0)
        return plot_report(argv[2], argv[3]);
    return usage(stderr, 2);
}

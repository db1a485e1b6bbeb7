/* Runs the scripts of one folder, a case each.
 *
 *   test-packet FOLDER              every *.pkt in it
 *   test-packet --trace FILE.pkt    one, with everything that happens */
#include "tests/lib/eal_init.h"
#include "tests/packet/script.h"
#include <glob.h>
#include <stdio.h>
#include <string.h>

static void print_message(char *message) {
    char *line;
    while ((line = strsep(&message, "\n")) != NULL)
        printf("#   %s\n", line);
}

static bool run_case(size_t number, const char *path, struct rte_mempool *mbufs, bool trace) {
    char message[2048];
    bool ok = script_run(path, mbufs, trace, message, sizeof(message));
    const char *name = strstr(path, "packet/");
    printf("%s %zu - %s\n", ok ? "ok" : "not ok", number, name ? name : path);
    if (!ok)
        print_message(message);
    fflush(stdout);
    return ok;
}

int main(int argc, char **argv) {
    bool trace = argc == 3 && strcmp(argv[1], "--trace") == 0;
    char pattern[512];
    glob_t found;
    size_t failed = 0;
    if (argc != 2 && !trace) {
        fprintf(stderr, "usage: %s FOLDER | --trace FILE.pkt\n", argv[0]);
        return 2;
    }
    snprintf(pattern, sizeof(pattern), trace ? "%s" : "%s/*.pkt", argv[argc - 1]);
    if (glob(pattern, 0, NULL, &found) != 0) {
        printf("Bail out! no scripts: %s\n", pattern);
        return 1;
    }
    struct rte_mempool *mbufs = test_eal_init(4095);
    printf("1..%zu\n", found.gl_pathc);
    for (size_t i = 0; i < found.gl_pathc; i++)
        failed += !run_case(i + 1, found.gl_pathv[i], mbufs, trace);
    globfree(&found);
    return failed != 0;
}

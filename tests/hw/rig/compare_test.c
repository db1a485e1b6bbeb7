/* What `tgw-rig compare` prints of two reports. */
#include "hw/rig/reports.h"
#include "tests/lib/suite.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/tgw-compare-XXXXXX", before[64], after[64], shown[64];

static void write_report(char *path, const char *name, const char *text) {
    snprintf(path, 64, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs(text, f);
    fclose(f);
}

/* Runs compare_reports with standard output in a file; returns the line with `unit`. */
static int compare(const char *unit, char *line, size_t bytes) {
    snprintf(shown, sizeof(shown), "%s/out", folder);
    fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    CU_ASSERT_PTR_NOT_NULL(freopen(shown, "w", stdout));
    int status = compare_reports(before, after);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    line[0] = 0;
    FILE *f = fopen(shown, "r");
    while (f && fgets(line, (int)bytes, f) && !strstr(line, unit))
        line[0] = 0;
    if (f)
        fclose(f);
    return status;
}

static void better_and_worse_are_told(void) {
    char line[200];
    write_report(before, "a",
                 "{\"rates\":{\"answered_per_s\":100},\"latency_ns\":{\"p99\":1000},"
                 "\"undisturbed_ns\":{\"p99\":500},\"undisturbed\":{\"share\":0.5}}");
    write_report(after, "b",
                 "{\"rates\":{\"answered_per_s\":150},\"latency_ns\":{\"p99\":3000},"
                 "\"undisturbed_ns\":{\"p99\":400},\"undisturbed\":{\"share\":0.25}}");
    CU_ASSERT_EQUAL(compare("echoes/s", line, sizeof(line)), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(line, "+50.0 %  better"));
    CU_ASSERT_EQUAL(compare("us echo p99", line, sizeof(line)), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(line, "+200.0 %  worse"));
    compare("us undisturbed p99 ", line, sizeof(line));
    CU_ASSERT_PTR_NOT_NULL(strstr(line, "-20.0 %  better"));
    compare("% undisturbed", line, sizeof(line));
    CU_ASSERT_PTR_NOT_NULL(strstr(line, "-50.0 %  worse"));
    compare("Gb/s paste", line, sizeof(line));
    CU_ASSERT_EQUAL(line[0], 0); /* in neither: not shown */
}

static void what_is_no_report_is_refused(void) {
    char line[200];
    write_report(before, "a", "{}");
    write_report(after, "b", "not JSON");
    CU_ASSERT_EQUAL(compare("x", line, sizeof(line)), 2);
}

int main(void) {
    static const struct suite_case cases[] = {
        {"better and worse are told", better_and_worse_are_told},
        {"what is no report is refused", what_is_no_report_is_refused},
    };
    if (!mkdtemp(folder))
        return 1;
    int status = suite_run("rig/compare", cases, sizeof(cases) / sizeof(cases[0]));
    unlink(before);
    unlink(after);
    unlink(shown);
    rmdir(folder);
    return status;
}

#include "reports.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPORT_BYTES_MAX = 64 << 20 };

/* What two runs are compared by; `less` tells which way is better. */
static const struct row {
    const char *group, *name, *unit;
    double scale;
    int less;
} rows[] = {
    {"rates", "answered_per_s", "echoes/s", 1, 0},
    {"rates", "setups_per_s", "setups/s", 1, 0},
    {"rates", "output_gbit_per_s", "Gb/s output", 1, 0},
    {"rates", "paste_gbit_per_s", "Gb/s paste", 1, 0},
    {"latency_ns", "p50", "us echo p50", 1e-3, 1},
    {"latency_ns", "p99", "us echo p99", 1e-3, 1},
    {"latency_ns", "p99_9", "us echo p99.9", 1e-3, 1},
    {"latency_ns", "max", "us echo max", 1e-3, 1},
    {"undisturbed_ns", "p50", "us undisturbed p50", 1e-3, 1},
    {"undisturbed_ns", "p99", "us undisturbed p99", 1e-3, 1},
    {"undisturbed_ns", "p99_9", "us undisturbed p99.9", 1e-3, 1},
    {"undisturbed", "share", "% undisturbed", 100, 0},
    {"setup_ns", "p50", "us setup p50", 1e-3, 1},
    {"setup_ns", "p99", "us setup p99", 1e-3, 1},
    {"gateway", "cycles_a_frame", "cycles a frame", 1, 1},
    {"gateway", "cycles_a_frame_p10", "cycles a frame (p10)", 1, 1},
    {"gateway", "cycles_a_setup", "cycles a setup", 1, 1},
    {"gateway", "rss_bytes_a_session", "bytes a session", 1, 1},
};

cJSON *report_read(const char *path) {
    FILE *f = fopen(path, "re");
    char *text = f ? malloc(REPORT_BYTES_MAX) : NULL;
    size_t n = text ? fread(text, 1, REPORT_BYTES_MAX - 1, f) : 0;
    cJSON *root = NULL;
    if (n) {
        text[n] = 0;
        root = cJSON_Parse(text);
    }
    if (!root)
        fprintf(stderr, "tgw-rig: %s: not readable as a report\n", path);
    free(text);
    if (f)
        fclose(f);
    return root;
}

static double value_of(const cJSON *root, const struct row *r) {
    const cJSON *group = cJSON_GetObjectItemCaseSensitive(root, r->group);
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(group, r->name);
    return cJSON_IsNumber(v) ? v->valuedouble * r->scale : 0;
}

static void show(const struct row *r, double before, double after) {
    const char *verdict = "";
    double change = before != 0 ? (after - before) / before * 100 : 0;
    if (change > 2 || change < -2)
        verdict = (change < 0) == (r->less != 0) ? "better" : "worse";
    printf("%-22s %14.2f %14.2f  %+7.1f %%  %s\n", r->unit, before, after, change, verdict);
}

int compare_reports(const char *before, const char *after) {
    cJSON *a = report_read(before), *b = report_read(after);
    if (a && b) {
        printf("%-22s %14.14s %14.14s\n", "", before, after);
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
            double x = value_of(a, &rows[i]), y = value_of(b, &rows[i]);
            if (x != 0 || y != 0)
                show(&rows[i], x, y);
        }
    }
    int status = a && b ? 0 : 2;
    cJSON_Delete(a);
    cJSON_Delete(b);
    return status;
}

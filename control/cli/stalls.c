#include "stalls.h"
#include "table.h"
#include <string.h>

static void take(struct stalls *s, double *value, const char *metrics, const char *line) {
    const size_t len = strlen(line);
    for (const char *at = strstr(metrics, line); at; at = strstr(at + 1, line)) {
        unsigned core;
        double v;
        if (sscanf(at + len, "%u\"} %lf", &core, &v) != 2 || core >= TGW_CORES_MAX)
            continue;
        value[core] = v;
        s->cores = core < s->cores ? s->cores : core + 1;
    }
}

void stalls_take(struct stalls *s, const char *metrics) {
    take(s, s->count, metrics, "\ndataplane_core_stalls_total{core=\"");
    take(s, s->seconds, metrics, "\ndataplane_core_stall_seconds_total{core=\"");
}

void stalls_show(FILE *out, const struct stalls *old, const struct stalls *new, double span_s) {
    struct table t;
    if (new->cores == 0 || new->cores != old->cores || !(span_s > 0))
        return;
    table_init(&t, 4);
    table_add(&t, "taken away");
    table_add(&t, "times/s");
    table_add(&t, "of its time");
    table_add(&t, "since start");
    for (size_t i = 0; i < new->cores; i++) {
        /* A counter below its last value was restarted. */
        const double count = new->count[i] - old->count[i];
        const double seconds = new->seconds[i] - old->seconds[i];
        table_add(&t, "core %zu", i);
        table_add(&t, "%.1f", count > 0 ? count / span_s : 0);
        table_add(&t, "%.2f %%", seconds > 0 ? seconds / span_s * 100 : 0);
        table_add(&t, "%.3f s", new->seconds[i]);
    }
    fputc('\n', out);
    table_print(&t, out);
}

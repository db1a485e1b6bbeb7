#include "histogram.h"

static const uint64_t setup_us[] = {100,   250,    500,    1000,   2500,    5000,    10000,  25000,
                                    50000, 100000, 250000, 500000, 1000000, 2500000, 5000000};
static const uint64_t life_us[] = {1000000,    10000000,    60000000,    300000000,   1800000000,
                                   3600000000, 14400000000, 28800000000, 43200000000, 86400000000};

_Static_assert(sizeof(setup_us) / sizeof(setup_us[0]) < HISTOGRAM_BUCKETS_MAX, "room for +Inf");

void histogram_init_setup(struct histogram *h) {
    *h =
        (struct histogram){.bounds_us = setup_us, .bounds = sizeof(setup_us) / sizeof(setup_us[0])};
}

void histogram_init_life(struct histogram *h) {
    *h = (struct histogram){.bounds_us = life_us, .bounds = sizeof(life_us) / sizeof(life_us[0])};
}

void histogram_add(struct histogram *h, uint64_t us) {
    uint32_t i = 0;
    while (i < h->bounds && us > h->bounds_us[i])
        i++;
    h->count[i]++;
    h->sum_us += us;
}

void histogram_print(const struct histogram *h, FILE *out, const char *name, const char *help) {
    uint64_t total = 0;
    fprintf(out, "# HELP %s %s\n# TYPE %s histogram\n", name, help, name);
    for (uint32_t i = 0; i < h->bounds; i++) {
        total += h->count[i];
        fprintf(out, "%s_bucket{le=\"%g\"} %lu\n", name, (double)h->bounds_us[i] / 1e6, total);
    }
    total += h->count[h->bounds];
    fprintf(out, "%s_bucket{le=\"+Inf\"} %lu\n", name, total);
    fprintf(out, "%s_sum %.6f\n%s_count %lu\n", name, (double)h->sum_us / 1e6, name, total);
}

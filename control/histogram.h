/* A Prometheus histogram of durations. */
#ifndef TGW_CONTROL_HISTOGRAM_H
#define TGW_CONTROL_HISTOGRAM_H

#include <stdint.h>
#include <stdio.h>

enum { HISTOGRAM_BUCKETS_MAX = 16 };

struct histogram {
    const uint64_t *bounds_us; /* rising, static; a last bucket +Inf stands behind them */
    uint32_t bounds;           /* < HISTOGRAM_BUCKETS_MAX */
    uint64_t count[HISTOGRAM_BUCKETS_MAX];
    uint64_t sum_us;
};

/* From microseconds to seconds: token checks and session setups. */
void histogram_init_setup(struct histogram *h);
/* From a second to a day: sessions. */
void histogram_init_life(struct histogram *h);
void histogram_add(struct histogram *h, uint64_t us);
/* Name, help and every line, in seconds. */
void histogram_print(const struct histogram *h, FILE *out, const char *name, const char *help);

#endif

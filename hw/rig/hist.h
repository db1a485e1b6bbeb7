/* A histogram of latencies: logarithmic ranges, each cut into equal buckets, so that any
 * value is kept to better than one per cent (the idea of HdrHistogram). */
#ifndef TGW_RIG_HIST_H
#define TGW_RIG_HIST_H

#include <stdint.h>

enum {
    HIST_SUB_BITS = 7,
    HIST_BUCKETS = (64 - HIST_SUB_BITS + 1) << HIST_SUB_BITS,
};

struct hist {
    uint64_t count, sum, min, max;
    uint64_t bucket[HIST_BUCKETS];
};

void hist_clear(struct hist *h);
void hist_add(struct hist *h, uint64_t value);
/* Upper end of the bucket that holds the `per_million`th part, at most the maximum. */
uint64_t hist_quantile(const struct hist *h, uint32_t per_million);
double hist_mean(const struct hist *h);
/* Largest value that falls into bucket `i`. */
uint64_t hist_bucket_top(uint32_t i);

#endif

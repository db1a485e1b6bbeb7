#include "hist.h"
#include <string.h>

enum { SUB = 1 << HIST_SUB_BITS };

void hist_clear(struct hist *h) {
    memset(h, 0, sizeof(*h));
    h->min = UINT64_MAX;
}

/* Values below 2 * SUB have a bucket each; above, the top HIST_SUB_BITS + 1 bits count. */
static uint32_t bucket_of(uint64_t v) {
    if (v < 2 * SUB)
        return (uint32_t)v;
    uint32_t shift = 63u - (uint32_t)__builtin_clzll(v) - HIST_SUB_BITS;
    return (shift << HIST_SUB_BITS) + (uint32_t)(v >> shift);
}

uint64_t hist_bucket_top(uint32_t i) {
    if (i < 2 * SUB)
        return i;
    uint32_t shift = (i >> HIST_SUB_BITS) - 1;
    return ((uint64_t)(SUB + (i & (SUB - 1))) << shift) + ((UINT64_C(1) << shift) - 1);
}

void hist_add(struct hist *h, uint64_t value) {
    h->bucket[bucket_of(value)]++;
    h->count++;
    h->sum += value;
    if (value < h->min)
        h->min = value;
    if (value > h->max)
        h->max = value;
}

uint64_t hist_quantile(const struct hist *h, uint32_t per_million) {
    unsigned __int128 scaled = (unsigned __int128)h->count * per_million + 999999;
    uint64_t want = (uint64_t)(scaled / 1000000), seen = 0;
    if (h->count == 0)
        return 0;
    for (uint32_t i = 0; i < HIST_BUCKETS; i++) {
        seen += h->bucket[i];
        if (seen >= want && seen > 0)
            return hist_bucket_top(i) < h->max ? hist_bucket_top(i) : h->max;
    }
    return h->max;
}

double hist_mean(const struct hist *h) {
    return h->count ? (double)h->sum / (double)h->count : 0;
}

/* Cores that were taken from their loop, by the gateway's metrics. */
#ifndef TGW_CLI_STALLS_H
#define TGW_CLI_STALLS_H

#include "contract/limits.h"
#include <stdio.h>

struct stalls {
    size_t cores; /* one more than the last that was seen */
    double count[TGW_CORES_MAX], seconds[TGW_CORES_MAX];
};

/* From the text of `metrics`; zeroed before. */
void stalls_take(struct stalls *s, const char *metrics);
/* What each core lost in the span_s seconds from `old` to `new`, and since its start. */
void stalls_show(FILE *out, const struct stalls *old, const struct stalls *new, double span_s);

#endif

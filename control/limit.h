/* Requests a second by source or by user: a token bucket each, made when first seen and
 * dropped when it has been full again for a while. */
#ifndef TGW_CONTROL_LIMIT_H
#define TGW_CONTROL_LIMIT_H

#include "map.h"

struct limit {
    struct map bucket; /* key -> thousandths of a request left, time of that */
    uint64_t sweep_ns;
};

void limit_free(struct limit *l);
/* Take one of `key`'s requests, `rate` a second with `burst` at once. False: none is left.
 * True without memory, or with a million sources at once: a limit is no reason to fail. */
bool limit_take(struct limit *l, uint64_t key, uint64_t rate, uint64_t burst, uint64_t now_ns);

#endif

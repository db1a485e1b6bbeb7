/* How a wire's faults change with time, within the bounds of a climate. */
#ifndef TESTS_SIM_WEATHER_H
#define TESTS_SIM_WEATHER_H

#include "tests/sim/wire.h"

/* The worst that may come; zero: does not happen. */
struct climate {
    uint16_t loss_pm, duplicate_pm, corrupt_pm, truncate_pm, late_pm, burst_pm;
    uint32_t delay_ms, jitter_ms, late_ms;
    bool bottleneck;
    uint16_t mtu_min;   /* smallest path MTU */
    bool icmp_silent;   /* routers may keep quiet about it */
    uint32_t dark_ms;   /* longest outage */
    uint32_t change_ms; /* how long faults stay about the same */
};

struct weather {
    struct climate climate;
    struct rng rng;
    uint64_t change_ns, light_ns; /* next change; end of the outage, 0: none */
    uint64_t dark_total_ns;
    bool healed;
};

void weather_begin(struct weather *v, const struct climate *c, struct rng rng, struct wire *w,
                   uint64_t now_ns);
/* When it changes next; UINT64_MAX: never. */
uint64_t weather_next(const struct weather *v);
void weather_turn(struct weather *v, struct wire *w, uint64_t now_ns);
/* Good weather for ever. */
void weather_heal(struct weather *v, struct wire *w);

#endif

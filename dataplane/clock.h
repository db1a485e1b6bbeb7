/* Monotonic nanoseconds from the processor's counter: for the composition roots, which
 * alone read a clock. */
#ifndef TGW_DATAPLANE_CLOCK_H
#define TGW_DATAPLANE_CLOCK_H

#include <rte_cycles.h>
#include <time.h>

struct clock {
    uint64_t tsc_base, ns_base, ns_a_tsc_q32; /* ns = base + tsc * q32 / 2^32 */
};

static inline void clock_init(struct clock *c) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    c->ns_base = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
    c->tsc_base = rte_get_timer_cycles();
    c->ns_a_tsc_q32 = (uint64_t)(((unsigned __int128)1000000000u << 32) / rte_get_timer_hz());
}

static inline uint64_t clock_ns(const struct clock *c) {
    unsigned __int128 tsc = rte_get_timer_cycles() - c->tsc_base;
    return c->ns_base + (uint64_t)(tsc * c->ns_a_tsc_q32 >> 32);
}

#endif

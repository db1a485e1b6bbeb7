/* Private to drivers/: keeps the core of a queue out of a driver whose memory another thread
 * is about to take away. One keeper, one core. */
#ifndef TGW_DRIVERS_GATE_H
#define TGW_DRIVERS_GATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Shut when zeroed. A line for each writer. */
struct gate {
    _Alignas(64) _Atomic uint32_t turn; /* odd: open; the keeper's */
    _Alignas(64) _Atomic uint32_t seen; /* the turn at the core's last look; the core's */
};

/* By the core, before each burst: may it go in? That it looks tells the keeper that it has
 * left its last burst. */
static inline bool gate_pass(struct gate *g) {
    uint32_t turn = atomic_load_explicit(&g->turn, memory_order_acquire);
    if (turn != atomic_load_explicit(&g->seen, memory_order_relaxed))
        atomic_store_explicit(&g->seen, turn, memory_order_release);
    return turn & 1;
}

/* By the keeper. */
static inline bool gate_is_open(const struct gate *g) {
    return atomic_load_explicit(&g->turn, memory_order_relaxed) & 1;
}

static inline void gate_set(struct gate *g, bool open) {
    if (gate_is_open(g) != open)
        atomic_fetch_add_explicit(&g->turn, 1, memory_order_release);
}

/* Has the core seen the last change? If that shut the gate, it is outside, and stays there. */
static inline bool gate_is_seen(const struct gate *g) {
    return atomic_load_explicit(&g->seen, memory_order_acquire) ==
           atomic_load_explicit(&g->turn, memory_order_relaxed);
}

#endif

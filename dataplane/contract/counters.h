/* Per-core counters in the shared region. One writer (the core), any reader. */
#ifndef TGW_CONTRACT_COUNTERS_H
#define TGW_CONTRACT_COUNTERS_H

#include "contract/reason.h"
#include <stdatomic.h>
#include <stdint.h>

enum tgw_counter {
#define TGW_COUNTER(id, help) TGW_C_##id,
#include "contract/counters.def"
#undef TGW_COUNTER
    TGW_COUNTER_COUNT
};

/* Where a core's cycles go (TSC). */
enum tgw_stage {
#define TGW_STAGE(id) TGW_STAGE_##id,
#include "contract/stage.def"
#undef TGW_STAGE
    TGW_STAGE_COUNT
};

static inline const char *tgw_stage_name(enum tgw_stage s) {
    static const char *const names[TGW_STAGE_COUNT] = {
#define TGW_STAGE(id) [TGW_STAGE_##id] = #id,
#include "contract/stage.def"
#undef TGW_STAGE
    };
    return names[s];
}

struct tgw_counters {
    _Alignas(64) _Atomic uint64_t value[TGW_COUNTER_COUNT];
    _Atomic uint64_t reason[TGW_REASON_COUNT]; /* refusals, closes, drops by reason */
    _Atomic uint64_t cycles[TGW_STAGE_COUNT];
};

/* Add on the owning core: a plain load and store, no locked instruction. */
static inline void tgw_count(struct tgw_counters *c, enum tgw_counter id, uint64_t n) {
    uint64_t v = atomic_load_explicit(&c->value[id], memory_order_relaxed);
    atomic_store_explicit(&c->value[id], v + n, memory_order_relaxed);
}

static inline void tgw_count_reason(struct tgw_counters *c, enum tgw_reason r) {
    uint64_t v = atomic_load_explicit(&c->reason[r], memory_order_relaxed);
    atomic_store_explicit(&c->reason[r], v + 1, memory_order_relaxed);
}

/* Gauges are counters that are set. */
static inline void tgw_gauge(struct tgw_counters *c, enum tgw_counter id, uint64_t v) {
    atomic_store_explicit(&c->value[id], v, memory_order_relaxed);
}

static inline uint64_t tgw_counter_get(const struct tgw_counters *c, enum tgw_counter id) {
    return atomic_load_explicit(&c->value[id], memory_order_relaxed);
}

#endif

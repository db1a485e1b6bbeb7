/* Which room the core is in, for samples of where its cycles go: rooms that hand over to
 * another one say so. Costs a test of a flag when no sample is being taken. The counter is
 * the composition root's, which also says when to sample. */
#ifndef TGW_CORE_PROBE_H
#define TGW_CORE_PROBE_H

#include "contract/counters.h"
#include <stdbool.h>

struct probe {
    bool on;
    uint8_t stage; /* enum tgw_stage */
    uint64_t since;
    uint64_t cycles[TGW_STAGE_COUNT];
    uint64_t (*counter)(void);
};

/* Returns the stage left, to go back to. */
static inline uint8_t probe_enter(struct probe *p, uint8_t stage) {
    if (!p->on)
        return stage;
    uint64_t now = p->counter();
    uint8_t was = p->stage;
    p->cycles[was] += now - p->since;
    p->since = now;
    p->stage = stage;
    return was;
}

#endif

/* The gateway under test, seen through its shared region: its counters, where its cycles
 * went, how much memory it has. With `verdicts` the rig is its control process too. */
#ifndef TGW_RIG_WATCH_H
#define TGW_RIG_WATCH_H

#include "control/bridge.h"
#include "rig.h"

struct watch {
    struct bridge bridge;
    struct ip_prefix agents;
    uint64_t beat_ns;
    uint32_t agent_next, agent_hosts, lost;
    uint16_t agent_port;
    bool verdicts;
};

struct sample {
    uint64_t counter[TGW_COUNTER_COUNT];
    uint64_t reason[TGW_REASON_COUNT];
    uint64_t cycles[TGW_STAGE_COUNT];
};

/* False with one line in err. A plan without region gives a watch that sees nothing. */
bool watch_start(struct watch *w, const struct plan *p, uint64_t now_ns, char *err,
                 size_t err_bytes);
void watch_stop(struct watch *w);
/* Answer what waits for a verdict. */
void watch_turn(struct watch *w, uint64_t now_ns);
bool watch_sees(const struct watch *w);
/* Let `calm` see the gateway's stalls, from now on. */
void watch_calm(const struct watch *w, struct calm *calm);
void watch_sample(const struct watch *w, struct sample *out);
uint64_t watch_busy_cycles(const struct sample *from, const struct sample *to);
uint64_t watch_frames(const struct sample *from, const struct sample *to);
/* Resident memory of its process; 0: unknown. */
uint64_t watch_rss_bytes(const struct watch *w);

#endif

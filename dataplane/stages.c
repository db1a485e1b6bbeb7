#include "stages.h"
#include "session/session.h"
#include "tcp/tcp.h"
#include "tls/tls.h"
#include <rte_cycles.h>

enum { SAMPLE_EVERY = 64 };

/* Handlers get their session, not their core. */
static _Thread_local struct stages *here;

static uint64_t counter(void) {
    return rte_rdtsc();
}

static void client_readable(void *user) {
    uint8_t was = probe_enter(&here->probe, TGW_STAGE_ws);
    here->client->readable(user);
    probe_enter(&here->probe, was);
}

static void agent_readable(void *user) {
    uint8_t was = probe_enter(&here->probe, TGW_STAGE_ws);
    here->agent->readable(user);
    probe_enter(&here->probe, was);
}

static void tls_readable(void *user) {
    uint8_t was = probe_enter(&here->probe, TGW_STAGE_tls);
    here->tls->readable(user);
    probe_enter(&here->probe, was);
}

void stages_tcp_input(void *stack, const struct seg *seg, struct rte_mbuf *m) {
    uint8_t was = probe_enter(&here->probe, TGW_STAGE_tcp);
    tcp_input(stack, seg, m);
    probe_enter(&here->probe, was);
}

void stages_tcp_input_burst(void *stack, const struct seg *seg, struct rte_mbuf *const *m,
                            uint16_t count) {
    uint8_t was = probe_enter(&here->probe, TGW_STAGE_tcp);
    tcp_input_burst(stack, seg, m, count);
    probe_enter(&here->probe, was);
}

const struct stream_handler *stages_wrap(struct stages *s, const struct stream_handler *inner) {
    const struct {
        const struct stream_handler **inner;
        struct stream_handler *outer;
        void (*readable)(void *user);
    } rows[] = {{&s->client, &s->on_client, client_readable},
                {&s->tls, &s->on_tls, tls_readable},
                {&s->agent, &s->on_agent, agent_readable}};
    const size_t row = inner == &session_client_handler ? 0 : inner == &tls_lower_handler ? 1 : 2;
    if (*rows[row].inner && *rows[row].inner != inner)
        return inner; /* not one of the three: goes without */
    *rows[row].inner = inner;
    *rows[row].outer = *inner;
    rows[row].outer->readable = rows[row].readable;
    return rows[row].outer;
}

void stages_init(struct stages *s, struct tgw_counters *counters, uint64_t tsc_hz) {
    *s = (struct stages){.counters = counters,
                         .probe = {.counter = counter},
                         .stall_ticks = tsc_hz / 1000000 * STAGES_STALL_US,
                         .unit_ticks = tsc_hz / 1000000 * STAGES_UNIT_US};
    s->since_tsc = rte_rdtsc();
}

void stages_use(struct stages *s) {
    here = s;
    s->since_tsc = rte_rdtsc();
}

static void add(struct stages *s, enum tgw_stage stage, uint64_t cycles) {
    _Atomic uint64_t *at = &s->counters->cycles[stage];
    atomic_store_explicit(at, atomic_load_explicit(at, memory_order_relaxed) + cycles,
                          memory_order_relaxed);
}

__attribute__((noinline, cold)) static void note_stall(struct stages *s, uint64_t cycles,
                                                       uint32_t units) {
    if (s->away || cycles <= s->stall_ticks + units * s->unit_ticks)
        return;
    tgw_count(s->counters, TGW_C_stall_ticks, cycles);
    tgw_count(s->counters, TGW_C_stalls, 1);
}

static uint64_t passed(struct stages *s, uint32_t units) {
    uint64_t now = rte_rdtsc(), cycles = now - s->since_tsc;
    s->since_tsc = now;
    if (cycles > s->stall_ticks)
        note_stall(s, cycles, units);
    s->away = false;
    return cycles;
}

void stages_give_away(struct stages *s) {
    s->away = true;
}

void stages_charge(struct stages *s, enum tgw_stage stage, uint32_t units) {
    add(s, stage, passed(s, units));
}

void stages_burst_begin(struct stages *s) {
    struct probe *p = &s->probe;
    here = s; /* a bench has several workers in one thread */
    if (++s->bursts % SAMPLE_EVERY)
        return;
    memset(p->cycles, 0, sizeof(p->cycles));
    p->stage = TGW_STAGE_net;
    p->since = rte_rdtsc();
    p->on = true;
}

/* Share out what was not measured as the sample was. */
static void split(struct stages *s) {
    static const enum tgw_stage part[] = {TGW_STAGE_net, TGW_STAGE_tcp, TGW_STAGE_tls, TGW_STAGE_ws,
                                          TGW_STAGE_relay};
    uint64_t measured = 0, left = s->unsplit;
    for (size_t i = 0; i < sizeof(part) / sizeof(part[0]); i++)
        measured += s->probe.cycles[part[i]];
    for (size_t i = 0; measured && i < sizeof(part) / sizeof(part[0]); i++) {
        uint64_t share =
            (uint64_t)((double)s->unsplit * (double)s->probe.cycles[part[i]] / (double)measured);
        share = share < left ? share : left;
        add(s, part[i], share);
        left -= share;
    }
    add(s, TGW_STAGE_net, left);
    s->unsplit = 0;
}

void stages_burst_end(struct stages *s, uint32_t packets) {
    s->unsplit += passed(s, packets);
    if (!s->probe.on)
        return;
    probe_enter(&s->probe, TGW_STAGE_net);
    s->probe.on = false;
    split(s);
}

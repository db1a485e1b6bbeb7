#include "watch.h"
#include <stdio.h>

enum { EVENTS_A_TURN = 128 };
static const uint64_t BEAT_NS = TGW_HEARTBEAT_PERIOD_MS * UINT64_C(500000);

bool watch_start(struct watch *w, const struct plan *p, uint64_t now_ns, char *err,
                 size_t err_bytes) {
    *w = (struct watch){.verdicts = p->verdicts, .agent_port = (uint16_t)p->agent_port};
    ip_prefix_parse(p->agents, false, &w->agents);
    uint32_t bits = 128u - w->agents.len;
    w->agent_hosts = bits > 8 ? 254 : bits > 1 ? (1u << bits) - 2 : 1;
    if (!p->region[0])
        return true;
    return p->verdicts ? bridge_attach(&w->bridge, p->region, now_ns, err, err_bytes)
                       : bridge_view(&w->bridge, p->region, err, err_bytes);
}

void watch_stop(struct watch *w) {
    bridge_detach(&w->bridge);
}

bool watch_sees(const struct watch *w) {
    return w->bridge.shm != NULL;
}

void watch_calm(const struct watch *w, struct calm *calm) {
    calm->cores = watch_sees(w) ? w->bridge.cores : 0;
    calm->tsc_hz = watch_sees(w) ? w->bridge.shm->tsc_hz : 0;
    for (uint32_t i = 0; i < calm->cores; i++)
        calm->gateway[i] = w->bridge.core[i].counters;
    calm_init(calm);
}

/* Agents in turn, so that the gateway's ports suffice for all. */
static void next_agent(struct watch *w, struct tgw_endpoint *out) {
    *out = (struct tgw_endpoint){.port = w->agent_port};
    memcpy(out->addr, w->agents.addr.b, sizeof(out->addr));
    out->addr[15] = (uint8_t)(out->addr[15] + 1 + w->agent_next++ % w->agent_hosts);
}

static void put_hex(char *out, uint64_t n, int digits) {
    for (out[digits] = 0; digits--; n >>= 4)
        out[digits] = "0123456789abcdef"[n & 15];
}

static void on_event(void *ctx, uint32_t core, const union tgw_event *e) {
    static union tgw_cmd cmd; /* mostly empty texts: filled in once */
    struct watch *w = ctx;
    struct tgw_cmd_verdict *v = &cmd.verdict;
    if (e->msg.type != TGW_EV_AUTH)
        return;
    v->handle = e->auth.handle;
    v->reason = TGW_OK;
    next_agent(w, &v->agent);
    memcpy(v->ident.allocation_id, e->auth.allocation_id, sizeof(v->ident.allocation_id));
    put_hex(v->ident.session_id, e->auth.handle, 16);
    memcpy(v->ident.correlation_id, "rig-", 4);
    put_hex(v->ident.correlation_id + 4, e->auth.handle, 16);
    put_hex(v->ident.trace_id, e->auth.handle, 32);
    memcpy(v->ident.user_id, "rig", 4);
    memcpy(v->grant, "rig", 4);
    v->msg = (struct tgw_msg){.type = TGW_CMD_VERDICT, .len = tgw_verdict_bytes(v)};
    w->lost += !bridge_send(&w->bridge, core, &v->msg);
}

void watch_turn(struct watch *w, uint64_t now_ns) {
    if (!w->verdicts)
        return;
    if (now_ns - w->beat_ns >= BEAT_NS) {
        bridge_beat(&w->bridge, now_ns);
        w->beat_ns = now_ns;
    }
    bridge_poll(&w->bridge, EVENTS_A_TURN, on_event, w);
}

void watch_sample(const struct watch *w, struct sample *out) {
    *out = (struct sample){0};
    if (!watch_sees(w))
        return;
    for (int i = 0; i < TGW_COUNTER_COUNT; i++)
        out->counter[i] = bridge_counter(&w->bridge, (enum tgw_counter)i);
    for (int i = 0; i < TGW_REASON_COUNT; i++)
        out->reason[i] = bridge_reason(&w->bridge, (enum tgw_reason)i);
    for (uint32_t c = 0; c < w->bridge.cores; c++)
        for (int i = 0; i < TGW_STAGE_COUNT; i++)
            out->cycles[i] +=
                atomic_load_explicit(&w->bridge.core[c].counters->cycles[i], memory_order_relaxed);
}

uint64_t watch_busy_cycles(const struct sample *from, const struct sample *to) {
    uint64_t n = 0;
    for (int i = 0; i < TGW_STAGE_COUNT; i++)
        if (i != TGW_STAGE_idle)
            n += to->cycles[i] - from->cycles[i];
    return n;
}

uint64_t watch_frames(const struct sample *from, const struct sample *to) {
    return to->counter[TGW_C_relay_frames_to_agent] - from->counter[TGW_C_relay_frames_to_agent] +
           to->counter[TGW_C_relay_frames_to_client] - from->counter[TGW_C_relay_frames_to_client];
}

uint64_t watch_rss_bytes(const struct watch *w) {
    char path[64], line[128];
    uint64_t kb = 0;
    if (!watch_sees(w))
        return 0;
    snprintf(path, sizeof(path), "/proc/%u/status", w->bridge.shm->dataplane_pid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f))
        sscanf(line, "VmRSS: %lu", &kb);
    if (f)
        fclose(f);
    return kb * 1024;
}

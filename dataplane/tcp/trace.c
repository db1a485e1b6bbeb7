#include "trace.h"
#include "core/region.h"
#include <stdio.h>

enum {
    TOLD_A_SECOND = 10,
    LOOK_BACK = 16384, /* records: bounds what one death costs */
    PICK = 32,
};
_Static_assert(sizeof(struct tcp_record) == 8, "eight records a cache line");
_Static_assert(TCP_EV_COUNT <= 64, "six bits of event");

bool tcp_trace_init(struct tcp_trace *r, uint32_t records, bool huge) {
    assert((records & (records - 1)) == 0);
    *r = (struct tcp_trace){.mask = records - 1};
    if (records)
        r->ring = region_map(records * sizeof(*r->ring), huge);
    return !records || r->ring;
}

void tcp_trace_fini(struct tcp_trace *r) {
    region_unmap(r->ring, ((size_t)r->mask + 1) * sizeof(*r->ring));
    r->ring = NULL;
}

static const char *name_of(uint32_t event) {
    static const char *const names[TCP_EV_COUNT] = {
        "new",       "open",      "syn_out",  "data_in", "ack_in", "fin_in",    "rst_in",
        "ooo_in",    "data_out",  "ack_out",  "fin_out", "again",  "timeout",   "tail_probe",
        "win_probe", "keepalive", "recovery", "undo",    "mss",    "challenge", "win_shut"};
    return event < TCP_EV_COUNT ? names[event] : "?";
}

/* Newest first. */
static uint32_t pick(const struct tcb *c, struct tcp_record *out) {
    const struct tcp_trace *r = &c->stack->trace;
    uint32_t who = (uint32_t)((size_t)((const uint8_t *)c - c->stack->tcbs.base) / POOL_UNIT_BYTES);
    uint32_t n = 0, look = r->mask < LOOK_BACK ? r->mask : LOOK_BACK;
    for (uint32_t back = 1; back <= look && n < PICK; back++) {
        const struct tcp_record *e = &r->ring[(r->next - back) & r->mask];
        if (e->who_what >> 6 != who)
            continue;
        out[n++] = *e;
        if ((e->who_what & 63) == TCP_EV_NEW)
            break;
    }
    return n;
}

size_t tcp_trace_text(const struct tcb *c, char *out, size_t size) {
    struct tcp_record e[PICK];
    uint32_t n = c->stack->trace.ring ? pick(c, e) : 0;
    uint16_t now_ms = (uint16_t)tcp_now_ms(c->stack);
    size_t len = 0;
    out[0] = 0;
    while (n-- > 0 && len + 40 < size)
        len +=
            (size_t)snprintf(out + len, size - len, "%s-%ums %s %u", len ? ", " : "",
                             (uint16_t)(now_ms - e[n].ms), name_of(e[n].who_what & 63), e[n].arg);
    return len;
}

static bool may_tell(struct tcp_stack *t) {
    struct tcp_trace *r = &t->trace;
    if (t->now_ns - r->second_ns >= UINT64_C(1000000000)) {
        r->second_ns = t->now_ns;
        r->told = 0;
    }
    return r->told++ < TOLD_A_SECOND;
}

void tcp_trace_died(struct tcb *c, enum stream_end why) {
    struct tcp_stack *t = c->stack;
    char text[TGW_TRACE_TEXT_MAX];
    bool abnormal = why == STREAM_END_RESET || why == STREAM_END_TIMEOUT || why == STREAM_END_ERROR;
    bool opening = c->state == TCP_SYN_SENT || c->state == TCP_SYN_RECEIVED;
    if (!abnormal || opening || !t->config.died || !may_tell(t))
        return;
    struct tcp_obituary o = {.why = why, .text = text};
    tcp_trace_text(c, text, sizeof(text));
    memcpy(o.local.addr, c->local.b, sizeof(o.local.addr));
    memcpy(o.remote.addr, c->remote.b, sizeof(o.remote.addr));
    o.local.port = c->lport;
    o.remote.port = c->rport;
    t->config.died(t->config.died_ctx, &o);
}

#include "timewait.h"
#include "core/region.h"
#include "reply.h"
#include "tcb.h"

enum { EXPIRIES_A_TURN = 1024 };

bool tw_init(struct tw_table *w, uint32_t max, bool huge) {
    *w = (struct tw_table){.capacity = 1, .max = max};
    /* A wait that starts anew leaves a gap behind: a quarter more. */
    while (w->capacity < max + (uint64_t)max / 4)
        w->capacity *= 2;
    w->ring = region_map(w->capacity * sizeof(*w->ring), huge);
    return w->ring && flow_table_init(&w->flows, max, huge);
}

void tw_fini(struct tw_table *w) {
    region_unmap(w->ring, w->capacity * sizeof(*w->ring));
    flow_table_fini(&w->flows);
}

static struct tw_entry *entry_at(const struct tw_table *w, uint32_t n) {
    return &w->ring[n & (w->capacity - 1)];
}

static uint32_t index_of(const struct tw_table *w, const struct tw_entry *e) {
    return (uint32_t)(e - w->ring);
}

static void forget(struct tcp_stack *t, struct tw_entry *e) {
    struct tw_table *w = &t->tw;
    flow_remove(&w->flows, e->flow, index_of(w, e));
    e->live = false;
    while (w->head != w->tail && !entry_at(w, w->head)->live)
        w->head++;
    if (w->head == w->tail) /* touch no more of the ring than is needed */
        w->head = w->tail = 0;
    else /* the next to go */
        flow_prefetch(&w->flows, entry_at(w, w->head)->flow);
    tgw_gauge(t->counters, TGW_C_tcp_time_wait, tw_count(w));
}

static void make_room(struct tcp_stack *t) {
    struct tw_table *w = &t->tw;
    while (w->tail - w->head == w->capacity || tw_count(w) >= w->max) {
        tgw_count(t->counters, TGW_C_tcp_time_wait_evicted, 1);
        forget(t, entry_at(w, w->head));
    }
}

static bool append(struct tcp_stack *t, const struct tw_entry *entry) {
    struct tw_table *w = &t->tw;
    make_room(t);
    struct tw_entry *e = entry_at(w, w->tail);
    if (!flow_insert(&w->flows, entry->flow, index_of(w, e)))
        return false;
    *e = *entry;
    e->live = true;
    e->expires_ms = tcp_now_ms(t) + t->config.time_wait_ms;
    w->tail++;
    tgw_gauge(t->counters, TGW_C_tcp_time_wait, tw_count(w));
    return true;
}

bool tw_add(struct tcp_stack *t, const struct tcb *c) {
    const struct tw_entry e = {.flow = tcb_hash(c),
                               .rcv_nxt = c->rcv_nxt,
                               .snd_nxt = c->snd_max,
                               .ts_recent = c->ts_recent,
                               .wnd = (uint16_t)((c->rcv_adv - c->rcv_nxt) >> c->rcv_wscale),
                               .ts_on = c->ts_on};
    return t->tw.max && append(t, &e);
}

struct lookup {
    const struct tw_table *w;
    uint64_t flow;
};

static bool is_flow(const void *ctx, uint32_t index) {
    const struct lookup *l = ctx;
    return l->w->ring[index].flow == l->flow;
}

struct tw_entry *tw_find(const struct tw_table *w, uint64_t hash) {
    const struct lookup l = {w, hash};
    uint32_t index = w->flows.used ? flow_find(&w->flows, hash, is_flow, &l) : FLOW_NONE;
    return index == FLOW_NONE ? NULL : &w->ring[index];
}

/* RFC 6191 section 2. */
static bool opens_anew(const struct tw_entry *e, const struct seg *s) {
    bool above = seq_lt(e->rcv_nxt, s->seq);
    if ((s->flags & (SEG_SYN | SEG_ACK | SEG_RST)) != SEG_SYN)
        return false;
    if (!e->ts_on)
        return s->has_ts || above;
    if (!s->has_ts)
        return above;
    return seq_lt(e->ts_recent, s->ts_val) || (e->ts_recent == s->ts_val && above);
}

static void acknowledge(struct tcp_stack *t, const struct tw_entry *e, const struct seg *s) {
    const struct tcp_reply r = {.seq = e->snd_nxt,
                                .ack = e->rcv_nxt,
                                .ts_val = tcp_now_ms(t),
                                .ts_ecr = e->ts_recent,
                                .wnd = e->wnd,
                                .has_ts = e->ts_on,
                                .flags = SEG_ACK};
    tcp_reply(t, s, &r);
}

bool tw_input(struct tcp_stack *t, struct tw_entry *e, const struct seg *s, uint32_t *iss_min) {
    if (opens_anew(e, s)) {
        *iss_min = e->snd_nxt;
        forget(t, e);
        return true;
    }
    tgw_count_reason(t->counters, TGW_R_tcp_time_wait);
    if (s->flags & SEG_RST) /* RFC 1337: no assassination */
        return false;
    if (s->flags & SEG_FIN) { /* it has not heard our last ACK: 2 MSL from now */
        struct tw_entry again = *e;
        forget(t, e);
        append(t, &again);
        acknowledge(t, &again, s);
        return false;
    }
    /* What needs no answer gets none: the peer may be in TIME_WAIT as well. */
    bool wants_answer = s->len || (s->flags & SEG_SYN) || s->seq != e->rcv_nxt;
    if (wants_answer && tcp_answer_allowed(t))
        acknowledge(t, e, s);
    return false;
}

uint32_t tw_expire(struct tcp_stack *t) {
    struct tw_table *w = &t->tw;
    uint32_t now_ms = tcp_now_ms(t), n = 0;
    for (; w->head != w->tail && n < EXPIRIES_A_TURN; n++) {
        struct tw_entry *e = entry_at(w, w->head);
        if ((int32_t)(e->expires_ms - now_ms) > 0)
            break;
        forget(t, e);
    }
    return n;
}

uint64_t tw_next_ns(const struct tcp_stack *t) {
    const struct tw_table *w = &t->tw;
    if (w->head == w->tail)
        return UINT64_MAX;
    uint64_t now_ms = t->now_ns / 1000000;
    int32_t left = (int32_t)(entry_at(w, w->head)->expires_ms - (uint32_t)now_ms);
    return (now_ms + (left > 0 ? (uint64_t)left : 0)) * 1000000;
}

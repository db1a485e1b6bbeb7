/* In-order delivery. */
#include "ooo.h"

/* Let the owner read straight from the mbuf; what it leaves is copied. Returns how many
 * bytes were taken in, by either. */
static uint32_t deliver(struct tcb *c, const uint8_t *data, uint32_t len) {
    struct tcp_stack *t = c->stack;
    if (!c->user) { /* released: nobody reads */
        tgw_count_reason(t->counters, TGW_R_tcp_after_close);
        return len;
    }
    if (tcb_unread(c)) {
        len = (uint32_t)bq_append(&c->flight->rcv, &t->blocks, data, len);
        c->handler->readable(c->user);
        return len;
    }
    t->live_tcb = c;
    t->live = data;
    t->live_len = len;
    c->handler->readable(c->user);
    uint32_t left = t->live_len;
    const uint8_t *rest = t->live;
    t->live_tcb = NULL;
    t->live_len = 0;
    if (c->dead || !c->user || left == 0)
        return len;
    struct tcp_flight *f = tcb_flight(c);
    uint32_t kept = f ? (uint32_t)bq_append(&f->rcv, &t->blocks, rest, left) : 0;
    if (kept < left)
        tgw_count_reason(t->counters, TGW_R_tcp_no_memory);
    return len - left + kept;
}

static void take(struct tcb *c, const uint8_t *data, uint32_t len) {
    uint32_t space = tcp_rcv_space(c);
    if (len > space)
        len = space;
    /* rcv_nxt first: the handler may write, and what it writes carries the ACK. */
    c->rcv_nxt += len;
    uint32_t taken = deliver(c, data, len);
    c->rcv_nxt -= len - taken;
    c->rcv_wraps += c->rcv_nxt < taken;
    tgw_count(c->stack->counters, TGW_C_tcp_bytes_in, taken);
}

static struct tcp_ooo *first_ooo(const struct tcb *c) {
    return c->flight ? c->flight->ooo.first : NULL;
}

/* Deliver what the list now holds in order. */
static void drain_ooo(struct tcb *c) {
    struct tcp_ooo *o;
    while (!c->dead && (o = first_ooo(c)) && seq_le(o->seq, c->rcv_nxt)) {
        uint32_t old = c->rcv_nxt - o->seq;
        if (old < o->len) {
            uint32_t before = c->rcv_nxt, fresh = o->len - old;
            take(c, o->payload + old, fresh);
            if (c->dead || c->rcv_nxt - before < fresh)
                return; /* no room: the rest stays */
        }
        ooo_drop_first(c);
    }
}

static void ack_at_once(struct tcb *c) {
    c->ack_now = true;
    tcb_mark(c);
}

void tcp_receive_next(struct tcb *c, const uint8_t *data, uint32_t len) {
    uint32_t end = c->rcv_nxt + len;
    take(c, data, len);
    if (c->dead)
        return;
    if (c->rcv_nxt != end)
        ack_at_once(c); /* no room */
    else
        tcp_ack_data(c);
}

void tcp_receive(struct tcb *c, const struct seg *s, struct rte_mbuf *m) {
    struct seg in = *s;
    uint32_t old = seq_lt(s->seq, c->rcv_nxt) ? c->rcv_nxt - s->seq : 0;
    if (old)
        ooo_duplicate(c, s->seq, s->seq + (old < in.len ? old : in.len));
    if (old >= in.len) { /* a duplicate: only the ACK */
        ack_at_once(c);
        return;
    }
    in.seq += old;
    in.payload += old;
    in.len -= old;
    if (in.seq != c->rcv_nxt) {
        ack_at_once(c);
        ooo_keep(c, &in, m);
        return;
    }
    bool gap = first_ooo(c) != NULL;
    uint32_t end = in.seq + in.len;
    take(c, in.payload, in.len);
    if (c->dead)
        return;
    if (gap || old || c->rcv_nxt != end)
        ack_at_once(c); /* RFC 5681 section 4.2 */
    else
        tcp_ack_data(c);
    drain_ooo(c);
}

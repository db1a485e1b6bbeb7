/* Delayed ACKs (RFC 9293 section 3.8.6.3, RFC 5681 section 4.2): the ACK of a segment in
 * order waits for data to ride on, for half of ack_delay_ms at least and all of it at most;
 * more than one segment's worth of bytes is acknowledged in the turn it comes. An echo thus
 * carries the ACK of its keystroke, and the next keystroke that of the echo.
 *
 * Each wait has two halves. When one is over and an ACK has gone meanwhile, what is owed now
 * is younger than half a delay, and waits for another half. All halves are equally long and
 * begin when they begin, so that a thousand typists' ACKs do not go in one turn. */
#include "tcb.h"
#include <stdlib.h>

enum {
    WAITING_MAX = 65536,
    LOOKS_A_TURN = 64, /* a turn's packets of two ports can begin no more waits */
};

static uint32_t half_us(const struct tcp_stack *t) {
    return t->config.ack_delay_ms * 1000 / 2;
}

bool tcp_ack_init(struct tcp_stack *t) {
    const struct tcp_config *c = &t->config;
    t->ack_capacity = c->connections_max < WAITING_MAX ? c->connections_max : WAITING_MAX;
    if (!c->ack_delay_ms)
        return true;
    t->ack = calloc(t->ack_capacity, sizeof(*t->ack));
    return t->ack != NULL;
}

void tcp_ack_fini(struct tcp_stack *t) {
    free(t->ack);
}

static uint32_t ports_of(const struct tcb *c) {
    return (uint32_t)c->lport << 16 | c->rport;
}

static void append(struct tcp_stack *t, const struct tcb *c, uint32_t due_us, bool again) {
    uint32_t at = t->ack_head + t->ack_count++;
    t->ack[at < t->ack_capacity ? at : at - t->ack_capacity] =
        (struct tcp_ack_entry){pool_index(&t->tcbs, c), ports_of(c), c->rcv_acked, due_us, again};
}

/* False: no room. */
static bool wait_for_data(struct tcb *c) {
    struct tcp_stack *t = c->stack;
    if (!c->ack_listed && t->ack_count == t->ack_capacity)
        return false;
    c->ack_later = true;
    if (c->ack_listed)
        return true;
    c->ack_listed = true;
    append(t, c, t->now_us + half_us(t), false);
    return true;
}

void tcp_ack_data(struct tcb *c) {
    bool window_left = c->rcv_adv - c->rcv_nxt >= c->mss;
    if (c->stack->config.ack_delay_ms && c->rcv_nxt - c->rcv_acked <= c->mss && window_left &&
        wait_for_data(c))
        return;
    c->ack_now = true;
    tcb_mark(c);
}

static void look(struct tcp_stack *t, const struct tcp_ack_entry *e) {
    struct tcb *c = pool_at(&t->tcbs, e->index);
    if (ports_of(c) != e->ports || c->dead)
        return;
    if (c->ack_later && !(e->again && e->acked == c->rcv_acked)) {
        append(t, c, e->due_us + half_us(t), true);
        return;
    }
    c->ack_listed = false;
    if (!c->ack_later)
        return;
    c->ack_later = false;
    c->ack_now = true;
    tcb_mark(c);
}

void tcp_ack_advance(struct tcp_stack *t) {
    for (int i = 0; i < LOOKS_A_TURN && t->ack_count; i++) {
        const struct tcp_ack_entry e = t->ack[t->ack_head];
        if ((int32_t)(t->now_us - e.due_us) < 0)
            return;
        t->ack_head = t->ack_head + 1 < t->ack_capacity ? t->ack_head + 1 : 0;
        t->ack_count--;
        look(t, &e);
    }
}

uint64_t tcp_ack_next_ns(const struct tcp_stack *t) {
    if (!t->ack_count)
        return UINT64_MAX;
    int32_t left_us = (int32_t)(t->ack[t->ack_head].due_us - t->now_us);
    return t->now_ns + (left_us > 0 ? (uint64_t)left_us * 1000 : 0);
}

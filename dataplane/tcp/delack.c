/* Delayed ACKs (RFC 9293 section 3.8.6.3, RFC 5681 section 4.2): the ACK of a segment in
 * order waits for data to ride on, for half of ack_delay_ms at least and all of it at most;
 * more than one segment's worth of bytes is acknowledged in the turn it comes. An echo thus
 * carries the ACK of its keystroke, and the next keystroke that of the echo. */
#include "tcb.h"

static uint64_t period_ns(const struct tcp_stack *t) {
    return (uint64_t)t->config.ack_delay_ms * 1000000 / 2;
}

static void append(struct tcp_stack *t, struct tcp_ack_list *list, struct tcb *c) {
    uint32_t index = pool_index(&t->tcbs, c);
    c->ack_next = POOL_NONE;
    c->ack_listed = true;
    if (list->last == POOL_NONE)
        list->first = index;
    else
        ((struct tcb *)pool_at(&t->tcbs, list->last))->ack_next = index;
    list->last = index;
}

static bool is_empty(const struct tcp_ack_list *list) {
    return list->first == POOL_NONE;
}

static void wait_for_data(struct tcb *c) {
    struct tcp_stack *t = c->stack;
    c->ack_later = true;
    if (c->ack_listed)
        return;
    if (is_empty(&t->ack_young) && is_empty(&t->ack_old))
        t->ack_period_ns = t->now_ns;
    append(t, &t->ack_young, c);
}

void tcp_ack_data(struct tcb *c) {
    bool window_left = c->rcv_adv - c->rcv_nxt >= c->mss;
    if (c->stack->config.ack_delay_ms && c->rcv_nxt - c->rcv_acked <= c->mss && window_left) {
        wait_for_data(c);
        return;
    }
    c->ack_now = true;
    tcb_mark(c);
}

static void send_all(struct tcp_stack *t, uint32_t index) {
    while (index != POOL_NONE) {
        struct tcb *c = pool_at(&t->tcbs, index);
        index = c->ack_next;
        c->ack_listed = false;
        c->ack_now = c->ack_now || c->ack_later;
        if (c->ack_later || c->dead)
            tcb_mark(c);
        c->ack_later = false;
    }
}

void tcp_ack_advance(struct tcp_stack *t) {
    const struct tcp_ack_list none = {POOL_NONE, POOL_NONE};
    if (is_empty(&t->ack_young) && is_empty(&t->ack_old))
        return;
    /* Twice when time has jumped over a whole period. */
    for (int i = 0; i < 2 && t->now_ns - t->ack_period_ns >= period_ns(t); i++) {
        uint32_t due = t->ack_old.first;
        t->ack_old = t->ack_young;
        t->ack_young = none;
        t->ack_period_ns += period_ns(t);
        send_all(t, due);
    }
    if (t->now_ns - t->ack_period_ns >= period_ns(t))
        t->ack_period_ns = t->now_ns;
}

uint64_t tcp_ack_next_ns(const struct tcp_stack *t) {
    if (is_empty(&t->ack_young) && is_empty(&t->ack_old))
        return UINT64_MAX;
    return t->ack_period_ns + period_ns(t);
}

/* Delayed ACKs (RFC 9293 section 3.8.6.3, RFC 5681 section 4.2): the ACK of a segment in
 * order waits for data to ride on, for half of ack_delay_ms at least and all of it at most;
 * more than one segment's worth of bytes is acknowledged in the turn it comes. An echo thus
 * carries the ACK of its keystroke, and the next keystroke that of the echo. */
#include "tcb.h"
#include <stdlib.h>

enum { WAITING_MAX = 65536 };

static uint64_t period_ns(const struct tcp_stack *t) {
    return (uint64_t)t->config.ack_delay_ms * 1000000 / 2;
}

bool tcp_ack_init(struct tcp_stack *t) {
    const struct tcp_config *c = &t->config;
    t->ack_capacity = c->connections_max < WAITING_MAX ? c->connections_max : WAITING_MAX;
    if (!c->ack_delay_ms)
        return true;
    t->ack_young.entry = calloc(t->ack_capacity, sizeof(*t->ack_young.entry));
    t->ack_old.entry = calloc(t->ack_capacity, sizeof(*t->ack_old.entry));
    return t->ack_young.entry && t->ack_old.entry;
}

void tcp_ack_fini(struct tcp_stack *t) {
    free(t->ack_young.entry);
    free(t->ack_old.entry);
}

static bool none_waits(const struct tcp_stack *t) {
    return t->ack_young.count + t->ack_old.count == 0;
}

static uint32_t ports_of(const struct tcb *c) {
    return (uint32_t)c->lport << 16 | c->rport;
}

/* False: no room. */
static bool wait_for_data(struct tcb *c) {
    struct tcp_stack *t = c->stack;
    struct tcp_ack_list *list = &t->ack_young;
    if (!c->ack_listed && list->count == t->ack_capacity)
        return false;
    c->ack_later = true;
    if (c->ack_listed)
        return true;
    if (none_waits(t))
        t->ack_period_ns = t->now_ns;
    c->ack_listed = true;
    list->entry[list->count++] = (struct tcp_ack_entry){pool_index(&t->tcbs, c), ports_of(c)};
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

static void send_all(struct tcp_stack *t, const struct tcp_ack_list *list) {
    for (uint32_t i = 0; i < list->count; i++) {
        struct tcb *c = pool_at(&t->tcbs, list->entry[i].index);
        if (ports_of(c) != list->entry[i].ports || c->dead)
            continue;
        c->ack_listed = false;
        if (!c->ack_later)
            continue;
        c->ack_later = false;
        c->ack_now = true;
        tcb_mark(c);
    }
}

void tcp_ack_advance(struct tcp_stack *t) {
    if (none_waits(t))
        return;
    /* Twice when time has jumped over a whole period. */
    for (int i = 0; i < 2 && t->now_ns - t->ack_period_ns >= period_ns(t); i++) {
        struct tcp_ack_list due = t->ack_old;
        t->ack_old = t->ack_young;
        t->ack_young = (struct tcp_ack_list){due.entry, 0};
        t->ack_period_ns += period_ns(t);
        send_all(t, &due);
    }
    if (t->now_ns - t->ack_period_ns >= period_ns(t))
        t->ack_period_ns = t->now_ns;
}

uint64_t tcp_ack_next_ns(const struct tcp_stack *t) {
    return none_waits(t) ? UINT64_MAX : t->ack_period_ns + period_ns(t);
}

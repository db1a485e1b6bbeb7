/* One timer a connection, set to the earliest of its deadlines. */
#include "tcb.h"

enum {
    RTO_MIN_MS = 200,
    RTO_MAX_MS = 60000,
    KEEPALIVE_PROBES = 4,
    KEEPALIVE_INTERVAL_MS = 5000,
};

static uint64_t ms(uint64_t n) {
    return n * 1000000;
}

void tcb_deadline(struct tcb *c, enum tcp_deadline which, uint64_t at_ns) {
    uint64_t earliest = UINT64_MAX;
    c->deadline_ns[which] = at_ns;
    for (int i = 0; i < TCP_D_COUNT; i++)
        if (c->deadline_ns[i] && c->deadline_ns[i] < earliest)
            earliest = c->deadline_ns[i];
    if (earliest == UINT64_MAX)
        timer_cancel(&c->stack->wheel, &c->timer);
    else
        timer_set(&c->stack->wheel, &c->timer, earliest);
}

/* RFC 6298 section 2; the lower bound is Linux's, the upper one section 2.5's. */
void tcp_rtt_sample(struct tcb *c, uint64_t rtt_ns) {
    uint32_t r = (uint32_t)(rtt_ns / 1000);
    if (c->srtt_us == 0) {
        c->srtt_us = r ? r : 1;
        c->rttvar_us = r / 2;
    } else {
        uint32_t delta = c->srtt_us > r ? c->srtt_us - r : r - c->srtt_us;
        c->rttvar_us = (uint32_t)(((uint64_t)c->rttvar_us * 3 + delta) / 4);
        c->srtt_us = (uint32_t)(((uint64_t)c->srtt_us * 7 + r) / 8);
    }
    uint32_t rto_ms = (c->srtt_us + 4 * c->rttvar_us) / 1000;
    c->rto_ms = rto_ms < RTO_MIN_MS ? RTO_MIN_MS : rto_ms > RTO_MAX_MS ? RTO_MAX_MS : rto_ms;
}

uint64_t tcp_rto_ns(const struct tcb *c) {
    uint64_t rto_ms = (uint64_t)c->rto_ms << (c->backoff < 10 ? c->backoff : 10);
    return ms(rto_ms < RTO_MAX_MS ? rto_ms : RTO_MAX_MS);
}

static bool given_up(const struct tcb *c) {
    if (c->state == TCP_SYN_SENT || c->state == TCP_SYN_RECEIVED)
        return c->backoff >= TCP_SYN_TRIES;
    /* A closed window may stay closed while its owner lives and answers (RFC 9293
     * section 3.8.6.1); silence may not. */
    uint64_t since = c->snd_wnd == 0 ? c->last_in_ns : c->unacked_since_ns;
    return c->stack->now_ns - since > ms(c->stack->config.user_timeout_ms);
}

/* RFC 5681 section 3.1, RFC 6298 section 5.4 to 5.7: back to the start of what is
 * unacknowledged; SACK information may have been reneged on (RFC 2018 section 8). */
static void retransmission_timeout(struct tcb *c) {
    uint32_t flight = c->snd_max - c->snd_una;
    tgw_count(c->stack->counters, TGW_C_tcp_rto, 1);
    if (c->backoff == 0)
        c->ssthresh = flight / 2 > 2u * c->mss ? flight / 2 : 2u * c->mss;
    c->cwnd = c->mss;
    c->backoff++;
    c->snd_nxt = c->snd_una;
    c->high_rxt = c->snd_una;
    c->sacked_count = 0;
    c->in_recovery = false;
    c->recover = c->snd_max;
    c->dupacks = 0;
    c->timing = false;
}

static void rtx_fired(struct tcb *c) {
    if (given_up(c)) {
        bool opening = c->state == TCP_SYN_SENT;
        tgw_count(c->stack->counters, opening ? TGW_C_tcp_connect_failures : TGW_C_tcp_timeouts, 1);
        tcb_end(c, STREAM_END_TIMEOUT);
        return;
    }
    bool opening = c->state == TCP_SYN_SENT || c->state == TCP_SYN_RECEIVED;
    if (!opening && c->snd_wnd == 0) {
        c->probe_now = true;
        c->backoff++;
    } else {
        retransmission_timeout(c);
    }
    tcb_deadline(c, TCP_D_RTX, c->stack->now_ns + tcp_rto_ns(c));
    tcb_mark(c);
}

/* RFC 9293 section 3.8.4: probe a silent peer with an ACK of what it already has. */
static void keepalive_fired(struct tcb *c) {
    uint64_t silence = c->stack->now_ns - c->last_in_ns;
    uint64_t allowed = ms(c->stack->config.keepalive_ms);
    if (c->snd_una != c->snd_max) /* the retransmission timer asks, and gives up, for both */
        silence = 0;
    if (silence < allowed) {
        c->probes = 0;
        tcb_deadline(c, TCP_D_KEEPALIVE, c->stack->now_ns + allowed - silence);
        return;
    }
    if (c->probes++ >= KEEPALIVE_PROBES) {
        tgw_count(c->stack->counters, TGW_C_tcp_timeouts, 1);
        tcb_end(c, STREAM_END_TIMEOUT);
        return;
    }
    tgw_count(c->stack->counters, TGW_C_tcp_keepalives, 1);
    c->keepalive_now = true;
    tcb_mark(c);
    tcb_deadline(c, TCP_D_KEEPALIVE, c->stack->now_ns + ms(KEEPALIVE_INTERVAL_MS));
}

void tcp_timer_fired(void *stack, struct timer *timer) {
    struct tcp_stack *t = stack;
    struct tcb *c = (struct tcb *)((char *)timer - offsetof(struct tcb, timer));
    for (int i = 0; i < TCP_D_COUNT && !c->dead; i++) {
        if (!c->deadline_ns[i] || c->deadline_ns[i] > t->now_ns)
            continue;
        c->deadline_ns[i] = 0;
        if (i == TCP_D_RTX)
            rtx_fired(c);
        else if (i == TCP_D_KEEPALIVE)
            keepalive_fired(c);
        else if (c->user && c->fin_acked && c->fin_received)
            tcp_finish_if_done(c);
        else
            tcb_end(c, STREAM_END_TIMEOUT);
    }
    if (!c->dead)
        tcb_deadline(c, TCP_D_RTX, c->deadline_ns[TCP_D_RTX]);
}

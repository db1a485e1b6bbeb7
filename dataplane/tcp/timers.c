/* One timer a connection, set to the earliest of its deadlines. */
#include "recovery.h"
#include "trace.h"

enum {
    RTO_FIRST_MS = 1000, /* RFC 6298 section 2.1 */
    RTO_MIN_MS = 200,
    RTO_MAX_MS = 60000,
    PERSIST_PROBES = 8, /* that go unanswered before the user timeout, at the least */
    RELEASED_LIFE_MS = 30000,
    KEEPALIVE_PROBES = 4,
    KEEPALIVE_INTERVAL_MS = 5000,
};

static uint64_t ms(uint64_t n) {
    return n * 1000000;
}

/* Deadlines are kept in ms, rounded up: never early. 0 means none, so 0 becomes 1. */
static uint32_t deadline_of(uint64_t at_ns) {
    uint32_t at_ms = (uint32_t)((at_ns + 999999) / 1000000);
    return at_ms ? at_ms : 1;
}

/* The timer stands at `at_ms` or before. One that stands before it is left there: it looks
 * again when it fires, which costs less than moving it with every ACK. */
static void not_after(struct tcb *c, uint32_t at_ms) {
    if (timer_is_set(&c->timer) && (int32_t)(c->timer.deadline_tick - at_ms) <= 0)
        return;
    int32_t left_ms = (int32_t)(at_ms - tcp_now_ms(c->stack));
    uint64_t now_ms = c->stack->now_ns / 1000000;
    timer_set(&c->stack->wheel, &c->timer, ms(now_ms + (uint64_t)(int64_t)left_ms));
}

/* After it has fired. */
static void arm(struct tcb *c) {
    for (int i = 0; i < TCP_D_COUNT; i++)
        if (c->deadline_ms[i])
            not_after(c, c->deadline_ms[i]);
    if (c->flight && c->flight->loss_timer != TCP_LT_NONE)
        not_after(c, c->flight->loss_ms);
}

void tcb_deadline(struct tcb *c, enum tcp_deadline which, uint64_t at_ns) {
    c->deadline_ms[which] = at_ns ? deadline_of(at_ns) : 0;
    if (at_ns)
        not_after(c, c->deadline_ms[which]);
}

void tcp_loss_deadline(struct tcb *c, enum tcp_loss_timer which, uint32_t wait_us) {
    struct tcp_flight *f = c->flight;
    f->loss_timer = (uint8_t)which;
    if (which == TCP_LT_NONE)
        return;
    f->loss_ms = deadline_of(c->stack->now_ns + (uint64_t)wait_us * 1000);
    not_after(c, f->loss_ms);
}

void tcp_tail_probe_deadline(struct tcb *c, uint32_t rto_us) {
    enum { PEER_ACK_DELAY_US = 200000, FIRST_US = 1000000, SLACK_US = 2000 };
    uint32_t wait_us = c->srtt_us ? 2 * c->srtt_us + SLACK_US : FIRST_US;
    if (c->snd_max - c->snd_una <= c->mss)
        wait_us += PEER_ACK_DELAY_US;
    tcp_loss_deadline(c, TCP_LT_PROBE, wait_us < rto_us ? wait_us : rto_us);
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
}

uint32_t tcp_rto_ms(const struct tcb *c) {
    if (!c->srtt_us) /* section 5.7 has set the variance when a SYN was lost */
        return c->rttvar_us ? 4 * c->rttvar_us / 1000 : RTO_FIRST_MS;
    uint32_t rto_ms = (c->srtt_us + 4 * c->rttvar_us) / 1000;
    return rto_ms < RTO_MIN_MS ? RTO_MIN_MS : rto_ms > RTO_MAX_MS ? RTO_MAX_MS : rto_ms;
}

uint64_t tcp_rto_ns(const struct tcb *c) {
    uint64_t rto_ms = (uint64_t)tcp_rto_ms(c) << (c->backoff < 10 ? c->backoff : 10);
    return ms(rto_ms < RTO_MAX_MS ? rto_ms : RTO_MAX_MS);
}

static bool is_opening(const struct tcb *c) {
    return c->state == TCP_SYN_SENT || c->state == TCP_SYN_RECEIVED;
}

static uint64_t silence_ms(const struct tcb *c) {
    return tcp_now_ms(c->stack) - c->last_in_ms;
}

static bool given_up(const struct tcb *c) {
    if (is_opening(c))
        return c->backoff >= TCP_SYN_TRIES;
    /* A closed window may stay closed while its owner lives and answers (RFC 9293
     * section 3.8.6.1); silence may not. */
    uint64_t waited_ms = c->snd_wnd == 0 || c->snd_una == c->snd_max
                             ? silence_ms(c)
                             : (c->stack->now_ns - c->flight->unacked_since_ns) / 1000000;
    return waited_ms > c->stack->config.user_timeout_ms;
}

/* Probes of a closed window back off as retransmissions do, but one that is lost, or its
 * answer, must not use up the user timeout. */
static uint64_t again_ns(const struct tcb *c) {
    uint64_t rto_ns = tcp_rto_ns(c),
             most_ns = ms(c->stack->config.user_timeout_ms) / PERSIST_PROBES;
    return c->snd_wnd == 0 && !is_opening(c) && rto_ns > most_ns ? most_ns : rto_ns;
}

/* For want of a packet buffer the last output pass left something, and no answer of the
 * peer's is awaited for it. */
static bool waits_for_memory(const struct tcb *c) {
    return c->unsent && !is_opening(c) &&
           (c->snd_una == c->snd_max || (c->flight && c->flight->board.lost_bytes));
}

void tcp_retry_soon(struct tcb *c) {
    enum { SOON_MS = 500 };
    uint64_t rto_ns = tcp_rto_ns(c), at_ns = c->stack->now_ns + ms(SOON_MS);
    if (waits_for_memory(c) && rto_ns > ms(SOON_MS))
        tcb_deadline(c, TCP_D_RTX, at_ns);
}

static void rtx_fired(struct tcb *c) {
    bool opening = is_opening(c), unsent = waits_for_memory(c);
    c->unsent = false;
    if (unsent)
        tcb_mark(c);
    if (!opening && tcb_is_quiet(c)) {
        tcb_rest(c);
        tcp_tell_room(c); /* memory was short when the owner wrote */
        return;
    }
    bool waiting = opening || c->snd_una != c->snd_max || tcb_queued(c) || c->fin_queued;
    if (!waiting) /* only something unread, or out of order */
        return;
    if (given_up(c)) {
        bool active = c->state == TCP_SYN_SENT;
        tgw_count(c->stack->counters, active ? TGW_C_tcp_connect_failures : TGW_C_tcp_timeouts, 1);
        tcb_end(c, STREAM_END_TIMEOUT);
        return;
    }
    if (opening)
        c->snd_nxt = c->iss;
    if (!opening && c->snd_wnd == 0)
        c->probe_now = true;
    else if (!unsent)
        tcp_recovery_timeout(c);
    if (!unsent) { /* else nothing was lost, and memory comes back sooner than a peer does */
        c->backoff++;
        if (c->snd_wnd)
            tcp_path_timeout(c);
    }
    tcb_deadline(c, TCP_D_RTX, c->stack->now_ns + again_ns(c));
    tcb_mark(c);
}

/* RFC 9293 section 3.8.4: probe a silent peer with an ACK of what it already has. */
static void keepalive_fired(struct tcb *c) {
    uint64_t silence = ms(silence_ms(c));
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
    tcp_note(c, TCP_EV_KEEPALIVE, c->probes);
    c->keepalive_now = true;
    tcb_mark(c);
    tcb_deadline(c, TCP_D_KEEPALIVE, c->stack->now_ns + ms(KEEPALIVE_INTERVAL_MS));
}

/* RFC 8985: the reordering window is over (section 6.2 step 5), or a probe is due (7.3).
 * The retransmission timer then runs anew behind the probe. */
static void loss_fired(struct tcb *c) {
    struct tcp_flight *f = c->flight;
    enum tcp_loss_timer which = f->loss_timer;
    f->loss_timer = TCP_LT_NONE;
    if (which == TCP_LT_RACK) {
        tcp_recovery_detect(c);
        return;
    }
    f->tlp_now = true;
    tcb_deadline(c, TCP_D_RTX, c->stack->now_ns + tcp_rto_ns(c));
    tcb_mark(c);
}

void tcb_live_on(struct tcb *c) {
    tcb_deadline(c, TCP_D_LIFE, c->stack->now_ns + ms(RELEASED_LIFE_MS));
}

/* A released connection whose data still gets through has more time, four times as much at
 * most: no less than RFC 1122 section 4.2.3.5 gives it (100 s). */
static bool lives_on(struct tcb *c) {
    enum { LIVES_MORE = 3 };
    if (c->user || c->snd_una == c->snd_max || c->lives == LIVES_MORE ||
        c->stack->now_ns - c->flight->unacked_since_ns > ms(RELEASED_LIFE_MS))
        return false;
    c->lives++;
    tcb_live_on(c);
    return true;
}

static bool is_due(uint32_t at_ms, uint32_t now_ms) {
    return (int32_t)(at_ms - now_ms) <= 0;
}

void tcp_timer_fired(void *stack, struct timer *timer) {
    struct tcp_stack *t = stack;
    struct tcb *c = (struct tcb *)((char *)timer - offsetof(struct tcb, timer));
    uint32_t now_ms = tcp_now_ms(t);
    if (c->flight && c->flight->loss_timer != TCP_LT_NONE && is_due(c->flight->loss_ms, now_ms))
        loss_fired(c);
    for (int i = 0; i < TCP_D_COUNT && !c->dead; i++) {
        if (!c->deadline_ms[i] || !is_due(c->deadline_ms[i], now_ms))
            continue;
        c->deadline_ms[i] = 0;
        if (i == TCP_D_RTX)
            rtx_fired(c);
        else if (i == TCP_D_KEEPALIVE)
            keepalive_fired(c);
        else if (c->user && c->fin_acked && c->fin_received)
            tcp_finish_if_done(c);
        else if (!lives_on(c))
            tcb_end(c, STREAM_END_TIMEOUT);
    }
    if (!c->dead)
        arm(c);
}

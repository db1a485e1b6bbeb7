/* Segment arrives: RFC 9293 section 3.10.7. */
#include "ooo.h"
#include "recovery.h"
#include "reply.h"
#include "trace.h"
#include <rte_prefetch.h>

/* Options of the peer's SYN (RFC 7323 section 2.2, 3.2; RFC 2018 section 2). */
void tcp_take_syn(struct tcb *c, const struct seg *s) {
    uint16_t mss = s->mss ? s->mss : TCP_MSS_DEFAULT;
    if (mss < 64)
        mss = 64;
    if (mss < c->mss)
        c->mss = mss;
    c->wscale_on = s->has_wscale;
    c->snd_wscale = s->has_wscale ? s->wscale : 0;
    c->rcv_wscale = s->has_wscale ? TCP_WSCALE : 0;
    c->ts_on = s->has_ts;
    c->ts_recent = s->ts_val;
    c->sack_on = s->sack_permitted;
    /* RFC 3168 section 6.1.1: ECE and CWR offer it, ECE alone accepts. */
    uint8_t ecn = s->flags & (SEG_ECE | SEG_CWR);
    c->ecn_on =
        c->stack->config.use_ecn && ecn == (s->flags & SEG_ACK ? SEG_ECE : SEG_ECE | SEG_CWR);
    c->irs = s->seq;
    c->rcv_nxt = s->seq + 1;
    c->rcv_wraps = c->rcv_nxt == 0;
    c->rcv_adv = c->rcv_nxt;
    c->rcv_acked = c->rcv_nxt; /* our next segment tells it */
    c->snd_wnd = s->wnd;       /* unscaled on a SYN */
    c->snd_wl1 = s->seq;
    c->cwnd = tcp_initial_cwnd(c);
}

/* Karn: a SYN that was sent again tells nothing (RFC 6298 section 3), unless the answer
 * echoes its timestamp. (That of a cookie holds options: no time.) */
static void syn_rtt(struct tcb *c, const struct seg *s) {
    if (c->syn_us)
        tcp_rtt_sample(c, (uint64_t)(tcp_now_us(c->stack) - c->syn_us) * 1000);
    else if (c->ts_on && s->has_ts && s->ts_ecr && c->retransmits)
        tcp_rtt_sample(c, (uint64_t)(tcp_now_ms(c->stack) - s->ts_ecr) * 1000000);
}

static void become_established(struct tcb *c) {
    enum { RTTVAR_AFTER_SYN_LOSS_US = 750000 };
    if (!c->srtt_us && c->retransmits)
        c->rttvar_us = RTTVAR_AFTER_SYN_LOSS_US; /* RFC 6298 section 5.7: an RTO of 3 s */
    c->state = TCP_ESTABLISHED;
    c->backoff = 0;
    tcp_path_init(c);
    tcp_note(c, TCP_EV_OPEN, c->mss);
    tcb_deadline(c, TCP_D_RTX, 0);
    if (c->stack->config.keepalive_ms)
        tcb_deadline(c, TCP_D_KEEPALIVE,
                     c->stack->now_ns + (uint64_t)c->stack->config.keepalive_ms * 1000000);
}

static void syn_sent(struct tcb *c, const struct seg *s) {
    struct tcp_stack *t = c->stack;
    bool ack_good = (s->flags & SEG_ACK) && s->ack == c->iss + 1;
    if ((s->flags & SEG_ACK) && !ack_good) {
        tcp_send_rst(t, s);
        return;
    }
    if (s->flags & SEG_RST) {
        if (!ack_good)
            return;
        tgw_count(t->counters, TGW_C_tcp_resets_in, 1);
        tgw_count(t->counters, TGW_C_tcp_connect_failures, 1);
        tcb_end(c, STREAM_END_REFUSED);
        return;
    }
    if (!(s->flags & SEG_SYN))
        return;
    tcp_take_syn(c, s);
    if (!ack_good) { /* simultaneous open, section 3.5 */
        c->state = TCP_SYN_RECEIVED;
        t->half_open++;
        c->snd_nxt = c->iss;
        tcb_mark(c);
        return;
    }
    syn_rtt(c, s);
    c->snd_una = c->snd_nxt = c->snd_max = s->ack;
    become_established(c);
    c->ack_now = true;
    tcb_mark(c);
    tgw_count(t->counters, TGW_C_tcp_connects, 1);
    if (c->user)
        c->handler->connected(c->user);
}

/* The ACK of our SYN. False: the segment ends here. */
static bool syn_received(struct tcb *c, const struct seg *s) {
    struct tcp_stack *t = c->stack;
    if (s->ack != c->iss + 1) {
        tcp_send_rst(t, s);
        return false;
    }
    t->half_open--;
    c->snd_una = c->snd_nxt = c->snd_max = s->ack;
    c->snd_wnd = (uint32_t)s->wnd << c->snd_wscale;
    syn_rtt(c, s);
    become_established(c);
    if (!c->passive) {
        tgw_count(t->counters, TGW_C_tcp_connects, 1);
        c->handler->connected(c->user);
        return !c->dead;
    }
    return tcp_accept(c, s);
}

/* First check: sequence number (section 3.10.7.4) with the zero-window exceptions. A
 * segment without data may stand at the very edge: who has filled the window sends so. */
static bool in_window(const struct tcb *c, const struct seg *s) {
    uint32_t len = s->len + !!(s->flags & SEG_SYN) + !!(s->flags & SEG_FIN);
    uint32_t wnd = c->rcv_adv - c->rcv_nxt;
    if (len == 0)
        return seq_le(c->rcv_nxt, s->seq) && seq_le(s->seq, c->rcv_nxt + wnd);
    return seq_lt(s->seq, c->rcv_nxt + (wnd ? wnd : 1)) && seq_lt(c->rcv_nxt, s->seq + len);
}

static void drop_and_ack(struct tcb *c, enum tgw_reason r) {
    tgw_count_reason(c->stack->counters, r);
    c->ack_now = true;
    tcb_mark(c);
}

/* An ACK for an ACK could go on for ever: within the limit of challenges. */
static void answer_limited(struct tcb *c, enum tgw_reason r) {
    tgw_count_reason(c->stack->counters, r);
    tcp_challenge(c);
}

/* RFC 7323 section 5.3 R1; idle over 24 days lets old values pass (section 5.5). */
static bool paws_rejects(const struct tcb *c, const struct seg *s) {
    const uint32_t days24_ms = UINT32_C(24) * 86400 * 1000;
    return c->ts_on && s->has_ts && !(s->flags & SEG_RST) && seq_lt(s->ts_val, c->ts_recent) &&
           tcp_now_ms(c->stack) - c->last_in_ms < days24_ms;
}

static void reset_received(struct tcb *c, const struct seg *s) {
    if (s->seq != c->rcv_nxt) { /* RFC 5961 section 3.2 */
        tgw_count_reason(c->stack->counters, TGW_R_tcp_rst_invalid);
        tcp_challenge(c);
        return;
    }
    /* As in TIME_WAIT: the peer is gone in good order, what it sent is yet to be read. */
    if (c->fin_acked && c->fin_received)
        return;
    tgw_count(c->stack->counters, TGW_C_tcp_resets_in, 1);
    tcb_end(c, STREAM_END_RESET);
}

/* Everything before ACK processing. False: the segment ends here. */
static bool acceptable(struct tcb *c, const struct seg *s) {
    bool empty = s->len == 0 && !(s->flags & (SEG_SYN | SEG_FIN));
    if (paws_rejects(c, s)) {
        if (empty)
            answer_limited(c, TGW_R_tcp_paws);
        else
            drop_and_ack(c, TGW_R_tcp_paws);
        return false;
    }
    if (!in_window(c, s)) {
        if (s->flags & SEG_RST)
            tgw_count_reason(c->stack->counters, TGW_R_tcp_rst_invalid);
        else if (empty)
            answer_limited(c, TGW_R_tcp_out_of_window);
        else
            drop_and_ack(c, TGW_R_tcp_out_of_window);
        /* Not before our SYN is acknowledged: what a flight keeps of what was sent begins
         * behind it. */
        bool old = s->len && seq_le(s->seq + s->len, c->rcv_nxt);
        if (old && c->state != TCP_SYN_RECEIVED)
            ooo_duplicate(c, s->seq, s->seq + s->len);
        /* An ACK below the window still counts: the peer may be probing. */
        return !(s->flags & (SEG_RST | SEG_SYN)) && (s->flags & SEG_ACK) &&
               seq_le(s->seq, c->rcv_nxt);
    }
    if (s->flags & SEG_RST) {
        reset_received(c, s);
        return false;
    }
    if (s->flags & SEG_SYN) { /* RFC 5961 section 4.2 */
        tgw_count_reason(c->stack->counters, TGW_R_tcp_syn_in_window);
        tcp_challenge(c);
        return false;
    }
    /* RFC 7323 section 4.3: the first one that an ACK is owed for is echoed. */
    if (c->ts_on && s->has_ts && seq_le(s->seq, c->rcv_acked) && !seq_lt(s->ts_val, c->ts_recent))
        c->ts_recent = s->ts_val;
    return true;
}

void tcp_enter_time_wait(struct tcb *c) {
    void *user = c->user;
    const struct stream_handler *handler = c->handler;
    bool ack_owed = c->ack_now || c->ack_later;
    tw_add(c->stack, c);
    tcb_kill(c);
    c->state = TCP_TIME_WAIT;
    c->ack_now = ack_owed; /* with the flush that frees it */
    if (user)
        handler->closed(user, STREAM_END_OK);
}

/* Eighth: the FIN, once everything before it is here. */
static void take_fin(struct tcb *c) {
    c->rcv_nxt++;
    c->fin_received = true;
    c->ack_now = true;
    tcb_mark(c);
    c->rcv_wraps += c->rcv_nxt == 0;
    if (c->state == TCP_ESTABLISHED)
        c->state = TCP_CLOSE_WAIT;
    else if (c->state == TCP_FIN_WAIT_1)
        c->state = TCP_CLOSING;
    if (c->user)
        c->handler->readable(c->user);
}

/* States that an acknowledged FIN of ours moves on. */
static void our_fin_acked(struct tcb *c) {
    if (c->state == TCP_FIN_WAIT_1) {
        c->state = TCP_FIN_WAIT_2;
        if (!c->user)
            tcb_live_on(c);
    }
}

/* Both FINs are through and the owner has read everything (or is gone). */
void tcp_finish_if_done(struct tcb *c) {
    bool unread = c->user && tcb_unread(c);
    if (c->dead || !c->fin_acked || !c->fin_received)
        return;
    if (unread) { /* nothing more is asked of the peer */
        tcb_deadline(c, TCP_D_KEEPALIVE, 0);
        return;
    }
    if (c->state == TCP_LAST_ACK) /* the peer closed first: it keeps the TIME_WAIT */
        tcb_end(c, STREAM_END_OK);
    else
        tcp_enter_time_wait(c);
}

/* RFC 3168 section 6.1.3: CWR ends the echo, CE begins it, in this order. */
static void take_ecn(struct tcb *c, const struct seg *s) {
    enum { CE = 3 };
    if (!c->ecn_on || c->dead)
        return;
    if (s->flags & SEG_CWR)
        c->ecn_echo = false;
    if (s->ecn == CE && s->len) {
        c->ecn_echo = true;
        c->ack_now = true;
    }
}

static void note_segment(const struct tcb *c, const struct seg *s) {
    if (s->flags & SEG_RST)
        tcp_note(c, TCP_EV_RST_IN, s->seq - c->rcv_nxt);
    else if (s->flags & SEG_FIN)
        tcp_note(c, TCP_EV_FIN_IN, s->len);
    else if (s->len)
        tcp_note(c, s->seq == c->rcv_nxt ? TCP_EV_DATA_IN : TCP_EV_OOO_IN, s->len);
    else
        tcp_note(c, TCP_EV_ACK_IN, s->ack - c->snd_una);
}

static void synchronized(struct tcb *c, const struct seg *s, struct rte_mbuf *m) {
    if (!c->stack->config.long_way && tcp_predicted(c, s))
        return;
    note_segment(c, s);
    if (!acceptable(c, s))
        return;
    c->last_in_ms = tcp_now_ms(c->stack);
    c->probes = 0;
    if (!(s->flags & SEG_ACK))
        return;
    if (c->state == TCP_SYN_RECEIVED && !syn_received(c, s))
        return;
    if (!tcp_ack(c, s))
        return;
    if (c->fin_acked)
        our_fin_acked(c);
    take_ecn(c, s);
    if (!c->dead && s->len && !c->fin_received)
        tcp_receive(c, s, m);
    if (!c->dead && (s->flags & SEG_FIN) && !c->fin_received && s->seq + s->len == c->rcv_nxt)
        take_fin(c);
    tcp_finish_if_done(c);
}

static void no_connection(struct tcp_stack *t, const struct seg *s, struct rte_mbuf *m) {
    bool drop = false;
    if ((s->flags & (SEG_SYN | SEG_ACK | SEG_RST)) == SEG_SYN && tcp_is_listening(t, s->dport)) {
        tcp_passive_open(t, s, 0);
        return;
    }
    struct tcb *c = tcp_cookie_open(t, s, &drop);
    if (c) {
        synchronized(c, s, m);
        return;
    }
    tgw_count_reason(t->counters, TGW_R_tcp_no_connection);
    if (!drop)
        tcp_send_rst(t, s);
}

static void input(struct tcp_stack *t, const struct seg *s, struct rte_mbuf *m,
                  const struct flow_key *k, uint64_t hash) {
    struct tcb *c = tcb_find_hashed(t, k, hash);
    struct tw_entry *waiting = c ? NULL : tw_find(&t->tw, hash);
    uint32_t iss_min = 0;
    if (waiting && !tw_input(t, waiting, s, &iss_min))
        return;
    if (waiting && tcp_is_listening(t, s->dport))
        tcp_passive_open(t, s, iss_min);
    else if (!c)
        no_connection(t, s, m);
    else if (c->state == TCP_SYN_SENT)
        syn_sent(c, s);
    else
        synchronized(c, s, m);
}

void tcp_input(void *stack, const struct seg *s, struct rte_mbuf *m) {
    struct tcp_stack *t = stack;
    const struct flow_key k = {s->dst, s->src, s->dport, s->sport, 0};
    input(t, s, m, &k, flow_hash(t->key, &k));
}

enum { BURST_MAX = 64, LINE_BYTES = 64, OWNER_PREFETCH_BYTES = 192 };

static void prefetch_lines(const void *at, size_t bytes) {
    for (size_t i = 0; at && i < bytes; i += LINE_BYTES)
        rte_prefetch0((const char *)at + i); /* gcc drops a function of mere __builtin_prefetch */
}

/* What the segments of a burst will touch is fetched a step ahead of its use: the flow
 * table's buckets, then the TCBs found in them, then owners and flights. */
static void prefetch_burst(const struct tcp_stack *t, const uint64_t *hash, uint16_t count) {
    const struct tcb *found[BURST_MAX];
    for (uint16_t i = 0; i < count; i++) {
        uint32_t index = flow_guess(&t->flows, hash[i]);
        found[i] = index == FLOW_NONE ? NULL : pool_at(&t->tcbs, index);
        if (found[i])
            prefetch_lines(found[i], sizeof(struct tcb));
    }
    for (uint16_t i = 0; i < count; i++) {
        if (!found[i])
            continue;
        prefetch_lines(found[i]->user, OWNER_PREFETCH_BYTES);
        prefetch_lines(found[i]->flight, offsetof(struct tcp_flight, undo));
    }
}

static void input_some(struct tcp_stack *t, const struct seg *s, struct rte_mbuf *const *m,
                       uint16_t count) {
    struct flow_key k[BURST_MAX];
    uint64_t hash[BURST_MAX];
    for (uint16_t i = 0; i < count; i++) {
        k[i] = (struct flow_key){s[i].dst, s[i].src, s[i].dport, s[i].sport, 0};
        hash[i] = flow_hash(t->key, &k[i]);
        flow_prefetch(&t->flows, hash[i]);
        if (s[i].flags & (SEG_SYN | SEG_FIN)) /* TIME_WAIT: looked up, or entered */
            flow_prefetch(&t->tw.flows, hash[i]);
    }
    if (count > 1)
        prefetch_burst(t, hash, count);
    for (uint16_t i = 0; i < count; i++)
        input(t, &s[i], m[i], &k[i], hash[i]);
}

void tcp_input_burst(void *stack, const struct seg *s, struct rte_mbuf *const *m, uint16_t count) {
    for (uint16_t i = 0; i < count; i += BURST_MAX)
        input_some(stack, s + i, m + i, (uint16_t)(count - i < BURST_MAX ? count - i : BURST_MAX));
}

/* What an acceptable ACK does: RFC 9293 section 3.10.7.4 (fifth), SACK blocks (RFC 2018),
 * round-trip times (RFC 6298, RFC 7323 section 4). */
#include "recovery.h"

/* Of one ACK, gathered while the scoreboard takes it in. */
struct gathered {
    struct tcp_rack_ack rack;
    uint32_t first_us; /* when the first of what it delivers was sent */
    bool any;          /* ... and it was sent once */
    bool rtx;          /* part of it was sent more than once */
};

static void delivered(void *ctx, uint32_t from, const struct tcp_run *run) {
    struct gathered *g = ctx;
    tcp_rack_delivered(&g->rack, from, run);
    if (run->flags & TCP_RUN_RTX)
        g->rtx = true;
    else if (!g->any)
        g->first_us = run->sent_us;
    g->any |= !(run->flags & TCP_RUN_RTX);
}

/* RFC 2883 section 4: the first block reports a duplicate when it lies below the ACK or
 * within the second. */
static bool is_dsack(const struct tcb *c, const struct seg *s) {
    if (!c->sack_on || s->sack_count == 0 || !seq_lt(s->sack[0].start, s->sack[0].end))
        return false;
    if (seq_le(s->sack[0].end, s->ack))
        return true;
    return s->sack_count > 1 && seq_le(s->sack[1].start, s->sack[0].start) &&
           seq_le(s->sack[0].end, s->sack[1].end);
}

/* The lowest block first: RACK takes what comes below for reordering. */
static uint32_t take_sack(struct tcb *c, const struct seg *s, struct gathered *g) {
    uint32_t fresh = 0, done = 0;
    for (uint8_t n = 0; c->sack_on && n < s->sack_count; n++) {
        uint8_t low = SEG_SACK_BLOCKS_MAX;
        for (uint8_t i = 0; i < s->sack_count; i++)
            if (!(done & 1u << i) &&
                (low == SEG_SACK_BLOCKS_MAX || seq_lt(s->sack[i].start, s->sack[low].start)))
                low = i;
        uint32_t start = s->sack[low].start, end = s->sack[low].end;
        done |= 1u << low;
        if (seq_lt(start, end) && seq_le(c->snd_una, start) && seq_le(end, c->snd_max))
            fresh += tcp_board_sack(&c->flight->board, start, end, delivered, g);
    }
    return fresh;
}

/* One sample a round trip. Karn (RFC 6298 section 3): what was sent twice tells nothing,
 * unless a timestamp says which it was (RFC 7323 section 4.1). */
static void sample_rtt(struct tcb *c, const struct seg *s, const struct gathered *g) {
    struct tcp_flight *f = c->flight;
    uint32_t echo_age_ms = g->rack.now_ms - s->ts_ecr;
    if (!seq_lt(f->rtt_seq, c->snd_una))
        return;
    if (g->any && !g->rtx)
        tcp_rtt_sample(c, (uint64_t)(g->rack.now_us - g->first_us) * 1000);
    else if (g->rack.has_echo && echo_age_ms < 600000)
        tcp_rtt_sample(c, (uint64_t)echo_age_ms * 1000000);
    else
        return;
    f->rtt_seq = c->snd_max;
}

static void release_sent(struct tcb *c, uint32_t acked) {
    struct tcp_flight *f = c->flight;
    uint32_t data = acked < f->snd.bytes ? acked : f->snd.bytes;
    bq_consume(&f->snd, &c->stack->blocks, data);
    if (acked > data) { /* our FIN */
        assert(acked == data + 1 && c->fin_queued);
        c->fin_queued = false;
        c->fin_acked = true;
    }
}

static void advance(struct tcb *c, uint32_t ack) {
    struct tcp_flight *f = c->flight;
    release_sent(c, ack - c->snd_una);
    c->snd_una = ack;
    f->unacked_since_ns = c->stack->now_ns;
    tcp_path_acked(c);
    tcb_deadline(c, TCP_D_RTX, 0); /* the output pass sets it anew */
    f->tlp_reset = true;
}

/* The ACK against what is in flight. True: it said something. */
static bool settle(struct tcb *c, const struct seg *s) {
    struct tcp_flight *f = c->flight;
    const struct tcp_stack *t = c->stack;
    bool echo = c->ts_on && s->has_ts && s->ts_ecr;
    struct gathered g = {.rack = {&f->rack, tcp_now_us(t), echo, s->ts_ecr, tcp_now_ms(t)}};
    struct tcp_heard h = {.s = s,
                          .advanced = seq_lt(c->snd_una, s->ack),
                          .dsack = is_dsack(c, s),
                          .flight = c->snd_max - c->snd_una};
    if (h.advanced) {
        h.acked = s->ack - c->snd_una;
        h.delivered = tcp_board_ack(&f->board, s->ack, delivered, &g);
        advance(c, s->ack);
    } else {
        h.duplicate = s->ack == c->snd_una && s->len == 0 && !(s->flags & SEG_FIN) &&
                      (uint32_t)s->wnd << c->snd_wscale == c->snd_wnd;
    }
    if (s->ack == c->snd_una)
        h.delivered += take_sack(c, s, &g);
    if (h.dsack)
        tgw_count(t->counters, TGW_C_tcp_dsack, 1);
    if (h.advanced)
        sample_rtt(c, s, &g);
    tcp_recovery_heard(c, &h);
    if (h.advanced)
        c->backoff = 0;
    return h.advanced || h.delivered || h.duplicate;
}

/* A window belongs to its acknowledgement: with a new one it counts, though the segment
 * be a retransmission that stands below others in sequence. True: it has changed in a way
 * that the output pass wants to know of. */
static bool update_window(struct tcb *c, const struct seg *s, bool advanced) {
    uint32_t wnd = (uint32_t)s->wnd << c->snd_wscale;
    if (s->ack != c->snd_una) /* an old one: RFC 9293 section 3.10.7.4 */
        return false;
    if (!advanced && !seq_le(c->snd_wl1, s->seq)) /* SND.WL2 <= SEG.ACK is SND.UNA here */
        return false;
    bool opened = c->snd_wnd == 0 && wnd;
    bool matters = wnd > c->snd_wnd || (wnd == 0 && c->snd_wnd);
    c->snd_wnd = wnd;
    c->snd_wl1 = s->seq;
    if (!opened)
        return matters;
    /* What a probe sent and lost goes again from the start. */
    tcp_resend_all(c);
    c->backoff = 0;
    if (c->flight)
        c->flight->unacked_since_ns = c->stack->now_ns;
    tcb_deadline(c, TCP_D_RTX, 0);
    return true;
}

/* All that was sent is acknowledged, nothing is queued and nothing was learnt: the flight
 * goes back at once, and the output pass has nothing to do. */
void tcp_heard_news(struct tcb *c) {
    if (!c->want_write && c->flight && tcb_is_quiet(c) && tcb_has_learnt_nothing(c))
        tcb_rest(c);
    else
        tcb_mark(c);
}

void tcp_tell_room(struct tcb *c) {
    if (!c->want_write || !c->user || !tcb_can_write(c))
        return;
    if (tcb_queued(c) > c->stack->config.snd_buffer_bytes / 2)
        return;
    c->want_write = false;
    c->handler->writable(c->user);
}

bool tcp_ack(struct tcb *c, const struct seg *s) {
    /* RFC 5961 section 5.2: neither newer than sent nor older than a window. */
    if (seq_lt(c->snd_max, s->ack) ||
        seq_lt(s->ack, c->snd_una - (c->stack->config.snd_buffer_bytes + 1))) {
        tgw_count_reason(c->stack->counters, TGW_R_tcp_ack_invalid);
        tcp_challenge(c);
        return false;
    }
    bool advanced = seq_lt(c->snd_una, s->ack);
    bool news = c->flight && settle(c, s);
    news |= update_window(c, s, advanced);
    tcp_tell_room(c);
    if (news && !c->dead)
        tcp_heard_news(c);
    return !c->dead;
}

/* What an acceptable ACK does: RFC 9293 section 3.10.7.4 (fifth), RFC 5681, 6582, and
 * SACK information by RFC 2018. */
#include "tcb.h"

static void insert_range(struct tcp_flight *f, uint32_t start, uint32_t end) {
    struct tcp_range merged[TCP_SACKED_MAX + 1];
    uint8_t n = 0;
    struct tcp_range fresh = {start, end};
    bool placed = false;
    for (uint8_t i = 0; i < f->sacked_count; i++) {
        struct tcp_range r = f->sacked[i];
        if (seq_lt(r.end, fresh.start)) {
            merged[n++] = r;
        } else if (seq_lt(fresh.end, r.start)) {
            if (!placed)
                merged[n++] = fresh;
            placed = true;
            merged[n++] = r;
        } else {
            fresh.start = seq_lt(r.start, fresh.start) ? r.start : fresh.start;
            fresh.end = seq_lt(fresh.end, r.end) ? r.end : fresh.end;
        }
    }
    if (!placed)
        merged[n++] = fresh;
    /* Over the limit the highest is forgotten: it will be reported again. */
    f->sacked_count = n < TCP_SACKED_MAX ? n : TCP_SACKED_MAX;
    memcpy(f->sacked, merged, f->sacked_count * sizeof(merged[0]));
}

static void trim_sacked(struct tcb *c) {
    struct tcp_flight *f = c->flight;
    uint8_t n = 0;
    for (uint8_t i = 0; i < f->sacked_count; i++) {
        struct tcp_range r = f->sacked[i];
        if (seq_le(r.end, c->snd_una))
            continue;
        if (seq_lt(r.start, c->snd_una))
            r.start = c->snd_una;
        f->sacked[n++] = r;
    }
    f->sacked_count = n;
}

static void take_sack(struct tcb *c, const struct seg *s) {
    for (uint8_t i = 0; c->sack_on && c->flight && i < s->sack_count; i++) {
        uint32_t start = s->sack[i].start, end = s->sack[i].end;
        if (!seq_lt(start, end))
            continue;
        if (seq_le(end, s->ack)) { /* RFC 2883 section 4: below the ACK, a duplicate */
            tgw_count(c->stack->counters, TGW_C_tcp_dsack, 1);
            continue;
        }
        if (seq_lt(start, c->snd_una) || seq_lt(c->snd_max, end))
            continue;
        insert_range(c->flight, start, end);
    }
}

static void enter_recovery(struct tcb *c) {
    struct tcp_flight *f = c->flight;
    uint32_t inflight = c->snd_max - c->snd_una;
    f->in_recovery = true;
    f->recover = c->snd_max;
    c->ssthresh = inflight / 2 > 2u * c->mss ? inflight / 2 : 2u * c->mss;
    c->cwnd = c->ssthresh;
    f->high_rxt = c->snd_una;
    f->rtx_now = true;
}

static void duplicate(struct tcb *c) {
    struct tcp_flight *f = c->flight;
    if (f->dupacks < UINT8_MAX)
        f->dupacks++;
    if (f->in_recovery)
        f->rtx_now = f->sacked_count > 0;
    else if (f->dupacks >= TCP_DUPACKS && seq_le(f->recover, c->snd_una))
        enter_recovery(c);
    tcb_mark(c);
}

/* RFC 5681 section 3.1: slow start below ssthresh, then a segment a round trip. */
static void grow(struct tcb *c, uint32_t acked) {
    uint32_t most = 2 * c->stack->config.snd_buffer_bytes;
    if (c->cwnd < c->ssthresh)
        c->cwnd += acked < 2u * c->mss ? acked : 2u * c->mss;
    else
        c->cwnd += (uint32_t)c->mss * c->mss / c->cwnd + 1;
    if (c->cwnd > most)
        c->cwnd = most;
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
    uint32_t acked = ack - c->snd_una;
    if (f->timing && seq_le(f->rtt_seq, ack)) {
        f->timing = false;
        tcp_rtt_sample(c, c->stack->now_ns - f->rtt_start_ns);
    }
    release_sent(c, acked);
    c->snd_una = ack;
    if (seq_lt(c->snd_nxt, ack))
        c->snd_nxt = ack;
    if (seq_lt(f->high_rxt, ack))
        f->high_rxt = ack;
    c->backoff = 0;
    f->dupacks = 0;
    f->unacked_since_ns = c->stack->now_ns;
    trim_sacked(c);
    if (f->in_recovery && seq_le(f->recover, ack))
        f->in_recovery = false;
    else if (f->in_recovery)
        f->rtx_now = true; /* RFC 6582 section 3.2: a partial ACK shows the next hole */
    else
        grow(c, acked);
    tcb_deadline(c, TCP_D_RTX, 0); /* the output pass sets it anew */
    tcb_mark(c);
}

/* A window belongs to its acknowledgement: with a new one it counts, though the segment
 * be a retransmission that stands below others in sequence. */
static void update_window(struct tcb *c, const struct seg *s, bool advanced) {
    uint32_t wnd = (uint32_t)s->wnd << c->snd_wscale;
    if (s->ack != c->snd_una) /* an old one: RFC 9293 section 3.10.7.4 */
        return;
    if (!advanced && !seq_le(c->snd_wl1, s->seq)) /* SND.WL2 <= SEG.ACK is SND.UNA here */
        return;
    if (wnd > c->snd_wnd || (c->snd_wnd == 0) != (wnd == 0)) {
        if (c->snd_wnd == 0) {
            /* The window opened: what a probe sent and lost goes again from the start. */
            c->snd_nxt = c->snd_una;
            c->backoff = 0;
            if (c->flight)
                c->flight->unacked_since_ns = c->stack->now_ns;
            tcb_deadline(c, TCP_D_RTX, 0);
        }
        tcb_mark(c);
    }
    c->snd_wnd = wnd;
    c->snd_wl1 = s->seq;
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
    uint32_t wnd = (uint32_t)s->wnd << c->snd_wscale;
    /* RFC 5961 section 5.2: neither newer than sent nor older than a window. */
    if (seq_lt(c->snd_max, s->ack) ||
        seq_lt(s->ack, c->snd_una - (c->stack->config.snd_buffer_bytes + 1))) {
        tgw_count_reason(c->stack->counters, TGW_R_tcp_ack_invalid);
        tcp_challenge(c);
        return false;
    }
    struct tcp_flight *f = c->flight;
    uint8_t before = f ? f->sacked_count : 0;
    bool advanced = seq_lt(c->snd_una, s->ack);
    take_sack(c, s);
    if (advanced) {
        advance(c, s->ack);
    } else if (s->ack == c->snd_una && c->snd_una != c->snd_max && s->len == 0 &&
               !(s->flags & SEG_FIN) && (wnd == c->snd_wnd || f->sacked_count > before)) {
        duplicate(c); /* RFC 5681 section 2 */
    }
    update_window(c, s, advanced);
    tcp_tell_room(c);
    return !c->dead;
}

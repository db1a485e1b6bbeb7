/* The output pass: what a connection owes the network, once a turn. */
#include "reply.h"
#include "tcb.h"
#include <rte_byteorder.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>

enum { OPTIONS_MAX = 40 };

static void put16(uint8_t *p, uint16_t v) {
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v) {
    put16(p, (uint16_t)(v >> 16));
    put16(p + 2, (uint16_t)v);
}

static uint32_t put_timestamps(const struct tcb *c, uint8_t *o) {
    o[0] = o[1] = 1;
    o[2] = 8;
    o[3] = 10;
    put32(o + 4, tcp_now_ms(c->stack));
    put32(o + 8, c->ts_recent);
    return TCP_TS_BYTES;
}

/* RFC 2018 section 4: the blocks that we hold, the lowest first; adjoining segments
 * make one block. */
static uint32_t put_sack(const struct tcb *c, uint8_t *o, uint32_t most) {
    uint32_t n = 0;
    for (const struct tcp_ooo *e = c->flight->ooo; e && n < most; n++) {
        uint32_t start = e->seq, end = e->seq + e->len;
        for (e = e->next; e && seq_le(e->seq, end); e = e->next)
            end = seq_lt(end, e->seq + e->len) ? e->seq + e->len : end;
        if (seq_le(start, c->rcv_nxt)) { /* in order, but memory is short: not a gap */
            n--;
            continue;
        }
        put32(o + 4 + 8 * n, start);
        put32(o + 8 + 8 * n, end);
    }
    if (n == 0)
        return 0;
    o[0] = o[1] = 1;
    o[2] = 5;
    o[3] = (uint8_t)(2 + 8 * n);
    return 4 + 8 * n;
}

static uint32_t put_syn_options(const struct tcb *c, uint8_t *o, bool answer) {
    uint32_t n = 4;
    o[0] = 2;
    o[1] = 4;
    put16(o + 2, c->mss);
    if (!answer || c->wscale_on) {
        o[n] = 1;
        o[n + 1] = 3;
        o[n + 2] = 3;
        o[n + 3] = TCP_WSCALE;
        n += 4;
    }
    if (!answer || c->sack_on) {
        o[n] = o[n + 1] = 1;
        o[n + 2] = 4;
        o[n + 3] = 2;
        n += 4;
    }
    if (!answer || c->ts_on)
        n += put_timestamps(c, o + n);
    return n;
}

static uint32_t put_options(const struct tcb *c, uint8_t *o, uint8_t flags) {
    if (flags & SEG_SYN)
        return put_syn_options(c, o, flags & SEG_ACK);
    uint32_t n = c->ts_on ? put_timestamps(c, o) : 0;
    if (c->sack_on && c->flight && c->flight->ooo)
        n += put_sack(c, o + n, c->ts_on ? 3 : 4);
    return n;
}

/* No more than a window field can say: a peer without scaling (RFC 7323 section 2.2)
 * would be sent updates for ever. */
uint32_t tcp_rcv_space(const struct tcb *c) {
    uint32_t most = c->stack->config.rcv_buffer_bytes, told = UINT32_C(65535) << c->rcv_wscale;
    most = most < told ? most : told;
    return tcb_unread(c) < most ? most - tcb_unread(c) : 0;
}

uint32_t tcp_syn_window(const struct tcp_stack *t) {
    uint32_t most = t->config.rcv_buffer_bytes;
    return most < 65535 ? most : 65535;
}

/* The window to advertise: never less than promised (RFC 9293 section 3.8.6), no
 * silly small steps up (section 3.8.6.2.2). */
static uint32_t window(struct tcb *c) {
    uint32_t edge = c->rcv_nxt + tcp_rcv_space(c);
    uint32_t step = c->mss < c->stack->config.rcv_buffer_bytes / 2
                        ? c->mss
                        : c->stack->config.rcv_buffer_bytes / 2;
    if (seq_lt(edge, c->rcv_adv + step) && seq_lt(c->rcv_nxt, c->rcv_adv))
        edge = c->rcv_adv;
    if (seq_lt(edge, c->rcv_adv))
        edge = c->rcv_adv;
    uint32_t wnd = edge - c->rcv_nxt;
    uint32_t most = UINT32_C(65535) << c->rcv_wscale;
    return wnd < most ? wnd : most;
}

static uint16_t window_field(struct tcb *c, uint8_t flags) {
    uint32_t wnd = window(c);
    uint8_t shift = flags & SEG_SYN ? 0 : c->rcv_wscale; /* RFC 7323 section 2.2 */
    uint32_t field = wnd >> shift < 65535 ? wnd >> shift : 65535;
    uint32_t edge = c->rcv_nxt + (field << shift);
    if (seq_lt(c->rcv_adv, edge))
        c->rcv_adv = edge;
    if (field == 0)
        tgw_count(c->stack->counters, TGW_C_tcp_zero_windows, 1);
    return (uint16_t)field;
}

/* Build and send one segment with `len` bytes of the send queue from `seq` on. False
 * when there is no mbuf: the timers will try again. */
static bool emit(struct tcb *c, uint32_t seq, uint32_t len, uint8_t flags) {
    struct tcp_stack *t = c->stack;
    uint8_t options[OPTIONS_MAX];
    uint32_t opt = put_options(c, options, flags);
    struct rte_mbuf *m = net_tx_alloc(t->net);
    if (!m)
        return false;
    uint8_t *head =
        (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(sizeof(struct rte_tcp_hdr) + opt + len));
    if (!head) {
        rte_pktmbuf_free(m);
        return false;
    }
    put16(head, c->lport);
    put16(head + 2, c->rport);
    put32(head + 4, seq);
    put32(head + 8, flags & SEG_ACK ? c->rcv_nxt : 0);
    head[12] = (uint8_t)((sizeof(struct rte_tcp_hdr) + opt) / 4 << 4);
    head[13] = flags;
    put16(head + 14, window_field(c, flags));
    put32(head + 16, 0); /* checksum, urgent pointer */
    memcpy(head + sizeof(struct rte_tcp_hdr), options, opt);
    if (len)
        bq_copy(&c->flight->snd, seq - c->snd_una, head + sizeof(struct rte_tcp_hdr) + opt, len);
    net_output(t->net, t->now_ns, m, &c->local, &c->remote, 0, c->iface);
    tgw_count(t->counters, TGW_C_tcp_segments_out, 1);
    if (flags & SEG_ACK) {
        c->ack_now = c->ack_later = false;
        c->rcv_acked = c->rcv_nxt;
    }
    return true;
}

void tcp_challenge(struct tcb *c) {
    if (!tcp_answer_allowed(c->stack))
        return;
    tgw_count(c->stack->counters, TGW_C_tcp_challenge_acks, 1);
    c->ack_now = true;
    tcb_mark(c);
}

static uint32_t payload_max(const struct tcb *c) {
    uint32_t opt = c->ts_on ? TCP_TS_BYTES : 0;
    if (c->sack_on && c->flight && c->flight->ooo)
        opt = OPTIONS_MAX;
    return c->mss - opt;
}

static void start_timing(struct tcb *c, uint32_t seq) {
    struct tcp_flight *f = c->flight;
    if (f->timing)
        return;
    f->timing = true;
    f->rtt_seq = seq;
    f->rtt_start_ns = c->stack->now_ns;
}

static void advance_snd_nxt(struct tcb *c, uint32_t n) {
    bool again = seq_lt(c->snd_nxt, c->snd_max);
    if (c->snd_una == c->snd_max)
        c->flight->unacked_since_ns = c->stack->now_ns;
    if (again) {
        c->retransmits++;
        c->flight->timing = false; /* Karn: RFC 6298 section 3 */
        tgw_count(c->stack->counters, TGW_C_tcp_retransmits, 1);
    } else {
        tgw_count(c->stack->counters, TGW_C_tcp_bytes_out, n);
        start_timing(c, c->snd_nxt + n);
    }
    c->snd_nxt += n;
    if (seq_lt(c->snd_max, c->snd_nxt)) {
        c->snd_wraps += c->snd_nxt < c->snd_max;
        c->snd_max = c->snd_nxt;
    }
}

/* The first gap at or after high_rxt that the peer's SACK blocks leave open. */
static bool next_hole(const struct tcb *c, uint32_t *start, uint32_t *end) {
    uint32_t at = seq_lt(c->snd_una, c->flight->high_rxt) ? c->flight->high_rxt : c->snd_una;
    for (uint8_t i = 0; i < c->flight->sacked_count; i++) {
        if (seq_lt(at, c->flight->sacked[i].start)) {
            *start = at;
            *end = c->flight->sacked[i].start;
            return true;
        }
        if (seq_lt(at, c->flight->sacked[i].end))
            at = c->flight->sacked[i].end;
    }
    *start = c->snd_una; /* without SACK information: the first segment */
    *end = c->snd_max;
    return c->flight->sacked_count == 0 && at == c->snd_una;
}

/* RFC 6675 section 5, one segment for each time an ACK asked for it. */
static void retransmit(struct tcb *c) {
    uint32_t start, end, data_end = c->snd_una + tcb_queued(c);
    c->flight->rtx_now = false;
    if (!next_hole(c, &start, &end))
        return;
    if (seq_lt(data_end, end))
        end = data_end;
    uint32_t len = seq_lt(start, end) ? end - start : 0;
    bool fin = c->fin_queued && len == 0 && start == data_end;
    if (len > payload_max(c))
        len = payload_max(c);
    if (len == 0 && !fin)
        return;
    if (!emit(c, start, len, (uint8_t)(SEG_ACK | (fin ? SEG_FIN : 0))))
        return;
    c->flight->high_rxt = start + len + fin;
    c->retransmits++;
    c->flight->timing = false;
    tgw_count(c->stack->counters, TGW_C_tcp_retransmits, 1);
    tgw_count(c->stack->counters, TGW_C_tcp_fast_retransmits, 1);
}

static uint32_t sacked_bytes(const struct tcb *c) {
    uint32_t n = 0;
    for (uint8_t i = 0; i < c->flight->sacked_count; i++)
        n += c->flight->sacked[i].end - c->flight->sacked[i].start;
    return n;
}

/* What may still be sent. During recovery bytes that left the network (SACKed, or a
 * duplicate ACK each) make room for new ones. */
static uint32_t send_window(const struct tcb *c) {
    uint32_t cwnd = c->cwnd;
    if (c->flight->in_recovery)
        cwnd += c->flight->sacked_count ? sacked_bytes(c) : (uint32_t)c->flight->dupacks * c->mss;
    uint32_t wnd = cwnd < c->snd_wnd ? cwnd : c->snd_wnd;
    uint32_t inflight = c->snd_nxt - c->snd_una;
    return inflight < wnd ? wnd - inflight : 0;
}

static void send_data(struct tcb *c) {
    uint32_t data_end = c->snd_una + tcb_queued(c);
    while (seq_lt(c->snd_nxt, data_end)) {
        uint32_t left = data_end - c->snd_nxt, room = send_window(c), most = payload_max(c);
        uint32_t n = left < room ? left : room;
        n = n < most ? n : most;
        /* Sender's silly window avoidance: a short segment only at the end of the data. */
        if (n == 0 || (n < most && n < left && c->snd_nxt != c->snd_una))
            return;
        if (!emit(c, c->snd_nxt, n, (uint8_t)(SEG_ACK | (n == left ? SEG_PSH : 0))))
            return;
        advance_snd_nxt(c, n);
    }
    if (c->fin_queued && c->snd_nxt == data_end && tcb_flight(c) &&
        emit(c, data_end, 0, SEG_ACK | SEG_FIN))
        advance_snd_nxt(c, 1);
}

/* A byte, or the FIN, into a window that is closed (RFC 9293 section 3.8.6.1). */
static void probe(struct tcb *c) {
    c->probe_now = false;
    bool byte = tcb_queued(c) > 0;
    if (!emit(c, c->snd_una, byte, (uint8_t)(SEG_ACK | (byte || !c->fin_queued ? 0 : SEG_FIN))))
        return;
    tgw_count(c->stack->counters, TGW_C_tcp_zero_window_probes, 1);
    if (c->snd_nxt == c->snd_una && byte)
        advance_snd_nxt(c, 1);
}

static void send_syn(struct tcb *c) {
    uint8_t flags = c->state == TCP_SYN_SENT ? SEG_SYN : SEG_SYN | SEG_ACK;
    if (c->snd_nxt != c->iss)
        return;
    if (emit(c, c->iss, 0, flags)) {
        bool again = c->snd_max != c->iss;
        uint32_t now_us = (uint32_t)(c->stack->now_ns / 1000);
        c->syn_us = again ? 0 : now_us ? now_us : 1;
        c->retransmits += again;
        tgw_count(c->stack->counters, TGW_C_tcp_retransmits, again);
        c->snd_nxt = c->snd_max = c->iss + 1;
        c->snd_wraps = c->snd_max == 0;
    }
    if (!c->deadline_ms[TCP_D_RTX])
        tcb_deadline(c, TCP_D_RTX, c->stack->now_ns + tcp_rto_ns(c));
}

/* While there is a flight something waits: an ACK, a window, memory, or the moment to give
 * the flight back. */
static void arm_retransmit(struct tcb *c) {
    bool starved = c->want_write && tcb_can_write(c);
    if (!c->flight && tcb_is_quiet(c) && !starved)
        tcb_deadline(c, TCP_D_RTX, 0);
    else if (!c->deadline_ms[TCP_D_RTX])
        tcb_deadline(c, TCP_D_RTX, c->stack->now_ns + tcp_rto_ns(c));
}

/* The window has opened enough to be worth telling, and the field has room to tell it. */
static bool window_update_due(const struct tcb *c) {
    uint32_t space = tcp_rcv_space(c), most = UINT32_C(65535) << c->rcv_wscale;
    uint32_t open = c->rcv_nxt + (space < most ? space : most) - c->rcv_adv;
    uint32_t step = c->stack->config.rcv_buffer_bytes / 4;
    uint32_t two = 2u * c->mss;
    return !c->fin_received && (int32_t)open > 0 && open >= (step < two ? step : two);
}

/* Where an ACK without data stands: in the peer's window even when a probe went beyond,
 * or the peer would not listen to it. */
static uint32_t ack_seq(const struct tcb *c) {
    uint32_t edge = c->snd_una + c->snd_wnd;
    return seq_lt(edge, c->snd_nxt) ? edge : c->snd_nxt;
}

void tcp_output(struct tcb *c) {
    if (c->state == TCP_SYN_SENT || c->state == TCP_SYN_RECEIVED) {
        send_syn(c);
        return;
    }
    if (c->flight && c->flight->rtx_now)
        retransmit(c);
    if (c->probe_now)
        probe(c);
    send_data(c);
    if (c->keepalive_now && c->snd_una == c->snd_max)
        emit(c, c->snd_una - 1, 0, SEG_ACK); /* below the window: the peer must answer */
    c->keepalive_now = false;
    if (c->ack_now || window_update_due(c))
        emit(c, ack_seq(c), 0, SEG_ACK);
    if (c->state != TCP_TIME_WAIT)
        arm_retransmit(c);
}

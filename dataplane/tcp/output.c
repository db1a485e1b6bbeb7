/* The output pass: what a connection owes the network, once a turn. */
#include "ooo.h"
#include "recovery.h"
#include "reply.h"
#include "trace.h"

void tcp_challenge(struct tcb *c) {
    if (!tcp_answer_allowed(c->stack))
        return;
    tgw_count(c->stack->counters, TGW_C_tcp_challenge_acks, 1);
    tcp_note(c, TCP_EV_CHALLENGE, 0);
    c->ack_now = true;
    tcb_mark(c);
}

/* `n` numbers of new data went. */
static void sent(struct tcb *c, uint32_t n, uint32_t len) {
    struct tcp_flight *f = c->flight;
    if (c->snd_una == c->snd_max)
        f->unacked_since_ns = c->stack->now_ns;
    tgw_count(c->stack->counters, TGW_C_tcp_bytes_out, len);
    c->snd_nxt += n;
    c->snd_wraps += c->snd_nxt < c->snd_max;
    c->snd_max = c->snd_nxt;
    tcp_board_sent(&f->board, c->snd_max, tcp_now_us(c->stack));
    f->tlp_reset = true;
}

/* [from, to) went again. */
static void resent(struct tcb *c, uint32_t from, uint32_t to) {
    struct tcp_flight *f = c->flight;
    tcp_board_resent(&f->board, from, to, tcp_now_us(c->stack));
    tcp_path_resent(c, from);
    c->retransmits++;
    tcp_note(c, TCP_EV_AGAIN, to - from);
    tgw_count(c->stack->counters, TGW_C_tcp_retransmits, 1);
    if (f->phase == TCP_RECOVERY) {
        tgw_count(c->stack->counters, TGW_C_tcp_fast_retransmits, 1);
        tcb_deadline(c, TCP_D_RTX, 0); /* RFC 6675 section 6: the timer runs anew */
    }
    if (f->undo.on && !f->undo.sent) {
        f->undo.sent = true;
        f->undo.first_ms = tcp_now_ms(c->stack);
    }
    f->undo.bytes += to - from;
}

static uint32_t data_end(const struct tcb *c) {
    return c->snd_una + tcb_queued(c);
}

static uint8_t push_at(const struct tcb *c, uint32_t end) {
    return end == data_end(c) ? SEG_ACK | SEG_PSH : SEG_ACK;
}

/* One segment of what is lost from `from` on. What is queued behind it and was never sent
 * fills it up. */
static bool resend(struct tcb *c, uint32_t from, uint32_t to) {
    uint32_t edge = c->snd_una + c->snd_wnd, sent_to = c->snd_max;
    uint32_t most = seq_min(from + tcp_payload_max(c), seq_min(edge, data_end(c)));
    if (from == data_end(c)) { /* the FIN */
        if (!c->fin_queued || !tcp_emit(c, from, 0, SEG_ACK | SEG_FIN))
            return false;
        resent(c, from, from + 1);
        return true;
    }
    uint32_t end = to == sent_to ? most : seq_min(most, to);
    if (!seq_lt(from, end) || !tcp_emit(c, from, end - from, push_at(c, end)))
        return false;
    resent(c, from, seq_min(end, sent_to));
    if (seq_lt(sent_to, end))
        sent(c, end - sent_to, end - sent_to);
    return true;
}

/* RFC 6675 section 5, step C: what is lost goes first, as far as the pipe has room. The
 * first of a recovery goes in any case (step 4.3). */
static void send_lost(struct tcb *c) {
    struct tcp_flight *f = c->flight;
    uint32_t from, to;
    while (c->snd_wnd && tcp_board_first_lost(&f->board, &from, &to)) {
        uint32_t len = seq_min(to, from + tcp_payload_max(c)) - from;
        if (!f->rtx_now && tcp_pipe(c) + len > c->cwnd)
            return;
        if (!resend(c, from, to))
            return;
        f->rtx_now = false;
    }
    f->rtx_now = false;
}

enum { TSO_BYTES_MAX = 16384 };

static uint32_t send_room(const struct tcb *c) {
    uint32_t pipe = tcp_pipe(c), edge = c->snd_una + c->snd_wnd;
    uint32_t room = pipe < c->cwnd ? c->cwnd - pipe : 0;
    uint32_t wnd = seq_lt(c->snd_nxt, edge) ? edge - c->snd_nxt : 0;
    return room < wnd ? room : wnd;
}

/* As much as the port cuts up itself, in whole segments. CWR belongs on one alone. */
static uint32_t burst_max(const struct tcb *c, uint32_t most) {
    bool cut = !c->ecn_cwr && net_tso(c->stack->net, c->iface);
    return cut ? TSO_BYTES_MAX / most * most : most;
}

struct piece {
    uint32_t len;     /* 0: nothing now */
    uint32_t segment; /* payload of each segment that the port makes of it; 0: it is one */
};

/* What of the queue goes next. */
static struct piece next_piece(struct tcb *c) {
    uint32_t left = data_end(c) - c->snd_nxt, room = send_room(c), most = tcp_payload_max(c);
    uint32_t probe = tcp_path_probe(c, left);
    if (probe && probe <= room)
        return (struct piece){probe, 0};
    uint32_t n = left < room ? left : room;
    /* RFC 9293 section 3.8.6.2.1: a short segment only at the end of the data. */
    if (n <= most)
        return (struct piece){n < most && n < left && c->snd_nxt != c->snd_una ? 0 : n, 0};
    uint32_t burst = burst_max(c, most);
    n = n < burst ? n : burst;
    n = n == left ? n : n / most * most;
    return (struct piece){n, n > most ? most : 0};
}

/* The FIN rides on the last of the data, but where the port cuts that up. */
static void send_new(struct tcb *c) {
    while (c->flight && seq_lt(c->snd_nxt, data_end(c))) {
        struct piece p = next_piece(c);
        uint32_t from = c->snd_nxt, end = from + p.len;
        bool fin = c->fin_queued && end == data_end(c) && !p.segment;
        uint8_t flags = (uint8_t)(push_at(c, end) | (fin ? SEG_FIN : 0));
        if (p.len == 0 || !tcp_emit_data(c, from, p.len, flags, p.segment))
            return;
        sent(c, p.len + fin, p.len);
        uint32_t first = p.segment ? p.segment : p.len;
        tcp_path_sent(c, from + first, first);
    }
    /* Not behind a probe: only one octet goes beyond a closed window. */
    bool within = seq_le(c->snd_nxt, c->snd_una + c->snd_wnd);
    if (c->fin_queued && within && c->snd_nxt == data_end(c) && tcb_flight(c) &&
        tcp_emit(c, c->snd_nxt, 0, SEG_ACK | SEG_FIN))
        sent(c, 1, 0);
}

/* RFC 8985 section 7.3: new data if there is any, else the end of what was sent. */
static void tail_probe(struct tcb *c) {
    struct tcp_flight *f = c->flight;
    uint32_t edge = c->snd_una + c->snd_wnd, most = tcp_payload_max(c);
    uint32_t end = seq_min(c->snd_nxt + most, seq_min(edge, data_end(c)));
    f->tlp_now = false;
    if (c->snd_una == c->snd_max)
        return;
    f->tlp_rtx = !seq_lt(c->snd_nxt, end);
    if (f->tlp_rtx) {
        bool fin = c->snd_max != data_end(c) && c->fin_queued && !seq_lt(c->snd_max, data_end(c));
        uint32_t stop = c->snd_max - fin;
        uint32_t from = seq_lt(c->snd_una, stop - most) ? stop - most : c->snd_una;
        if (!tcp_emit(c, from, stop - from, (uint8_t)(push_at(c, stop) | (fin ? SEG_FIN : 0))))
            return;
        resent(c, from, c->snd_max);
    } else {
        uint32_t n = end - c->snd_nxt;
        if (!tcp_emit_data(c, c->snd_nxt, n, push_at(c, end), 0))
            return;
        sent(c, n, n);
    }
    f->tlp_out = true;
    f->tlp_end = c->snd_max;
    tgw_count(c->stack->counters, TGW_C_tcp_tlp, 1);
    tcp_note(c, TCP_EV_TAIL_PROBE, c->backoff);
}

/* A byte, or the FIN, into a window that is closed (RFC 9293 section 3.8.6.1). */
static void probe(struct tcb *c) {
    c->probe_now = false;
    bool byte = tcb_queued(c) > 0;
    if (!tcp_emit(c, c->snd_una, byte, (uint8_t)(SEG_ACK | (byte || !c->fin_queued ? 0 : SEG_FIN))))
        return;
    tgw_count(c->stack->counters, TGW_C_tcp_zero_window_probes, 1);
    tcp_note(c, TCP_EV_WINDOW_PROBE, c->backoff);
    if (c->snd_nxt == c->snd_una && byte)
        sent(c, 1, 1);
}

static void send_syn(struct tcb *c) {
    uint8_t flags = c->state == TCP_SYN_SENT ? SEG_SYN : SEG_SYN | SEG_ACK;
    if (c->snd_nxt != c->iss)
        return;
    /* RFC 3168 section 6.1.1; a SYN that got no answer goes without (6.1.1.1). */
    if (flags == SEG_SYN && c->stack->config.use_ecn && c->backoff == 0)
        flags |= SEG_ECE | SEG_CWR;
    else if (flags != SEG_SYN && c->ecn_on)
        flags |= SEG_ECE;
    if (tcp_emit(c, c->iss, 0, flags)) {
        bool again = c->snd_max != c->iss;
        uint32_t now_us = tcp_now_us(c->stack);
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
    if (c->flight && tcb_is_quiet(c) && tcb_has_learnt_nothing(c))
        tcb_rest(c);
    if (!c->flight && tcb_is_quiet(c) && !starved)
        tcb_deadline(c, TCP_D_RTX, 0);
    else if (!c->deadline_ms[TCP_D_RTX])
        tcb_deadline(c, TCP_D_RTX, c->stack->now_ns + tcp_rto_ns(c));
    if (c->unsent)
        tcp_retry_soon(c);
}

/* The window has opened enough to be worth telling, and the field has room to tell it. */
static bool window_update_due(const struct tcb *c) {
    uint32_t space = tcp_rcv_space(c), most = UINT32_C(65535) << c->rcv_wscale;
    uint32_t open = c->rcv_nxt + (space < most ? space : most) - c->rcv_adv;
    uint32_t quarter = c->stack->config.rcv_buffer_bytes / 4, two = 2u * c->mss;
    uint32_t worth = quarter < two ? quarter : two, step = tcp_window_step(c);
    /* An update that moves nothing is answered, and answered again. */
    return !c->fin_received && (int32_t)open > 0 && open >= (worth > step ? worth : step);
}

/* Where an ACK without data stands: in the peer's window even when a probe went beyond,
 * or the peer would not listen to it. */
static uint32_t ack_seq(const struct tcb *c) {
    uint32_t edge = c->snd_una + c->snd_wnd;
    return seq_lt(edge, c->snd_nxt) ? edge : c->snd_nxt;
}

/* RFC 8985 section 7.2. The last keystroke and the last line of output have nothing behind
 * them whose ACK could show their loss. */
static void arm_tail_probe(struct tcb *c) {
    struct tcp_flight *f = c->flight;
    if (!f || !f->tlp_reset)
        return;
    f->tlp_reset = false;
    if (f->loss_timer == TCP_LT_RACK)
        return;
    if (!c->sack_on || f->phase != TCP_OPEN || f->tlp_out || f->board.count == 0 ||
        f->board.sacked_bytes || c->snd_wnd == 0 || c->backoff) {
        tcp_loss_deadline(c, TCP_LT_NONE, 0);
        return;
    }
    tcp_tail_probe_deadline(c, (uint32_t)(tcp_rto_ns(c) / 1000)); /* it was set in this turn */
}

void tcp_output(struct tcb *c) {
    if (!c->stack->config.long_way && tcp_output_predicted(c))
        return;
    c->unsent = false;
    if (c->state == TCP_SYN_SENT || c->state == TCP_SYN_RECEIVED) {
        send_syn(c);
        return;
    }
    if (c->probe_now)
        probe(c);
    if (c->flight && c->flight->tlp_now)
        tail_probe(c);
    if (c->flight)
        send_lost(c);
    if (!c->flight || c->flight->board.lost_bytes == 0)
        send_new(c);
    if (c->keepalive_now && c->snd_una == c->snd_max)
        tcp_emit(c, c->snd_una - 1, 0, SEG_ACK); /* below the window: the peer must answer */
    c->keepalive_now = false;
    if (c->ack_now || window_update_due(c))
        tcp_emit(c, ack_seq(c), 0, SEG_ACK);
    if (c->state == TCP_TIME_WAIT)
        return;
    arm_retransmit(c);
    arm_tail_probe(c);
}

/* Which losses there are and what they mean for the window: RFC 6675 and RFC 8985 with
 * SACK, RFC 6582 without; RFC 3168 for ECN; RFC 4015 and RFC 3708 for recoveries that
 * were needless. Decides and marks; the output pass sends. */
#include "recovery.h"
#include "ooo.h"
#include "trace.h"

uint32_t tcp_pipe(const struct tcb *c) {
    const struct tcp_flight *f = c->flight;
    uint32_t pipe = tcp_board_pipe(&f->board);
    /* RFC 6582: without SACK each duplicate says that a segment has left. */
    uint32_t left = c->sack_on ? 0 : (uint32_t)f->dupacks * c->mss;
    return left < pipe ? pipe - left : 0;
}

static struct tcp_cc_in cc_in(const struct tcb *c) {
    return (struct tcp_cc_in){.mss = c->mss,
                              .now_ms = tcp_now_ms(c->stack),
                              .srtt_us = c->srtt_us,
                              .flight = c->snd_max - c->snd_una};
}

/* A congestion event: `timeout` leaves cwnd to the caller. */
static void reduce(struct tcb *c, bool timeout) {
    struct tcp_cc_window w = {c->cwnd, c->ssthresh};
    const struct tcp_cc_in in = cc_in(c);
    (timeout ? tcp_cc(c)->timed_out : tcp_cc(c)->congested)(&w, &c->flight->cc, &in);
    c->cwnd = w.cwnd;
    c->ssthresh = w.ssthresh;
}

static void remember_for_undo(struct tcb *c) {
    struct tcp_flight *f = c->flight;
    f->undo = (struct tcp_undo){.cwnd = c->cwnd, .ssthresh = c->ssthresh, .cc = f->cc, .on = true};
}

static void enter_recovery(struct tcb *c) {
    struct tcp_flight *f = c->flight;
    remember_for_undo(c);
    f->phase = TCP_RECOVERY;
    f->recover = c->snd_max;
    f->rtx_now = true;
    reduce(c, false);
    tcp_note(c, TCP_EV_RECOVERY, f->board.lost_bytes);
}

static void undo(struct tcb *c) {
    struct tcp_flight *f = c->flight;
    tgw_count(c->stack->counters, TGW_C_tcp_spurious, 1);
    tcp_note(c, TCP_EV_UNDO, f->phase);
    c->cwnd = c->cwnd > f->undo.cwnd ? c->cwnd : f->undo.cwnd;
    c->ssthresh = f->undo.ssthresh;
    f->cc = f->undo.cc;
    f->undo.on = false;
    if (f->phase == TCP_RECOVERY)
        f->rack.reordering_seen = true;
    f->phase = TCP_OPEN;
    f->dupacks = 0;
    tcp_board_unlose(&f->board);
}

/* Eifel (RFC 3522, RFC 4015): the first ACK after a retransmission echoes an older
 * timestamp: the original was on its way. Else D-SACKs for all that was sent again say the same
 * (RFC 3708). */
static void check_undo(struct tcb *c, const struct tcp_heard *h) {
    struct tcp_undo *u = &c->flight->undo;
    const struct seg *s = h->s;
    if (!u->on || !u->sent)
        return;
    if (h->advanced && !u->answered) {
        u->answered = true;
        if (c->ts_on && s->has_ts && s->ts_ecr && seq_lt(s->ts_ecr, u->first_ms)) {
            undo(c);
            return;
        }
    }
    if (!h->dsack)
        return;
    uint32_t bytes = s->sack[0].end - s->sack[0].start;
    u->bytes = u->bytes > bytes ? u->bytes - bytes : 0;
    if (u->bytes == 0)
        undo(c);
}

/* RFC 8985 section 7.4.2: did the tail loss probe repair a loss? */
static void probe_answered(struct tcb *c, const struct tcp_heard *h) {
    struct tcp_flight *f = c->flight;
    if (!f->tlp_out || seq_lt(h->s->ack, f->tlp_end))
        return;
    bool repaired = false;
    if (!f->tlp_rtx || h->dsack)
        f->tlp_out = false;
    else if (seq_lt(f->tlp_end, h->s->ack))
        repaired = true;
    else if (h->duplicate && h->s->sack_count == 0)
        f->tlp_out = false; /* the original and the probe, an ACK each */
    if (!repaired)
        return;
    f->tlp_out = false;
    if (f->phase == TCP_OPEN)
        reduce(c, false);
}

static void count_duplicates(struct tcb *c, const struct tcp_heard *h) {
    struct tcp_flight *f = c->flight;
    if (!h->advanced) {
        bool counts = c->sack_on ? h->delivered > 0 : h->duplicate && c->snd_una != c->snd_max;
        f->dupacks += counts && f->dupacks < UINT8_MAX;
        return;
    }
    if (c->sack_on || f->phase != TCP_RECOVERY) {
        f->dupacks = 0;
        return;
    }
    /* RFC 6582: of what a partial ACK covers, one segment was the retransmission. */
    uint32_t segments = (h->acked + c->mss - 1) / c->mss - 1;
    f->dupacks = segments < f->dupacks ? (uint8_t)(f->dupacks - segments) : 0;
}

static void heard_dsack(struct tcb *c, const struct tcp_heard *h) {
    struct tcp_flight *f = c->flight;
    bool of_probe = f->tlp_out && f->tlp_rtx && h->s->sack[0].end == f->tlp_end;
    if (h->dsack && !of_probe)
        tcp_rack_dsack(&f->rack, c->snd_una, c->snd_max);
}

static void leave(struct tcb *c) {
    struct tcp_flight *f = c->flight;
    if (f->phase == TCP_OPEN || !seq_le(f->recover, c->snd_una))
        return;
    if (f->phase == TCP_RECOVERY)
        tcp_rack_recovered(&f->rack);
    f->phase = TCP_OPEN;
    f->dupacks = 0;
}

/* RFC 8985 section 6.2 step 5. */
static void detect_by_time(struct tcb *c) {
    struct tcp_flight *f = c->flight;
    bool many =
        f->dupacks >= TCP_DUPACKS || tcp_board_lost_below(&f->board, c->mss) != f->board.start;
    uint32_t window_us = tcp_rack_window_us(&f->rack, c->srtt_us, f->phase != TCP_OPEN, many);
    uint32_t wait_us = tcp_rack_detect(&f->rack, &f->board, tcp_now_us(c->stack), window_us);
    if (wait_us)
        tcp_loss_deadline(c, TCP_LT_RACK, wait_us);
    else if (f->loss_timer == TCP_LT_RACK)
        tcp_loss_deadline(c, TCP_LT_NONE, 0);
}

/* RFC 6582 section 3.2: three duplicates, or a partial ACK, and the first segment is lost. */
static void detect_by_count(struct tcb *c, bool advanced) {
    struct tcp_flight *f = c->flight;
    bool third =
        f->phase == TCP_OPEN && f->dupacks >= TCP_DUPACKS && seq_le(f->recover, c->snd_una);
    bool partial = f->phase == TCP_RECOVERY && advanced;
    if (!third && !partial)
        return;
    tcp_board_lose(&f->board, c->snd_una, seq_min(c->snd_una + tcp_payload_max(c), c->snd_max));
    f->rtx_now = true;
}

static void detect(struct tcb *c, bool advanced) {
    struct tcp_flight *f = c->flight;
    uint32_t before = f->board.lost_bytes;
    if (c->snd_una == c->snd_max)
        return;
    if (c->sack_on)
        detect_by_time(c);
    else
        detect_by_count(c, advanced);
    if (f->board.lost_bytes <= before)
        return;
    tcb_mark(c);
    if (f->phase == TCP_OPEN && !tcp_path_only_probe_lost(c))
        enter_recovery(c);
}

void tcp_recovery_detect(struct tcb *c) {
    detect(c, false);
}

/* The window was in use, or it proves nothing (RFC 7661 section 4.1). */
static bool window_in_use(const struct tcb *c, const struct tcp_heard *h) {
    return c->cwnd < c->ssthresh ? h->flight >= c->cwnd / 2 : h->flight + 2u * c->mss > c->cwnd;
}

static void grow(struct tcb *c, const struct tcp_heard *h) {
    struct tcp_cc_window w = {c->cwnd, c->ssthresh};
    struct tcp_cc_in in = cc_in(c);
    uint32_t most = 2 * c->stack->config.snd_buffer_bytes;
    in.flight = h->flight;
    in.acked = h->acked;
    if (c->flight->phase == TCP_LOSS && in.acked > c->mss)
        in.acked = c->mss; /* RFC 3465 section 2.3: L = 1 after a timeout */
    tcp_cc(c)->acked(&w, &c->flight->cc, &in);
    c->cwnd = w.cwnd < most ? w.cwnd : most;
}

/* RFC 3168 section 6.1.2: as a loss, once a window; no growth while the echo lasts. */
static bool heard_ece(struct tcb *c, const struct seg *s) {
    struct tcp_flight *f = c->flight;
    if (!c->ecn_on || !(s->flags & SEG_ECE))
        return false;
    if (!seq_le(f->ecn_recover, c->snd_una))
        return true;
    f->ecn_recover = c->snd_max;
    c->ecn_cwr = true;
    if (f->phase == TCP_OPEN)
        reduce(c, false);
    return true;
}

void tcp_recovery_heard(struct tcb *c, const struct tcp_heard *h) {
    struct tcp_flight *f = c->flight;
    uint8_t phase = f->phase;
    heard_dsack(c, h);
    probe_answered(c, h);
    count_duplicates(c, h);
    check_undo(c, h);
    leave(c);
    detect(c, h->advanced);
    bool congested = heard_ece(c, h->s);
    if (h->advanced && !congested && phase != TCP_RECOVERY && f->phase == phase &&
        window_in_use(c, h))
        grow(c, h);
}

void tcp_recovery_timeout(struct tcb *c) {
    struct tcp_flight *f = c->flight;
    tgw_count(c->stack->counters, TGW_C_tcp_rto, 1);
    tcp_note(c, TCP_EV_RTO, c->backoff);
    if (!f || f->board.count == 0)
        return;
    /* RFC 2018 section 8: SACKed, yet not acknowledged with what lies below; or twice no answer. */
    if ((f->board.run[0].flags & TCP_RUN_SACKED) || c->backoff)
        tcp_board_renege(&f->board);
    if (f->phase == TCP_OPEN)
        remember_for_undo(c);
    else
        f->undo.on = false;
    if (c->backoff == 0)
        reduce(c, true);
    c->cwnd = c->mss;
    f->phase = TCP_LOSS;
    f->recover = c->snd_max;
    f->dupacks = 0;
    f->tlp_out = false;
    f->rtx_now = true;
    tcp_loss_deadline(c, TCP_LT_NONE, 0);
    tcp_board_lose(&f->board, c->snd_una, c->snd_max);
}

void tcp_resend_all(struct tcb *c) {
    if (!c->flight || c->snd_una == c->snd_max)
        return;
    tcp_board_lose(&c->flight->board, c->snd_una, c->snd_max);
    c->flight->rtx_now = true;
    tcb_mark(c);
}

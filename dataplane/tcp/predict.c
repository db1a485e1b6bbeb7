/* Header prediction (Van Jacobson): the segment that a typing connection nearly always gets
 * next carries on where the last one ended, and acknowledges all that is out. Whatever is different
 * in any way goes the long way through input.c and ack.c, which alone know the rules; what stands
 * here is what they come down to then. The simulator runs seeds both ways and wants the
 * same segments at the same times. */
#include "recovery.h"
#include "trace.h"

/* An mbuf holds as much behind all headers. */
enum { ONE_SEGMENT_MAX = 1460 };

/* In order and in the window, nothing but an ACK and perhaps data, of a peer that has room. */
static bool is_next(const struct tcb *c, const struct seg *s) {
    enum { CE = 3 };
    return c->state == TCP_ESTABLISHED && (s->flags & (uint8_t)~SEG_PSH) == SEG_ACK &&
           s->seq == c->rcv_nxt && s->len <= c->rcv_adv - c->rcv_nxt && s->ack == c->snd_max &&
           s->sack_count == 0 && s->ecn != CE && s->has_ts == c->ts_on &&
           !seq_lt(s->ts_val, c->ts_recent) && s->wnd && c->snd_wnd && !c->want_write;
}

/* Nothing was out before, and only data is new. */
static bool is_data(const struct tcb *c, const struct seg *s) {
    const struct tcp_flight *f = c->flight;
    return s->len && !seq_lt(s->seq, c->snd_wl1) &&
           (!f || (f->phase == TCP_OPEN && !f->tlp_out && !f->snd.bytes && !f->ooo.first));
}

/* What is acknowledged went once and in one go, is all that was queued, and filled little
 * of the window: the flight ends with it and has learnt nothing. */
static bool ends_flight(const struct tcb *c, uint32_t acked) {
    const struct tcp_flight *f = c->flight;
    return f->snd.bytes == acked && f->board.count == 1 && f->board.run[0].flags == 0 &&
           acked <= c->mss && c->cwnd >= 3u * c->mss && !f->path.sized_mss && !f->rcv.bytes &&
           !f->ooo.first && tcb_has_learnt_nothing(c);
}

static void end_flight(struct tcb *c, uint32_t ack) {
    const struct tcp_flight *f = c->flight;
    if (seq_lt(f->rtt_seq, ack))
        tcp_rtt_sample(c, (uint64_t)(tcp_now_us(c->stack) - f->board.run[0].sent_us) * 1000);
    c->snd_una = ack;
    c->backoff = 0;
    tcb_deadline(c, TCP_D_RTX, 0);
    tcb_rest(c);
}

bool tcp_predicted(struct tcb *c, const struct seg *s) {
    uint32_t acked = s->ack - c->snd_una, wnd = (uint32_t)s->wnd << c->snd_wscale;
    if (!is_next(c, s) || !(acked ? ends_flight(c, acked) : is_data(c, s)))
        return false;
    tcp_note(c, s->len ? TCP_EV_DATA_IN : TCP_EV_ACK_IN, s->len ? s->len : acked);
    if (s->seq == c->rcv_acked) /* RFC 7323 section 4.3 */
        c->ts_recent = s->ts_val;
    c->last_in_ms = tcp_now_ms(c->stack);
    c->probes = 0;
    bool grown = wnd > c->snd_wnd;
    c->snd_wnd = wnd;
    c->snd_wl1 = s->seq;
    if (acked)
        end_flight(c, s->ack);
    else if (grown)
        tcp_heard_news(c);
    if (s->len)
        tcp_receive_next(c, s->payload, s->len);
    return true;
}

/* Everything queued fits one segment of a size that is known to get through, nothing is
 * out, and nothing else is owed. The receive buffer is so large that the segment tells all
 * of the window that is worth telling. */
static bool is_one_segment(const struct tcb *c) {
    const struct tcp_flight *f = c->flight;
    uint32_t len = f ? f->snd.bytes : 0;
    return len && c->state == TCP_ESTABLISHED && c->snd_una == c->snd_max &&
           len + TCP_TS_BYTES <= c->mss_acked && len <= ONE_SEGMENT_MAX && len <= c->snd_wnd &&
           len <= c->cwnd && c->mss >= c->mss_max && c->sack_on && !c->ecn_on && !c->backoff &&
           !c->probe_now && !c->keepalive_now && f->phase == TCP_OPEN && !f->tlp_now &&
           !f->tlp_out && f->loss_timer != TCP_LT_RACK && !f->ooo.first &&
           f->ooo.dsack_start == f->ooo.dsack_end &&
           c->stack->config.rcv_buffer_bytes >= 8u * c->mss;
}

bool tcp_output_predicted(struct tcb *c) {
    if (!is_one_segment(c) || !tcp_emit_queue(c))
        return false;
    struct tcp_stack *t = c->stack;
    struct tcp_flight *f = c->flight;
    uint32_t rto_ms = tcp_rto_ms(c);
    tgw_count(t->counters, TGW_C_tcp_bytes_out, f->snd.bytes);
    c->snd_nxt = c->snd_max + f->snd.bytes;
    c->snd_wraps += c->snd_nxt < c->snd_max;
    c->snd_max = c->snd_nxt;
    f->unacked_since_ns = t->now_ns;
    f->tlp_reset = false;
    f->board.run[0] = (struct tcp_run){c->snd_max, tcp_now_us(t), 0};
    f->board.count = 1;
    if (!c->deadline_ms[TCP_D_RTX])
        tcb_deadline(c, TCP_D_RTX, t->now_ns + (uint64_t)rto_ms * 1000000);
    tcp_tail_probe_deadline(c, rto_ms * 1000);
    return true;
}

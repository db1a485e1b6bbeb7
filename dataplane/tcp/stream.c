/* A connection as a stream end. */
#include "reply.h"
#include "tcb.h"
#include <stdio.h>

static bool has_live(const struct tcb *c) {
    return c->stack->live_tcb == c && c->stack->live_len;
}

static size_t op_peek(void *s, const uint8_t **data) {
    const struct tcb *c = s;
    if (tcb_unread(c))
        return bq_peek(&c->flight->rcv, data);
    if (!has_live(c))
        return 0;
    *data = c->stack->live;
    return c->stack->live_len;
}

static size_t op_copy(void *s, void *dst, size_t len) {
    struct tcb *c = s;
    size_t n = tcb_unread(c);
    if (n) {
        n = n < len ? n : len;
        bq_copy(&c->flight->rcv, 0, dst, n);
    } else if (has_live(c)) {
        n = c->stack->live_len < len ? c->stack->live_len : len;
        memcpy(dst, c->stack->live, n);
    }
    return n;
}

static void op_consume(void *s, size_t n) {
    struct tcb *c = s;
    if (n == 0)
        return;
    if (!tcb_unread(c)) {
        assert(has_live(c) && n <= c->stack->live_len);
        c->stack->live += n;
        c->stack->live_len -= (uint32_t)n;
        return;
    }
    bq_consume(&c->flight->rcv, &c->stack->blocks, n);
    tcb_mark(c); /* a window update may be due */
    /* The last byte of a finished connection: closed() comes with the next timer turn. */
    if (!tcb_unread(c) && c->fin_acked && c->fin_received)
        tcb_deadline(c, TCP_D_LIFE, c->stack->now_ns);
}

static size_t op_unread(void *s) {
    const struct tcb *c = s;
    uint32_t queued = tcb_unread(c);
    return queued ? queued : has_live(c) ? c->stack->live_len : 0;
}

static bool op_at_eof(void *s) {
    return ((const struct tcb *)s)->fin_received;
}

static size_t op_room(void *s) {
    struct tcb *c = s;
    uint32_t most = c->stack->config.snd_buffer_bytes;
    size_t room = tcb_can_write(c) && tcb_queued(c) < most ? most - tcb_queued(c) : 0;
    if (room < STREAM_ROOM_LOW)
        c->want_write = true;
    return room;
}

static size_t op_write(void *s, const void *data, size_t len) {
    struct tcb *c = s;
    size_t room = op_room(s);
    struct tcp_flight *f = room && len ? tcb_flight(c) : NULL;
    size_t n = f ? bq_append(&f->snd, &c->stack->blocks, data, len < room ? len : room) : 0;
    if (n < len)
        c->want_write = true;
    if (len)
        tcb_mark(c);
    return n;
}

static void op_shutdown(void *s) {
    struct tcb *c = s;
    if (!tcb_can_write(c))
        return;
    c->fin_queued = true;
    c->state = c->state == TCP_ESTABLISHED ? TCP_FIN_WAIT_1 : TCP_LAST_ACK;
    tcb_mark(c);
}

static void op_release(void *s) {
    struct tcb *c = s;
    struct tcp_stack *t = c->stack;
    c->user = NULL;
    if (t->live_tcb == c)
        t->live_len = 0;
    if (c->state == TCP_SYN_SENT || c->state == TCP_SYN_RECEIVED) {
        tcb_kill(c);
        return;
    }
    if (c->flight)
        bq_clear(&c->flight->rcv, &t->blocks);
    op_shutdown(s);
    tcb_live_on(c);
    tcb_mark(c);
    if (c->fin_acked && c->fin_received)
        tcp_enter_time_wait(c);
}

static void op_abort(void *s) {
    struct tcb *c = s;
    if (c->stack->live_tcb == c)
        c->stack->live_len = 0;
    if (c->state != TCP_SYN_SENT) {
        /* An RST at snd_nxt is what the peer must believe (RFC 5961 section 3). */
        const struct seg as_if = {.src = c->remote,
                                  .dst = c->local,
                                  .sport = c->rport,
                                  .dport = c->lport,
                                  .flags = SEG_ACK,
                                  .ack = c->snd_nxt};
        tcp_send_rst(c->stack, &as_if);
    }
    tcb_kill(c);
}

static void put_endpoint(struct tgw_endpoint *e, const struct ip_addr *a, uint16_t port) {
    *e = (struct tgw_endpoint){.port = port};
    memcpy(e->addr, a->b, sizeof(e->addr));
}

/* Sequence space from a first number on, SYN and FIN included. */
static uint64_t span(uint16_t wraps, uint32_t at, uint32_t initial) {
    return ((uint64_t)wraps << 32 | at) - initial;
}

static uint64_t bytes_in(const struct tcb *c) {
    uint64_t n = span(c->rcv_wraps, c->rcv_nxt, c->irs);
    return n ? n - 1 - c->fin_received : 0;
}

static uint64_t bytes_out(const struct tcb *c) {
    uint64_t n = span(c->snd_wraps, c->snd_max, c->iss);
    bool fin = c->fin_acked || (c->fin_queued && c->snd_max == c->snd_una + tcb_queued(c) + 1);
    return n ? n - 1 - fin : 0;
}

static void op_inspect(void *s, struct tgw_leg_state *out) {
    static const char *const names[] = {"CLOSED",     "SYN_SENT",   "SYN_RECEIVED", "ESTABLISHED",
                                        "FIN_WAIT_1", "FIN_WAIT_2", "CLOSE_WAIT",   "CLOSING",
                                        "LAST_ACK",   "TIME_WAIT"};
    const struct tcb *c = s;
    *out = (struct tgw_leg_state){.cwnd_bytes = c->cwnd,
                                  .ssthresh_bytes = c->ssthresh,
                                  .mss = c->mss,
                                  .srtt_us = c->srtt_us,
                                  .rttvar_us = c->rttvar_us,
                                  .rto_us = tcp_rto_ms(c) * 1000,
                                  .snd_wnd = c->snd_wnd,
                                  .rcv_wnd = c->rcv_adv - c->rcv_nxt,
                                  .unacked_bytes = c->snd_max - c->snd_una,
                                  .queued_bytes = tcb_queued(c),
                                  .unread_bytes = tcb_unread(c),
                                  .retransmits = c->retransmits,
                                  .bytes_in = bytes_in(c),
                                  .bytes_out = bytes_out(c)};
    put_endpoint(&out->local, &c->local, c->lport);
    put_endpoint(&out->peer, &c->remote, c->rport);
    snprintf(out->state, sizeof(out->state), "%s", names[c->state]);
}

const struct stream_ops tcp_stream_ops = {.peek = op_peek,
                                          .copy = op_copy,
                                          .consume = op_consume,
                                          .unread = op_unread,
                                          .at_eof = op_at_eof,
                                          .room = op_room,
                                          .write = op_write,
                                          .shutdown = op_shutdown,
                                          .release = op_release,
                                          .abort = op_abort,
                                          .inspect = op_inspect};

/* Builds segments: header, options, window, payload. */
#include "ooo.h"
#include "recovery.h"
#include "trace.h"
#include <rte_byteorder.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>

static void put16(uint8_t *p, uint16_t v) {
    uint16_t wire = rte_cpu_to_be_16(v);
    memcpy(p, &wire, sizeof(wire));
}

static void put32(uint8_t *p, uint32_t v) {
    uint32_t wire = rte_cpu_to_be_32(v);
    memcpy(p, &wire, sizeof(wire));
}

static uint32_t put_timestamps(const struct tcb *c, uint8_t *o) {
    o[0] = o[1] = 1;
    o[2] = 8;
    o[3] = 10;
    put32(o + 4, tcp_now_ms(c->stack));
    put32(o + 8, c->ts_recent);
    return TCP_TS_BYTES;
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

static uint32_t put_options(struct tcb *c, uint8_t *o, uint8_t flags) {
    if (flags & SEG_SYN)
        return put_syn_options(c, o, flags & SEG_ACK);
    uint32_t n = c->ts_on ? put_timestamps(c, o) : 0;
    if (ooo_to_report(c))
        n += ooo_put_sack(c, o + n, c->ts_on ? 3 : 4);
    return n;
}

uint32_t tcp_syn_window(const struct tcp_stack *t) {
    uint32_t most = t->config.rcv_buffer_bytes;
    return most < 65535 ? most : 65535;
}

uint32_t tcp_window_step(const struct tcb *c) {
    uint32_t half = c->stack->config.rcv_buffer_bytes / 2;
    return c->mss < half ? c->mss : half;
}

/* The window to advertise: never less than promised (RFC 9293 section 3.8.6), no
 * silly small steps up (section 3.8.6.2.2). */
static uint32_t window(struct tcb *c) {
    uint32_t edge = c->rcv_nxt + tcp_rcv_space(c);
    if (seq_lt(edge, c->rcv_adv + tcp_window_step(c)) && seq_lt(c->rcv_nxt, c->rcv_adv))
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
    if (field == 0) {
        tgw_count(c->stack->counters, TGW_C_tcp_zero_windows, 1);
        tcp_note(c, TCP_EV_WINDOW_SHUT, 0);
    }
    return (uint16_t)field;
}

static void put_header(struct tcb *c, uint8_t *head, uint32_t seq, uint32_t opt, uint8_t flags) {
    put16(head, c->lport);
    put16(head + 2, c->rport);
    put32(head + 4, seq);
    put32(head + 8, flags & SEG_ACK ? c->rcv_nxt : 0);
    head[12] = (uint8_t)((sizeof(struct rte_tcp_hdr) + opt) / 4 << 4);
    head[13] = flags;
    put16(head + 14, window_field(c, flags));
    put32(head + 16, 0); /* checksum, urgent pointer */
}

static enum tcp_event event_of(uint32_t len, uint8_t flags) {
    if (flags & SEG_SYN)
        return TCP_EV_SYN_OUT;
    if (flags & SEG_FIN)
        return TCP_EV_FIN_OUT;
    return len ? TCP_EV_DATA_OUT : TCP_EV_ACK_OUT;
}

/* `len` bytes of the send queue from `seq` on behind what `m` holds, in as many buffers as
 * it takes. */
static bool put_payload(struct tcb *c, struct rte_mbuf *m, uint32_t seq, uint32_t len) {
    struct rte_mbuf *last = m;
    uint32_t at = seq - c->snd_una;
    while (len) {
        uint32_t room = rte_pktmbuf_tailroom(last);
        if (room == 0) {
            last->next = net_tx_alloc(c->stack->net);
            if (!last->next)
                return false;
            last = last->next;
            m->nb_segs++;
            continue;
        }
        uint32_t n = len < room ? len : room;
        bq_copy(&c->flight->snd, at, rte_pktmbuf_mtod_offset(last, uint8_t *, last->data_len), n);
        last->data_len = (uint16_t)(last->data_len + n);
        m->pkt_len += n;
        at += n;
        len -= n;
    }
    return true;
}

/* `segment`: payload of each, when the port is to cut them; 0: it is one. */
static bool emit(struct tcb *c, uint32_t seq, uint32_t len, uint8_t flags, uint8_t ecn,
                 uint32_t segment) {
    struct tcp_stack *t = c->stack;
    struct rte_mbuf *m = net_tx_alloc(t->net);
    if (!m) {
        c->unsent = true;
        return false;
    }
    uint8_t *head = rte_pktmbuf_mtod(m, uint8_t *);
    assert(rte_pktmbuf_tailroom(m) >= sizeof(struct rte_tcp_hdr) + TCP_OPTIONS_MAX);
    uint32_t opt = put_options(c, head + sizeof(struct rte_tcp_hdr), flags);
    m->data_len = (uint16_t)(sizeof(struct rte_tcp_hdr) + opt);
    m->pkt_len = m->data_len;
    if (!put_payload(c, m, seq, len)) {
        c->unsent = true;
        rte_pktmbuf_free(m);
        return false;
    }
    m->tso_segsz = (uint16_t)segment;
    put_header(c, head, seq, opt, flags);
    net_output(t->net, t->now_ns, m, &c->local, &c->remote, ecn, c->iface);
    tgw_count(t->counters, TGW_C_tcp_segments_out, segment ? (len + segment - 1) / segment : 1);
    tcp_note(c, event_of(len, flags), len);
    if (flags & SEG_ACK) {
        c->ack_now = c->ack_later = false;
        c->rcv_acked = c->rcv_nxt;
    }
    return true;
}

bool tcp_emit_queue(struct tcb *c) {
    struct tcp_stack *t = c->stack;
    struct rte_mbuf *m = net_tx_alloc(t->net);
    if (!m)
        return false;
    uint8_t *head = rte_pktmbuf_mtod(m, uint8_t *), *options = head + sizeof(struct rte_tcp_hdr);
    uint32_t opt = c->ts_on ? put_timestamps(c, options) : 0, len = c->flight->snd.bytes;
    bq_copy(&c->flight->snd, 0, options + opt, len);
    m->data_len = (uint16_t)(sizeof(struct rte_tcp_hdr) + opt + len);
    m->pkt_len = m->data_len;
    put_header(c, head, c->snd_nxt, opt, SEG_ACK | SEG_PSH);
    net_output(t->net, t->now_ns, m, &c->local, &c->remote, 0, c->iface);
    tgw_count(t->counters, TGW_C_tcp_segments_out, 1);
    tcp_note(c, TCP_EV_DATA_OUT, len);
    c->ack_now = c->ack_later = false;
    c->rcv_acked = c->rcv_nxt;
    return true;
}

bool tcp_emit(struct tcb *c, uint32_t seq, uint32_t len, uint8_t flags) {
    if (c->ecn_echo && !(flags & SEG_SYN))
        flags |= SEG_ECE; /* RFC 3168 section 6.1.3: until CWR comes */
    return emit(c, seq, len, flags, 0, 0);
}

/* RFC 3168 section 6.1: new data alone may be marked, and alone carries CWR. */
bool tcp_emit_data(struct tcb *c, uint32_t seq, uint32_t len, uint8_t flags, uint32_t segment) {
    enum { ECT_0 = 2 };
    if (!c->ecn_on)
        return emit(c, seq, len, flags, 0, segment);
    flags |= (uint8_t)((c->ecn_echo ? SEG_ECE : 0) | (c->ecn_cwr ? SEG_CWR : 0));
    if (!emit(c, seq, len, flags, ECT_0, segment))
        return false;
    c->ecn_cwr = false;
    return true;
}

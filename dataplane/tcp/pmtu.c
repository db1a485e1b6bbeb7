/* The path's MTU: RFC 1191 and 8201 within the checks of RFC 5927 section 7, black holes
 * and the way back up by RFC 4821. */
#include "ooo.h"
#include "recovery.h"
#include "trace.h"

enum {
    MSS_FLOOR_V4 = 536,  /* every host takes 576 bytes (RFC 9293 section 3.7.1) */
    MSS_FLOOR_V6 = 1220, /* every link carries 1280 (RFC 8200 section 5) */
    MSS_TUNNEL = 1220,   /* what a black hole lets through, mostly */
    TIMEOUTS_FIRST = 3,  /* RFC 4821 section 7.7: not one loss, a row of them */
    TIMEOUTS_A_SIZE = 2,
    PROBE_FIRST_MS = 60000,  /* after a guess */
    PROBE_AGAIN_MS = 600000, /* RFC 1191 section 6.3: ten minutes */
};

static uint16_t floor_of(const struct tcb *c) {
    return ip_addr_is4(&c->remote) ? MSS_FLOOR_V4 : MSS_FLOOR_V6;
}

static uint16_t least(uint16_t a, uint16_t b) {
    return a < b ? a : b;
}

void tcp_path_init(struct tcb *c) {
    c->mss_max = c->mss;
    c->mss_acked = least(floor_of(c), c->mss);
}

static void lower(struct tcb *c, uint16_t mss, uint32_t probe_in_ms) {
    struct tcp_path *p = &c->flight->path;
    c->mss = mss;
    tcp_note(c, TCP_EV_MSS, mss);
    c->mss_acked = least(c->mss_acked, mss);
    *p = (struct tcp_path){.probe_ms = tcp_now_ms(c->stack) + probe_in_ms};
    tcp_resend_all(c);
}

static void too_big(struct tcb *c, const struct net_icmp_error *e) {
    uint32_t headers = ip_addr_is4(&e->remote) ? 40 : 60;
    uint32_t asked = e->mtu > headers ? e->mtu - headers : 0;
    uint16_t mss = asked < floor_of(c) ? floor_of(c) : (uint16_t)asked;
    if (mss >= c->mss || !c->flight) {
        tgw_count_reason(c->stack->counters, TGW_R_icmp_no_match);
        return;
    }
    /* Larger ones have got through: only silence for that segment will prove it. */
    if (mss < c->mss_acked && c->backoff == 0) {
        c->flight->path.claim_mss = mss;
        c->flight->path.claim_seq = e->seq;
        return;
    }
    lower(c, mss, PROBE_AGAIN_MS);
}

/* RFC 5927 section 4.1: believe only what quotes a segment that is in flight. A hard error ends
 * an opening connection, never a live one (RFC 1122 section 4.2.3.9, RFC 5927 section 5). */
void tcp_icmp_error(void *stack, const struct net_icmp_error *e) {
    struct tcp_stack *t = stack;
    struct tcb *c = tcb_find(t, &e->local, e->lport, &e->remote, e->rport);
    if (!c || seq_lt(e->seq, c->snd_una) || !seq_lt(e->seq, c->snd_max)) {
        tgw_count_reason(t->counters, TGW_R_icmp_no_match);
        return;
    }
    if (e->too_big && e->mtu) {
        too_big(c, e);
    } else if (e->hard && c->state == TCP_SYN_SENT) {
        tgw_count(t->counters, TGW_C_tcp_connect_failures, 1);
        tcb_end(c, STREAM_END_REFUSED);
    }
}

void tcp_path_sent(struct tcb *c, uint32_t end, uint32_t len) {
    struct tcp_path *p = &c->flight->path;
    uint32_t mss = len + (c->mss - tcp_payload_max(c));
    if (mss <= c->mss_acked || p->sized_mss)
        return;
    p->sized_mss = (uint16_t)mss;
    p->sized_len = (uint16_t)len;
    p->sized_end = end;
}

void tcp_path_resent(struct tcb *c, uint32_t from) {
    struct tcp_path *p = &c->flight->path;
    if (p->sized_mss && seq_lt(from, p->sized_end))
        p->sized_mss = 0;
}

void tcp_path_acked(struct tcb *c) {
    struct tcp_path *p = &c->flight->path;
    if (p->claim_mss && seq_lt(p->claim_seq, c->snd_una))
        p->claim_mss = 0; /* RFC 5927 section 7.2: it got through, the error was forged */
    if (!p->sized_mss || seq_lt(c->snd_una, p->sized_end))
        return;
    if (p->sized_mss > c->mss)
        c->mss = least(p->sized_mss, c->mss_max);
    c->mss_acked = least(p->sized_mss, c->mss);
    p->sized_mss = 0;
}

void tcp_path_timeout(struct tcb *c) {
    struct tcp_flight *f = c->flight;
    if (!f || f->board.count == 0)
        return;
    if (f->path.claim_mss && f->path.claim_mss < c->mss) {
        lower(c, f->path.claim_mss, PROBE_AGAIN_MS);
        c->cwnd = c->mss;
        return;
    }
    if (c->backoff < TIMEOUTS_FIRST || (c->backoff - TIMEOUTS_FIRST) % TIMEOUTS_A_SIZE)
        return;
    /* RFC 4821 section 7.7: a segment that is larger than the next size down times out again
     * and again. It need not be full: the peer's window or the end of the data may cut it. */
    uint16_t next = c->mss > MSS_TUNNEL ? MSS_TUNNEL : floor_of(c);
    uint32_t options = c->mss - tcp_payload_max(c);
    uint32_t first = seq_min(c->snd_max, c->snd_una + tcp_payload_max(c)) - c->snd_una;
    if (next < c->mss && first + options > next) {
        tgw_count(c->stack->counters, TGW_C_tcp_black_holes, 1);
        lower(c, next, PROBE_FIRST_MS);
        c->cwnd = c->mss;
    }
}

/* The next size worth trying: MTUs that links and tunnels have (RFC 1191 section 7, and
 * today's). */
static uint16_t next_size(const struct tcb *c) {
    static const uint16_t sizes[] = {984, 1220, 1360, 1400, 1440, 1460, 4040, 8940};
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        if (sizes[i] > c->mss)
            return least(sizes[i], c->mss_max);
    return c->mss_max;
}

uint32_t tcp_path_probe(struct tcb *c, uint32_t left) {
    struct tcp_flight *f = c->flight;
    uint32_t now_ms = tcp_now_ms(c->stack), options = c->mss - tcp_payload_max(c);
    if (c->mss >= c->mss_max)
        return 0;
    if (!f->path.probe_ms)
        f->path.probe_ms = now_ms + PROBE_FIRST_MS;
    uint32_t len = next_size(c) - options;
    /* Enough behind it that its loss shows without a timeout (RFC 4821 section 7.4). */
    if (seq_lt(now_ms, f->path.probe_ms) || f->phase != TCP_OPEN || f->path.sized_mss ||
        left < len + 4u * c->mss || c->cwnd < len + 4u * c->mss)
        return 0;
    f->path.probe_ms = now_ms + PROBE_FIRST_MS;
    return len;
}

bool tcp_path_only_probe_lost(const struct tcb *c) {
    const struct tcp_flight *f = c->flight;
    uint32_t from, to;
    return f->path.sized_mss > c->mss && tcp_board_first_lost(&f->board, &from, &to) &&
           to == f->path.sized_end && from == to - f->path.sized_len &&
           f->board.lost_bytes == f->path.sized_len;
}

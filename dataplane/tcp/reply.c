#include "reply.h"
#include "tcb.h"
#include <rte_mbuf.h>
#include <rte_tcp.h>

enum { OPTIONS_MAX = 24, ANSWERS_MIN = 50, ANSWERS_SPAN = 100 };

static void put16(uint8_t *p, uint32_t v) {
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v) {
    put16(p, v >> 16);
    put16(p + 2, v);
}

/* RFC 9293 section 3.2, RFC 7323 sections 2.2 and 3.2, RFC 2018 section 2. */
static uint32_t put_options(const struct tcp_reply *r, uint8_t *o) {
    uint32_t n = 0;
    if (r->mss) {
        put16(o, 0x0204);
        put16(o + 2, r->mss);
        n += 4;
    }
    if (r->wscale) {
        put32(o + n, 0x01030300u | r->wscale);
        n += 4;
    }
    if (r->sack_permitted) {
        put32(o + n, 0x01010402);
        n += 4;
    }
    if (r->has_ts) {
        put32(o + n, 0x0101080a);
        put32(o + n + 4, r->ts_val);
        put32(o + n + 8, r->ts_ecr);
        n += TCP_TS_BYTES;
    }
    return n;
}

bool tcp_reply(struct tcp_stack *t, const struct seg *to, const struct tcp_reply *r) {
    struct net_route route;
    uint8_t options[OPTIONS_MAX];
    uint32_t opt = put_options(r, options), bytes = (uint32_t)sizeof(struct rte_tcp_hdr) + opt;
    struct rte_mbuf *m = net_route(t->net, &to->src, &route) ? net_tx_alloc(t->net) : NULL;
    if (!m)
        return false;
    uint8_t *head = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)bytes);
    if (!head) {
        rte_pktmbuf_free(m);
        return false;
    }
    put16(head, to->dport);
    put16(head + 2, to->sport);
    put32(head + 4, r->seq);
    put32(head + 8, r->ack);
    head[12] = (uint8_t)(bytes / 4 << 4);
    head[13] = r->flags;
    put16(head + 14, r->wnd);
    put32(head + 16, 0); /* checksum, urgent pointer */
    memcpy(head + sizeof(struct rte_tcp_hdr), options, opt);
    net_output(t->net, t->now_ns, m, &to->dst, &to->src, 0, route.iface);
    tgw_count(t->counters, TGW_C_tcp_segments_out, 1);
    return true;
}

void tcp_send_rst(struct tcp_stack *t, const struct seg *s) {
    struct tcp_reply r = {.flags = SEG_RST};
    if (s->flags & SEG_RST)
        return;
    if (s->flags & SEG_ACK) {
        r.seq = s->ack;
    } else {
        r.ack = s->seq + s->len + !!(s->flags & SEG_SYN) + !!(s->flags & SEG_FIN);
        r.flags |= SEG_ACK;
    }
    if (tcp_reply(t, s, &r))
        tgw_count(t->counters, TGW_C_tcp_resets_out, 1);
}

/* splitmix64 */
static uint64_t next_random(struct tcp_stack *t) {
    uint64_t z = t->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* A limit that is known and shared tells a blind attacker by what is left of it whether a
 * guess was right (CVE-2016-5696): so each second draws its own. */
bool tcp_answer_allowed(struct tcp_stack *t) {
    if (t->now_ns - t->answers_ns >= UINT64_C(1000000000)) {
        t->answers_ns = t->now_ns;
        t->answers_left = ANSWERS_MIN + (uint32_t)(next_random(t) % ANSWERS_SPAN);
    }
    if (t->answers_left == 0)
        return false;
    t->answers_left--;
    return true;
}

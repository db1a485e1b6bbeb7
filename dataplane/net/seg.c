/* A received TCP segment, every length checked (RFC 9293 section 3.1). */
#include "cksum.h"
#include "net_priv.h"

enum {
    TCP_HDR_BYTES = 20,
    OPT_END = 0,
    OPT_NOP = 1,
    OPT_MSS = 2,
    OPT_WSCALE = 3,
    OPT_SACK_PERMITTED = 4,
    OPT_SACK = 5,
    OPT_TIMESTAMPS = 8,
    WSCALE_MAX = 14, /* RFC 7323 section 2.3 */
};

static void take_sack(struct seg *s, const uint8_t *p, uint32_t len) {
    for (uint32_t at = 2; at + 8 <= len && s->sack_count < SEG_SACK_BLOCKS_MAX; at += 8) {
        s->sack[s->sack_count].start = get32(p + at);
        s->sack[s->sack_count].end = get32(p + at + 4);
        s->sack_count++;
    }
}

/* Options that only a SYN may carry. */
static void take_syn_option(struct seg *s, const uint8_t *p, uint32_t len) {
    if (p[0] == OPT_MSS && len == 4) {
        s->mss = get16(p + 2);
    } else if (p[0] == OPT_WSCALE && len == 3) {
        s->has_wscale = true;
        s->wscale = p[2] > WSCALE_MAX ? WSCALE_MAX : p[2];
    } else if (p[0] == OPT_SACK_PERMITTED && len == 2) {
        s->sack_permitted = true;
    }
}

/* Unknown options, and known ones of a wrong length, are passed over: RFC 9293
 * section 3.1 (MUST-6, MUST-7). */
static void take_option(struct seg *s, const uint8_t *p, uint32_t len) {
    bool syn = s->flags & SEG_SYN;
    if (p[0] == OPT_TIMESTAMPS && len == 10) {
        s->has_ts = true;
        s->ts_val = get32(p + 2);
        s->ts_ecr = get32(p + 6);
    } else if (p[0] == OPT_SACK && !syn) {
        take_sack(s, p, len);
    } else if (syn) {
        take_syn_option(s, p, len);
    }
}

/* Timestamps alone, in the layout that RFC 7323 appendix A proposes: nearly always. */
static bool only_timestamps(const uint8_t *p, uint32_t len) {
    static const uint8_t layout[4] = {OPT_NOP, OPT_NOP, OPT_TIMESTAMPS, 10};
    return len == 12 && memcmp(p, layout, sizeof(layout)) == 0;
}

static bool parse_options(struct seg *s, const uint8_t *p, uint32_t len) {
    if (only_timestamps(p, len)) {
        take_option(s, p + 2, 10);
        return true;
    }
    while (len > 0 && p[0] != OPT_END) {
        uint32_t step = 1;
        if (p[0] != OPT_NOP) {
            if (len < 2 || p[1] < 2 || p[1] > len)
                return false;
            step = p[1];
            take_option(s, p, step);
        }
        p += step;
        len -= step;
    }
    return true;
}

enum tgw_reason seg_parse(struct seg *s, const uint8_t *p, uint32_t len) {
    if (len < TCP_HDR_BYTES)
        return TGW_R_tcp_malformed;
    uint32_t header_bytes = (p[12] >> 4) * 4u;
    if (header_bytes < TCP_HDR_BYTES || header_bytes > len)
        return TGW_R_tcp_malformed;
    s->sport = get16(p);
    s->dport = get16(p + 2);
    s->seq = get32(p + 4);
    s->ack = get32(p + 8);
    s->flags = p[13];
    s->wnd = get16(p + 14);
    s->payload = p + header_bytes;
    s->len = len - header_bytes;
    /* No stack sends these; they only probe for one that falls over. */
    bool absurd = (s->flags & SEG_SYN) && (s->flags & (SEG_FIN | SEG_RST));
    if (s->sport == 0 || s->dport == 0 || absurd)
        return TGW_R_tcp_malformed;
    return parse_options(s, p + TCP_HDR_BYTES, header_bytes - TCP_HDR_BYTES) ? TGW_OK
                                                                             : TGW_R_tcp_malformed;
}

/* The pseudo header of RFC 9293 section 3.1 and RFC 8200 section 8.1: for IPv4 the
 * mapped addresses without their prefix. */
static inline uint64_t pseudo_sum(const struct ip_addr *src, const struct ip_addr *dst,
                                  uint8_t proto, uint32_t len) {
    uint64_t sum = (uint64_t)rte_cpu_to_be_32(len) + rte_cpu_to_be_32(proto);
    if (ip_addr_is4(src)) {
        uint32_t a, b;
        memcpy(&a, src->b + 12, sizeof(a));
        memcpy(&b, dst->b + 12, sizeof(b));
        return sum + a + b;
    }
    sum = cksum_add(cksum_add(sum, cksum_word(src->b)), cksum_word(src->b + 8));
    return cksum_add(cksum_add(sum, cksum_word(dst->b)), cksum_word(dst->b + 8));
}

static uint16_t finish(uint64_t sum) {
    return (uint16_t)~cksum_fold(sum);
}

uint16_t tcp_checksum(const struct ip_addr *src, const struct ip_addr *dst, const uint8_t *p,
                      uint32_t len) {
    return finish(cksum_bytes(pseudo_sum(src, dst, PROTO_TCP, len), p, len));
}

uint16_t tcp_pseudo_checksum(const struct ip_addr *src, const struct ip_addr *dst, uint32_t len) {
    return finish(pseudo_sum(src, dst, PROTO_TCP, len));
}

uint16_t icmp6_checksum(const struct ip_addr *src, const struct ip_addr *dst, const uint8_t *p,
                        uint32_t len) {
    return finish(cksum_bytes(pseudo_sum(src, dst, PROTO_ICMP6, len), p, len));
}

static bool checksum_ok(const struct rx *rx) {
    uint32_t have = rx->in->offloads;
    uint64_t verdict = rx->m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
    if (have & PORT_RX_TRUSTED)
        return true;
    /* NONE: verified, but the field itself was never filled in (a guest's neighbour on the
     * same host). */
    if ((have & PORT_RX_L4_CKSUM) &&
        (verdict == RTE_MBUF_F_RX_L4_CKSUM_GOOD || verdict == RTE_MBUF_F_RX_L4_CKSUM_NONE))
        return true;
    return tcp_checksum(&rx->src, &rx->dst, rx->p, rx->len) == 0;
}

enum tgw_reason seg_input(struct net *n, struct rx *rx) {
    struct seg *s = &n->burst[n->burst_count];
    *s = (struct seg){.src = rx->src, .dst = rx->dst, .ecn = rx->ecn, .iface = rx->in->index};
    tgw_count(n->counters, TGW_C_tcp_segments_in, 1);
    enum tgw_reason why = seg_parse(s, rx->p, rx->len);
    if (why)
        return why;
    if (n->probe.active && probe_took_segment(n, rx, s))
        return TGW_OK;
    if (!checksum_ok(rx))
        return TGW_R_tcp_checksum;
    if (!n->up.tcp_burst) {
        n->up.tcp_segment(n->up_ctx, s, rx->m);
        return TGW_OK;
    }
    n->burst_mbuf[n->burst_count++] = rx->m;
    rx->m = NULL;
    if (n->burst_count == RX_BURST_MAX)
        seg_burst_end(n);
    return TGW_OK;
}

void seg_burst_end(struct net *n) {
    if (n->burst_count == 0)
        return;
    n->up.tcp_burst(n->up_ctx, n->burst, n->burst_mbuf, n->burst_count);
    rte_pktmbuf_free_bulk(n->burst_mbuf, n->burst_count);
    n->burst_count = 0;
}

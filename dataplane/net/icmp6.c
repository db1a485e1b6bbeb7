/* ICMPv6 (RFC 4443). */
#include "net_priv.h"

enum {
    ICMP6_UNREACHABLE = 1,
    ICMP6_TOO_BIG = 2,
    ICMP6_TIME_EXCEEDED = 3,
    ICMP6_PARAMETER = 4,
    ICMP6_ECHO = 128,
    ICMP6_ECHO_REPLY = 129,
    ICMP6_NEIGH_SOLICIT = 135,
    ICMP6_NEIGH_ADVERT = 136,
    ICMP6_HDR_BYTES = 8,
    QUOTED_BYTES = 40 + 8,
    UNREACH_PROHIBITED = 1,
    UNREACH_PORT = 4,
    PARAMETER_NEXT_HEADER = 1,
};

static bool is_hard(uint8_t type, uint8_t code) {
    return (type == ICMP6_UNREACHABLE && (code == UNREACH_PROHIBITED || code == UNREACH_PORT)) ||
           (type == ICMP6_PARAMETER && code == PARAMETER_NEXT_HEADER);
}

static enum tgw_reason echo(struct net *n, struct rx *rx) {
    /* Answering a group would let one packet draw many. */
    if (ip6_is_multicast(&rx->dst))
        return TGW_R_icmp_unhandled;
    if (!net_icmp_allowed(n))
        return TGW_R_icmp_rate_limited;
    struct rte_mbuf *m = rx->m;
    uint32_t skip = (uint32_t)(rx->p - rte_pktmbuf_mtod(m, const uint8_t *));
    uint8_t *p = (uint8_t *)rte_pktmbuf_adj(m, (uint16_t)skip);
    rte_pktmbuf_trim(m, (uint16_t)(m->data_len - rx->len));
    m->ol_flags &= RTE_MBUF_F_EXTERNAL | RTE_MBUF_F_INDIRECT; /* whose memory it is */
    rx->m = NULL;
    p[0] = ICMP6_ECHO_REPLY;
    put16(p + 2, 0);
    put16(p + 2, rte_be_to_cpu_16(icmp6_checksum(&rx->dst, &rx->src, p, rx->len)));
    if (!ip6_push(m, &rx->dst, &rx->src, PROTO_ICMP6, HOP_LIMIT, 0)) {
        net_drop(n, m, TGW_R_mbuf_exhausted);
        return TGW_OK;
    }
    tgw_count(n->counters, TGW_C_icmp_echo_replies, 1);
    ip_send(n, rx->in, m, &rx->src);
    return TGW_OK;
}

static enum tgw_reason error(struct net *n, struct rx *rx) {
    const uint8_t *q = rx->p + ICMP6_HDR_BYTES;
    if (rx->len < ICMP6_HDR_BYTES + QUOTED_BYTES || q[0] >> 4 != 6)
        return TGW_R_icmp_malformed;
    struct net_icmp_error e = {0};
    memcpy(e.local.b, q + 8, 16);
    memcpy(e.remote.b, q + 24, 16);
    /* We send no extension headers, so TCP follows at once in whatever is ours. */
    if (q[6] != PROTO_TCP || ip_addr_is4(&e.local) || !net_is_local(n, &e.local))
        return TGW_R_icmp_no_match;
    e.lport = get16(q + 40);
    e.rport = get16(q + 42);
    e.seq = get32(q + 44);
    e.too_big = rx->p[0] == ICMP6_TOO_BIG;
    uint32_t mtu = get32(rx->p + 4);
    e.mtu = !e.too_big ? 0 : mtu > UINT16_MAX ? UINT16_MAX : (uint16_t)mtu;
    e.hard = is_hard(rx->p[0], rx->p[1]);
    if (n->up.icmp_error)
        n->up.icmp_error(n->up_ctx, &e);
    return TGW_OK;
}

enum tgw_reason icmp6_input(struct net *n, struct rx *rx) {
    if (rx->len < ICMP6_HDR_BYTES || icmp6_checksum(&rx->src, &rx->dst, rx->p, rx->len) != 0)
        return TGW_R_icmp_malformed;
    switch (rx->p[0]) {
    case ICMP6_ECHO:
        return echo(n, rx);
    case ICMP6_UNREACHABLE:
    case ICMP6_TOO_BIG:
    case ICMP6_TIME_EXCEEDED:
    case ICMP6_PARAMETER:
        return error(n, rx);
    case ICMP6_ECHO_REPLY:
        return probe_echo_reply(n, rx);
    case ICMP6_NEIGH_SOLICIT:
    case ICMP6_NEIGH_ADVERT:
        return ndp_input(n, rx);
    default:
        return TGW_R_icmp_unhandled;
    }
}

/* ICMP for IPv4 (RFC 792, RFC 1122 section 3.2.2). */
#include "net_priv.h"

enum {
    ICMP_ECHO_REPLY = 0,
    ICMP_UNREACHABLE = 3,
    ICMP_ECHO = 8,
    ICMP_TIME_EXCEEDED = 11,
    ICMP_HDR_BYTES = 8,
    QUOTED_TCP_BYTES = 8, /* ports and sequence number */
    UNREACH_PROTOCOL = 2,
    UNREACH_PORT = 3,
    UNREACH_FRAG_NEEDED = 4,
    UNREACH_NET_PROHIBITED = 9,
    UNREACH_HOST_PROHIBITED = 10,
    UNREACH_PROHIBITED = 13,
};

static bool is_hard(uint8_t type, uint8_t code) {
    return type == ICMP_UNREACHABLE &&
           (code == UNREACH_PROTOCOL || code == UNREACH_PORT || code == UNREACH_NET_PROHIBITED ||
            code == UNREACH_HOST_PROHIBITED || code == UNREACH_PROHIBITED);
}

/* The request's own mbuf, cut down to the ICMP message, goes back. */
static enum tgw_reason echo(struct net *n, struct rx *rx) {
    if (!net_icmp_allowed(n))
        return TGW_R_icmp_rate_limited;
    struct rte_mbuf *m = rx->m;
    uint32_t skip = (uint32_t)(rx->p - rte_pktmbuf_mtod(m, const uint8_t *));
    uint8_t *p = (uint8_t *)rte_pktmbuf_adj(m, (uint16_t)skip);
    rte_pktmbuf_trim(m, (uint16_t)(m->data_len - rx->len));
    m->ol_flags &= RTE_MBUF_F_EXTERNAL | RTE_MBUF_F_INDIRECT; /* whose memory it is */
    rx->m = NULL;
    p[0] = ICMP_ECHO_REPLY;
    put16(p + 2, 0);
    put16(p + 2, rte_be_to_cpu_16((uint16_t)~rte_raw_cksum(p, rx->len)));
    if (!ip4_push(n, rx->in, m, &rx->dst, &rx->src, PROTO_ICMP4, 0)) {
        net_drop(n, m, TGW_R_mbuf_exhausted);
        return TGW_OK;
    }
    tgw_count(n->counters, TGW_C_icmp_echo_replies, 1);
    ip_send(n, rx->in, m, &rx->src);
    return TGW_OK;
}

static enum tgw_reason error(struct net *n, struct rx *rx) {
    const uint8_t *q = rx->p + ICMP_HDR_BYTES;
    uint32_t len = rx->len - ICMP_HDR_BYTES;
    uint32_t ihl = len >= 20 ? (q[0] & 0xfu) * 4 : 0;
    if (ihl < 20 || q[0] >> 4 != 4 || len < ihl + QUOTED_TCP_BYTES)
        return TGW_R_icmp_malformed;
    /* Only the first fragment holds ports; we send nothing but TCP worth hearing about. */
    struct net_icmp_error e = {.local = ip_addr_from4(q + 12), .remote = ip_addr_from4(q + 16)};
    if (q[9] != PROTO_TCP || (get16(q + 6) & 0x1fff) || !net_is_local(n, &e.local))
        return TGW_R_icmp_no_match;
    e.lport = get16(q + ihl);
    e.rport = get16(q + ihl + 2);
    e.seq = get32(q + ihl + 4);
    e.too_big = rx->p[0] == ICMP_UNREACHABLE && rx->p[1] == UNREACH_FRAG_NEEDED;
    e.mtu = e.too_big ? get16(rx->p + 6) : 0;
    e.hard = is_hard(rx->p[0], rx->p[1]);
    if (n->up.icmp_error)
        n->up.icmp_error(n->up_ctx, &e);
    return TGW_OK;
}

enum tgw_reason icmp4_input(struct net *n, struct rx *rx) {
    if (rx->len < ICMP_HDR_BYTES || rte_raw_cksum(rx->p, rx->len) != 0xffff)
        return TGW_R_icmp_malformed;
    switch (rx->p[0]) {
    case ICMP_ECHO:
        return rx->p[1] == 0 ? echo(n, rx) : TGW_R_icmp_malformed;
    case ICMP_UNREACHABLE:
    case ICMP_TIME_EXCEEDED:
        return error(n, rx);
    case ICMP_ECHO_REPLY:
        return probe_echo_reply(n, rx);
    default:
        return TGW_R_icmp_unhandled;
    }
}

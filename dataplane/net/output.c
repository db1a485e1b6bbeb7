#include "net_priv.h"
#include <rte_tcp.h>

enum { TCP_HDR_BYTES = 20 };
_Static_assert(RTE_PKTMBUF_HEADROOM >= RTE_ETHER_HDR_LEN + 4 + 40, "headers are prepended");

struct rte_mbuf *net_tx_alloc(struct net *n) {
    struct rte_mbuf *m = rte_pktmbuf_alloc(n->pool);
    if (!m)
        tgw_count_reason(n->counters, TGW_R_mbuf_exhausted);
    return m;
}

/* The interface of the hint if it reaches `dst`, else that of the route; *hop: next hop. */
static struct iface *outgoing(struct net *n, const struct ip_addr *dst, uint8_t hint,
                              const struct ip_addr **hop) {
    struct net_route r;
    if (hint < n->iface_count && (*hop = iface_next_hop(&n->iface[hint], dst)))
        return &n->iface[hint];
    if (!net_route(n, dst, &r))
        return NULL;
    *hop = iface_next_hop(&n->iface[r.iface], dst);
    return *hop ? &n->iface[r.iface] : NULL;
}

bool net_tso(const struct net *n, uint8_t iface) {
    const uint32_t both = PORT_TX_TSO | PORT_TX_L4_CKSUM;
    return iface < n->iface_count && (n->iface[iface].offloads & both) == both;
}

void ip_send(struct net *n, struct iface *out, struct rte_mbuf *m, const struct ip_addr *dst) {
    const struct ip_addr *hop = iface_next_hop(out, dst);
    if (hop)
        neigh_output(n, out, hop, m);
    else
        net_drop(n, m, TGW_R_no_route);
}

/* Over a chain of mbufs, when the port cannot. */
static uint16_t software_checksum(const struct rte_mbuf *m, const struct ip_addr *src,
                                  const struct ip_addr *dst) {
    if (m->nb_segs == 1)
        return tcp_checksum(src, dst, rte_pktmbuf_mtod(m, const uint8_t *), m->data_len);
    uint16_t sum = 0;
    if (rte_raw_cksum_mbuf(m, 0, m->pkt_len, &sum) != 0)
        return 0;
    uint32_t all = (uint32_t)(uint16_t)~tcp_pseudo_checksum(src, dst, m->pkt_len) + sum;
    all = (all & 0xffff) + (all >> 16);
    return (uint16_t) ~(all + (all >> 16));
}

void put_checksum(const struct iface *out, struct rte_mbuf *m, const struct ip_addr *src,
                  const struct ip_addr *dst) {
    uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);
    bool v4 = ip_addr_is4(src), tso = m->tso_segsz && (out->offloads & PORT_TX_TSO);
    uint16_t sum;
    if (out->offloads & PORT_TX_L4_CKSUM) {
        m->l4_len = (p[12] >> 4) * 4u;
        m->ol_flags |= (v4 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6) |
                       (tso ? RTE_MBUF_F_TX_TCP_SEG : RTE_MBUF_F_TX_TCP_CKSUM);
        /* The port adds the segment to the pseudo header's sum; with TSO the length too. */
        sum = (uint16_t)~tcp_pseudo_checksum(src, dst, tso ? 0 : m->pkt_len);
    } else {
        sum = software_checksum(m, src, dst);
    }
    memcpy(p + TCP_CHECKSUM_OFFSET, &sum, sizeof(sum));
}

void net_output(struct net *n, uint64_t now_ns, struct rte_mbuf *m, const struct ip_addr *src,
                const struct ip_addr *dst, uint8_t ecn, uint8_t iface) {
    assert(m->data_len >= TCP_HDR_BYTES);
    n->now_ns = now_ns;
    if (fast4_output(n, m, src, dst, ecn, iface))
        return;
    assert(ip_addr_is4(src) == ip_addr_is4(dst));
    const struct ip_addr *hop;
    struct iface *out = outgoing(n, dst, iface, &hop);
    if (!out) {
        net_drop(n, m, TGW_R_no_route);
        return;
    }
    m->ol_flags &= ~(RTE_MBUF_F_TX_OFFLOAD_MASK);
    put_checksum(out, m, src, dst);
    bool pushed = ip_addr_is4(src) ? ip4_push(n, out, m, src, dst, PROTO_TCP, ecn)
                                   : ip6_push(m, src, dst, PROTO_TCP, HOP_LIMIT, ecn);
    if (pushed)
        neigh_output(n, out, hop, m);
    else
        net_drop(n, m, TGW_R_mbuf_exhausted);
}

void net_flush(struct net *n) {
    for (uint8_t k = 0; k < n->iface_count; k++)
        if (n->iface[k].tx_count)
            iface_flush(n, &n->iface[k]);
}

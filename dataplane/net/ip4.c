/* IPv4 (RFC 791, RFC 1122 section 3). */
#include "cksum.h"
#include "net_priv.h"

enum {
    IP4_HDR_BYTES = 20,
    IP4_DF = 0x4000,
    IP4_FRAGMENT_MASK = 0x3fff, /* MF and the offset */
    OPT_END = 0,
    OPT_NOP = 1,
    OPT_LSRR = 131,
    OPT_SSRR = 137,
};

/* Lengths must be sane; source routing is refused (RFC 7126 section 4.3). */
static bool options_ok(const uint8_t *p, uint32_t len) {
    while (len > 0 && p[0] != OPT_END) {
        uint32_t step = 1;
        if (p[0] != OPT_NOP) {
            if (len < 2 || p[1] < 2 || p[1] > len || p[0] == OPT_LSRR || p[0] == OPT_SSRR)
                return false;
            step = p[1];
        }
        p += step;
        len -= step;
    }
    return true;
}

static bool checksum_ok(const struct rx *rx, uint32_t header_bytes) {
    uint32_t have = rx->in->offloads;
    uint64_t verdict = rx->m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;
    if (have & PORT_RX_TRUSTED)
        return true;
    if ((have & PORT_RX_IP_CKSUM) && verdict == RTE_MBUF_F_RX_IP_CKSUM_GOOD)
        return true;
    return cksum_fold(cksum_bytes(0, rx->p, header_bytes)) == 0xffff;
}

static enum tgw_reason header_check(struct rx *rx, uint32_t *header_bytes) {
    if (rx->len < IP4_HDR_BYTES || rx->p[0] >> 4 != 4)
        return TGW_R_ip4_malformed;
    uint32_t ihl = (rx->p[0] & 0xfu) * 4, total = get16(rx->p + 2);
    if (ihl < IP4_HDR_BYTES || ihl > total || total > rx->len)
        return TGW_R_ip4_malformed;
    if (!checksum_ok(rx, ihl))
        return TGW_R_ip4_checksum;
    if (!options_ok(rx->p + IP4_HDR_BYTES, ihl - IP4_HDR_BYTES))
        return TGW_R_ip4_malformed;
    if (get16(rx->p + 6) & IP4_FRAGMENT_MASK)
        return TGW_R_ip4_fragment;
    rx->len = total; /* the rest pads the frame to 60 bytes */
    *header_bytes = ihl;
    return TGW_OK;
}

enum tgw_reason ip4_input(struct net *n, struct rx *rx) {
    uint32_t ihl = 0;
    enum tgw_reason why = header_check(rx, &ihl);
    if (why)
        return why;
    rx->src = ip_addr_from4(rx->p + 12);
    rx->dst = ip_addr_from4(rx->p + 16);
    rx->ecn = rx->p[1] & 3;
    rx->hop_limit = rx->p[8];
    uint8_t proto = rx->p[9];
    if (!iface_is_own(rx->in, &rx->dst))
        return TGW_R_ip_not_ours;
    if (!source_is_valid(n, rx->in, &rx->src))
        return TGW_R_ip_source_invalid;
    rx->p += ihl;
    rx->len -= ihl;
    if (proto == PROTO_TCP)
        return seg_input(n, rx);
    return proto == PROTO_ICMP4 ? icmp4_input(n, rx) : TGW_R_ip_protocol_unknown;
}

static void set_checksum(const struct iface *out, struct rte_mbuf *m, uint8_t *h) {
    m->l3_len = IP4_HDR_BYTES;
    if (out->offloads & PORT_TX_IP_CKSUM) {
        m->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
        return;
    }
    uint16_t sum = (uint16_t)~cksum_fold(cksum_bytes(0, h, IP4_HDR_BYTES));
    memcpy(h + 10, &sum, sizeof(sum));
}

bool ip4_push(struct net *n, struct iface *out, struct rte_mbuf *m, const struct ip_addr *src,
              const struct ip_addr *dst, uint8_t proto, uint8_t ecn) {
    uint8_t *h = (uint8_t *)rte_pktmbuf_prepend(m, IP4_HDR_BYTES);
    if (!h || m->pkt_len > UINT16_MAX)
        return false;
    memset(h, 0, IP4_HDR_BYTES);
    h[0] = 0x45;
    h[1] = ecn;
    put16(h + 2, (uint16_t)m->pkt_len);
    put16(h + 4, (uint16_t)net_random(n)); /* with DF it serves no one; RFC 6864 section 4.1 */
    put16(h + 6, IP4_DF);
    h[8] = HOP_LIMIT;
    h[9] = proto;
    memcpy(h + 12, src->b + 12, 4);
    memcpy(h + 16, dst->b + 12, 4);
    set_checksum(out, m, h);
    return true;
}

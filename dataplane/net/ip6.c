/* IPv6 (RFC 8200). */
#include "net_priv.h"

enum {
    IP6_HDR_BYTES = 40,
    EXT_HOP_BY_HOP = 0,
    EXT_ROUTING = 43,
    EXT_FRAGMENT = 44,
    EXT_DEST_OPTS = 60,
    EXT_HEADERS_MAX = 4, /* no honest peer sends more */
    OPT_PAD1 = 0,
};

/* RFC 8200 section 4.2: of options we do not know (all but padding), those whose high
 * bits are 00 are skipped, the others discard the packet. */
static bool options_ok(const uint8_t *p, uint32_t len) {
    while (len > 0) {
        uint32_t step = 1;
        if (p[0] != OPT_PAD1) {
            if (len < 2 || (uint32_t)p[1] + 2 > len || (p[0] & 0xc0))
                return false;
            step = (uint32_t)p[1] + 2;
        }
        p += step;
        len -= step;
    }
    return true;
}

static enum tgw_reason extension(struct rx *rx, uint8_t *next, bool first) {
    if (*next == EXT_FRAGMENT)
        return TGW_R_ip6_fragment;
    if (rx->len < 8)
        return TGW_R_ip6_malformed;
    uint32_t bytes = (rx->p[1] + 1u) * 8;
    if (bytes > rx->len || (*next == EXT_HOP_BY_HOP && !first))
        return TGW_R_ip6_malformed;
    /* We are an end: a routing header with segments left asks for a router. */
    if (*next == EXT_ROUTING ? rx->p[3] != 0 : !options_ok(rx->p + 2, bytes - 2))
        return TGW_R_ip6_malformed;
    *next = rx->p[0];
    rx->p += bytes;
    rx->len -= bytes;
    return TGW_OK;
}

static bool is_extension(uint8_t next) {
    return next == EXT_HOP_BY_HOP || next == EXT_ROUTING || next == EXT_FRAGMENT ||
           next == EXT_DEST_OPTS;
}

static enum tgw_reason skip_extensions(struct rx *rx, uint8_t *next) {
    for (int k = 0; is_extension(*next); k++) {
        if (k == EXT_HEADERS_MAX)
            return TGW_R_ip6_malformed;
        enum tgw_reason why = extension(rx, next, k == 0);
        if (why)
            return why;
    }
    return TGW_OK;
}

/* A mapped address on the wire would pass for an IPv4 peer inside (RFC 4942 section 2.2). */
static enum tgw_reason addresses_check(struct net *n, struct rx *rx, uint8_t next) {
    bool multicast = ip6_is_multicast(&rx->dst);
    if (ip_addr_is4(&rx->dst) || (!multicast && !iface_is_own(rx->in, &rx->dst)))
        return TGW_R_ip_not_ours;
    if (multicast && next != PROTO_ICMP6)
        return TGW_R_ip_not_ours;
    /* Duplicate address detection asks from :: (RFC 4862 section 5.4.2). */
    if (ip_addr_is_unspecified(&rx->src) && multicast)
        return TGW_OK;
    if (ip_addr_is4(&rx->src) || !source_is_valid(n, rx->in, &rx->src))
        return TGW_R_ip_source_invalid;
    return TGW_OK;
}

enum tgw_reason ip6_input(struct net *n, struct rx *rx) {
    if (rx->len < IP6_HDR_BYTES || rx->p[0] >> 4 != 6)
        return TGW_R_ip6_malformed;
    uint32_t payload_bytes = get16(rx->p + 4);
    if (payload_bytes > rx->len - IP6_HDR_BYTES)
        return TGW_R_ip6_malformed;
    memcpy(rx->src.b, rx->p + 8, 16);
    memcpy(rx->dst.b, rx->p + 24, 16);
    rx->ecn = (rx->p[1] >> 4) & 3;
    rx->hop_limit = rx->p[7];
    uint8_t next = rx->p[6];
    rx->p += IP6_HDR_BYTES;
    rx->len = payload_bytes;
    enum tgw_reason why = skip_extensions(rx, &next);
    if (!why)
        why = addresses_check(n, rx, next);
    if (why)
        return why;
    if (next == PROTO_TCP)
        return seg_input(n, rx);
    return next == PROTO_ICMP6 ? icmp6_input(n, rx) : TGW_R_ip_protocol_unknown;
}

bool ip6_push(struct rte_mbuf *m, const struct ip_addr *src, const struct ip_addr *dst,
              uint8_t proto, uint8_t hop_limit, uint8_t ecn) {
    uint32_t payload_bytes = m->pkt_len;
    uint8_t *h = (uint8_t *)rte_pktmbuf_prepend(m, IP6_HDR_BYTES);
    if (!h || payload_bytes > UINT16_MAX)
        return false;
    memset(h, 0, 8);
    h[0] = 0x60;
    h[1] = (uint8_t)(ecn << 4);
    put16(h + 4, (uint16_t)payload_bytes);
    h[6] = proto;
    h[7] = hop_limit;
    memcpy(h + 8, src->b, 16);
    memcpy(h + 24, dst->b, 16);
    m->l3_len = IP6_HDR_BYTES;
    return true;
}

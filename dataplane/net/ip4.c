/* IPv4 input (RFC 791, RFC 1122 section 3.2.1) and ICMP (RFC 792). */
#include "net_priv.h"
#include <rte_icmp.h>

enum {
    ICMP_UNREACHABLE = 3,
    UNREACH_PROTOCOL = 2,
    UNREACH_PORT = 3,
    UNREACH_FRAG_NEEDED = 4,
    UNREACH_PROHIBITED_FIRST = 9,
    ECHO_TOKENS_MAX = 1000,
};
static const uint64_t ECHO_TOKEN_NS = 1000000;

const struct ip_prefix *net_own4(const struct net *n, const uint8_t ip[4]) {
    struct ip_addr a = ip_addr_from4(ip);
    for (uint8_t i = 0; i < n->config.iface_count; i++)
        for (uint8_t k = 0; k < n->iface[i].config.addr_count; k++)
            if (ip_addr_eq(&n->iface[i].config.addr[k].addr, &a))
                return &n->iface[i].config.addr[k];
    return NULL;
}

bool ip4_next_hop(const struct net *n, uint8_t iface, const uint8_t dst[4], uint8_t out[4]) {
    const struct net_iface_config *c = &n->iface[iface].config;
    struct ip_addr a = ip_addr_from4(dst);
    for (uint8_t i = 0; i < c->addr_count; i++) {
        if (ip_addr_is4(&c->addr[i].addr) && ip_prefix_has(&c->addr[i], &a)) {
            memmove(out, dst, 4);
            return true;
        }
    }
    if (!c->has_gateway4)
        return false;
    memcpy(out, c->gateway4.b + 12, 4);
    return true;
}

/* Loopback, multicast, broadcast, "this network" and our own addresses send nothing. */
static bool source_is_valid(const struct net *n, const uint8_t ip[4]) {
    return ip[0] != 0 && ip[0] != 127 && ip[0] < 224 && !net_own4(n, ip);
}

static bool header_is_valid(const struct rte_mbuf *m, uint32_t at, const struct rte_ipv4_hdr *ip) {
    uint32_t have = m->data_len - at;
    uint32_t head = rte_ipv4_hdr_len(ip), total = rte_be_to_cpu_16(ip->total_length);
    return ip->version_ihl >> 4 == 4 && head >= sizeof(*ip) && head <= total && total <= have;
}

/* The port's verdict where it gives one, ours otherwise. */
static bool tcp_checksum_good(const struct net *n, uint8_t iface, const struct rte_mbuf *m,
                              const struct rte_ipv4_hdr *ip, const uint8_t *tcp) {
    uint64_t verdict = m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
    uint32_t offloads = n->iface[iface].config.port->offloads;
    if (offloads & PORT_RX_TRUSTED)
        return true;
    if ((offloads & PORT_RX_L4_CKSUM) && verdict == RTE_MBUF_F_RX_L4_CKSUM_GOOD)
        return true;
    uint32_t sum = rte_ipv4_phdr_cksum(ip, 0);
    sum += rte_raw_cksum(tcp, rte_be_to_cpu_16(ip->total_length) - rte_ipv4_hdr_len(ip));
    return (uint16_t)(sum + (sum >> 16)) == 0xffff;
}

static void tcp_in(struct net *n, uint8_t iface, struct rte_mbuf *m, const struct rte_ipv4_hdr *ip,
                   const uint8_t *tcp, uint32_t len) {
    struct seg s = {.iface = iface, .ecn = ip->type_of_service & 3};
    tgw_count(n->counters, TGW_C_tcp_segments_in, 1);
    if (len < sizeof(struct rte_tcp_hdr)) {
        net_drop(n, TGW_R_tcp_malformed);
        return;
    }
    if (!tcp_checksum_good(n, iface, m, ip, tcp)) {
        net_drop(n, TGW_R_tcp_checksum);
        return;
    }
    if (!seg_parse(&s, tcp, len)) {
        net_drop(n, TGW_R_tcp_malformed);
        return;
    }
    s.src = ip_addr_from4((const uint8_t *)&ip->src_addr);
    s.dst = ip_addr_from4((const uint8_t *)&ip->dst_addr);
    n->up.tcp_segment(n->up_ctx, &s, m);
}

static enum tgw_reason check(const struct net *n, const struct rte_mbuf *m, uint32_t at,
                             const struct rte_ipv4_hdr *ip) {
    if (m->data_len < at + sizeof(*ip) || m->nb_segs != 1 || !header_is_valid(m, at, ip))
        return TGW_R_ip4_malformed;
    if (rte_raw_cksum(ip, rte_ipv4_hdr_len(ip)) != 0xffff)
        return TGW_R_ip4_checksum;
    if (ip->fragment_offset & rte_cpu_to_be_16(RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK))
        return TGW_R_ip4_fragment;
    if (!net_own4(n, (const uint8_t *)&ip->dst_addr))
        return TGW_R_ip_not_ours;
    if (!source_is_valid(n, (const uint8_t *)&ip->src_addr))
        return TGW_R_ip_source_invalid;
    if (ip->next_proto_id != IPPROTO_TCP && ip->next_proto_id != IPPROTO_ICMP)
        return TGW_R_ip_protocol_unknown;
    return TGW_OK;
}

void ip4_input(struct net *n, uint8_t iface, struct rte_mbuf *m, uint32_t at) {
    const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, at);
    enum tgw_reason r = check(n, m, at, ip);
    if (r != TGW_OK) {
        net_drop(n, r);
        return;
    }
    uint32_t head = rte_ipv4_hdr_len(ip);
    uint32_t len = rte_be_to_cpu_16(ip->total_length) - head;
    const uint8_t *data = (const uint8_t *)ip + head;
    if (ip->next_proto_id == IPPROTO_TCP)
        tcp_in(n, iface, m, ip, data, len);
    else
        icmp4_input(n, iface, m, ip, data, len);
}

static bool echo_allowed(struct net *n) {
    uint64_t gained = (n->now_ns - n->echo_refill_ns) / ECHO_TOKEN_NS;
    n->echo_refill_ns += gained * ECHO_TOKEN_NS;
    n->echo_tokens += gained;
    if (n->echo_tokens > ECHO_TOKENS_MAX)
        n->echo_tokens = ECHO_TOKENS_MAX;
    if (n->echo_tokens == 0)
        return false;
    n->echo_tokens--;
    return true;
}

static void echo_reply(struct net *n, uint8_t iface, const struct rte_ipv4_hdr *ip,
                       const uint8_t *data, uint32_t len) {
    uint8_t hop[4];
    struct rte_mbuf *m = echo_allowed(n) ? net_tx_alloc(n) : NULL;
    char *body = m ? rte_pktmbuf_append(m, (uint16_t)(sizeof(*ip) + len)) : NULL;
    if (!body || !ip4_next_hop(n, iface, (const uint8_t *)&ip->src_addr, hop)) {
        net_drop(n, TGW_R_icmp_rate_limited);
        rte_pktmbuf_free(m);
        return;
    }
    struct rte_ipv4_hdr *out = (struct rte_ipv4_hdr *)body;
    *out = (struct rte_ipv4_hdr){.version_ihl = RTE_IPV4_VHL_DEF,
                                 .total_length = rte_cpu_to_be_16((uint16_t)(sizeof(*out) + len)),
                                 .time_to_live = 64,
                                 .next_proto_id = IPPROTO_ICMP,
                                 .src_addr = ip->dst_addr,
                                 .dst_addr = ip->src_addr};
    out->hdr_checksum = rte_ipv4_cksum(out);
    struct rte_icmp_hdr *icmp = (struct rte_icmp_hdr *)(out + 1);
    memcpy(icmp, data, len);
    icmp->icmp_type = RTE_IP_ICMP_ECHO_REPLY;
    icmp->icmp_cksum = 0;
    icmp->icmp_cksum = (uint16_t)~rte_raw_cksum(icmp, len);
    tgw_count(n->counters, TGW_C_icmp_echo_replies, 1);
    neigh_output(n, iface, hop, m);
}

/* The quoted datagram: our header and at least 8 bytes of TCP (RFC 792). */
static void unreachable(struct net *n, const uint8_t *data, uint32_t len) {
    const struct rte_ipv4_hdr *quoted = (const struct rte_ipv4_hdr *)(data + 8);
    uint32_t head = len >= 8 + sizeof(*quoted) ? rte_ipv4_hdr_len(quoted) : 0;
    if (head < sizeof(*quoted) || len < 8 + head + 8 || quoted->next_proto_id != IPPROTO_TCP) {
        net_drop(n, TGW_R_icmp_malformed);
        return;
    }
    const uint8_t *tcp = (const uint8_t *)quoted + head;
    uint8_t code = data[1];
    struct net_icmp_error e = {.local = ip_addr_from4((const uint8_t *)&quoted->src_addr),
                               .remote = ip_addr_from4((const uint8_t *)&quoted->dst_addr),
                               .lport = (uint16_t)(tcp[0] << 8 | tcp[1]),
                               .rport = (uint16_t)(tcp[2] << 8 | tcp[3]),
                               .seq = (uint32_t)tcp[4] << 24 | (uint32_t)tcp[5] << 16 |
                                      (uint32_t)tcp[6] << 8 | tcp[7],
                               .mtu = (uint16_t)(data[6] << 8 | data[7]),
                               .too_big = code == UNREACH_FRAG_NEEDED,
                               .hard = code == UNREACH_PROTOCOL || code == UNREACH_PORT ||
                                       code >= UNREACH_PROHIBITED_FIRST};
    n->up.icmp_error(n->up_ctx, &e);
}

void icmp4_input(struct net *n, uint8_t iface, struct rte_mbuf *m, const struct rte_ipv4_hdr *ip,
                 const uint8_t *data, uint32_t len) {
    (void)m;
    if (len < sizeof(struct rte_icmp_hdr) || rte_raw_cksum(data, len) != 0xffff)
        net_drop(n, TGW_R_icmp_malformed);
    else if (data[0] == RTE_IP_ICMP_ECHO_REQUEST)
        echo_reply(n, iface, ip, data, len);
    else if (data[0] == ICMP_UNREACHABLE)
        unreachable(n, data, len);
    else
        net_drop(n, TGW_R_icmp_unhandled);
}

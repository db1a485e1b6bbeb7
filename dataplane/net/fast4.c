/* The common packets without detours: TCP over IPv4 without options, between addresses of
 * ours and neighbours that are known. Whatever is different in any way goes the long way
 * through eth.c, ip4.c and neigh.c, which alone know why a packet is dropped. */
#include "cksum.h"
#include "net_priv.h"

enum { ETH_BYTES = 14, IP4_BYTES = 20, TCP_BYTES = 20, HEADERS = ETH_BYTES + IP4_BYTES };

/* As they stand on the wire. */
struct headers {
    uint8_t dst[6], src[6];
    uint16_t type;
    uint8_t version_ihl, tos;
    uint16_t total, id, fragment;
    uint8_t ttl, proto;
    uint16_t checksum;
    uint32_t from, to;
} __attribute__((packed));
_Static_assert(sizeof(struct headers) == HEADERS, "no padding");

static uint32_t word4(const struct ip_addr *a) {
    uint32_t w;
    memcpy(&w, a->b + 12, sizeof(w));
    return w;
}

void fast4_init(struct iface *i) {
    i->fast4 = (struct fast4){0};
    for (uint8_t k = 0; k < i->addr_count; k++) {
        const struct ip_prefix *p = &i->addr[k];
        if (!ip_addr_is4(&p->addr) || i->fast4.count == FAST4_ADDRS_MAX)
            continue;
        uint8_t bits = (uint8_t)(128 - p->len);
        uint32_t host = bits > 31 ? UINT32_MAX : (UINT32_C(1) << bits) - 1;
        uint8_t n = i->fast4.count++;
        i->fast4.own[n] = word4(&p->addr);
        i->fast4.mask[n] = rte_cpu_to_be_32(~host);
    }
}

static bool is_own(const struct iface *i, uint32_t addr) {
    for (uint8_t k = 0; k < i->fast4.count; k++)
        if (i->fast4.own[k] == addr)
            return true;
    return false;
}

/* A neighbour's address, by all appearances: a host of one of the interface's networks
 * that is not us. Others may be as good; they take the long way. */
static bool is_neighbour(const struct iface *i, uint32_t addr) {
    for (uint8_t k = 0; k < i->fast4.count; k++) {
        uint32_t host = addr & ~i->fast4.mask[k];
        if (((addr ^ i->fast4.own[k]) & i->fast4.mask[k]) == 0)
            return host != 0 && host != (uint32_t)~i->fast4.mask[k] && !is_own(i, addr);
    }
    return false;
}

/* Behind the gateway: unicast, and on no network of this interface. */
static bool is_far(const struct iface *i, uint32_t addr) {
    uint8_t top = *(const uint8_t *)&addr;
    for (uint8_t k = 0; k < i->fast4.count; k++)
        if (((addr ^ i->fast4.own[k]) & i->fast4.mask[k]) == 0)
            return false;
    return i->has_gateway4 && top != 0 && top != 127 && top < 224;
}

static bool source_is_plain(const struct net *n, const struct iface *in, uint32_t addr) {
    if (is_neighbour(in, addr))
        return true;
    if (!is_far(in, addr))
        return false;
    for (uint8_t k = 0; k < n->iface_count; k++)
        if (n->iface[k].has_range || is_own(&n->iface[k], addr))
            return false;
    return true;
}

/* The checksum of the IP header; 0 over one that is right. */
static inline uint16_t header_sum(const struct headers *h) {
    const uint8_t *p = &h->version_ihl;
    uint64_t sum = cksum_add(cksum_word(p), cksum_word(p + 8));
    return (uint16_t)~cksum_fold(cksum_add(sum, h->to));
}

static bool ip_checksum_ok(const struct rx *rx, const struct headers *h) {
    uint32_t have = rx->in->offloads;
    uint64_t verdict = rx->m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;
    if ((have & PORT_RX_TRUSTED) ||
        ((have & PORT_RX_IP_CKSUM) && verdict == RTE_MBUF_F_RX_IP_CKSUM_GOOD))
        return true;
    return header_sum(h) == 0;
}

bool fast4_input(struct net *n, struct rx *rx, enum tgw_reason *why) {
    const struct rte_mbuf *m = rx->m;
    const struct headers *h = rte_pktmbuf_mtod(m, const struct headers *);
    if (m->data_len < HEADERS + TCP_BYTES || m->nb_segs != 1 || rx->in->vlan ||
        (m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED))
        return false;
    uint16_t total = rte_be_to_cpu_16(h->total);
    if (h->type != RTE_BE16(RTE_ETHER_TYPE_IPV4) || h->version_ihl != 0x45 ||
        h->proto != PROTO_TCP || (h->fragment & RTE_BE16(0x3fff)) ||
        total < IP4_BYTES + TCP_BYTES || total > m->data_len - ETH_BYTES)
        return false;
    if (!mac_eq(h->dst, rx->in->port->mac) || (h->src[0] & 1) || !is_own(rx->in, h->to) ||
        !source_is_plain(n, rx->in, h->from) || !ip_checksum_ok(rx, h))
        return false;
    rx->src = ip_addr_from4((const uint8_t *)&h->from);
    rx->dst = ip_addr_from4((const uint8_t *)&h->to);
    rx->ecn = h->tos & 3;
    rx->p = (const uint8_t *)(h + 1);
    rx->len = total - (uint32_t)IP4_BYTES;
    *why = seg_input(n, rx);
    return true;
}

/* What put_checksum() does for one mbuf over IPv4 without an offload. */
static void sum_segment(struct rte_mbuf *m, uint32_t from, uint32_t to) {
    uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);
    uint64_t sum =
        (uint64_t)rte_cpu_to_be_32(m->data_len) + rte_cpu_to_be_32(PROTO_TCP) + from + to;
    uint16_t checksum = (uint16_t)~cksum_fold(cksum_bytes(sum, p, m->data_len));
    memcpy(p + TCP_CHECKSUM_OFFSET, &checksum, sizeof(checksum));
}

static void put_headers(struct net *n, const struct iface *out, struct rte_mbuf *m,
                        const struct ip_addr *src, const struct ip_addr *dst, uint8_t ecn,
                        const uint8_t *mac) {
    uint16_t total = (uint16_t)(m->data_len + IP4_BYTES);
    struct headers *h = (struct headers *)rte_pktmbuf_prepend(m, HEADERS);
    struct headers head = {.type = RTE_BE16(RTE_ETHER_TYPE_IPV4),
                           .version_ihl = 0x45,
                           .tos = ecn,
                           .total = rte_cpu_to_be_16(total),
                           .id = (uint16_t)net_random(n), /* with DF it serves no one */
                           .fragment = RTE_BE16(0x4000),
                           .ttl = HOP_LIMIT,
                           .proto = PROTO_TCP,
                           .from = word4(src),
                           .to = word4(dst)};
    memcpy(head.dst, mac, 6);
    memcpy(head.src, out->port->mac, 6);
    m->l2_len = ETH_BYTES;
    m->l3_len = IP4_BYTES;
    if (out->offloads & PORT_TX_IP_CKSUM)
        m->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
    else
        head.checksum = header_sum(&head);
    *h = head;
}

bool fast4_output(struct net *n, struct rte_mbuf *m, const struct ip_addr *src,
                  const struct ip_addr *dst, uint8_t ecn, uint8_t iface) {
    if (iface >= n->iface_count || m->nb_segs != 1 || m->tso_segsz || !ip_addr_is4(dst))
        return false;
    struct iface *out = &n->iface[iface];
    uint32_t to = word4(dst);
    bool near = is_neighbour(out, to);
    if (out->vlan || (!near && !is_far(out, to)))
        return false;
    const uint8_t *mac = neigh_mac(n, out, near ? dst : &out->gateway4);
    if (!mac || rte_pktmbuf_headroom(m) < HEADERS)
        return false;
    m->ol_flags &= ~RTE_MBUF_F_TX_OFFLOAD_MASK;
    if (out->offloads & PORT_TX_L4_CKSUM)
        put_checksum(out, m, src, dst);
    else
        sum_segment(m, word4(src), to);
    put_headers(n, out, m, src, dst, ecn, mac);
    iface_send(n, out, m);
    return true;
}

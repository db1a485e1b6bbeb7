#include "net/net.h"
#include "net_priv.h"
#include <rte_prefetch.h>
#include <stdlib.h>

struct net *net_create(const struct net_config *c, const struct net_ops *up, void *up_ctx,
                       uint64_t now_ns) {
    struct net *n = calloc(1, sizeof(*n));
    if (!n)
        return NULL;
    n->config = *c;
    n->up = *up;
    n->up_ctx = up_ctx;
    n->counters = c->counters;
    n->now_ns = n->echo_refill_ns = now_ns;
    n->ip_id = (uint16_t)c->seed;
    for (uint8_t i = 0; i < c->iface_count; i++) {
        n->iface[i].config = c->iface[i];
        memcpy(&n->iface[i].mac, c->iface[i].port->mac, RTE_ETHER_ADDR_LEN);
    }
    for (uint8_t i = 0; i < c->iface_count; i++)
        neigh_announce(n, i);
    net_flush(n);
    return n;
}

void net_bind(struct net *n, void *up_ctx) {
    n->up_ctx = up_ctx;
}

void net_destroy(struct net *n) {
    neigh_clear(n);
    for (uint8_t i = 0; i < n->config.iface_count; i++)
        rte_pktmbuf_free_bulk(n->iface[i].tx, n->iface[i].tx_count);
    free(n);
}

static bool for_us(const struct iface *f, const struct rte_ether_addr *dst) {
    return rte_is_same_ether_addr(dst, &f->mac) || rte_is_multicast_ether_addr(dst);
}

static void input_one(struct net *n, uint8_t iface, struct rte_mbuf *m) {
    const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
    if (m->data_len < sizeof(*eth)) {
        net_drop(n, TGW_R_eth_short);
        return;
    }
    if (!for_us(&n->iface[iface], &eth->dst_addr)) {
        net_drop(n, TGW_R_eth_not_ours);
        return;
    }
    switch (rte_be_to_cpu_16(eth->ether_type)) {
    case RTE_ETHER_TYPE_IPV4:
        ip4_input(n, iface, m, sizeof(*eth));
        break;
    case RTE_ETHER_TYPE_ARP:
        arp_input(n, iface, m, sizeof(*eth));
        break;
    default:
        net_drop(n, TGW_R_eth_type_unknown);
        break;
    }
}

void net_input(struct net *n, uint64_t now_ns, uint8_t iface, struct rte_mbuf **m, uint16_t count) {
    n->now_ns = now_ns;
    for (uint16_t i = 0; i < count; i++)
        rte_prefetch0(rte_pktmbuf_mtod(m[i], void *));
    for (uint16_t i = 0; i < count; i++) {
        input_one(n, iface, m[i]);
        rte_pktmbuf_free(m[i]);
    }
}

static bool route_on(const struct net *n, uint8_t i, const struct ip_addr *dst, bool gateway,
                     struct net_route *out) {
    const struct net_iface_config *c = &n->iface[i].config;
    bool v4 = ip_addr_is4(dst);
    for (uint8_t k = 0; k < c->addr_count; k++) {
        if (ip_addr_is4(&c->addr[k].addr) != v4)
            continue;
        if (!gateway && !ip_prefix_has(&c->addr[k], dst))
            continue;
        *out = (struct net_route){i, c->port->mtu, c->addr[k].addr};
        return true;
    }
    return false;
}

bool net_route(const struct net *n, const struct ip_addr *dst, struct net_route *out) {
    if (!ip_addr_is4(dst))
        return false;
    for (uint8_t i = 0; i < n->config.iface_count; i++)
        if (route_on(n, i, dst, false, out))
            return true;
    for (uint8_t i = 0; i < n->config.iface_count; i++)
        if (n->iface[i].config.has_gateway4 && route_on(n, i, dst, true, out))
            return true;
    return false;
}

bool net_is_local(const struct net *n, const struct ip_addr *a) {
    return ip_addr_is4(a) && net_own4(n, a->b + 12);
}

struct rte_mbuf *net_tx_alloc(struct net *n) {
    struct rte_mbuf *m = rte_pktmbuf_alloc(n->config.pool);
    if (!m)
        net_drop(n, TGW_R_mbuf_exhausted);
    return m;
}

void net_output(struct net *n, uint64_t now_ns, struct rte_mbuf *m, const struct ip_addr *src,
                const struct ip_addr *dst, uint8_t ecn, uint8_t iface) {
    struct net_route route;
    uint8_t hop[4];
    n->now_ns = now_ns;
    uint16_t len = (uint16_t)(m->pkt_len + sizeof(struct rte_ipv4_hdr));
    if (iface >= n->config.iface_count && net_route(n, dst, &route))
        iface = route.iface;
    struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)rte_pktmbuf_prepend(m, sizeof(*ip));
    if (!ip || iface >= n->config.iface_count || !ip4_next_hop(n, iface, dst->b + 12, hop)) {
        net_drop(n, TGW_R_no_route);
        rte_pktmbuf_free(m);
        return;
    }
    *ip = (struct rte_ipv4_hdr){.version_ihl = RTE_IPV4_VHL_DEF,
                                .type_of_service = ecn,
                                .total_length = rte_cpu_to_be_16(len),
                                .packet_id = rte_cpu_to_be_16(n->ip_id++),
                                .fragment_offset = rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG),
                                .time_to_live = 64,
                                .next_proto_id = IPPROTO_TCP};
    memcpy(&ip->src_addr, src->b + 12, 4);
    memcpy(&ip->dst_addr, dst->b + 12, 4);
    struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)(ip + 1);
    if (n->iface[iface].config.port->offloads & PORT_TX_L4_CKSUM) {
        m->l2_len = sizeof(struct rte_ether_hdr);
        m->l3_len = sizeof(*ip);
        m->l4_len = (tcp->data_off >> 4) * 4u;
        m->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM;
        tcp->cksum = rte_ipv4_phdr_cksum(ip, m->ol_flags);
    } else {
        tcp->cksum = rte_ipv4_udptcp_cksum(ip, tcp);
    }
    ip->hdr_checksum = rte_ipv4_cksum(ip);
    neigh_output(n, iface, hop, m);
}

void net_send_ether(struct net *n, uint8_t iface, struct rte_mbuf *m,
                    const struct rte_ether_addr *dst, uint16_t type) {
    struct rte_ether_hdr *eth = (struct rte_ether_hdr *)rte_pktmbuf_prepend(m, sizeof(*eth));
    if (!eth) {
        net_drop(n, TGW_R_mbuf_exhausted);
        rte_pktmbuf_free(m);
        return;
    }
    eth->dst_addr = *dst;
    eth->src_addr = n->iface[iface].mac;
    eth->ether_type = rte_cpu_to_be_16(type);
    net_send_frame(n, iface, m);
}

static void flush_iface(struct net *n, struct iface *f) {
    uint16_t sent = port_tx(f->config.port, f->config.queue, f->tx, f->tx_count);
    for (uint16_t i = sent; i < f->tx_count; i++) {
        net_drop(n, TGW_R_tx_full);
        rte_pktmbuf_free(f->tx[i]);
    }
    f->tx_count = 0;
}

void net_send_frame(struct net *n, uint8_t iface, struct rte_mbuf *m) {
    struct iface *f = &n->iface[iface];
    f->tx[f->tx_count++] = m;
    if (f->tx_count == NET_TX_BURST)
        flush_iface(n, f);
}

void net_flush(struct net *n) {
    for (uint8_t i = 0; i < n->config.iface_count; i++)
        if (n->iface[i].tx_count)
            flush_iface(n, &n->iface[i]);
}

void net_tick(struct net *n, uint64_t now_ns) {
    n->now_ns = now_ns;
    neigh_tick(n);
}

uint64_t net_next_timer(const struct net *n) {
    uint64_t next = UINT64_MAX;
    for (uint32_t i = 0; i < NEIGH_SLOTS; i++)
        if (n->neigh[i].state != NEIGH_FREE && n->neigh[i].deadline_ns < next)
            next = n->neigh[i].deadline_ns;
    return next;
}

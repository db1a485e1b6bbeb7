#include "net/net.h"
#include "core/lines.h"
#include "net_priv.h"
#include <rte_prefetch.h>
#include <stdlib.h>

enum { PREFETCH_AHEAD = 4 };

/* splitmix64: jitter and IP ids, nothing an attacker gains by guessing. */
uint64_t net_random(struct net *n) {
    uint64_t z = n->random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void net_drop(struct net *n, struct rte_mbuf *m, enum tgw_reason why) {
    tgw_count_reason(n->counters, why);
    rte_pktmbuf_free(m);
}

/* A token bucket kept in ns of credit. */
bool net_icmp_allowed(struct net *n) {
    const uint64_t cost_ns = SECOND_NS / ICMP_REPLIES_PER_S, full_ns = cost_ns * ICMP_REPLIES_BURST;
    n->icmp_tokens_ns += n->now_ns - n->icmp_filled_ns;
    n->icmp_filled_ns = n->now_ns;
    if (n->icmp_tokens_ns > full_ns)
        n->icmp_tokens_ns = full_ns;
    if (n->icmp_tokens_ns < cost_ns)
        return false;
    n->icmp_tokens_ns -= cost_ns;
    return true;
}

/* RFC 4291 section 2.5.6 and appendix A: every IPv6 interface has one. */
static void add_link_local(struct iface *i) {
    const uint8_t *mac = i->port->mac;
    for (uint8_t k = 0; k < i->addr_count; k++) {
        if (ip6_is_link_local(&i->addr[k].addr))
            return;
    }
    assert(i->addr_count < IFACE_ADDRS_MAX);
    i->addr[i->addr_count++] =
        (struct ip_prefix){.addr = {{0xfe, 0x80, 0, 0, 0, 0, 0, 0, mac[0] ^ 2, mac[1], mac[2], 0xff,
                                     0xfe, mac[3], mac[4], mac[5]}},
                           .len = 64};
}

static void iface_init(struct iface *i, uint8_t index, const struct net_iface_config *c) {
    assert(c->addr_count <= TGW_PORT_ADDRS_MAX && c->port);
    *i = (struct iface){.port = c->port,
                        .queue = c->queue,
                        .vlan = c->port->vlan,
                        .offloads = c->port->offloads,
                        .index = index,
                        .addr_count = c->addr_count,
                        .has_gateway4 = c->has_gateway4,
                        .has_gateway6 = c->has_gateway6,
                        .gateway4 = c->gateway4,
                        .gateway6 = c->gateway6,
                        .has_range = c->has_range,
                        .range = c->range};
    bool v6 = false;
    for (uint8_t k = 0; k < c->addr_count; k++) {
        i->addr[k] = c->addr[k];
        v6 = v6 || !ip_addr_is4(&c->addr[k].addr);
    }
    if (v6)
        add_link_local(i);
    fast4_init(i);
}

static void announce(struct net *n, uint64_t now_ns) {
    n->now_ns = now_ns;
    for (uint8_t k = 0; k < n->iface_count; k++) {
        struct iface *i = &n->iface[k];
        for (uint8_t a = 0; a < i->addr_count; a++) {
            if (ip_addr_is4(&i->addr[a].addr))
                arp_announce(n, i, &i->addr[a].addr);
            else
                ndp_announce(n, i, &i->addr[a].addr);
        }
    }
    net_flush(n);
}

void net_link_returned(struct net *n, uint64_t now_ns) {
    announce(n, now_ns);
    neigh_doubt_all(n);
}

struct net *net_create(const struct net_config *c, const struct net_ops *up, void *up_ctx,
                       uint64_t now_ns) {
    assert(c->iface_count <= TGW_PORTS_MAX && c->pool && c->counters && up->tcp_segment);
    struct net *n = lines_zalloc(1, sizeof(*n));
    if (!n)
        return NULL;
    n->neigh = neigh_create();
    if (!n->neigh) {
        free(n);
        return NULL;
    }
    n->now_ns = n->icmp_filled_ns = now_ns;
    n->icmp_tokens_ns = SECOND_NS / ICMP_REPLIES_PER_S * ICMP_REPLIES_BURST;
    n->up = *up;
    n->up_ctx = up_ctx;
    n->counters = c->counters;
    n->pool = c->pool;
    n->random = c->seed;
    n->iface_count = c->iface_count;
    for (uint8_t k = 0; k < c->iface_count; k++)
        iface_init(&n->iface[k], k, &c->iface[k]);
    announce(n, now_ns);
    return n;
}

void net_ignore_segment(void *ctx, const struct seg *s, struct rte_mbuf *m) {
    (void)ctx;
    (void)s;
    (void)m;
}

void net_destroy(struct net *n) {
    if (!n)
        return;
    for (uint8_t k = 0; k < n->iface_count; k++)
        rte_pktmbuf_free_bulk(n->iface[k].tx, n->iface[k].tx_count);
    neigh_destroy(n->neigh);
    free(n);
}

void net_bind(struct net *n, void *up_ctx) {
    n->up_ctx = up_ctx;
}

static void input_one(struct net *n, struct iface *in, struct rte_mbuf *m) {
    struct rx rx = {.in = in, .m = m};
    enum tgw_reason why;
    if (!fast4_input(n, &rx, &why))
        why = eth_input(n, &rx);
    if (why)
        tgw_count_reason(n->counters, why);
    if (rx.m)
        rte_pktmbuf_free(rx.m);
}

void net_input(struct net *n, uint64_t now_ns, uint8_t iface, struct rte_mbuf **m, uint16_t count) {
    assert(iface < n->iface_count);
    n->now_ns = now_ns;
    for (uint16_t k = 0; k < count && k < PREFETCH_AHEAD; k++)
        rte_prefetch0(rte_pktmbuf_mtod(m[k], const void *));
    for (uint16_t k = 0; k < count; k++) {
        if (k + PREFETCH_AHEAD < count)
            rte_prefetch0(rte_pktmbuf_mtod(m[k + PREFETCH_AHEAD], const void *));
        input_one(n, &n->iface[iface], m[k]);
    }
    seg_burst_end(n);
}

void net_tick(struct net *n, uint64_t now_ns) {
    n->now_ns = now_ns;
    neigh_tick(n);
    probe_tick(n);
}

uint64_t net_next_timer(const struct net *n) {
    return neigh_next_timer(n->neigh);
}

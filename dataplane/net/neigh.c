/* ARP (RFC 826) and the neighbour cache. An entry is learnt from an answer we asked
 * for or from a request to us, is confirmed again while it is used, and holds a few
 * packets while it resolves. */
#include "net_priv.h"
#include <rte_arp.h>

static const uint64_t REACHABLE_NS = UINT64_C(30000000000);
static const uint64_t PROBE_NS = UINT64_C(1000000000);

static uint32_t slot_of(const struct net *n, const uint8_t ip[4]) {
    uint32_t h;
    memcpy(&h, ip, sizeof(h));
    h = (h ^ (uint32_t)n->config.seed) * UINT32_C(0x9e3779b1);
    return h >> 22;
}

static struct neigh *find(struct net *n, uint8_t iface, const uint8_t ip[4]) {
    uint32_t start = slot_of(n, ip);
    for (uint32_t i = 0; i < 8; i++) {
        struct neigh *e = &n->neigh[(start + i) % NEIGH_SLOTS];
        if (e->state != NEIGH_FREE && e->iface == iface && memcmp(e->ip, ip, 4) == 0)
            return e;
    }
    return NULL;
}

static void forget(struct net *n, struct neigh *e) {
    for (uint8_t i = 0; i < e->waiting; i++) {
        rte_pktmbuf_free(e->queue[i]);
        net_drop(n, TGW_R_neigh_unresolved);
    }
    *e = (struct neigh){0};
}

/* A free slot in the run of 8, else the one whose deadline is nearest. */
static struct neigh *make(struct net *n, uint8_t iface, const uint8_t ip[4]) {
    uint32_t start = slot_of(n, ip);
    struct neigh *victim = NULL;
    for (uint32_t i = 0; i < 8; i++) {
        struct neigh *e = &n->neigh[(start + i) % NEIGH_SLOTS];
        if (e->state == NEIGH_FREE) {
            victim = e;
            break;
        }
        if (!victim || e->deadline_ns < victim->deadline_ns)
            victim = e;
    }
    if (victim->state != NEIGH_FREE)
        forget(n, victim);
    *victim = (struct neigh){.iface = iface, .state = NEIGH_INCOMPLETE};
    memcpy(victim->ip, ip, 4);
    return victim;
}

static void send_arp(struct net *n, uint8_t iface, uint16_t op, const struct rte_ether_addr *to,
                     const uint8_t target[4], const uint8_t own[4]) {
    struct rte_mbuf *m = net_tx_alloc(n);
    if (!m)
        return;
    struct rte_arp_hdr *a = (struct rte_arp_hdr *)rte_pktmbuf_append(m, sizeof(*a));
    *a = (struct rte_arp_hdr){.arp_hardware = rte_cpu_to_be_16(RTE_ARP_HRD_ETHER),
                              .arp_protocol = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4),
                              .arp_hlen = RTE_ETHER_ADDR_LEN,
                              .arp_plen = 4,
                              .arp_opcode = rte_cpu_to_be_16(op)};
    a->arp_data.arp_sha = n->iface[iface].mac;
    memcpy(&a->arp_data.arp_sip, own, 4);
    if (op == RTE_ARP_OP_REPLY)
        a->arp_data.arp_tha = *to;
    memcpy(&a->arp_data.arp_tip, target, 4);
    tgw_count(n->counters, op == RTE_ARP_OP_REPLY ? TGW_C_arp_replies_out : TGW_C_arp_requests_out,
              1);
    net_send_ether(n, iface, m, to, RTE_ETHER_TYPE_ARP);
}

/* Our address on the interface that shares a prefix with `ip`, else its first. */
static const uint8_t *own_for(const struct net *n, uint8_t iface, const uint8_t ip[4]) {
    const struct net_iface_config *c = &n->iface[iface].config;
    struct ip_addr a = ip_addr_from4(ip);
    const uint8_t *first = NULL;
    for (uint8_t i = 0; i < c->addr_count; i++) {
        if (!ip_addr_is4(&c->addr[i].addr))
            continue;
        if (ip_prefix_has(&c->addr[i], &a))
            return c->addr[i].addr.b + 12;
        if (!first)
            first = c->addr[i].addr.b + 12;
    }
    return first;
}

static void probe(struct net *n, struct neigh *e) {
    static const struct rte_ether_addr all = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    const uint8_t *own = own_for(n, e->iface, e->ip);
    e->probes++;
    e->deadline_ns = n->now_ns + PROBE_NS;
    if (own)
        send_arp(n, e->iface, RTE_ARP_OP_REQUEST, e->state == NEIGH_PROBE ? &e->mac : &all, e->ip,
                 own);
}

static void confirm(struct net *n, struct neigh *e, const struct rte_ether_addr *mac) {
    uint8_t waiting = e->waiting;
    e->mac = *mac;
    e->state = NEIGH_REACHABLE;
    e->probes = 0;
    e->used = false;
    e->waiting = 0;
    e->deadline_ns = n->now_ns + REACHABLE_NS;
    for (uint8_t i = 0; i < waiting; i++)
        net_send_ether(n, e->iface, e->queue[i], &e->mac, RTE_ETHER_TYPE_IPV4);
}

void arp_input(struct net *n, uint8_t iface, struct rte_mbuf *m, uint32_t at) {
    const struct rte_arp_hdr *a = rte_pktmbuf_mtod_offset(m, const struct rte_arp_hdr *, at);
    if (m->data_len < at + sizeof(*a) || a->arp_hardware != rte_cpu_to_be_16(RTE_ARP_HRD_ETHER) ||
        a->arp_protocol != rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4) ||
        a->arp_hlen != RTE_ETHER_ADDR_LEN || a->arp_plen != 4 ||
        rte_is_multicast_ether_addr(&a->arp_data.arp_sha)) {
        net_drop(n, TGW_R_arp_malformed);
        return;
    }
    uint8_t sender[4], target[4], hop[4];
    memcpy(sender, &a->arp_data.arp_sip, 4);
    memcpy(target, &a->arp_data.arp_tip, 4);
    struct rte_ether_addr mac = a->arp_data.arp_sha;
    if (!net_own4(n, target) || net_own4(n, sender)) {
        net_drop(n, TGW_R_arp_not_ours);
        return;
    }
    bool request = a->arp_opcode == rte_cpu_to_be_16(RTE_ARP_OP_REQUEST);
    struct neigh *e = find(n, iface, sender);
    /* Learn only who is on this link: a stranger must not become our gateway. */
    if (!e && request && ip4_next_hop(n, iface, sender, hop) && memcmp(hop, sender, 4) == 0)
        e = make(n, iface, sender);
    if (e)
        confirm(n, e, &mac);
    if (request)
        send_arp(n, iface, RTE_ARP_OP_REPLY, &mac, sender, target);
}

void neigh_output(struct net *n, uint8_t iface, const uint8_t next_hop[4], struct rte_mbuf *m) {
    struct neigh *e = find(n, iface, next_hop);
    if (e && e->state != NEIGH_INCOMPLETE) {
        e->used = true;
        net_send_ether(n, iface, m, &e->mac, RTE_ETHER_TYPE_IPV4);
        return;
    }
    if (!e) {
        e = make(n, iface, next_hop);
        probe(n, e);
    }
    if (e->waiting < NEIGH_WAITING_MAX) {
        e->queue[e->waiting++] = m;
        return;
    }
    net_drop(n, TGW_R_neigh_unresolved);
    rte_pktmbuf_free(m);
}

void neigh_tick(struct net *n) {
    for (uint32_t i = 0; i < NEIGH_SLOTS; i++) {
        struct neigh *e = &n->neigh[i];
        if (e->state == NEIGH_FREE || n->now_ns < e->deadline_ns)
            continue;
        if (e->probes >= NEIGH_PROBES_MAX || (e->state == NEIGH_REACHABLE && !e->used)) {
            forget(n, e);
            continue;
        }
        if (e->state == NEIGH_REACHABLE)
            e->state = NEIGH_PROBE;
        probe(n, e);
    }
}

/* Gratuitous ARP (RFC 5227 section 3): a switch or peer with an old entry learns ours. */
void neigh_announce(struct net *n, uint8_t iface) {
    static const struct rte_ether_addr all = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    const struct net_iface_config *c = &n->iface[iface].config;
    for (uint8_t i = 0; i < c->addr_count; i++)
        if (ip_addr_is4(&c->addr[i].addr))
            send_arp(n, iface, RTE_ARP_OP_REQUEST, &all, c->addr[i].addr.b + 12,
                     c->addr[i].addr.b + 12);
}

void neigh_clear(struct net *n) {
    for (uint32_t i = 0; i < NEIGH_SLOTS; i++)
        if (n->neigh[i].state != NEIGH_FREE)
            forget(n, &n->neigh[i]);
}

/* ARP for IPv4 over Ethernet (RFC 826, RFC 5227). */
#include "net_priv.h"

enum { ARP_REQUEST = 1, ARP_REPLY = 2 };

struct arp {
    uint8_t htype[2], ptype[2], hlen, plen, op[2];
    uint8_t sha[6], spa[4], tha[6], tpa[4];
};
_Static_assert(sizeof(struct arp) == 28, "RFC 826 packet for Ethernet and IPv4");

static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static void arp_send(struct net *n, struct iface *out, uint16_t op, const struct arp *body,
                     const uint8_t *to) {
    struct rte_mbuf *m = net_tx_alloc(n);
    if (!m)
        return;
    struct arp *a = (struct arp *)rte_pktmbuf_append(m, sizeof(*a));
    if (!a) {
        net_drop(n, m, TGW_R_mbuf_exhausted);
        return;
    }
    *a = *body;
    put16(a->htype, 1);
    put16(a->ptype, RTE_ETHER_TYPE_IPV4);
    a->hlen = 6;
    a->plen = 4;
    put16(a->op, op);
    memcpy(a->sha, out->port->mac, 6);
    tgw_count(n->counters, op == ARP_REQUEST ? TGW_C_arp_requests_out : TGW_C_arp_replies_out, 1);
    eth_send(n, out, m, to, RTE_ETHER_TYPE_ARP);
}

void arp_request(struct net *n, struct iface *out, const struct ip_addr *target,
                 const uint8_t *mac) {
    struct arp body = {0};
    const struct ip_addr *src = iface_source(out, target);
    if (!src)
        return;
    memcpy(body.spa, src->b + 12, 4);
    memcpy(body.tpa, target->b + 12, 4);
    arp_send(n, out, ARP_REQUEST, &body, mac ? mac : broadcast);
}

/* RFC 5227 section 3: an announcement is a request for our own address. */
void arp_announce(struct net *n, struct iface *out, const struct ip_addr *own) {
    struct arp body = {0};
    memcpy(body.spa, own->b + 12, 4);
    memcpy(body.tpa, own->b + 12, 4);
    arp_send(n, out, ARP_REQUEST, &body, broadcast);
}

static bool arp_is_well_formed(const struct arp *a, const struct rx *rx) {
    uint16_t op = get16(a->op);
    return get16(a->htype) == 1 && get16(a->ptype) == RTE_ETHER_TYPE_IPV4 && a->hlen == 6 &&
           a->plen == 4 && (op == ARP_REQUEST || op == ARP_REPLY) && !(a->sha[0] & 1) &&
           memcmp(a->sha, rx->src_mac, 6) == 0;
}

static enum tgw_reason arp_answer(struct net *n, struct rx *rx, const struct arp *a,
                                  const struct ip_addr *sender) {
    struct arp body = {0};
    memcpy(body.spa, a->tpa, 4);
    memcpy(body.tha, a->sha, 6);
    memcpy(body.tpa, a->spa, 4);
    arp_send(n, rx->in, ARP_REPLY, &body, a->sha);
    /* A probe (RFC 5227) has no sender address: answered, not learned. */
    if (!ip_addr_eq(sender, &(struct ip_addr){{[10] = 0xff, [11] = 0xff}}))
        neigh_learn(n, rx->in, sender, a->sha);
    return TGW_OK;
}

enum tgw_reason arp_input(struct net *n, struct rx *rx) {
    if (rx->len < sizeof(struct arp))
        return TGW_R_arp_malformed;
    const struct arp *a = (const struct arp *)rx->p;
    if (!arp_is_well_formed(a, rx))
        return TGW_R_arp_malformed;
    struct ip_addr sender = ip_addr_from4(a->spa), target = ip_addr_from4(a->tpa);
    bool probe = get32(a->spa) == 0;
    if (!probe && !source_is_valid(n, rx->in, &sender))
        return TGW_R_ip_source_invalid;
    if (get16(a->op) == ARP_REPLY) {
        /* Multicast replies are announcements. */
        neigh_answer(n, rx->in, &sender, a->sha, rx->unicast, true);
        return TGW_OK;
    }
    if (ip_addr_eq(&sender, &target)) {
        neigh_answer(n, rx->in, &sender, a->sha, false, true);
        return TGW_OK;
    }
    if (!iface_is_own(rx->in, &target))
        return TGW_R_arp_not_ours;
    return arp_answer(n, rx, a, &sender);
}

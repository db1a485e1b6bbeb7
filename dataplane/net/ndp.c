/* Neighbour discovery for hosts (RFC 4861 sections 4.3, 4.4, 7). Addresses are
 * configured, so router advertisements are not listened to. */
#include "net_priv.h"

enum {
    NDP_SOLICIT = 135,
    NDP_ADVERT = 136,
    NDP_BYTES = 24, /* header and target */
    OPT_SOURCE_MAC = 1,
    OPT_TARGET_MAC = 2,
    OPT_MAC_BYTES = 8,
    FLAG_SOLICITED = 0x40,
    FLAG_OVERRIDE = 0x20,
};

static const struct ip_addr all_nodes = {{0xff, 0x02, [15] = 1}};

static struct ip_addr solicited_node(const struct ip_addr *target) {
    struct ip_addr a = {{0xff, 0x02, [11] = 1, [12] = 0xff}};
    memcpy(a.b + 13, target->b + 13, 3);
    return a;
}

/* RFC 2464 section 7. */
static void multicast_mac(const struct ip_addr *group, uint8_t mac[6]) {
    mac[0] = mac[1] = 0x33;
    memcpy(mac + 2, group->b + 12, 4);
}

struct ndp_message {
    uint8_t type, flags, option;
    const struct ip_addr *target, *src, *dst;
    const uint8_t *mac; /* Ethernet destination */
};

static void ndp_send(struct net *n, struct iface *out, const struct ndp_message *msg) {
    enum { BYTES = NDP_BYTES + OPT_MAC_BYTES };
    struct rte_mbuf *m = net_tx_alloc(n);
    if (!m)
        return;
    uint8_t *p = (uint8_t *)rte_pktmbuf_append(m, BYTES);
    if (!p) {
        net_drop(n, m, TGW_R_mbuf_exhausted);
        return;
    }
    memset(p, 0, BYTES);
    p[0] = msg->type;
    p[4] = msg->flags;
    memcpy(p + 8, msg->target->b, 16);
    p[NDP_BYTES] = msg->option;
    p[NDP_BYTES + 1] = 1; /* in units of 8 bytes */
    memcpy(p + NDP_BYTES + 2, out->port->mac, 6);
    put16(p + 2, rte_be_to_cpu_16(icmp6_checksum(msg->src, msg->dst, p, BYTES)));
    if (!ip6_push(m, msg->src, msg->dst, PROTO_ICMP6, NDP_HOP_LIMIT, 0))
        net_drop(n, m, TGW_R_mbuf_exhausted);
    else
        eth_send(n, out, m, msg->mac, RTE_ETHER_TYPE_IPV6);
}

void ndp_solicit(struct net *n, struct iface *out, const struct ip_addr *target,
                 const uint8_t *mac) {
    uint8_t group_mac[6];
    struct ip_addr group = solicited_node(target);
    const struct ip_addr *src = iface_source(out, target);
    if (!src)
        return;
    multicast_mac(&group, group_mac);
    ndp_send(n, out,
             &(struct ndp_message){.type = NDP_SOLICIT,
                                   .option = OPT_SOURCE_MAC,
                                   .target = target,
                                   .src = src,
                                   .dst = mac ? target : &group,
                                   .mac = mac ? mac : group_mac});
}

static void advertise(struct net *n, struct iface *out, const struct ip_addr *own,
                      const struct ip_addr *dst, const uint8_t *mac, uint8_t flags) {
    ndp_send(n, out,
             &(struct ndp_message){.type = NDP_ADVERT,
                                   .flags = flags,
                                   .option = OPT_TARGET_MAC,
                                   .target = own,
                                   .src = own,
                                   .dst = dst,
                                   .mac = mac});
}

void ndp_announce(struct net *n, struct iface *out, const struct ip_addr *own) {
    uint8_t mac[6];
    multicast_mac(&all_nodes, mac);
    advertise(n, out, own, &all_nodes, mac, FLAG_OVERRIDE);
}

/* Finds the link-layer option `want`; false when the options are not well formed. */
static bool find_mac(const uint8_t *p, uint32_t len, uint8_t want, const uint8_t **mac) {
    *mac = NULL;
    while (len > 0) {
        if (len < 8 || p[1] == 0 || p[1] * 8u > len)
            return false;
        if (p[0] == want && p[1] == 1)
            *mac = p + 2;
        len -= p[1] * 8u;
        p += p[1] * 8u;
    }
    return !*mac || !((*mac)[0] & 1);
}

static enum tgw_reason solicitation(struct net *n, struct rx *rx, const struct ip_addr *target,
                                    const uint8_t *mac) {
    uint8_t group_mac[6];
    struct ip_addr group = solicited_node(target);
    bool dad = ip_addr_is_unspecified(&rx->src);
    if (dad && (mac || !ip_addr_eq(&rx->dst, &group)))
        return TGW_R_ndp_malformed;
    if (!iface_is_own(rx->in, target))
        return TGW_R_arp_not_ours;
    if (dad) {
        multicast_mac(&all_nodes, group_mac);
        advertise(n, rx->in, target, &all_nodes, group_mac, FLAG_OVERRIDE);
        return TGW_OK;
    }
    if (mac)
        neigh_learn(n, rx->in, &rx->src, mac);
    advertise(n, rx->in, target, &rx->src, mac ? mac : rx->src_mac, FLAG_SOLICITED | FLAG_OVERRIDE);
    return TGW_OK;
}

static enum tgw_reason advertisement(struct net *n, struct rx *rx, const struct ip_addr *target,
                                     const uint8_t *mac) {
    bool solicited = rx->p[4] & FLAG_SOLICITED;
    if (solicited && ip6_is_multicast(&rx->dst))
        return TGW_R_ndp_malformed;
    /* An answer to a unicast probe may leave its MAC out (RFC 4861 section 4.4). */
    neigh_answer(n, rx->in, target, mac ? mac : rx->src_mac, solicited, rx->p[4] & FLAG_OVERRIDE);
    return TGW_OK;
}

enum tgw_reason ndp_input(struct net *n, struct rx *rx) {
    struct ip_addr target;
    const uint8_t *mac;
    bool solicit = rx->p[0] == NDP_SOLICIT;
    if (rx->len < NDP_BYTES || rx->hop_limit != NDP_HOP_LIMIT || rx->p[1] != 0)
        return TGW_R_ndp_malformed;
    memcpy(target.b, rx->p + 8, 16);
    if (ip6_is_multicast(&target) || ip_addr_is4(&target) ||
        !find_mac(rx->p + NDP_BYTES, rx->len - NDP_BYTES, solicit ? OPT_SOURCE_MAC : OPT_TARGET_MAC,
                  &mac))
        return TGW_R_ndp_malformed;
    return solicit ? solicitation(n, rx, &target, mac) : advertisement(n, rx, &target, mac);
}

/* Ethernet II and IEEE 802.1Q priority tags. */
#include "net_priv.h"

enum { VLAN_TAG_BYTES = 4, VLAN_ID_MASK = 0x0fff };

/* A tagged interface takes its own tag alone; an untagged one takes frames without, and
 * priority-tagged ones (VLAN 0), which belong to the untagged network. */
static enum tgw_reason strip_vlan(struct rx *rx, uint16_t *type) {
    uint16_t id = 0;
    if (rx->m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED)
        id = rx->m->vlan_tci & VLAN_ID_MASK;
    if (*type == RTE_ETHER_TYPE_VLAN) {
        if (rx->len < VLAN_TAG_BYTES)
            return TGW_R_eth_short;
        if (id) /* two tags */
            return TGW_R_eth_vlan;
        id = get16(rx->p) & VLAN_ID_MASK;
        *type = get16(rx->p + 2);
        rx->p += VLAN_TAG_BYTES;
        rx->len -= VLAN_TAG_BYTES;
    }
    return id == rx->in->vlan ? TGW_OK : TGW_R_eth_vlan;
}

static bool is_for_us(struct rx *rx, const uint8_t *dst, uint16_t type) {
    rx->unicast = mac_eq(dst, rx->in->port->mac);
    if (rx->unicast)
        return true;
    if (type == RTE_ETHER_TYPE_IPV6)
        return dst[0] == 0x33 && dst[1] == 0x33; /* RFC 2464 section 7 */
    return type == RTE_ETHER_TYPE_ARP && (dst[0] & 1);
}

enum tgw_reason eth_input(struct net *n, struct rx *rx) {
    if (rx->m->nb_segs > 1 && rte_pktmbuf_linearize(rx->m) != 0)
        return TGW_R_mbuf_exhausted;
    rx->p = rte_pktmbuf_mtod(rx->m, const uint8_t *);
    rx->len = rx->m->data_len;
    if (rx->len < RTE_ETHER_HDR_LEN)
        return TGW_R_eth_short;
    const uint8_t *dst = rx->p;
    memcpy(rx->src_mac, rx->p + 6, 6);
    uint16_t type = get16(rx->p + 12);
    rx->p += RTE_ETHER_HDR_LEN;
    rx->len -= RTE_ETHER_HDR_LEN;
    enum tgw_reason why = strip_vlan(rx, &type);
    if (why)
        return why;
    if (rx->src_mac[0] & 1) /* a group address sends nothing */
        return TGW_R_eth_not_ours;
    if (type != RTE_ETHER_TYPE_ARP && type != RTE_ETHER_TYPE_IPV4 && type != RTE_ETHER_TYPE_IPV6)
        return TGW_R_eth_type_unknown;
    if (!is_for_us(rx, dst, type))
        return TGW_R_eth_not_ours;
    if (type == RTE_ETHER_TYPE_ARP)
        return arp_input(n, rx);
    return type == RTE_ETHER_TYPE_IPV4 ? ip4_input(n, rx) : ip6_input(n, rx);
}

/* The port puts the tag in, or it stands behind the addresses already. */
static uint16_t tag_bytes(const struct iface *out, struct rte_mbuf *m) {
    if (!out->vlan)
        return 0;
    if (!(out->offloads & PORT_TX_VLAN))
        return VLAN_TAG_BYTES;
    m->ol_flags |= RTE_MBUF_F_TX_VLAN;
    m->vlan_tci = out->vlan;
    return 0;
}

void eth_send(struct net *n, struct iface *out, struct rte_mbuf *m, const uint8_t mac[6],
              uint16_t type) {
    uint16_t tag = tag_bytes(out, m);
    uint8_t *h = (uint8_t *)rte_pktmbuf_prepend(m, (uint16_t)(RTE_ETHER_HDR_LEN + tag));
    if (!h) {
        net_drop(n, m, TGW_R_mbuf_exhausted);
        return;
    }
    memcpy(h, mac, 6);
    memcpy(h + 6, out->port->mac, 6);
    if (tag) {
        put16(h + 12, RTE_ETHER_TYPE_VLAN);
        put16(h + 14, out->vlan);
    }
    put16(h + 12 + tag, type);
    m->l2_len = tag ? RTE_ETHER_HDR_LEN + VLAN_TAG_BYTES : RTE_ETHER_HDR_LEN;
    iface_send(n, out, m);
}

void iface_send(struct net *n, struct iface *out, struct rte_mbuf *m) {
    out->tx[out->tx_count++] = m;
    if (out->tx_count == TX_BURST_MAX)
        iface_flush(n, out);
}

void iface_flush(struct net *n, struct iface *out) {
    uint16_t sent = 0;
    /* A second try: a full ring often frees descriptors on the first. */
    for (int attempt = 0; attempt < 2 && sent < out->tx_count; attempt++)
        sent = (uint16_t)(sent + port_tx(out->port, out->queue, out->tx + sent,
                                         (uint16_t)(out->tx_count - sent)));
    for (; sent < out->tx_count; sent++)
        net_drop(n, out->tx[sent], TGW_R_tx_full);
    out->tx_count = 0;
}

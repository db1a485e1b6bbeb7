/* Ethernet II and IEEE 802.1Q priority tags. */
#include "net_priv.h"

enum { VLAN_TAG_BYTES = 4, VLAN_ID_MASK = 0x0fff };

/* Priority-tagged frames (VLAN 0) belong to the untagged network; others are not ours. */
static enum tgw_reason strip_vlan(struct rx *rx, uint16_t *type) {
    if ((rx->m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) && (rx->m->vlan_tci & VLAN_ID_MASK))
        return TGW_R_eth_vlan;
    if (*type != RTE_ETHER_TYPE_VLAN)
        return TGW_OK;
    if (rx->len < VLAN_TAG_BYTES)
        return TGW_R_eth_short;
    if (get16(rx->p) & VLAN_ID_MASK)
        return TGW_R_eth_vlan;
    *type = get16(rx->p + 2);
    rx->p += VLAN_TAG_BYTES;
    rx->len -= VLAN_TAG_BYTES;
    return TGW_OK;
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

void eth_send(struct net *n, struct iface *out, struct rte_mbuf *m, const uint8_t mac[6],
              uint16_t type) {
    uint8_t *h = (uint8_t *)rte_pktmbuf_prepend(m, RTE_ETHER_HDR_LEN);
    if (!h) {
        net_drop(n, m, TGW_R_mbuf_exhausted);
        return;
    }
    memcpy(h, mac, 6);
    memcpy(h + 6, out->port->mac, 6);
    put16(h + 12, type);
    m->l2_len = RTE_ETHER_HDR_LEN;
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

#include "negotiate.h"

enum { KEY_BYTES_USUAL = 40 };

static const struct {
    uint64_t rx, tx;
    uint32_t ours;
} rows[] = {
    {RTE_ETH_RX_OFFLOAD_IPV4_CKSUM, 0, PORT_RX_IP_CKSUM},
    {RTE_ETH_RX_OFFLOAD_TCP_CKSUM, 0, PORT_RX_L4_CKSUM},
    {0, RTE_ETH_TX_OFFLOAD_IPV4_CKSUM, PORT_TX_IP_CKSUM},
    {0, RTE_ETH_TX_OFFLOAD_TCP_CKSUM, PORT_TX_L4_CKSUM},
    /* What is to be cut is a chain of buffers. */
    {0, RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_MULTI_SEGS,
     PORT_TX_TSO},
    {0, RTE_ETH_TX_OFFLOAD_MULTI_SEGS, 0},
};
static const struct {
    uint64_t rx, tx;
    uint32_t ours;
} vlan_rows[] = {
    {RTE_ETH_RX_OFFLOAD_VLAN_STRIP, 0, PORT_RX_VLAN},
    {0, RTE_ETH_TX_OFFLOAD_VLAN_INSERT, PORT_TX_VLAN},
};

static void take(struct negotiated *out, const struct rte_eth_dev_info *info, uint64_t rx,
                 uint64_t tx, uint32_t ours) {
    if ((rx & ~info->rx_offload_capa) || (tx & ~info->tx_offload_capa))
        return;
    out->conf.rxmode.offloads |= rx;
    out->conf.txmode.offloads |= tx;
    out->offloads |= ours;
}

/* A hash is of use only if it is ours to compute: the key must fit, and both directions of
 * a connection must give the same. */
static void take_rss(struct negotiated *out, const struct rte_eth_dev_info *info,
                     struct port_rss *rss) {
    uint64_t types = info->flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP);
    uint8_t key_bytes = info->hash_key_size ? info->hash_key_size : KEY_BYTES_USUAL;
    if (out->queues < 2 || !types || key_bytes > RSS_KEY_MAX)
        return;
    rss->key_bytes = key_bytes;
    rss_symmetric_key(rss->key, key_bytes);
    rss->ports4 = types & RTE_ETH_RSS_NONFRAG_IPV4_TCP;
    rss->ports6 = types & RTE_ETH_RSS_NONFRAG_IPV6_TCP;
    out->conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    out->conf.rx_adv_conf.rss_conf =
        (struct rte_eth_rss_conf){.rss_key = rss->key, .rss_key_len = key_bytes, .rss_hf = types};
    out->offloads |= PORT_RSS;
}

void negotiate(const struct port_config *c, const struct rte_eth_dev_info *info,
               struct port_rss *rss, struct negotiated *out) {
    uint16_t most =
        info->max_rx_queues < info->max_tx_queues ? info->max_rx_queues : info->max_tx_queues;
    *out = (struct negotiated){.queues = c->queues < most ? c->queues : most};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        take(out, info, rows[i].rx, rows[i].tx, rows[i].ours);
    for (size_t i = 0; c->vlan && i < sizeof(vlan_rows) / sizeof(vlan_rows[0]); i++)
        take(out, info, vlan_rows[i].rx, vlan_rows[i].tx, vlan_rows[i].ours);
    take_rss(out, info, rss);
    out->linearise = !(out->conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_MULTI_SEGS);
}

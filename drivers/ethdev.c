#include "ethdev.h"
#include <errno.h>
#include <net/if.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { DESC_DEFAULT = 1024, MTU_MIN = 576, FRAME_OVERHEAD = 18 };

struct ethdev_port {
    struct port port;
    uint16_t id;
    bool prepares;  /* tx offloads are on: rte_eth_tx_prepare has a say */
    bool linearise; /* no scatter in transmission */
};

static uint16_t rx_burst(struct port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n) {
    return rte_eth_rx_burst(((struct ethdev_port *)p)->id, queue, m, n);
}

/* Packets that could not be made one piece are left to the caller. */
static uint16_t linearised(struct rte_mbuf **m, uint16_t n) {
    for (uint16_t i = 0; i < n; i++)
        if (m[i]->nb_segs > 1 && rte_pktmbuf_linearize(m[i]) != 0)
            return i;
    return n;
}

static uint16_t tx_burst(struct port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n) {
    struct ethdev_port *e = (struct ethdev_port *)p;
    if (e->linearise)
        n = linearised(m, n);
    if (e->prepares)
        n = rte_eth_tx_prepare(e->id, queue, m, n);
    return rte_eth_tx_burst(e->id, queue, m, n);
}

static void stats(struct port *p, struct port_stats *out) {
    struct rte_eth_stats s;
    if (rte_eth_stats_get(((struct ethdev_port *)p)->id, &s) != 0)
        return;
    *out = (struct port_stats){s.ipackets, s.opackets, s.ibytes,  s.obytes,
                               s.imissed,  s.ierrors,  s.oerrors, s.rx_nombuf};
}

static void link_state(struct port *p, struct port_link *out) {
    struct rte_eth_link l;
    if (rte_eth_link_get_nowait(((struct ethdev_port *)p)->id, &l) != 0)
        return;
    out->up = l.link_status == RTE_ETH_LINK_UP;
    out->mbps = l.link_speed == RTE_ETH_SPEED_NUM_UNKNOWN ? 0 : l.link_speed;
}

static void close_port(struct port *p) {
    struct ethdev_port *e = (struct ethdev_port *)p;
    struct rte_eth_dev_info info;
    bool known = rte_eth_dev_info_get(e->id, &info) == 0;
    rte_eth_dev_stop(e->id);
    rte_eth_dev_close(e->id);
    if (known && info.device)
        rte_dev_remove(info.device);
    free(e);
}

static const struct port_ops ethdev_ops = {rx_burst, tx_burst, stats, link_state, close_port};

static bool fail(char *err, size_t bytes, const struct port_config *c, const char *what, int rc) {
    snprintf(err, bytes, "%s (%s %s): %s: %s", c->name, c->driver, c->device, what,
             rte_strerror(rc < 0 ? -rc : rc));
    return false;
}

/* What the device says it can do, taken as far as we use it. */
static void negotiate(struct rte_eth_conf *conf, const struct rte_eth_dev_info *info,
                      uint32_t *offloads, uint16_t queues) {
    const struct {
        uint64_t rx, tx;
        uint32_t ours;
    } rows[] = {
        {RTE_ETH_RX_OFFLOAD_IPV4_CKSUM, 0, PORT_RX_IP_CKSUM},
        {RTE_ETH_RX_OFFLOAD_TCP_CKSUM, 0, PORT_RX_L4_CKSUM},
        {0, RTE_ETH_TX_OFFLOAD_IPV4_CKSUM, PORT_TX_IP_CKSUM},
        {0, RTE_ETH_TX_OFFLOAD_TCP_CKSUM, PORT_TX_L4_CKSUM},
        {0,
         RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_MULTI_SEGS,
         PORT_TX_TSO},
        {0, RTE_ETH_TX_OFFLOAD_MULTI_SEGS, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if ((rows[i].rx & ~info->rx_offload_capa) || (rows[i].tx & ~info->tx_offload_capa))
            continue;
        conf->rxmode.offloads |= rows[i].rx;
        conf->txmode.offloads |= rows[i].tx;
        *offloads |= rows[i].ours;
    }
    uint64_t rss = info->flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP);
    if (queues > 1 && rss) {
        conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
        conf->rx_adv_conf.rss_conf.rss_hf = rss;
        *offloads |= PORT_RSS;
    }
}

static int set_up_queues(const struct ethdev_port *e, const struct port_config *c,
                         struct rte_mempool *pool) {
    uint16_t rx = c->rx_desc ? c->rx_desc : DESC_DEFAULT;
    uint16_t tx = c->tx_desc ? c->tx_desc : DESC_DEFAULT;
    int rc = rte_eth_dev_adjust_nb_rx_tx_desc(e->id, &rx, &tx);
    for (uint16_t q = 0; rc == 0 && q < e->port.queues; q++) {
        rc = rte_eth_rx_queue_setup(e->id, q, rx, SOCKET_ID_ANY, NULL, pool);
        if (rc == 0)
            rc = rte_eth_tx_queue_setup(e->id, q, tx, SOCKET_ID_ANY, NULL);
    }
    return rc;
}

/* Of the kernel's device behind af_packet, af_xdp and tap, which the driver does not
 * report itself; 0: there is none of that name. */
static uint16_t kernel_mtu(const char *device) {
    struct ifreq request = {0};
    if (strlen(device) >= sizeof(request.ifr_name) || !if_nametoindex(device))
        return 0;
    memcpy(request.ifr_name, device, strlen(device));
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    int rc = ioctl(fd, SIOCGIFMTU, &request);
    close(fd);
    if (rc != 0 || request.ifr_mtu < MTU_MIN)
        return 0;
    return request.ifr_mtu > UINT16_MAX ? UINT16_MAX : (uint16_t)request.ifr_mtu;
}

/* The device's own, or less where the configuration or a packet buffer is smaller. */
static void set_mtu(struct ethdev_port *e, const struct port_config *c, struct rte_mempool *pool) {
    uint16_t room =
        (uint16_t)(rte_pktmbuf_data_room_size(pool) - RTE_PKTMBUF_HEADROOM - FRAME_OVERHEAD);
    if (c->mtu)
        (void)rte_eth_dev_set_mtu(e->id, c->mtu); /* where it fails, the device's own counts */
    uint16_t kernel = kernel_mtu(c->device);
    if (kernel)
        e->port.mtu = kernel;
    else if (rte_eth_dev_get_mtu(e->id, &e->port.mtu) != 0 || e->port.mtu < MTU_MIN)
        e->port.mtu = RTE_ETHER_MTU;
    if (c->mtu && c->mtu < e->port.mtu)
        e->port.mtu = c->mtu;
    if (room < e->port.mtu)
        e->port.mtu = room;
}

/* Multicast matters for neighbour discovery; not every device filters at all, and one
 * that cannot take groups alone takes everything (eth.c drops what is not ours). */
static void accept_multicast(uint16_t id) {
    if (rte_eth_allmulticast_enable(id) != 0)
        (void)rte_eth_promiscuous_enable(id);
}

static bool start(struct ethdev_port *e, const struct port_config *c, struct rte_mempool *pool,
                  char *err, size_t err_bytes) {
    struct rte_eth_dev_info info;
    struct rte_eth_conf conf = {0};
    int rc = rte_eth_dev_info_get(e->id, &info);
    if (rc != 0)
        return fail(err, err_bytes, c, "device information", rc);
    uint16_t most =
        info.max_rx_queues < info.max_tx_queues ? info.max_rx_queues : info.max_tx_queues;
    e->port.queues = c->queues < most ? c->queues : most;
    negotiate(&conf, &info, &e->port.offloads, e->port.queues);
    e->prepares = e->port.offloads & (PORT_TX_IP_CKSUM | PORT_TX_L4_CKSUM | PORT_TX_TSO);
    e->linearise = !(conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_MULTI_SEGS);
    rc = rte_eth_dev_configure(e->id, e->port.queues, e->port.queues, &conf);
    if (rc != 0)
        return fail(err, err_bytes, c, "configure", rc);
    rc = set_up_queues(e, c, pool);
    if (rc != 0)
        return fail(err, err_bytes, c, "queues", rc);
    set_mtu(e, c, pool);
    rc = rte_eth_dev_start(e->id);
    if (rc != 0)
        return fail(err, err_bytes, c, "start", rc);
    accept_multicast(e->id);
    struct rte_ether_addr mac;
    rc = rte_eth_macaddr_get(e->id, &mac);
    if (rc != 0)
        return fail(err, err_bytes, c, "hardware address", rc);
    memcpy(e->port.mac, mac.addr_bytes, sizeof(e->port.mac));
    return true;
}

static struct port *wrap(const struct port_config *c, struct rte_mempool *pool, uint16_t id,
                         char *err, size_t err_bytes) {
    struct ethdev_port *e = calloc(1, sizeof(*e));
    if (!e) {
        fail(err, err_bytes, c, "open", ENOMEM);
        return NULL;
    }
    e->id = id;
    e->port.ops = &ethdev_ops;
    snprintf(e->port.name, sizeof(e->port.name), "%s", c->name);
    snprintf(e->port.driver, sizeof(e->port.driver), "%s", c->driver);
    if (start(e, c, pool, err, err_bytes))
        return &e->port;
    close_port(&e->port);
    return NULL;
}

/* By its name, or as the first port that the device has. */
static uint16_t find_port(const char *device) {
    struct rte_dev_iterator it;
    uint16_t id = RTE_MAX_ETHPORTS, found;
    if (rte_eth_dev_get_port_by_name(device, &id) == 0)
        return id;
    RTE_ETH_FOREACH_MATCHING_DEV(found, device, &it) {
        rte_eth_iterator_cleanup(&it);
        return found;
    }
    return RTE_MAX_ETHPORTS;
}

struct port *ethdev_open(const struct port_config *c, struct rte_mempool *pool, const char *devargs,
                         char *err, size_t err_bytes) {
    char device[RTE_ETH_NAME_MAX_LEN];
    snprintf(device, sizeof(device), "%.*s", (int)strcspn(devargs, ","), devargs);
    int rc = rte_dev_probe(devargs);
    if (rc != 0 && rc != -EEXIST) { /* a PCI device is there since EAL started */
        fail(err, err_bytes, c, "no such device, or the driver cannot take it", rc);
        return NULL;
    }
    uint16_t id = find_port(device);
    if (id == RTE_MAX_ETHPORTS) {
        fail(err, err_bytes, c, "the driver made no port", ENODEV);
        return NULL;
    }
    return wrap(c, pool, id, err, err_bytes);
}

/* A DPDK ethdev as a port. */
#include "ethdev.h"
#include "negotiate.h"
#include "wake.h"
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

enum { DESC_DEFAULT = 1024, MTU_MIN = 576, FRAME_OVERHEAD = 18 + 4, TX_AT_ONCE = 64 };

struct ethdev_port {
    struct port port;
    uint16_t id;
    bool prepares;         /* tx offloads are on: rte_eth_tx_prepare has a say */
    bool linearise;        /* no scatter in transmission */
    bool forgets;          /* the family's tx_forgets */
    char netdev[IFNAMSIZ]; /* the kernel's device behind it; "" for none */
    struct port_rss rss;
    struct ethdev_wake wake;
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

/* With a reference of our own to each, it shows which ones the driver let go of: those are
 * gone, as on a wire without a link, and must not be handed out again. */
static uint16_t tx_remembering(uint16_t id, uint16_t queue, struct rte_mbuf **m, uint16_t n) {
    uint16_t before[TX_AT_ONCE], taken = 0;
    n = n < TX_AT_ONCE ? n : TX_AT_ONCE;
    for (uint16_t i = 0; i < n; i++) {
        before[i] = rte_mbuf_refcnt_read(m[i]);
        rte_pktmbuf_refcnt_update(m[i], 1);
    }
    (void)rte_eth_tx_burst(id, queue, m, n);
    while (taken < n && rte_mbuf_refcnt_read(m[taken]) == before[taken])
        rte_pktmbuf_free(m[taken++]);
    for (uint16_t i = taken; i < n; i++)
        rte_pktmbuf_refcnt_update(m[i], -1);
    return taken;
}

static uint16_t tx_burst(struct port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n) {
    struct ethdev_port *e = (struct ethdev_port *)p;
    if (e->linearise)
        n = linearised(m, n);
    if (e->prepares)
        n = rte_eth_tx_prepare(e->id, queue, m, n);
    if (e->forgets)
        return tx_remembering(e->id, queue, m, n);
    return rte_eth_tx_burst(e->id, queue, m, n);
}

static void stats(struct port *p, struct port_stats *out) {
    struct rte_eth_stats s;
    if (rte_eth_stats_get(((struct ethdev_port *)p)->id, &s) != 0)
        return;
    *out = (struct port_stats){s.ipackets, s.opackets, s.ibytes,  s.obytes,
                               s.imissed,  s.ierrors,  s.oerrors, s.rx_nombuf};
}

/* The drivers over a device of the kernel say that their link is up whatever it is. */
static bool kernel_link(const char *netdev) {
    struct ifreq request = {0};
    memcpy(request.ifr_name, netdev, sizeof(request.ifr_name));
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return true;
    int rc = ioctl(fd, SIOCGIFFLAGS, &request);
    close(fd);
    return rc == 0 && (request.ifr_flags & IFF_UP) && (request.ifr_flags & IFF_RUNNING);
}

static void link_state(struct port *p, struct port_link *out) {
    struct rte_eth_link l;
    const struct ethdev_port *e = (const struct ethdev_port *)p;
    if (rte_eth_link_get_nowait(e->id, &l) != 0)
        return;
    out->up = l.link_status == RTE_ETH_LINK_UP && (!e->netdev[0] || kernel_link(e->netdev));
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

static bool mtu_fail(const struct port_config *c, uint16_t most, bool kernel, char *err,
                     size_t err_bytes) {
    snprintf(err, err_bytes, "%s: mtu %u, but %s takes %u: lower the port's mtu%s%s", c->name,
             c->mtu, c->device, most, kernel ? ", or `ip link set mtu` on " : "",
             kernel ? c->device : "");
    return false;
}

/* The device's own, or less where the configuration says so; more than it takes, or than a
 * packet buffer holds, is a mistake that would show as lost packets. */
static bool set_mtu(struct ethdev_port *e, const struct port_config *c, struct rte_mempool *pool,
                    char *err, size_t err_bytes) {
    uint16_t room =
        (uint16_t)(rte_pktmbuf_data_room_size(pool) - RTE_PKTMBUF_HEADROOM - FRAME_OVERHEAD);
    if (c->mtu)
        (void)rte_eth_dev_set_mtu(e->id, c->mtu); /* where it fails, the device's own counts */
    uint16_t kernel = kernel_mtu(c->device);
    if (kernel)
        e->port.mtu = kernel;
    else if (rte_eth_dev_get_mtu(e->id, &e->port.mtu) != 0 || e->port.mtu < MTU_MIN)
        e->port.mtu = RTE_ETHER_MTU;
    if (c->mtu > e->port.mtu)
        return mtu_fail(c, e->port.mtu, kernel != 0, err, err_bytes);
    if (c->mtu)
        e->port.mtu = c->mtu;
    if (room < e->port.mtu)
        e->port.mtu = room;
    return true;
}

/* Multicast matters for neighbour discovery; not every device filters at all, and one
 * that cannot take groups alone takes everything (eth.c drops what is not ours). */
static void accept_multicast(uint16_t id) {
    if (rte_eth_allmulticast_enable(id) != 0)
        (void)rte_eth_promiscuous_enable(id);
}

/* Which queue each value of the hash stands for: set, then read back, since some devices
 * have a table of their own. False: it is not known, nor then what lands where. */
static bool spread_evenly(struct ethdev_port *e, uint16_t size) {
    struct rte_eth_rss_reta_entry64 group[RSS_TABLE_MAX / RTE_ETH_RETA_GROUP_SIZE] = {0};
    if (size == 0 || size > RSS_TABLE_MAX)
        return false;
    for (uint16_t i = 0; i < size; i++) {
        group[i / RTE_ETH_RETA_GROUP_SIZE].mask |= UINT64_C(1) << i % RTE_ETH_RETA_GROUP_SIZE;
        group[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE] =
            (uint16_t)(i % e->port.queues);
    }
    (void)rte_eth_dev_rss_reta_update(e->id, group, size);
    if (rte_eth_dev_rss_reta_query(e->id, group, size) != 0)
        return false;
    for (uint16_t i = 0; i < size; i++)
        e->rss.table[i] = group[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE];
    e->rss.table_size = size;
    return true;
}

static bool configure(struct ethdev_port *e, const struct port_config *c,
                      const struct rte_eth_dev_info *info, struct rte_mempool *pool, bool wake,
                      char *err, size_t err_bytes) {
    struct negotiated n;
    negotiate(c, info, &e->rss, &n);
    e->port.queues = n.queues;
    e->port.offloads = n.offloads;
    e->prepares = n.offloads & (PORT_TX_IP_CKSUM | PORT_TX_L4_CKSUM | PORT_TX_TSO);
    e->linearise = n.linearise;
    if (n.queues < c->queues) {
        snprintf(err, err_bytes, "%s: %s has %u queues, %u cores want one each: use fewer cores",
                 c->name, c->device, n.queues, c->queues);
        return false;
    }
    n.conf.intr_conf.rxq = wake;
    int rc = rte_eth_dev_configure(e->id, n.queues, n.queues, &n.conf);
    if (rc != 0)
        return fail(err, err_bytes, c, "configure", rc);
    rc = set_up_queues(e, c, pool);
    return rc == 0 || fail(err, err_bytes, c, "queues", rc);
}

/* From probed to running, with receive interrupts or without. */
static bool run(struct ethdev_port *e, const struct port_config *c,
                const struct rte_eth_dev_info *info, struct rte_mempool *pool, bool wake, char *err,
                size_t err_bytes) {
    if (!configure(e, c, info, pool, wake, err, err_bytes) || !set_mtu(e, c, pool, err, err_bytes))
        return false;
    int rc = rte_eth_dev_start(e->id);
    return rc == 0 || fail(err, err_bytes, c, "start", rc);
}

/* What cannot have receive interrupts works without them: its cores sleep between looks. */
static bool run_somehow(struct ethdev_port *e, const struct port_config *c,
                        const struct rte_eth_dev_info *info, struct rte_mempool *pool, char *err,
                        size_t err_bytes) {
    if (c->rx_wake && run(e, c, info, pool, true, err, err_bytes)) {
        if (wake_init(&e->wake, e->id, e->port.queues))
            e->port.wake = &e->wake.wake;
        else /* it runs, and not every driver survives a stop */
            snprintf(e->port.no_wake, sizeof(e->port.no_wake), "%s has none here", c->driver);
        return true;
    }
    if (c->rx_wake)
        snprintf(e->port.no_wake, sizeof(e->port.no_wake), "%s", err);
    return run(e, c, info, pool, false, err, err_bytes);
}

static bool start(struct ethdev_port *e, const struct port_config *c, const struct family *f,
                  struct rte_mempool *pool, char *err, size_t err_bytes) {
    struct rte_eth_dev_info info;
    struct rte_ether_addr mac;
    uint16_t kernel = kernel_mtu(c->device);
    if (kernel && c->mtu > kernel) /* before its rings are made as large */
        return mtu_fail(c, kernel, true, err, err_bytes);
    int rc = f->before_configure ? f->before_configure(e->id) : 0;
    if (rc != 0)
        return fail(err, err_bytes, c, "isolated mode", rc);
    rc = rte_eth_dev_info_get(e->id, &info);
    if (rc != 0)
        return fail(err, err_bytes, c, "device information", rc);
    if (!run_somehow(e, c, &info, pool, err, err_bytes))
        return false;
    accept_multicast(e->id);
    rc = rte_eth_macaddr_get(e->id, &mac);
    if (rc != 0)
        return fail(err, err_bytes, c, "hardware address", rc);
    memcpy(e->port.mac, mac.addr_bytes, sizeof(e->port.mac));
    if ((e->port.offloads & PORT_RSS) && spread_evenly(e, info.reta_size))
        e->port.rss = &e->rss;
    return !f->after_start || f->after_start(e->id, c, &e->port, err, err_bytes) == 0;
}

static struct port *wrap(const struct port_config *c, const struct family *f,
                         struct rte_mempool *pool, uint16_t id, char *err, size_t err_bytes) {
    struct ethdev_port *e = calloc(1, sizeof(*e));
    if (!e) {
        fail(err, err_bytes, c, "open", ENOMEM);
        return NULL;
    }
    e->id = id;
    e->port.ops = &ethdev_ops;
    e->port.vlan = c->vlan;
    e->port.by_kernel = f->by_kernel;
    e->forgets = f->tx_forgets;
    if (if_nametoindex(c->device))
        snprintf(e->netdev, sizeof(e->netdev), "%.*s", IFNAMSIZ - 1, c->device);
    snprintf(e->port.name, sizeof(e->port.name), "%s", c->name);
    snprintf(e->port.driver, sizeof(e->port.driver), "%s", c->driver);
    if (start(e, c, f, pool, err, err_bytes))
        return &e->port;
    close_port(&e->port);
    return NULL;
}

/* By its name, or as the first port that the device has; of several, the representor that
 * the arguments name. */
static uint16_t find_port(const char *devargs) {
    struct rte_dev_iterator it;
    char device[RTE_ETH_NAME_MAX_LEN];
    uint16_t id = RTE_MAX_ETHPORTS, found;
    const char *representor = strstr(devargs, "representor=");
    snprintf(device, sizeof(device), "%.*s", (int)strcspn(devargs, ","), devargs);
    if (!representor && rte_eth_dev_get_port_by_name(device, &id) == 0)
        return id;
    if (representor) {
        size_t n = strlen(device);
        snprintf(device + n, sizeof(device) - n, ",%.*s", (int)strcspn(representor, ","),
                 representor);
    }
    RTE_ETH_FOREACH_MATCHING_DEV(found, device, &it) {
        rte_eth_iterator_cleanup(&it);
        return found;
    }
    return RTE_MAX_ETHPORTS;
}

struct port *ethdev_open(const struct port_config *c, const struct family *f,
                         struct rte_mempool *pool, const char *devargs, char *err,
                         size_t err_bytes) {
    int rc = rte_dev_probe(devargs);
    if (rc != 0 && rc != -EEXIST) { /* a device on a bus is there since EAL started */
        fail(err, err_bytes, c, "no such device, or the driver cannot take it", rc);
        return NULL;
    }
    uint16_t id = find_port(devargs);
    if (id == RTE_MAX_ETHPORTS) {
        fail(err, err_bytes, c, "the driver made no port", ENODEV);
        return NULL;
    }
    return wrap(c, f, pool, id, err, err_bytes);
}

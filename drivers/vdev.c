/* The families: each is ethdev.c behind devargs of its own. */
#include "ethdev.h"
#include "sim.h"
#include <net/if.h>
#include <stdio.h>
#include <string.h>

enum { DEVARGS_BYTES = 400 };

static bool netdev_exists(const struct port_config *c, char *err, size_t err_bytes) {
    if (if_nametoindex(c->device))
        return true;
    snprintf(err, err_bytes, "%s: no network device named \"%s\" here", c->name, c->device);
    return false;
}

/* A frame slot holds the kernel's header (about 80 bytes) and the frame, and is a power
 * of two; the ring is 4 MiB a queue. The driver drops what does not fit. */
static bool af_packet_args(const struct port_config *c, char out[DEVARGS_BYTES], char *err,
                           size_t err_bytes) {
    enum { RING_BYTES = 4 * 1024 * 1024, SLOT_OVERHEAD = 128, PAGE = 4096 };
    unsigned slot = 2048;
    while (slot < c->mtu + (unsigned)SLOT_OVERHEAD)
        slot *= 2;
    snprintf(out, DEVARGS_BYTES,
             "net_af_packet_%s,iface=%s,qpairs=%u,blocksz=%u,framesz=%u,framecnt=%u,"
             "qdisc_bypass=1%s%s",
             c->device, c->device, c->queues, slot > PAGE ? slot : PAGE, slot, RING_BYTES / slot,
             c->options[0] ? "," : "", c->options);
    return netdev_exists(c, err, err_bytes);
}

static bool af_xdp_args(const struct port_config *c, char out[DEVARGS_BYTES], char *err,
                        size_t err_bytes) {
    snprintf(out, DEVARGS_BYTES, "net_af_xdp_%s,iface=%s,queue_count=%u%s%s", c->device, c->device,
             c->queues, c->options[0] ? "," : "", c->options);
    return netdev_exists(c, err, err_bytes);
}

static bool tap_args(const struct port_config *c, char out[DEVARGS_BYTES], char *err,
                     size_t err_bytes) {
    (void)err;
    (void)err_bytes;
    snprintf(out, DEVARGS_BYTES, "net_tap_%s,iface=%s%s%s", c->device, c->device,
             c->options[0] ? "," : "", c->options);
    return true;
}

static bool memif_args(const struct port_config *c, char out[DEVARGS_BYTES], char *err,
                       size_t err_bytes) {
    if (!strchr(c->options, '=')) {
        snprintf(err, err_bytes, "%s: memif wants options such as role=server,id=0", c->name);
        return false;
    }
    snprintf(out, DEVARGS_BYTES, "net_memif_%s,socket=%s,socket-abstract=no,%s", c->name, c->device,
             c->options);
    return true;
}

static bool ring_args(const struct port_config *c, char out[DEVARGS_BYTES], char *err,
                      size_t err_bytes) {
    (void)err;
    (void)err_bytes;
    snprintf(out, DEVARGS_BYTES, "net_ring_%s%s%s", c->name, c->options[0] ? "," : "", c->options);
    return true;
}

/* Any NIC that DPDK has a driver for, by its address: mlx5 of a BlueField too. */
static bool pci_args(const struct port_config *c, char out[DEVARGS_BYTES], char *err,
                     size_t err_bytes) {
    unsigned domain, bus, device, function;
    char end;
    if (sscanf(c->device, "%x:%x:%x.%x%c", &domain, &bus, &device, &function, &end) != 4) {
        snprintf(err, err_bytes, "%s: \"%s\" is no PCI address such as 0000:03:00.0", c->name,
                 c->device);
        return false;
    }
    snprintf(out, DEVARGS_BYTES, "%04x:%02x:%02x.%x%s%s", domain, bus, device, function,
             c->options[0] ? "," : "", c->options);
    return true;
}

static const struct family {
    const char *name;
    bool (*args)(const struct port_config *c, char out[DEVARGS_BYTES], char *err, size_t err_bytes);
} families[] = {
    {"af_packet", af_packet_args}, {"af_xdp", af_xdp_args}, {"tap", tap_args},
    {"memif", memif_args},         {"ring", ring_args},     {"pci", pci_args},
};

static struct port *open_bare(const struct port_config *c, struct rte_mempool *pool, char *err,
                              size_t err_bytes) {
    char args[DEVARGS_BYTES];
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
        if (strcmp(families[i].name, c->driver) == 0)
            return families[i].args(c, args, err, err_bytes)
                       ? ethdev_open(c, pool, args, err, err_bytes)
                       : NULL;
    snprintf(err, err_bytes,
             "%s: driver \"%s\" is none of af_packet, af_xdp, tap, memif, ring, pci", c->name,
             c->driver);
    return NULL;
}

static bool wants_faults(const struct port_config *c) {
    return c->loss_pm || c->reorder_pm || c->duplicate_pm || c->corrupt_pm;
}

static struct port *decorate(struct port *p, const struct port_config *c, struct rte_mempool *pool,
                             char *err, size_t err_bytes) {
    struct port *faulty = wants_faults(c) ? port_fault_wrap(p, c, pool) : p;
    if (!faulty) {
        snprintf(err, err_bytes, "%s: no memory", c->name);
        p->ops->close(p);
        return NULL;
    }
    if (!c->pcap_file[0])
        return faulty;
    struct port *captured = port_pcap_wrap(faulty, c->pcap_file, NULL, err, err_bytes);
    if (!captured)
        faulty->ops->close(faulty);
    return captured;
}

struct port *port_open(const struct port_config *c, struct rte_mempool *pool, char *err,
                       size_t err_bytes) {
    /* A decorator's state is one core's. */
    if (c->queues > 1 && (wants_faults(c) || c->pcap_file[0])) {
        snprintf(err, err_bytes, "%s: faults and captures work with one queue (core) only",
                 c->name);
        return NULL;
    }
    struct port *p = open_bare(c, pool, err, err_bytes);
    return p ? decorate(p, c, pool, err, err_bytes) : NULL;
}

/* Virtual devices of lab and rig: each is ethdev.c behind devargs of its own. */
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

/* Frames of 2 KiB hold an MTU of 1500; the ring is 4 MiB a queue. */
static bool af_packet_args(const struct port_config *c, char out[DEVARGS_BYTES], char *err,
                           size_t err_bytes) {
    snprintf(out, DEVARGS_BYTES,
             "net_af_packet_%s,iface=%s,qpairs=%u,blocksz=4096,framesz=2048,framecnt=2048%s%s",
             c->device, c->device, c->queues, c->options[0] ? "," : "", c->options);
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

static const struct family {
    const char *name;
    bool (*args)(const struct port_config *c, char out[DEVARGS_BYTES], char *err, size_t err_bytes);
} families[] = {
    {"af_packet", af_packet_args},
    {"af_xdp", af_xdp_args},
    {"tap", tap_args},
    {"memif", memif_args},
};

static struct port *open_bare(const struct port_config *c, struct rte_mempool *pool, char *err,
                              size_t err_bytes) {
    char args[DEVARGS_BYTES];
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
        if (strcmp(families[i].name, c->driver) == 0)
            return families[i].args(c, args, err, err_bytes)
                       ? ethdev_open_vdev(c, pool, args, err, err_bytes)
                       : NULL;
    snprintf(err, err_bytes, "%s: driver \"%s\" is none of af_packet, af_xdp, tap, memif", c->name,
             c->driver);
    return NULL;
}

struct port *port_open(const struct port_config *c, struct rte_mempool *pool, char *err,
                       size_t err_bytes) {
    struct port *p = open_bare(c, pool, err, err_bytes);
    if (!p || !(c->loss_pm || c->reorder_pm || c->duplicate_pm || c->corrupt_pm))
        return p;
    struct port *faulty = port_fault_wrap(p, c, pool);
    if (!faulty) {
        snprintf(err, err_bytes, "%s: no memory", c->name);
        p->ops->close(p);
    }
    return faulty;
}

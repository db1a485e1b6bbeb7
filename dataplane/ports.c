#include "ports.h"
#include "drivers/spread.h"
#include <stdio.h>
#include <string.h>

/* memif brings up as many queues as both sides want, and says nothing of it; tap and ring
 * have one each. */
static uint16_t queues_of(const struct config_port *p, uint32_t cores) {
    static const char *const single[] = {"memif", "tap", "ring"};
    for (size_t i = 0; i < sizeof(single) / sizeof(single[0]); i++)
        if (strcmp(p->driver, single[i]) == 0)
            return 1;
    return (uint16_t)cores;
}

static struct port *open_port(const struct config_port *p, uint32_t cores,
                              struct rte_mempool *mbufs, char *err, size_t err_bytes) {
    struct port_config c = {.mtu = (uint16_t)p->mtu,
                            .queues = queues_of(p, cores),
                            .loss_pm = (uint16_t)p->loss_pm,
                            .reorder_pm = (uint16_t)p->reorder_pm,
                            .duplicate_pm = (uint16_t)p->duplicate_pm,
                            .corrupt_pm = (uint16_t)p->corrupt_pm,
                            .fault_seed = p->fault_seed};
    snprintf(c.name, sizeof(c.name), "%s", p->name);
    snprintf(c.driver, sizeof(c.driver), "%s", p->driver);
    snprintf(c.device, sizeof(c.device), "%s", p->device);
    snprintf(c.options, sizeof(c.options), "%s", p->options);
    struct port *port = port_open(&c, mbufs, err, err_bytes);
    return port && cores > 1 ? port_spread_wrap(port, (uint16_t)cores, mbufs, err, err_bytes)
                             : port;
}

void ports_close(struct port *port[], uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (port[i])
            port[i]->ops->close(port[i]);
        port[i] = NULL;
    }
}

bool ports_open(const struct config *c, uint32_t cores, struct rte_mempool *mbufs,
                struct port *port[TGW_PORTS_MAX], char *err, size_t err_bytes) {
    char why[256];
    if (c->port_count == 0) {
        snprintf(err, err_bytes, "ports: at least one port is needed");
        return false;
    }
    for (uint32_t i = 0; i < c->port_count; i++) {
        port[i] = open_port(&c->ports[i], cores, mbufs, why, sizeof(why));
        if (port[i])
            continue;
        snprintf(err, err_bytes, "ports[%u]: %s", i, why);
        ports_close(port, i);
        return false;
    }
    return true;
}

/* Gateways are per family; an interface's own addresses come with their prefixes. */
bool ports_iface(const struct config *c, uint32_t i, struct port *port, uint16_t queue,
                 struct net_iface_config *out, char *err, size_t err_bytes) {
    const struct config_port *p = &c->ports[i];
    *out = (struct net_iface_config){.port = port, .queue = queue};
    for (uint32_t k = 0; k < p->addr_count; k++) {
        if (ip_prefix_parse(p->addr[k], true, &out->addr[out->addr_count++]))
            continue;
        snprintf(err, err_bytes, "ports[%u].addresses[%u]: not an address: %s", i, k, p->addr[k]);
        return false;
    }
    out->has_gateway4 = p->gateway4[0] && ip_addr_parse(p->gateway4, &out->gateway4);
    out->has_gateway6 = p->gateway6[0] && ip_addr_parse(p->gateway6, &out->gateway6);
    if ((!p->gateway4[0] || out->has_gateway4) && (!p->gateway6[0] || out->has_gateway6))
        return true;
    snprintf(err, err_bytes, "ports[%u].gateway: not an address", i);
    return false;
}

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

enum { LOCAL_PORT_FIRST = 20000, LOCAL_PORT_LAST = UINT16_MAX };

/* What of the traffic is ours: for NICs that are shared with the kernel. */
static void fill_ours(const struct config *c, const struct config_port *p,
                      struct port_config *out) {
    struct ip_prefix prefix;
    for (uint32_t k = 0; k < p->addr_count && k < PORT_ADDRS_MAX; k++)
        if (ip_prefix_parse(p->addr[k], true, &prefix))
            memcpy(out->addr[out->addr_count++], prefix.addr.b, sizeof(prefix.addr.b));
    if (!p->listen)
        return;
    out->tcp_port[out->tcp_port_count++] = (uint16_t)c->public_port;
    if (c->tls_certificates.count && c->tls_port)
        out->tcp_port[out->tcp_port_count++] = (uint16_t)c->tls_port;
}

void ports_describe(const struct config *c, uint32_t i, uint32_t cores, struct port_config *out) {
    const struct config_port *p = &c->ports[i];
    *out = (struct port_config){.mtu = (uint16_t)p->mtu,
                                .queues = (uint16_t)cores,
                                .vlan = (uint16_t)p->vlan,
                                .rx_wake = strcmp(c->idle_mode, "interrupt") == 0,
                                .local_port_first = LOCAL_PORT_FIRST,
                                .local_port_last = LOCAL_PORT_LAST,
                                .loss_pm = (uint16_t)p->loss_pm,
                                .reorder_pm = (uint16_t)p->reorder_pm,
                                .duplicate_pm = (uint16_t)p->duplicate_pm,
                                .corrupt_pm = (uint16_t)p->corrupt_pm,
                                .fault_seed = p->fault_seed};
    snprintf(out->name, sizeof(out->name), "%s", p->name);
    snprintf(out->driver, sizeof(out->driver), "%s", p->driver);
    snprintf(out->device, sizeof(out->device), "%s", p->device);
    snprintf(out->options, sizeof(out->options), "%s", p->options);
    fill_ours(c, p, out);
}

static struct port *open_port(const struct config *config, uint32_t i, uint32_t cores,
                              struct rte_mempool *mbufs, char *err, size_t err_bytes) {
    struct port_config c;
    ports_describe(config, i, cores, &c);
    c.queues = queues_of(&config->ports[i], cores);
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

bool ports_check(const struct config *c, uint32_t cores, char bus_args[TGW_PORTS_MAX][PORT_ARGS],
                 char *err, size_t err_bytes) {
    char why[256];
    if (c->port_count == 0) {
        snprintf(err, err_bytes, "ports: at least one port is needed");
        return false;
    }
    for (uint32_t i = 0; i < c->port_count; i++) {
        struct port_config p;
        ports_describe(c, i, cores, &p);
        if (port_check(&p, bus_args[i], PORT_ARGS, why, sizeof(why)))
            continue;
        snprintf(err, err_bytes, "ports[%u]: %s", i, why);
        return false;
    }
    return true;
}

bool ports_open(const struct config *c, uint32_t cores, struct rte_mempool *mbufs,
                struct port *port[TGW_PORTS_MAX], char *err, size_t err_bytes) {
    char why[256];
    for (uint32_t i = 0; i < c->port_count; i++) {
        port[i] = open_port(c, i, cores, mbufs, why, sizeof(why));
        if (port[i])
            continue;
        snprintf(err, err_bytes, "ports[%u]: %s", i, why);
        ports_close(port, i);
        return false;
    }
    return true;
}

bool ports_give(const struct config *c, uint32_t cores, uid_t user, gid_t group) {
    struct port_config p;
    bool good = true;
    for (uint32_t i = 0; i < c->port_count && good; i++) {
        ports_describe(c, i, cores, &p);
        good = port_give(&p, user, group);
    }
    return good;
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

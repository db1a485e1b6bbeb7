#include "selftest.h"
#include "clock.h"
#include "ports.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BURST = 32, POLL_US = 50, TICK_NS = 1000000, LONGEST_MS = 12000 };

/* What each check stands for, where it is about an offload. */
static const struct {
    enum tgw_check check;
    uint32_t offloads;
} offload_of[] = {
    {TGW_CHECK_tx_ip_cksum, PORT_TX_IP_CKSUM},
    {TGW_CHECK_tx_l4_cksum, PORT_TX_L4_CKSUM | PORT_TX_TSO},
    {TGW_CHECK_tx_tso, PORT_TX_TSO},
    {TGW_CHECK_rx_cksum, PORT_RX_IP_CKSUM | PORT_RX_L4_CKSUM},
};

/* "198.18.1.1:7681" or "[fd18::1]:7681", checked when the configuration was read. */
static bool endpoint(const char *text, struct ip_addr *addr, uint16_t *port) {
    char host[64];
    const char *colon = strrchr(text, ':');
    size_t skip = text[0] == '[', len = colon ? (size_t)(colon - text) : 0;
    if (!colon || len >= sizeof(host) || len < 2 * skip)
        return false;
    memcpy(host, text + skip, len - 2 * skip);
    host[len - 2 * skip] = 0;
    *port = (uint16_t)strtoul(colon + 1, NULL, 10);
    return ip_addr_parse(host, addr);
}

static bool on_link(const struct net_iface_config *iface, const struct ip_addr *a) {
    for (uint8_t k = 0; k < iface->addr_count; k++)
        if (ip_prefix_has(&iface->addr[k], a))
            return true;
    return false;
}

struct selftest_neighbour selftest_neighbour(const struct config *c,
                                             const struct net_iface_config *iface) {
    struct selftest_neighbour n = {.known = true};
    if (iface->has_gateway4 && on_link(iface, &iface->gateway4))
        n.addr = iface->gateway4;
    else if (iface->has_gateway6 && on_link(iface, &iface->gateway6))
        n.addr = iface->gateway6;
    else
        n.known = endpoint(c->agent_default, &n.addr, &n.tcp_port) && on_link(iface, &n.addr);
    return n;
}

bool selftest_is_due(const struct port *port) {
    const uint32_t doubtful = PORT_TX_IP_CKSUM | PORT_TX_L4_CKSUM | PORT_TX_TSO;
    return (port->offloads & doubtful) || port->queues > 1;
}

static struct tgw_check_result link_check(struct port *port) {
    struct port_link link = {0};
    port->ops->link(port, &link);
    return (struct tgw_check_result){.state = link.up ? TGW_CHECK_PASS : TGW_CHECK_FAIL,
                                     .value = link.mbps};
}

static uint16_t queue_of(void *ctx, const struct ip_addr *local, uint16_t lport,
                         const struct ip_addr *remote, uint16_t rport) {
    return port_rx_queue(ctx, remote->b, local->b, rport, lport);
}

static struct net_probe_plan plan_of(struct port *port, uint8_t iface,
                                     const struct selftest_neighbour *n) {
    return (struct net_probe_plan){.iface = iface,
                                   .tcp_port = n->tcp_port,
                                   .offloads = port->offloads | port->refused,
                                   .target = n->addr};
}

/* All queues into one net, until the probe is done. */
static void poll_until_done(struct net *net, struct port *port, struct clock *clock,
                            struct tgw_check_result *out) {
    uint64_t now_ns = clock_ns(clock), tick_ns = 0;
    const uint64_t end_ns = now_ns + LONGEST_MS * UINT64_C(1000000);
    while (!net_probe_result(net, out) && now_ns < end_ns) {
        struct rte_mbuf *m[BURST];
        for (uint16_t q = 0; q < port->queues; q++) {
            uint16_t n = port_rx(port, q, m, BURST);
            net_probe_queue(net, q);
            net_input(net, now_ns, 0, m, n);
        }
        if (now_ns - tick_ns >= TICK_NS) {
            tick_ns = now_ns;
            net_tick(net, now_ns);
        }
        net_flush(net);
        usleep(POLL_US);
        now_ns = clock_ns(clock);
    }
}

static bool probe(struct port *port, const struct net_config *config,
                  const struct selftest_neighbour *n, struct clock *clock,
                  struct tgw_check_result *out) {
    static const struct net_ops nobody = {.tcp_segment = net_ignore_segment};
    struct net *net = net_create(config, &nobody, NULL, clock_ns(clock));
    if (!net)
        return false;
    struct net_probe_plan plan = plan_of(port, 0, n);
    plan.queues = port->queues;
    plan.queue_of = port->rss ? queue_of : NULL;
    plan.ctx = port;
    net_probe_start(net, clock_ns(clock), &plan);
    poll_until_done(net, port, clock, out);
    net_destroy(net);
    return true;
}

static void wait_for_link(struct port *port, uint32_t wait_ms) {
    struct port_link link = {0};
    for (uint32_t waited_ms = 0;; waited_ms += 50) {
        port->ops->link(port, &link);
        if (link.up || waited_ms >= wait_ms)
            return;
        usleep(50000);
    }
}

static void take_off(struct port *port, const struct tgw_check_result *result) {
    for (size_t k = 0; k < sizeof(offload_of) / sizeof(offload_of[0]); k++)
        if (result[offload_of[k].check].state == TGW_CHECK_OFF)
            port->refused |= port->offloads & offload_of[k].offloads;
    port->offloads &= ~port->refused;
}

bool selftest_run(const struct config *c, uint32_t i, struct port *port, struct rte_mempool *mbufs,
                  uint32_t link_wait_ms, struct tgw_check_result out[TGW_CHECK_COUNT], char *err,
                  size_t err_bytes) {
    size_t bytes = (sizeof(struct tgw_counters) + 63) / 64 * 64;
    struct net_config config = {.iface_count = 1, .pool = mbufs};
    struct clock clock;
    memset(out, 0, TGW_CHECK_COUNT * sizeof(*out));
    if (!ports_iface(c, i, port, 0, &config.iface[0], err, err_bytes))
        return false;
    struct selftest_neighbour n = selftest_neighbour(c, &config.iface[0]);
    wait_for_link(port, link_wait_ms);
    out[TGW_CHECK_link] = link_check(port);
    if (!n.known || out[TGW_CHECK_link].state != TGW_CHECK_PASS)
        return true;
    clock_init(&clock);
    config.seed = clock.tsc_base;
    config.counters = aligned_alloc(64, bytes);
    if (config.counters)
        memset(config.counters, 0, bytes);
    bool good = config.counters && probe(port, &config, &n, &clock, out);
    free(config.counters);
    out[TGW_CHECK_link] = link_check(port);
    take_off(port, out);
    if (!good)
        snprintf(err, err_bytes, "ports[%u]: no memory for the self-test", i);
    return good;
}

bool selftest_command(struct selftest *s, uint64_t now_ns, const struct tgw_cmd_probe *cmd) {
    if (s->active || cmd->msg.len != sizeof(*cmd) || cmd->port >= s->config->iface_count)
        return false;
    struct port *port = s->config->iface[cmd->port].port;
    const struct selftest_neighbour *n = &s->neighbour[cmd->port];
    s->active = true;
    s->seq = cmd->msg.seq;
    s->port = cmd->port;
    s->link = link_check(port);
    if (n->known) {
        struct net_probe_plan plan = plan_of(port, (uint8_t)cmd->port, n);
        net_probe_start(s->net, now_ns, &plan);
    }
    return true;
}

bool selftest_answer(struct selftest *s, struct tgw_ev_port *out) {
    const struct selftest_neighbour *n = &s->neighbour[s->port];
    *out = (struct tgw_ev_port){.msg = {.type = TGW_EV_PORT, .len = sizeof(*out), .seq = s->seq},
                                .port = s->port};
    if (!s->active || (n->known && !net_probe_result(s->net, out->check)))
        return false;
    s->active = false;
    if (n->known) {
        memcpy(out->neighbour.addr, n->addr.b, sizeof(n->addr.b));
        out->neighbour.port = n->tcp_port;
    }
    out->check[TGW_CHECK_link] = s->link;
    if (s->steering[s->port].state)
        out->check[TGW_CHECK_steering] = s->steering[s->port];
    return true;
}

/* A probe of each port: at the start, before any core runs, and on command while they do.
 * Part of the composition roots: the first reads a clock. */
#ifndef TGW_DATAPLANE_SELFTEST_H
#define TGW_DATAPLANE_SELFTEST_H

#include "config/config.h"
#include "contract/cmd.h"
#include "net/probe.h"

/* Who can be asked on port `i`: its gateway, else the default agent if it is on-link.
 * False: nobody. */
struct selftest_neighbour {
    bool known;
    struct ip_addr addr;
    uint16_t tcp_port; /* 0: any */
};

struct selftest_neighbour selftest_neighbour(const struct config *c,
                                             const struct net_iface_config *iface);

/* Probe port `i` over all of its queues, which nobody else may use meanwhile; waits up to
 * link_wait_ms for its link. What the port offers and does not do is taken off
 * port->offloads and noted in port->refused. False with one line in err. */
bool selftest_run(const struct config *c, uint32_t i, struct port *port, struct rte_mempool *mbufs,
                  uint32_t link_wait_ms, struct tgw_check_result out[TGW_CHECK_COUNT], char *err,
                  size_t err_bytes);

/* At the start: selftest_run for each port that has something to be found out, if the
 * configuration wants it. `steering` of those is filled in. False with one line in err, also
 * when packets for one of several cores land elsewhere. */
bool selftest_ports(const struct config *c, uint32_t cores, struct port *const port[],
                    struct rte_mempool *mbufs, struct tgw_check_result steering[TGW_PORTS_MAX],
                    char *err, size_t err_bytes);

/* Is there anything that the start must find out? */
bool selftest_is_due(const struct port *port);

/* On command, by the core that owns `net`. One at a time. */
struct selftest {
    struct net *net;
    const struct net_config *config;
    struct selftest_neighbour neighbour[TGW_PORTS_MAX];
    struct tgw_check_result steering[TGW_PORTS_MAX]; /* as of the start */
    uint32_t seq, port;
    bool active;
    struct tgw_check_result link;
};

/* False: no such port, or one is under way. */
bool selftest_command(struct selftest *s, uint64_t now_ns, const struct tgw_cmd_probe *cmd);
/* True once: the answer is in `out`. */
bool selftest_answer(struct selftest *s, struct tgw_ev_port *out);

#endif

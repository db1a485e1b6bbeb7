/* Rules that hand our addresses and ports to us and leave all else to the kernel: for a
 * NIC that is shared with it. Built here without a device, so that tests see them. */
#ifndef TGW_DRIVERS_STEER_H
#define TGW_DRIVERS_STEER_H

#include "drivers/port.h"
#include <rte_flow.h>

enum {
    STEER_ITEMS_MAX = 6,
    STEER_RULES_MAX = 160,
    STEER_RANGES_MAX = 16, /* of a cover of ports */
};

/* The items point into the rule: it must not be moved. */
struct steer_rule {
    struct rte_flow_item item[STEER_ITEMS_MAX];
    struct rte_flow_item_eth eth, eth_mask;
    struct rte_flow_item_vlan vlan, vlan_mask;
    struct rte_flow_item_ipv4 ip4, ip4_mask;
    struct rte_flow_item_ipv6 ip6, ip6_mask;
    struct rte_flow_item_tcp tcp, tcp_mask;
    bool spread; /* over all queues by hash; else to the first */
    uint32_t priority;
};

struct steer_cover {
    uint16_t value, mask;
};

/* Blocks of ports, each a value under a mask, that are first..last together. */
uint32_t steer_cover(uint16_t first, uint16_t last, struct steer_cover out[STEER_RANGES_MAX * 2]);
/* ARP, neighbour discovery and ICMP to the first queue; TCP to the listening ports and to
 * those that connections to agents use, spread. Returns how many; 0: more than fit. */
uint32_t steer_rules(const struct port_config *c, const uint8_t mac[6],
                     struct steer_rule out[STEER_RULES_MAX]);
/* Create them all or none. 0, or -errno with one line in err. */
int steer_apply(uint16_t id, const struct steer_rule *rule, uint32_t count, const struct port *p,
                char *err, size_t err_bytes);

#endif

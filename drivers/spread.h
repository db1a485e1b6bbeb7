/* Several cores on one port: a decorator with a queue a core over any port. Where the port's
 * own hash is known and every core has a queue, connections stay where the hardware puts
 * them; elsewhere they are distributed in software. A core hands what is not its own to the owner
 * over a ring from one producer to one consumer; ownership is a hash of addresses and ports, the
 * same wherever a packet comes in. What belongs to no connection (ARP, ICMP) goes to core 0;
 * what any core may be waiting for (ARP replies, neighbour advertisements, ICMP errors) to
 * all. Cores beyond the port's queues send through the ones that have one. */
#ifndef TGW_DRIVERS_SPREAD_H
#define TGW_DRIVERS_SPREAD_H

#include "drivers/port.h"

/* Takes `inner` over, in failure too. `pool`: for copies. NULL with one line in err. */
struct port *port_spread_wrap(struct port *inner, uint16_t cores, struct rte_mempool *pool,
                              char *err, size_t err_bytes);

/* The core that a packet from src to dst belongs to; 0 where `p` is no port of this kind.
 * Addresses in the 16-byte form. */
uint16_t port_spread_core(const struct port *p, const uint8_t src[16], const uint8_t dst[16],
                          uint16_t sport, uint16_t dport);

#endif

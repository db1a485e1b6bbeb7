/* Software distribution, for ports whose hardware does not bring every connection's packets
 * to one known queue: a decorator with a queue a core over a port with fewer, or over one
 * that spreads by a rule of its own. A core hands what is not its own to the owner over a
 * ring from one producer to one consumer; ownership is a hash of addresses and ports, the
 * same wherever a packet comes in. What belongs to no connection (ARP, ICMP) goes to core 0;
 * what any core may be waiting for (ARP replies, neighbour advertisements, ICMP errors) to
 * all. Cores beyond the port's queues send through the ones that have one. */
#ifndef TGW_DRIVERS_SPREAD_H
#define TGW_DRIVERS_SPREAD_H

#include "drivers/port.h"

/* Takes `inner` over, in failure too. `pool`: for copies. NULL with one line in err. */
struct port *port_spread_wrap(struct port *inner, uint16_t cores, struct rte_mempool *pool,
                              char *err, size_t err_bytes);

/* The core that a packet from src to dst belongs to. Addresses in the 16-byte form. */
uint16_t port_spread_core(uint16_t cores, const uint8_t src[16], const uint8_t dst[16],
                          uint16_t sport, uint16_t dport);

#endif

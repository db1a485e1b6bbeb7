/* In-memory ports joined back to back, and the decorators, for tests on a virtual
 * clock. */
#ifndef TGW_DRIVERS_SIM_H
#define TGW_DRIVERS_SIM_H

#include "drivers/port.h"

/* A pair of ports: what one sends the other receives, in order, at once.
 * False when memory is short. Close each through port->ops->close. */
bool port_sim_pair(struct port *out[2], uint16_t mtu, uint32_t queue_packets);

/* The link of this end goes or comes back. Without one, what either end sends is lost. */
void port_sim_set_link(struct port *port, bool up);

/* Decorator: loses, reorders, duplicates and corrupts per mille of packets in each
 * direction, from `seed`. Takes `inner` over. NULL when memory is short. */
struct port *port_fault_wrap(struct port *inner, const struct port_config *c,
                             struct rte_mempool *pool);
/* Decorator: writes every packet to a pcap file and takes `inner` over. `now_ns` is read
 * for timestamps; NULL: the wall clock. NULL with one line in `err` on failure, `inner`
 * is the caller's then. */
struct port *port_pcap_wrap(struct port *inner, const char *file, const uint64_t *now_ns, char *err,
                            size_t err_bytes);

#endif

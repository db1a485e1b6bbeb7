/* A wire of rings of slots, copying in and out as memif does, so that each end's packets
 * stay in their own pool and cache. At one end a gateway's port; at the other one rig, or
 * two that have half of the far addresses each and see the same of everything that is no
 * IPv4. Each queue and each rig may be a thread of its own. */
#ifndef TESTS_BENCH_WIRE_H
#define TESTS_BENCH_WIRE_H

#include "drivers/port.h"

enum { WIRE_HALVES = 2 };

struct wire_plan {
    /* Of the gateway's port; with several, what comes in is spread by the Toeplitz hash under
     * the key and over the table that the drivers give a NIC, and the port says so. */
    uint16_t queues;
    uint16_t halves; /* rigs: 1 or 2 */
    /* Which of two has an IPv4 address: by this bit of it, in network order's last word. */
    uint32_t half_bit;
    struct rte_mempool *ours, *theirs[WIRE_HALVES];
};

/* False: no memory. Close each through port->ops->close, the gateway's last. */
bool wire_make(const struct wire_plan *p, struct port **ours, struct port *theirs[WIRE_HALVES]);

#endif

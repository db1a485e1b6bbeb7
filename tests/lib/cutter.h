/* A port that cuts long TCP packets as a NIC with TSO does. What it sends has no valid
 * checksums: the other end must be PORT_RX_TRUSTED. */
#ifndef TESTS_LIB_CUTTER_H
#define TESTS_LIB_CUTTER_H

#include "drivers/port.h"

struct cutter {
    struct port port;
    struct port *inner;
    struct rte_mempool *pool;
    uint32_t longs;   /* packets that came to be cut */
    uint32_t longest; /* payload of the longest of them */
    uint32_t faulty;  /* packets whose fields are not what a NIC needs */
};

/* Takes `inner` over; `c` is the caller's. */
struct port *cutter_wrap(struct cutter *c, struct port *inner, struct rte_mempool *pool);

#endif

/* Private to drivers/: what a device says it can do, turned into what it is asked for and
 * what the layers above may rely on. No device is touched. */
#ifndef TGW_DRIVERS_NEGOTIATE_H
#define TGW_DRIVERS_NEGOTIATE_H

#include "drivers/port.h"
#include "drivers/rss.h"
#include <rte_ethdev.h>

struct negotiated {
    struct rte_eth_conf conf;
    uint32_t offloads; /* enum port_offload */
    uint16_t queues;
    bool linearise; /* no chains of buffers in transmission */
};

/* `rss` gets the key, which the configuration points at, and what the hash covers. */
void negotiate(const struct port_config *c, const struct rte_eth_dev_info *info,
               struct port_rss *rss, struct negotiated *out);

#endif

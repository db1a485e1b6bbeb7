/* A DPDK ethdev behind the port interface: what every family shares. */
#ifndef TGW_DRIVERS_ETHDEV_H
#define TGW_DRIVERS_ETHDEV_H

#include "drivers/port.h"

/* Probe a device from `devargs` ("net_af_packet_x,iface=...", "0000:03:00.0"), configure
 * and start it. NULL with one line in err. */
struct port *ethdev_open(const struct port_config *c, struct rte_mempool *pool, const char *devargs,
                         char *err, size_t err_bytes);

#endif

/* Private to drivers/: a DPDK ethdev behind the port interface, what every family shares. */
#ifndef TGW_DRIVERS_ETHDEV_H
#define TGW_DRIVERS_ETHDEV_H

#include "family.h"

/* Probe the device of `devargs` ("net_af_packet_x,iface=...", "0000:03:00.0"), configure
 * and start it. NULL with one line in err; nothing stays open then. */
struct port *ethdev_open(const struct port_config *c, const struct family *f,
                         struct rte_mempool *pool, const char *devargs, char *err,
                         size_t err_bytes);

#endif

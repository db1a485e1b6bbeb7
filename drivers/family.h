/* Private to drivers/: a family of devices behind DPDK. A new one is a file with one of
 * these and a row of the table in open.c: docs/porting.md. */
#ifndef TGW_DRIVERS_FAMILY_H
#define TGW_DRIVERS_FAMILY_H

#include "drivers/port.h"
#include <sys/types.h>

enum { DEVARGS_BYTES = 400 };

struct rte_eth_rss_conf;

struct family {
    const char *name;
    /* Is the device there and fit to be opened, and what does EAL call it? False with one
     * line in err that says what to do. Touches nothing. */
    bool (*args)(const struct port_config *c, char out[DEVARGS_BYTES], char *err, size_t err_bytes);
    /* On a bus that EAL scans: named to it before it starts, so that it takes no other. */
    bool on_bus;
    /* After an error of the kernel's the driver calls unsent what it has freed already. */
    bool tx_forgets;
    /* The kernel's device: each burst is a system call, and the kernel's work in it. */
    bool by_kernel;
    /* How it is opened where that is more than ethdev_open; NULL: no more. */
    struct port *(*open)(const struct port_config *c, const struct family *f,
                         struct rte_mempool *pool, const char *devargs, char *err,
                         size_t err_bytes);
    /* Files that an open port goes on using, given to another user; NULL: none. 0 or -1. */
    int (*give)(const struct port_config *c, uid_t user, gid_t group);
    /* Between probing and configuring, and after the start; NULL: nothing. 0 or -errno. */
    int (*before_configure)(uint16_t id);
    int (*after_start)(uint16_t id, const struct port_config *c, const struct port *p, char *err,
                       size_t err_bytes);
};

extern const struct family family_af_packet, family_af_xdp, family_tap, family_memif, family_ring,
    family_pci, family_mlx5;

/* For the families of the kernel's devices. */
bool family_netdev_exists(const struct port_config *c, char *err, size_t err_bytes);
/* ",OPTIONS" or nothing, behind what is in `out`. */
void family_add_options(const struct port_config *c, char out[DEVARGS_BYTES]);

#endif

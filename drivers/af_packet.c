/* Packet sockets on a device of the kernel: works everywhere, for interoperation. */
#include "family.h"
#include <net/if.h>
#include <stdio.h>
#include <string.h>

bool family_netdev_exists(const struct port_config *c, char *err, size_t err_bytes) {
    if (if_nametoindex(c->device))
        return true;
    snprintf(err, err_bytes,
             "%s: no network device named \"%s\" here: `ip link` lists those there are", c->name,
             c->device);
    return false;
}

void family_add_options(const struct port_config *c, char out[DEVARGS_BYTES]) {
    size_t n = strlen(out);
    if (c->options[0])
        snprintf(out + n, DEVARGS_BYTES - n, ",%s", c->options);
}

/* A frame slot holds the kernel's header (about 80 bytes) and the frame, and is a power
 * of two; the ring is 4 MiB a queue. The driver drops what does not fit. */
static bool args(const struct port_config *c, char out[DEVARGS_BYTES], char *err,
                 size_t err_bytes) {
    enum { RING_BYTES = 4 * 1024 * 1024, SLOT_OVERHEAD = 128, PAGE = 4096 };
    unsigned slot = 2048;
    while (slot < c->mtu + (unsigned)SLOT_OVERHEAD)
        slot *= 2;
    snprintf(out, DEVARGS_BYTES,
             "net_af_packet_%s,iface=%s,qpairs=%u,blocksz=%u,framesz=%u,framecnt=%u,"
             "qdisc_bypass=1",
             c->device, c->device, c->queues, slot > PAGE ? slot : PAGE, slot, RING_BYTES / slot);
    family_add_options(c, out);
    return family_netdev_exists(c, err, err_bytes);
}

const struct family family_af_packet = {
    .name = "af_packet", .args = args, .tx_forgets = true, .by_kernel = true};

/* AF_XDP sockets on a device of the kernel. */
#include "family.h"
#include <stdio.h>

static bool args(const struct port_config *c, char out[DEVARGS_BYTES], char *err,
                 size_t err_bytes) {
    snprintf(out, DEVARGS_BYTES, "net_af_xdp_%s,iface=%s,queue_count=%u", c->device, c->device,
             c->queues);
    family_add_options(c, out);
    return family_netdev_exists(c, err, err_bytes);
}

const struct family family_af_xdp = {.name = "af_xdp", .args = args};

/* A device of the kernel that the driver itself makes. */
#include "family.h"
#include <net/if.h>
#include <stdio.h>
#include <string.h>

static bool args(const struct port_config *c, char out[DEVARGS_BYTES], char *err,
                 size_t err_bytes) {
    if (!c->device[0] || strlen(c->device) >= IFNAMSIZ) {
        snprintf(err, err_bytes, "%s: tap wants a device name of 1..%d characters", c->name,
                 IFNAMSIZ - 1);
        return false;
    }
    if (if_nametoindex(c->device)) {
        snprintf(err, err_bytes, "%s: \"%s\" exists already: tap makes its device itself", c->name,
                 c->device);
        return false;
    }
    snprintf(out, DEVARGS_BYTES, "net_tap_%s,iface=%s", c->device, c->device);
    family_add_options(c, out);
    return true;
}

const struct family family_tap = {.name = "tap", .args = args, .by_kernel = true};

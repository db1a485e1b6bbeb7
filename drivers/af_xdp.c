/* AF_XDP sockets on a device of the kernel. */
#include "family.h"
#include <dirent.h>
#include <stdio.h>
#include <string.h>

static unsigned rx_queues(const char *device) {
    char path[128];
    unsigned n = 0;
    struct dirent *e;
    snprintf(path, sizeof(path), "/sys/class/net/%s/queues", device);
    DIR *d = opendir(path);
    while (d && (e = readdir(d)))
        n += strncmp(e->d_name, "rx-", 3) == 0;
    if (d)
        closedir(d);
    return n;
}

static bool has_queues(const struct port_config *c, char *err, size_t err_bytes) {
    unsigned have = rx_queues(c->device);
    if (have == 0 || have >= c->queues) /* 0: sysfs shows another namespace's devices */
        return true;
    snprintf(err, err_bytes,
             "%s: %s has %u queue(s), %u cores want one each: use fewer cores, or "
             "`ethtool -L %s combined %u`",
             c->name, c->device, have, c->queues, c->device, c->queues);
    return false;
}

static bool args(const struct port_config *c, char out[DEVARGS_BYTES], char *err,
                 size_t err_bytes) {
    snprintf(out, DEVARGS_BYTES, "net_af_xdp_%s,iface=%s,queue_count=%u", c->device, c->device,
             c->queues);
    family_add_options(c, out);
    return family_netdev_exists(c, err, err_bytes) && has_queues(c, err, err_bytes);
}

const struct family family_af_xdp = {.name = "af_xdp", .args = args, .by_kernel = true};

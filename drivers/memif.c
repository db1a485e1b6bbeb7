/* Shared memory with another process on this machine, met at a socket. */
#include "family.h"
#include <stdio.h>
#include <string.h>

static bool args(const struct port_config *c, char out[DEVARGS_BYTES], char *err,
                 size_t err_bytes) {
    if (!strchr(c->options, '=')) {
        snprintf(err, err_bytes, "%s: memif wants options such as role=server,id=0", c->name);
        return false;
    }
    snprintf(out, DEVARGS_BYTES, "net_memif_%s,socket=%s,socket-abstract=no", c->name, c->device);
    family_add_options(c, out);
    return true;
}

const struct family family_memif = {.name = "memif", .args = args};

/* A loop inside the process: what is sent comes back. */
#include "family.h"
#include <stdio.h>

static bool args(const struct port_config *c, char out[DEVARGS_BYTES], char *err,
                 size_t err_bytes) {
    (void)err;
    (void)err_bytes;
    snprintf(out, DEVARGS_BYTES, "net_ring_%s", c->name);
    family_add_options(c, out);
    return true;
}

const struct family family_ring = {.name = "ring", .args = args};

/* Commands from afar: `tgwctl --connect` from a DPU's host, over mutual TLS 1.3. What a caller
 * may do stands in the certificate's OU: "operator" all, "read-only" what changes nothing.
 * Without a certificate of our own nothing listens. */
#ifndef TGW_CONTROL_REMOTE_H
#define TGW_CONTROL_REMOTE_H

#include "config/config.h"
#include "visitor.h"
#include <uv.h>

struct remote;

/* *out NULL with true: not configured. False with one line in err. */
bool remote_open(struct remote **out, uv_loop_t *loop, const struct reception *r,
                 const struct config *c, char *err, size_t err_bytes);
/* Ends at once; the memory is freed by the loop. NULL is allowed. */
void remote_close(struct remote *r);

#endif

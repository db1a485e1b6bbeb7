/* The admin pages of contract section 5: /metrics, /healthz, /readyz. */
#ifndef TGW_CONTROL_ADMIN_H
#define TGW_CONTROL_ADMIN_H

#include "http.h"

/* A http_handler; ctx is the struct gateway. */
void admin_handler(void *ctx, struct http_request *r);

#endif

/* The grant: what the gateway shows a node agent (contract section 4), a JWT (RFC 7519)
 * signed with HMAC-SHA256 over a secret shared with the agents. */
#ifndef TGW_CONTROL_GRANT_H
#define TGW_CONTROL_GRANT_H

#include "contract/ident.h"
#include <stddef.h>

enum { GRANT_LIFE_S = 30, GRANT_SECRET_MIN = 16, GRANT_SECRET_MAX = 1024 };

/* False: the result does not fit, or signing failed. */
bool grant_make(const struct tgw_ident *ident, const uint8_t *secret, size_t secret_len,
                uint64_t now_s, char out[TGW_GRANT_MAX + 1]);

#endif

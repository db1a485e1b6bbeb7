/* The grant: what the gateway shows a node agent (contract section 4), a JWT (RFC 7519)
 * signed with HMAC-SHA256 over a secret shared with the agents. */
#ifndef TGW_CONTROL_GRANT_H
#define TGW_CONTROL_GRANT_H

#include "contract/ident.h"
#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>

enum { GRANT_LIFE_S = 30, GRANT_SECRET_MIN = 16, GRANT_SECRET_MAX = 1024 };

/* The secret, hashed as far as it is the same for all grants (RFC 2104 section 4), in the
 * library's memory, which wipes it at the end. */
struct grant_key {
    EVP_MAC_CTX *mac; /* used again for each grant: one thread's */
};

/* False: no key; the caller wipes the secret. */
bool grant_key_make(struct grant_key *k, const uint8_t *secret, size_t secret_len);
void grant_key_free(struct grant_key *k);

/* False: the result does not fit, or signing failed. */
bool grant_make(const struct tgw_ident *ident, const struct grant_key *k, uint64_t now_s,
                char out[TGW_GRANT_MAX + 1]);

#endif

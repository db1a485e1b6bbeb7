/* SHA-1 for the handshake (RFC 6455 section 4.2.2), SHA-256 for tokens. By OpenSSL's functions of
 * before 3.0, which it calls deprecated: what came after them allocates two objects a digest and
 * clears them, which costs more than the hashing of a line. */
#ifndef TGW_WEB_DIGEST_H
#define TGW_WEB_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DIGEST_SHA1_BYTES = 20, DIGEST_SHA256_BYTES = 32 };

/* False: `out` is not to be used. */
bool digest_sha1(const void *data, size_t len, uint8_t out[DIGEST_SHA1_BYTES]);
bool digest_sha256(const void *data, size_t len, uint8_t out[DIGEST_SHA256_BYTES]);

#endif

/* SHA-1 for the handshake (RFC 6455 section 4.2.2), SHA-256 for tokens. OpenSSL 3 looks a method
 * up by name for each digest unless it is given one that was fetched, which costs three times
 * the hashing of a line: these are fetched once a process, by whoever comes first, and kept. */
#ifndef TGW_WEB_DIGEST_H
#define TGW_WEB_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DIGEST_SHA1_BYTES = 20, DIGEST_SHA256_BYTES = 32 };

/* False: OpenSSL has no such method, or no memory; `out` is all zero then. */
bool digest_sha1(const void *data, size_t len, uint8_t out[DIGEST_SHA1_BYTES]);
bool digest_sha256(const void *data, size_t len, uint8_t out[DIGEST_SHA256_BYTES]);

#endif

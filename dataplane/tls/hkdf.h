/* HKDF (RFC 5869) as TLS 1.3 uses it (RFC 8446 section 7.1), over a digest context that is
 * kept, because the library's KDF objects cost several times the hashing itself. What it
 * takes depends on lengths alone. */
#ifndef TGW_TLS_HKDF_H
#define TGW_TLS_HKDF_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TLS_HASH_BYTES_MAX = 48 }; /* SHA-384, the longest that a suite has */

struct tls_hash {
    EVP_MD *md;
    uint8_t bytes, block_bytes;
};

struct tls_bytes {
    const uint8_t *at;
    size_t len;
};

/* False: the library lacks it. EVP_MD_free(h->md) when it is not needed any more. */
bool tls_hash_fetch(struct tls_hash *h, const char *name);

/* The salt has at most a block of the hash, the result is one hash. False: the library failed. */
bool tls_hkdf_extract(EVP_MD_CTX *scratch, const struct tls_hash *h, struct tls_bytes salt,
                      struct tls_bytes key, uint8_t *out);

struct tls_label {
    struct tls_bytes prefix, label; /* "tls13 ", "key" */
    struct tls_bytes context;       /* a transcript's hash, or nothing */
};
/* HKDF-Expand-Label of at most one hash. False: longer than any in RFC 8446, or the library failed.
 */
bool tls_hkdf_expand_label(EVP_MD_CTX *scratch, const struct tls_hash *h, struct tls_bytes secret,
                           const struct tls_label *label, uint8_t *out, size_t len);

#endif

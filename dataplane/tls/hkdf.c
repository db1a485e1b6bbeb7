#include "hkdf.h"
#include <openssl/crypto.h>
#include <string.h>

enum { BLOCK_BYTES_MAX = 128, INFO_BYTES_MAX = 160 };

bool tls_hash_fetch(struct tls_hash *h, const char *name) {
    *h = (struct tls_hash){.md = EVP_MD_fetch(NULL, name, NULL)};
    if (!h->md)
        return false;
    h->bytes = (uint8_t)EVP_MD_get_size(h->md);
    h->block_bytes = (uint8_t)EVP_MD_get_block_size(h->md);
    return h->bytes <= TLS_HASH_BYTES_MAX && h->block_bytes <= BLOCK_BYTES_MAX;
}

/* One half of HMAC (RFC 2104): H((key XOR pad) || data). */
static bool hmac_half(EVP_MD_CTX *scratch, const struct tls_hash *h, struct tls_bytes key,
                      uint8_t pad, struct tls_bytes data, uint8_t *out) {
    uint8_t block[BLOCK_BYTES_MAX];
    memset(block, pad, sizeof(block));
    for (size_t i = 0; i < key.len; i++)
        block[i] ^= key.at[i];
    bool done = EVP_DigestInit_ex2(scratch, h->md, NULL) == 1 &&
                EVP_DigestUpdate(scratch, block, h->block_bytes) == 1 &&
                EVP_DigestUpdate(scratch, data.at, data.len) == 1 &&
                EVP_DigestFinal_ex(scratch, out, NULL) == 1;
    OPENSSL_cleanse(block, sizeof(block));
    return done;
}

static bool hmac(EVP_MD_CTX *scratch, const struct tls_hash *h, struct tls_bytes key,
                 struct tls_bytes data, uint8_t *out) {
    uint8_t inner[TLS_HASH_BYTES_MAX];
    bool done = key.len <= h->block_bytes && hmac_half(scratch, h, key, 0x36, data, inner) &&
                hmac_half(scratch, h, key, 0x5c, (struct tls_bytes){inner, h->bytes}, out);
    OPENSSL_cleanse(inner, sizeof(inner));
    return done;
}

bool tls_hkdf_extract(EVP_MD_CTX *scratch, const struct tls_hash *h, struct tls_bytes salt,
                      struct tls_bytes key, uint8_t *out) {
    return hmac(scratch, h, salt, key, out);
}

static size_t put(uint8_t *info, size_t at, struct tls_bytes b) {
    if (b.len)
        memcpy(info + at, b.at, b.len);
    return at + b.len;
}

/* struct HkdfLabel of section 7.1, then HKDF-Expand's counter. 0: does not fit. */
static size_t put_info(uint8_t info[INFO_BYTES_MAX], const struct tls_label *l, size_t len) {
    if (5 + l->prefix.len + l->label.len + l->context.len > INFO_BYTES_MAX)
        return 0;
    info[0] = (uint8_t)(len >> 8);
    info[1] = (uint8_t)len;
    info[2] = (uint8_t)(l->prefix.len + l->label.len);
    size_t at = put(info, put(info, 3, l->prefix), l->label);
    info[at] = (uint8_t)l->context.len;
    at = put(info, at + 1, l->context);
    info[at] = 1;
    return at + 1;
}

bool tls_hkdf_expand_label(EVP_MD_CTX *scratch, const struct tls_hash *h, struct tls_bytes secret,
                           const struct tls_label *label, uint8_t *out, size_t len) {
    uint8_t info[INFO_BYTES_MAX], block[TLS_HASH_BYTES_MAX];
    size_t info_bytes = len <= h->bytes ? put_info(info, label, len) : 0;
    bool done = info_bytes && hmac(scratch, h, secret, (struct tls_bytes){info, info_bytes}, block);
    if (done)
        memcpy(out, block, len);
    OPENSSL_cleanse(block, sizeof(block));
    return done;
}

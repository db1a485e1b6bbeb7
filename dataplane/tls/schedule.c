/* Traffic secrets, keys and IVs. HKDF-Expand (RFC 5869) for at most one block is one
 * HMAC; done over a digest context that is kept, because the library's KDF objects cost
 * several times the hashing itself and sessions in their thousands derive keys anew. */
#include "record.h"
#include <assert.h>
#include <openssl/crypto.h>
#include <string.h>

enum { HMAC_BLOCK_BYTES_MAX = 128, INFO_BYTES_MAX = 64 };

static const struct {
    const char *cipher, *hash;
    uint8_t key_bytes, hash_bytes, block_bytes;
} suites[TLS_SUITES] = {
    [TLS_AES_128_GCM_SHA256] = {"AES-128-GCM", "SHA256", 16, 32, 64},
    [TLS_AES_256_GCM_SHA384] = {"AES-256-GCM", "SHA384", 32, 48, 128},
    [TLS_CHACHA20_POLY1305_SHA256] = {"ChaCha20-Poly1305", "SHA256", 32, 32, 64},
};

bool tls_crypto_init(struct tls_crypto *c) {
    *c = (struct tls_crypto){.digest = EVP_MD_CTX_new()};
    for (int i = 0; i < TLS_SUITES; i++) {
        c->hash[i] = EVP_MD_fetch(NULL, suites[i].hash, NULL);
        if (!tls_cipher_fetch(&c->cipher[i], suites[i].cipher) || !c->hash[i])
            return false;
    }
    return c->digest != NULL;
}

void tls_crypto_fini(struct tls_crypto *c) {
    for (int i = 0; i < TLS_SUITES; i++) {
        tls_cipher_release(&c->cipher[i]);
        EVP_MD_free(c->hash[i]);
    }
    EVP_MD_CTX_free(c->digest);
    *c = (struct tls_crypto){0};
}

size_t tls_secret_bytes(enum tls_suite suite) {
    return suites[suite].hash_bytes;
}

/* One half of HMAC (RFC 2104): H((key XOR pad) || data). */
static bool hmac_half(const struct tls_crypto *c, enum tls_suite suite, const uint8_t *key,
                      uint8_t pad, const uint8_t *data, size_t len, uint8_t *out) {
    uint8_t block[HMAC_BLOCK_BYTES_MAX];
    memset(block, pad, sizeof(block));
    for (size_t i = 0; i < suites[suite].hash_bytes; i++)
        block[i] ^= key[i];
    bool done = EVP_DigestInit_ex2(c->digest, c->hash[suite], NULL) == 1 &&
                EVP_DigestUpdate(c->digest, block, suites[suite].block_bytes) == 1 &&
                EVP_DigestUpdate(c->digest, data, len) == 1 &&
                EVP_DigestFinal_ex(c->digest, out, NULL) == 1;
    OPENSSL_cleanse(block, sizeof(block));
    return done;
}

/* struct HkdfLabel of section 7.1 with an empty context, then HKDF-Expand's counter. */
static size_t put_info(uint8_t info[INFO_BYTES_MAX], const char *label, size_t len) {
    static const char prefix[] = "tls13 ";
    const size_t prefix_bytes = sizeof(prefix) - 1, label_bytes = strlen(label);
    assert(4 + prefix_bytes + label_bytes + 1 <= INFO_BYTES_MAX);
    info[0] = (uint8_t)(len >> 8);
    info[1] = (uint8_t)len;
    info[2] = (uint8_t)(prefix_bytes + label_bytes);
    memcpy(info + 3, prefix, prefix_bytes);
    memcpy(info + 3 + prefix_bytes, label, label_bytes);
    size_t at = 3 + prefix_bytes + label_bytes;
    info[at++] = 0;
    info[at++] = 1;
    return at;
}

bool tls_expand_label(const struct tls_crypto *c, enum tls_suite suite, const uint8_t *secret,
                      const char *label, uint8_t *out, size_t len) {
    const size_t hash_bytes = suites[suite].hash_bytes;
    uint8_t info[INFO_BYTES_MAX], inner[EVP_MAX_MD_SIZE], outer[EVP_MAX_MD_SIZE];
    assert(len <= hash_bytes);
    size_t info_bytes = put_info(info, label, len);
    bool done = hmac_half(c, suite, secret, 0x36, info, info_bytes, inner) &&
                hmac_half(c, suite, secret, 0x5c, inner, hash_bytes, outer);
    if (done)
        memcpy(out, outer, len);
    OPENSSL_cleanse(inner, sizeof(inner));
    OPENSSL_cleanse(outer, sizeof(outer));
    return done;
}

bool tls_next_secret(const struct tls_crypto *c, enum tls_suite suite, uint8_t *secret) {
    return tls_expand_label(c, suite, secret, "traffic upd", secret, suites[suite].hash_bytes);
}

bool tls_key_set(const struct tls_crypto *c, enum tls_suite suite, const uint8_t *secret, bool seal,
                 struct tls_key *key) {
    uint8_t bytes[EVP_MAX_KEY_LENGTH];
    bool done = tls_expand_label(c, suite, secret, "key", bytes, suites[suite].key_bytes) &&
                tls_expand_label(c, suite, secret, "iv", key->iv, sizeof(key->iv)) &&
                tls_key_init(key, &c->cipher[suite], bytes, suites[suite].key_bytes, seal);
    OPENSSL_cleanse(bytes, sizeof(bytes));
    return done;
}

/* Traffic secrets, keys and IVs. Sessions in their thousands derive keys anew. */
#include "record.h"
#include <openssl/crypto.h>
#include <string.h>

static const struct {
    const char *cipher, *hash;
    uint8_t key_bytes, hash_bytes;
} suites[TLS_SUITES] = {
    [TLS_AES_128_GCM_SHA256] = {"AES-128-GCM", "SHA256", 16, 32},
    [TLS_AES_256_GCM_SHA384] = {"AES-256-GCM", "SHA384", 32, 48},
    [TLS_CHACHA20_POLY1305_SHA256] = {"ChaCha20-Poly1305", "SHA256", 32, 32},
};

bool tls_crypto_init(struct tls_crypto *c) {
    *c = (struct tls_crypto){.digest = EVP_MD_CTX_new()};
    for (int i = 0; i < TLS_SUITES; i++) {
        bool cipher = tls_cipher_fetch(&c->cipher[i], suites[i].cipher);
        if (!tls_hash_fetch(&c->hash[i], suites[i].hash) || !cipher)
            return false;
    }
    return c->digest != NULL;
}

void tls_crypto_fini(struct tls_crypto *c) {
    for (int i = 0; i < TLS_SUITES; i++) {
        tls_cipher_release(&c->cipher[i]);
        EVP_MD_free(c->hash[i].md);
    }
    EVP_MD_CTX_free(c->digest);
    *c = (struct tls_crypto){0};
}

size_t tls_secret_bytes(enum tls_suite suite) {
    return suites[suite].hash_bytes;
}

bool tls_expand_label(const struct tls_crypto *c, enum tls_suite suite, const uint8_t *secret,
                      const char *label, uint8_t *out, size_t len) {
    static const uint8_t prefix[] = {'t', 'l', 's', '1', '3', ' '};
    const struct tls_label whole = {.prefix = {prefix, sizeof(prefix)},
                                    .label = {(const uint8_t *)label, strlen(label)}};
    return tls_hkdf_expand_label(c->digest, &c->hash[suite],
                                 (struct tls_bytes){secret, suites[suite].hash_bytes}, &whole, out,
                                 len);
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

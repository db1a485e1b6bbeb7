/* An AEAD of the library, called through its provider's functions (provider-cipher(7))
 * rather than through EVP: the code that seals and opens is the same, AES-NI, VAES or
 * Armv8 as the processor has it, but EVP looks parameters up by name several times a
 * record, which costs more than the protection of a keystroke itself. */
#ifndef TGW_TLS_CIPHER_H
#define TGW_TLS_CIPHER_H

#include <openssl/core_dispatch.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TLS_TAG_BYTES = 16, TLS_IV_BYTES = 12 };

struct tls_cipher {
    EVP_CIPHER *fetched; /* holds the provider */
    void *provider;
    OSSL_FUNC_cipher_newctx_fn *newctx;
    OSSL_FUNC_cipher_freectx_fn *freectx;
    OSSL_FUNC_cipher_encrypt_init_fn *encrypt_init;
    OSSL_FUNC_cipher_decrypt_init_fn *decrypt_init;
    OSSL_FUNC_cipher_update_fn *update;
    OSSL_FUNC_cipher_final_fn *final;
    OSSL_FUNC_cipher_get_ctx_params_fn *get_params;
};

/* False: the library has no such cipher, or its provider none of the functions. */
bool tls_cipher_fetch(struct tls_cipher *c, const char *name);
void tls_cipher_release(struct tls_cipher *c);

/* One direction's key, ready to use: zeroed, then tls_key_set(), at last tls_key_clear(). */
struct tls_key {
    void *ctx; /* the provider's; NULL: none */
    const struct tls_cipher *cipher;
    uint8_t iv[TLS_IV_BYTES]; /* of record 0 */
};

/* Wipes it. */
void tls_key_clear(struct tls_key *k);
/* A key's bytes; k->iv is the caller's. A context of the same cipher is used again. */
bool tls_key_init(struct tls_key *k, const struct tls_cipher *c, const uint8_t *bytes,
                  size_t key_bytes, bool seal);
/* in and out may be the same; out takes the tag behind the text. */
bool tls_key_seal(const struct tls_key *k, const uint8_t nonce[TLS_IV_BYTES], const uint8_t *aad,
                  size_t aad_bytes, const uint8_t *in, size_t len, uint8_t *out);
/* The tag stands at in + len. False: it does not match; out is then of no use. */
bool tls_key_open(const struct tls_key *k, const uint8_t nonce[TLS_IV_BYTES], const uint8_t *aad,
                  size_t aad_bytes, const uint8_t *in, size_t len, uint8_t *out);

#endif

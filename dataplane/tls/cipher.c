#include "cipher.h"
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <string.h>
#include <strings.h>

/* "AES-128-GCM:id-aes128-GCM:..." */
static bool has_name(const char *names, const char *name) {
    size_t len = strlen(name);
    for (const char *at = names; at; at = strchr(at, ':')) {
        at += *at == ':';
        if (strncasecmp(at, name, len) == 0 && (at[len] == ':' || !at[len]))
            return true;
    }
    return false;
}

static void take_functions(struct tls_cipher *c, const OSSL_DISPATCH *d) {
    for (; d->function_id; d++) {
        switch (d->function_id) {
        case OSSL_FUNC_CIPHER_NEWCTX:
            c->newctx = OSSL_FUNC_cipher_newctx(d);
            break;
        case OSSL_FUNC_CIPHER_FREECTX:
            c->freectx = OSSL_FUNC_cipher_freectx(d);
            break;
        case OSSL_FUNC_CIPHER_ENCRYPT_INIT:
            c->encrypt_init = OSSL_FUNC_cipher_encrypt_init(d);
            break;
        case OSSL_FUNC_CIPHER_DECRYPT_INIT:
            c->decrypt_init = OSSL_FUNC_cipher_decrypt_init(d);
            break;
        case OSSL_FUNC_CIPHER_UPDATE:
            c->update = OSSL_FUNC_cipher_update(d);
            break;
        case OSSL_FUNC_CIPHER_FINAL:
            c->final = OSSL_FUNC_cipher_final(d);
            break;
        case OSSL_FUNC_CIPHER_GET_CTX_PARAMS:
            c->get_params = OSSL_FUNC_cipher_get_ctx_params(d);
            break;
        }
    }
}

bool tls_cipher_fetch(struct tls_cipher *c, const char *name) {
    int no_cache;
    *c = (struct tls_cipher){.fetched = EVP_CIPHER_fetch(NULL, name, NULL)};
    if (!c->fetched)
        return false;
    const OSSL_PROVIDER *p = EVP_CIPHER_get0_provider(c->fetched);
    const OSSL_ALGORITHM *all = OSSL_PROVIDER_query_operation(p, OSSL_OP_CIPHER, &no_cache);
    c->provider = OSSL_PROVIDER_get0_provider_ctx(p);
    for (const OSSL_ALGORITHM *a = all; a && a->algorithm_names; a++)
        if (has_name(a->algorithm_names, name))
            take_functions(c, a->implementation);
    OSSL_PROVIDER_unquery_operation(p, OSSL_OP_CIPHER, all);
    return c->newctx && c->freectx && c->encrypt_init && c->decrypt_init && c->update && c->final &&
           c->get_params;
}

void tls_cipher_release(struct tls_cipher *c) {
    EVP_CIPHER_free(c->fetched);
    *c = (struct tls_cipher){0};
}

void tls_key_clear(struct tls_key *k) {
    if (k->ctx)
        k->cipher->freectx(k->ctx); /* wipes the key schedule */
    OPENSSL_cleanse(k, sizeof(*k));
}

bool tls_key_init(struct tls_key *k, const struct tls_cipher *c, const uint8_t *bytes,
                  size_t key_bytes, bool seal) {
    if (k->ctx && k->cipher != c) {
        k->cipher->freectx(k->ctx);
        k->ctx = NULL;
    }
    k->cipher = c;
    if (!k->ctx && !(k->ctx = c->newctx(c->provider)))
        return false;
    return seal ? c->encrypt_init(k->ctx, bytes, key_bytes, k->iv, TLS_IV_BYTES, NULL) == 1
                : c->decrypt_init(k->ctx, bytes, key_bytes, k->iv, TLS_IV_BYTES, NULL) == 1;
}

bool tls_key_seal(const struct tls_key *k, const uint8_t nonce[TLS_IV_BYTES], const uint8_t *aad,
                  size_t aad_bytes, const uint8_t *in, size_t len, uint8_t *out) {
    const struct tls_cipher *c = k->cipher;
    OSSL_PARAM tag[] = {
        OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, out + len, TLS_TAG_BYTES),
        OSSL_PARAM_END};
    size_t n, end;
    return c->encrypt_init(k->ctx, NULL, 0, nonce, TLS_IV_BYTES, NULL) == 1 &&
           c->update(k->ctx, NULL, &n, aad_bytes, aad, aad_bytes) == 1 &&
           c->update(k->ctx, out, &n, len, in, len) == 1 && n == len &&
           c->final(k->ctx, out + len, &end, TLS_TAG_BYTES) == 1 && end == 0 &&
           c->get_params(k->ctx, tag) == 1;
}

bool tls_key_open(const struct tls_key *k, const uint8_t nonce[TLS_IV_BYTES], const uint8_t *aad,
                  size_t aad_bytes, const uint8_t *in, size_t len, uint8_t *out) {
    const struct tls_cipher *c = k->cipher;
    uint8_t expected[TLS_TAG_BYTES]; /* `in` is not to be written to, and a parameter may be */
    const OSSL_PARAM tag[] = {
        OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, expected, sizeof(expected)),
        OSSL_PARAM_END};
    size_t n, end;
    memcpy(expected, in + len, sizeof(expected));
    return c->decrypt_init(k->ctx, NULL, 0, nonce, TLS_IV_BYTES, tag) == 1 &&
           c->update(k->ctx, NULL, &n, aad_bytes, aad, aad_bytes) == 1 &&
           c->update(k->ctx, out, &n, len, in, len) == 1 && n == len &&
           c->final(k->ctx, out + len, &end, 0) == 1;
}

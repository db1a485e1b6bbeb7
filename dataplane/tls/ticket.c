/* Keys of session tickets. A period of time and the shared secret give the key, so that
 * every thread, and every gateway with the same file, arrives at the same one and rotates
 * at the same time without a word between them. The key before is still taken, and its
 * tickets are answered with new ones. */
#include "context_priv.h"
#include <openssl/core_names.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <string.h>

enum { NAME_BYTES = 16, KEY_BYTES = TLS_TICKET_KEY_BYTES, TAKEN = 1, TAKEN_RENEW = 2 };

static void derive(const struct tls_set *s, const char *label, uint64_t period,
                   unsigned char out[KEY_BYTES]) {
    unsigned char data[32];
    unsigned int len = KEY_BYTES;
    size_t label_bytes = strlen(label);
    memcpy(data, label, label_bytes);
    memcpy(data + label_bytes, &period, sizeof(period));
    HMAC(EVP_sha256(), s->ticket_secret, sizeof(s->ticket_secret), data,
         label_bytes + sizeof(period), out, &len);
}

/* Derived once a period: six HMACs cost more than the ticket itself. */
static void keys_of(struct tls_set *s, uint64_t period, struct tls_ticket_keys *out) {
    struct tls_ticket_keys *k = &s->ticket[period % 2];
    pthread_mutex_lock(&s->ticket_lock);
    if (!k->derived || k->period != period) {
        derive(s, "tgw ticket name", period, k->name);
        derive(s, "tgw ticket cipher", period, k->cipher);
        derive(s, "tgw ticket mac", period, k->mac);
        k->period = period;
        k->derived = true;
    }
    *out = *k;
    pthread_mutex_unlock(&s->ticket_lock);
}

static int use(struct tls_ticket_keys *k, const unsigned char *iv, EVP_CIPHER_CTX *cipher,
               EVP_MAC_CTX *mac, int seal) {
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, k->mac, KEY_BYTES),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, k->cipher, iv, seal) == 1 &&
           EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* TAKEN, TAKEN_RENEW (send a new ticket), 0: not ours, -1: failure. */
static int open_ticket(struct tls_set *s, uint64_t period, struct tls_ticket_keys *k,
                       const unsigned char *name, const unsigned char *iv, EVP_CIPHER_CTX *cipher,
                       EVP_MAC_CTX *mac) {
    for (int age = 0; age <= 1; age++) {
        keys_of(s, period - (uint64_t)age, k);
        if (CRYPTO_memcmp(name, k->name, NAME_BYTES) == 0)
            return use(k, iv, cipher, mac, 0) ? (age ? TAKEN_RENEW : TAKEN) : -1;
    }
    return 0;
}

int tls_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                   EVP_MAC_CTX *mac, int seal) {
    struct tls_set *s = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const struct tls_context *x = s->context;
    uint64_t period =
        atomic_load_explicit(&x->unix_s, memory_order_relaxed) / s->config.ticket_period_s;
    struct tls_ticket_keys k;
    int result;
    if (!seal) {
        result = open_ticket(s, period, &k, name, iv, cipher, mac);
        /* A client shows a TLS 1.3 ticket once (RFC 8446 appendix C.4): it needs another. */
        if (result == TAKEN && SSL_version(ssl) == TLS1_3_VERSION)
            result = TAKEN_RENEW;
    } else {
        keys_of(s, period, &k);
        memcpy(name, k.name, NAME_BYTES);
        result = RAND_bytes(iv, EVP_MAX_IV_LENGTH) == 1 && use(&k, iv, cipher, mac, 1) ? 1 : -1;
    }
    OPENSSL_cleanse(&k, sizeof(k));
    return result;
}

#include "tls.h"
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct redis_tls {
    SSL *ssl;
    BIO *in, *out; /* the SSL's */
    const char *why;
};

static bool use_certificate(SSL_CTX *ctx, const char *pair) {
    char chain[256];
    const char *colon = strchr(pair, ':');
    if (!colon || (size_t)(colon - pair) >= sizeof(chain))
        return false;
    memcpy(chain, pair, (size_t)(colon - pair));
    chain[colon - pair] = 0;
    return SSL_CTX_use_certificate_chain_file(ctx, chain) == 1 &&
           SSL_CTX_use_PrivateKey_file(ctx, colon + 1, SSL_FILETYPE_PEM) == 1 &&
           SSL_CTX_check_private_key(ctx) == 1;
}

SSL_CTX *redis_tls_context(const char *ca_file, const char *certificate, char *err,
                           size_t err_bytes) {
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    const char *wrong = NULL;
    if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1)
        wrong = "redis_url: no TLS";
    else if ((ca_file[0] ? SSL_CTX_load_verify_locations(ctx, ca_file, NULL)
                         : SSL_CTX_set_default_verify_paths(ctx)) != 1)
        wrong = "redis_ca: not a readable file of certificates";
    else if (certificate[0] && !use_certificate(ctx, certificate))
        wrong = "redis_certificate: not a readable CHAIN:KEY that belong together";
    ERR_clear_error();
    if (wrong) {
        snprintf(err, err_bytes, "%s", wrong);
        SSL_CTX_free(ctx);
        return NULL;
    }
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(ctx, SSL_MODE_AUTO_RETRY);
    return ctx;
}

static bool expect(SSL *ssl, const char *host) {
    unsigned char address[16];
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

struct redis_tls *redis_tls_new(SSL_CTX *ctx, const char *host) {
    struct redis_tls *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->ssl = SSL_new(ctx);
    t->in = BIO_new(BIO_s_mem());
    t->out = BIO_new(BIO_s_mem());
    if (!t->ssl || !t->in || !t->out) {
        BIO_free(t->in);
        BIO_free(t->out);
        SSL_free(t->ssl);
        free(t);
        return NULL;
    }
    SSL_set_bio(t->ssl, t->in, t->out);
    SSL_set_connect_state(t->ssl);
    if (expect(t->ssl, host))
        return t;
    redis_tls_free(t);
    return NULL;
}

void redis_tls_free(struct redis_tls *t) {
    if (!t)
        return;
    SSL_free(t->ssl);
    free(t);
}

/* True when the call only wants more bytes. */
static bool waits(struct redis_tls *t, int rc) {
    int error = SSL_get_error(t->ssl, rc);
    ERR_clear_error();
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

bool redis_tls_handshake(struct redis_tls *t) {
    int rc = SSL_do_handshake(t->ssl);
    if (rc == 1 || waits(t, rc))
        return true;
    long verdict = SSL_get_verify_result(t->ssl);
    t->why = verdict == X509_V_OK ? "TLS handshake failed" : X509_verify_cert_error_string(verdict);
    return false;
}

bool redis_tls_ready(const struct redis_tls *t) {
    return SSL_is_init_finished(t->ssl);
}

const char *redis_tls_why(const struct redis_tls *t) {
    return t->why ? t->why : "TLS failed";
}

bool redis_tls_feed(struct redis_tls *t, const void *data, size_t len) {
    return BIO_write(t->in, data, (int)len) == (int)len;
}

int redis_tls_read(struct redis_tls *t, void *out, size_t size) {
    int n = SSL_read(t->ssl, out, (int)size);
    if (n > 0)
        return n;
    return waits(t, n) ? 0 : -1;
}

bool redis_tls_write(struct redis_tls *t, const void *data, size_t len) {
    int n = SSL_write(t->ssl, data, (int)len); /* memory takes it whole */
    ERR_clear_error();
    return n == (int)len;
}

size_t redis_tls_take(struct redis_tls *t, void *out, size_t size) {
    int n = BIO_read(t->out, out, (int)size);
    return n > 0 ? (size_t)n : 0;
}

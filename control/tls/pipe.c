#include "pipe.h"
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tls_pipe {
    SSL *ssl;
    BIO *in, *out; /* the SSL's */
    const char *why;
};

bool tls_use_certificate(SSL_CTX *ctx, const char *pair) {
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

static bool expect(SSL *ssl, const char *host) {
    unsigned char address[16];
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

static struct tls_pipe *make(SSL_CTX *ctx) {
    struct tls_pipe *t = calloc(1, sizeof(*t));
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
    return t;
}

struct tls_pipe *tls_pipe_connect(SSL_CTX *ctx, const char *host) {
    struct tls_pipe *t = make(ctx);
    if (!t)
        return NULL;
    SSL_set_connect_state(t->ssl);
    if (expect(t->ssl, host))
        return t;
    tls_pipe_free(t);
    return NULL;
}

struct tls_pipe *tls_pipe_accept(SSL_CTX *ctx) {
    struct tls_pipe *t = make(ctx);
    if (t)
        SSL_set_accept_state(t->ssl);
    return t;
}

void tls_pipe_free(struct tls_pipe *t) {
    if (!t)
        return;
    SSL_free(t->ssl);
    free(t);
}

/* True when the call only wants more bytes. */
static bool waits(struct tls_pipe *t, int rc) {
    int error = SSL_get_error(t->ssl, rc);
    ERR_clear_error();
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

bool tls_pipe_handshake(struct tls_pipe *t) {
    int rc = SSL_do_handshake(t->ssl);
    if (rc == 1 || waits(t, rc))
        return true;
    long verdict = SSL_get_verify_result(t->ssl);
    t->why = verdict == X509_V_OK ? "TLS handshake failed" : X509_verify_cert_error_string(verdict);
    return false;
}

bool tls_pipe_ready(const struct tls_pipe *t) {
    return SSL_is_init_finished(t->ssl);
}

const char *tls_pipe_why(const struct tls_pipe *t) {
    return t->why ? t->why : "TLS failed";
}

X509 *tls_pipe_peer(const struct tls_pipe *t) {
    return SSL_get0_peer_certificate(t->ssl);
}

void tls_pipe_end(struct tls_pipe *t) {
    SSL_shutdown(t->ssl);
    ERR_clear_error();
}

bool tls_pipe_feed(struct tls_pipe *t, const void *data, size_t len) {
    return BIO_write(t->in, data, (int)len) == (int)len;
}

int tls_pipe_read(struct tls_pipe *t, void *out, size_t size) {
    int n = SSL_read(t->ssl, out, (int)size);
    if (n > 0)
        return n;
    return waits(t, n) ? 0 : -1;
}

bool tls_pipe_write(struct tls_pipe *t, const void *data, size_t len) {
    int n = SSL_write(t->ssl, data, (int)len); /* memory takes it whole */
    ERR_clear_error();
    return n == (int)len;
}

size_t tls_pipe_take(struct tls_pipe *t, void *out, size_t size) {
    int n = BIO_read(t->out, out, (int)size);
    return n > 0 ? (size_t)n : 0;
}

/* TLS of a connection, over its socket: reads and writes that behave like recv and send. */
#include "agent.h"
#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <sys/socket.h>

static SSL_CTX *fail(char *err, size_t err_bytes, SSL_CTX *ctx, const char *what,
                     const char *path) {
    snprintf(err, err_bytes, "%s %s: %s", what, path,
             ERR_reason_error_string(ERR_peek_last_error()));
    SSL_CTX_free(ctx);
    return NULL;
}

SSL_CTX *secure_context(const struct secure_files *f, char *err, size_t err_bytes) {
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1)
        return fail(err, err_bytes, ctx, "TLS", "");
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(ctx, 0); /* a gateway has no use for them */
    if (SSL_CTX_use_certificate_chain_file(ctx, f->certificate) != 1)
        return fail(err, err_bytes, ctx, "--tls-certificate", f->certificate);
    if (SSL_CTX_use_PrivateKey_file(ctx, f->key, SSL_FILETYPE_PEM) != 1)
        return fail(err, err_bytes, ctx, "--tls-key", f->key);
    if (!f->client_ca)
        return ctx;
    if (SSL_CTX_load_verify_file(ctx, f->client_ca) != 1)
        return fail(err, err_bytes, ctx, "--tls-client-ca", f->client_ca);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    if (f->client_name &&
        X509_VERIFY_PARAM_set1_host(SSL_CTX_get0_param(ctx), f->client_name, 0) != 1)
        return fail(err, err_bytes, ctx, "--tls-client-name", f->client_name);
    return ctx;
}

bool secure_accept(struct conn *c) {
    if (!c->agent->tls)
        return true;
    c->tls = SSL_new(c->agent->tls);
    if (!c->tls || SSL_set_fd(c->tls, c->fd) != 1)
        return false;
    SSL_set_accept_state(c->tls);
    return true;
}

void secure_free(struct conn *c) {
    SSL_free(c->tls);
    c->tls = NULL;
}

/* What a call's result means in the terms of recv and send. */
static ssize_t result(struct conn *c, int n) {
    int why = SSL_get_error(c->tls, n);
    c->tls_wants_write = why == SSL_ERROR_WANT_WRITE;
    if (n > 0)
        return n;
    if (why == SSL_ERROR_ZERO_RETURN)
        return 0;
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
        errno = EAGAIN;
        return -1;
    }
    if (!SSL_is_init_finished(c->tls) && why == SSL_ERROR_SSL)
        log_conn(LOG_WARN, "session_refused", c, ERR_reason_error_string(ERR_peek_error()),
                 "tls_handshake_failed");
    errno = ECONNRESET;
    return -1;
}

ssize_t secure_recv(struct conn *c, void *buf, size_t len) {
    if (!c->tls)
        return recv(c->fd, buf, len, 0);
    ERR_clear_error();
    return result(c, SSL_read(c->tls, buf, len < INT32_MAX ? (int)len : INT32_MAX));
}

ssize_t secure_send(struct conn *c, const void *buf, size_t len) {
    if (!c->tls)
        return send(c->fd, buf, len, MSG_NOSIGNAL);
    ERR_clear_error();
    return result(c, SSL_write(c->tls, buf, len < INT32_MAX ? (int)len : INT32_MAX));
}

void secure_shutdown(struct conn *c) {
    ERR_clear_error();
    if (c->tls && SSL_is_init_finished(c->tls))
        SSL_shutdown(c->tls);
    shutdown(c->fd, SHUT_WR);
}

bool secure_pending(const struct conn *c) {
    return c->tls && SSL_pending(c->tls) > 0;
}

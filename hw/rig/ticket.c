/* One full handshake before the browsers come, for its ticket: they resume from it, so that
 * a rig sets up many more than full handshakes would let it. OpenSSL all the way, since a
 * ticket comes after the hand-over and needs a secret that the record layer never sees.
 * Without a ticket in time every browser shakes hands in full. */
#include "rig.h"
#include <openssl/err.h>
#include <stdlib.h>

enum { PATIENCE_MS = 3000, WIRE_BYTES = 16384, SOURCE_PORT = 1023 /* the browsers' begin above */ };

struct ticket {
    struct rig *rig;
    SSL_CTX *ctx;
    SSL *ssl;
    struct stream stream;
    uint64_t until_ns;
    bool done;
};

static int on_session(SSL *ssl, SSL_SESSION *session) {
    struct ticket *t = SSL_get_app_data(ssl);
    if (t->done || !SSL_SESSION_is_resumable(session))
        return 0;
    tls_context_resume(t->rig->tls_context, session);
    t->done = true;
    return 0;
}

static void leave(struct ticket *t) {
    t->done = true;
    if (t->stream.impl)
        t->stream.ops->release(t->stream.impl);
    t->stream.impl = NULL;
}

/* What OpenSSL wants sent; a handshake fits the send queue. */
static void send_out(const struct ticket *t) {
    char *at;
    BIO *out = SSL_get_wbio(t->ssl);
    long len = BIO_get_mem_data(out, &at);
    if (len > 0)
        t->stream.ops->write(t->stream.impl, at, (size_t)len);
    (void)BIO_reset(out);
}

static void step(struct ticket *t) {
    uint8_t byte;
    ERR_clear_error();
    int n = SSL_read(t->ssl, &byte, 1); /* shakes hands first, then takes tickets */
    int why = SSL_get_error(t->ssl, n);
    if (t->done)
        SSL_shutdown(t->ssl); /* close_notify */
    send_out(t);
    if (t->done || why != SSL_ERROR_WANT_READ)
        leave(t);
}

static void on_readable(void *user) {
    struct ticket *t = user;
    uint8_t wire[WIRE_BYTES];
    size_t n = t->stream.ops->copy(t->stream.impl, wire, sizeof(wire));
    BIO_write(SSL_get_rbio(t->ssl), wire, (int)n);
    t->stream.ops->consume(t->stream.impl, n);
    step(t);
}

static void on_closed(void *user, enum stream_end end) {
    struct ticket *t = user;
    (void)end;
    t->stream.impl = NULL;
    t->done = true;
}

static void on_writable(void *user) {
    (void)user;
}

static void on_connected(void *user) {
    step(user);
}

static const struct stream_handler handler = {on_connected, on_readable, on_writable, on_closed};

static bool make_ssl(struct ticket *t) {
    t->ctx = SSL_CTX_new(TLS_client_method());
    if (!t->ctx || SSL_CTX_load_verify_file(t->ctx, t->rig->plan.tls_ca) != 1)
        return false;
    SSL_CTX_set_min_proto_version(t->ctx, TLS1_3_VERSION);
    SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(t->ctx, on_session);
    t->ssl = SSL_new(t->ctx);
    if (!t->ssl)
        return false;
    SSL_set_app_data(t->ssl, t);
    SSL_set_bio(t->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(t->ssl);
    return SSL_get_rbio(t->ssl) && SSL_get_wbio(t->ssl);
}

static void dial(struct ticket *t) {
    struct ip_addr addr;
    struct ip_prefix clients;
    struct tgw_endpoint from = {.port = SOURCE_PORT}, to = {0};
    plan_endpoint(t->rig->plan.gateway, &addr, &to.port);
    memcpy(to.addr, addr.b, sizeof(to.addr));
    ip_prefix_parse(t->rig->plan.clients, false, &clients);
    memcpy(from.addr, clients.addr.b, sizeof(from.addr));
    from.addr[15] |= 1;
    t->until_ns = t->rig->now_ns + PATIENCE_MS * UINT64_C(1000000);
    t->stream = tcp_connect_from(t->rig->tcp, t->rig->now_ns, &from, &to, &handler, t);
    t->done = !t->stream.impl;
}

struct ticket *ticket_create(struct rig *rig) {
    struct ticket *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->rig = rig;
    if (make_ssl(t))
        return t;
    ticket_destroy(t);
    return NULL;
}

bool ticket_ready(struct ticket *t) {
    if (!t->until_ns)
        dial(t);
    if (!t->done && t->rig->now_ns >= t->until_ns)
        leave(t);
    return t->done;
}

void ticket_destroy(struct ticket *t) {
    if (!t)
        return;
    SSL_free(t->ssl);
    SSL_CTX_free(t->ctx);
    free(t);
}

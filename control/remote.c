#include "remote.h"
#include "control/tls/pipe.h"
#include "log.h"
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CALLERS_MAX = 16,
    HANDSHAKE_MS = 5000,
    CIPHER_BYTES = 16384,
};

struct remote {
    uv_tcp_t socket;
    const struct reception *reception;
    SSL_CTX *tls;
    uint32_t callers;
};

struct caller_link {
    struct visitor visitor;
    uv_tcp_t tcp;
    uv_timer_t handshake;
    struct remote *remote;
    struct tls_pipe *tls;
    uint32_t closing; /* handles that are not closed yet */
    bool known;       /* the handshake is done and the certificate says who it is */
    char address[64];
    char cipher[CIPHER_BYTES];
};

struct packet {
    uv_write_t write;
    char data[CIPHER_BYTES];
};

static void on_written(uv_write_t *w, int status) {
    (void)status;
    free(w);
}

/* Ciphertext that waits goes out. */
static void flush(struct caller_link *l) {
    for (;;) {
        struct packet *p = malloc(sizeof(*p));
        size_t n = p ? tls_pipe_take(l->tls, p->data, sizeof(p->data)) : 0;
        uv_buf_t buf = uv_buf_init(p ? p->data : NULL, (unsigned)n);
        if (n == 0 || uv_write(&p->write, (uv_stream_t *)&l->tcp, &buf, 1, on_written) != 0) {
            free(p);
            return;
        }
    }
}

static void on_closed(uv_handle_t *h) {
    struct caller_link *l = h->data;
    if (--l->closing == 0)
        visitor_leave(&l->visitor);
}

static void hang_up(struct caller_link *l) {
    if (uv_is_closing((uv_handle_t *)&l->tcp))
        return;
    l->closing = 2;
    uv_close((uv_handle_t *)&l->tcp, on_closed);
    uv_close((uv_handle_t *)&l->handshake, on_closed);
}

static void refuse(struct caller_link *l, const char *why) {
    log_plain(LOG_WARN, "remote_refused", "%s: %s", l->address, why);
    flush(l); /* the alert tells the other side */
    hang_up(l);
}

static void free_link(struct visitor *v) {
    struct caller_link *l = (struct caller_link *)v;
    l->remote->callers--;
    tls_pipe_free(l->tls);
    free(l);
}

static void send_text(struct visitor *v, char *text, size_t len) {
    struct caller_link *l = (struct caller_link *)v;
    if (!uv_is_closing((uv_handle_t *)&l->tcp) && tls_pipe_write(l->tls, text, len))
        flush(l);
    explicit_bzero(text, len);
    free(text);
}

static bool name_entry(const X509 *certificate, int nid, char *out, int size) {
    int n = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), nid, out, size);
    for (int i = 0; i < n; i++)
        if ((unsigned char)out[i] < 0x20 || (unsigned char)out[i] > 0x7e)
            return false;
    return n > 0 && strlen(out) == (size_t)n;
}

/* The certificate is verified; what does it say? */
static bool identify(struct caller_link *l) {
    char name[64], role[32];
    const X509 *certificate = tls_pipe_peer(l->tls);
    struct caller *c = &l->visitor.caller;
    if (!certificate || !name_entry(certificate, NID_commonName, name, sizeof(name)) ||
        !name_entry(certificate, NID_organizationalUnitName, role, sizeof(role)))
        return false;
    c->reads_only = strcmp(role, "read-only") == 0;
    snprintf(c->who, sizeof(c->who), "%.40s (%.16s, from %.45s)", name, role, l->address);
    return c->reads_only || strcmp(role, "operator") == 0;
}

static bool greet(struct caller_link *l) {
    if (!tls_pipe_handshake(l->tls)) {
        refuse(l, tls_pipe_why(l->tls));
        return false;
    }
    flush(l);
    if (!tls_pipe_ready(l->tls))
        return false;
    if (!identify(l)) {
        refuse(l, "the certificate's OU is neither \"operator\" nor \"read-only\"");
        return false;
    }
    uv_timer_stop(&l->handshake);
    l->known = true;
    log_plain(LOG_INFO, "remote_connected", "%s", l->visitor.caller.who);
    return true;
}

static void take_plain(struct caller_link *l) {
    for (;;) {
        char *at;
        size_t room = visitor_room(&l->visitor, &at);
        int n = room ? tls_pipe_read(l->tls, at, room) : -1;
        if (n < 0)
            hang_up(l);
        if (n <= 0)
            return;
        visitor_take(&l->visitor, (size_t)n);
    }
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf) {
    struct caller_link *l = s->data;
    if (n < 0 || !tls_pipe_feed(l->tls, buf->base, (size_t)n)) {
        hang_up(l);
        return;
    }
    if (l->known || greet(l))
        take_plain(l);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf) {
    struct caller_link *l = h->data;
    (void)suggested;
    *buf = uv_buf_init(l->cipher, sizeof(l->cipher));
}

static void on_handshake_late(uv_timer_t *t) {
    refuse(t->data, "no TLS handshake in time");
}

static void name_address(struct caller_link *l) {
    struct sockaddr_storage peer;
    int size = sizeof(peer);
    char host[46] = "?";
    if (uv_tcp_getpeername(&l->tcp, (struct sockaddr *)&peer, &size) == 0)
        uv_ip_name((struct sockaddr *)&peer, host, sizeof(host));
    snprintf(l->address, sizeof(l->address), "%s", host);
}

static void on_connection(uv_stream_t *server, int status) {
    struct remote *r = server->data;
    struct caller_link *l = status == 0 ? calloc(1, sizeof(*l)) : NULL;
    if (!l)
        return;
    l->remote = r;
    l->visitor = (struct visitor){.reception = r->reception, .send = send_text, .free = free_link};
    l->tcp.data = l->handshake.data = l;
    l->tls = tls_pipe_accept(r->tls);
    r->callers++;
    uv_tcp_init(server->loop, &l->tcp);
    uv_timer_init(server->loop, &l->handshake);
    bool good = uv_accept(server, (uv_stream_t *)&l->tcp) == 0;
    name_address(l);
    if (!good || !l->tls || r->callers > CALLERS_MAX ||
        uv_timer_start(&l->handshake, on_handshake_late, HANDSHAKE_MS, 0) != 0 ||
        uv_read_start((uv_stream_t *)&l->tcp, on_alloc, on_read) != 0)
        hang_up(l);
}

static bool fail(char *err, size_t err_bytes, const char *key, const char *why) {
    ERR_clear_error();
    snprintf(err, err_bytes, "%s: %s", key, why);
    return false;
}

static bool make_tls(struct remote *r, const struct config *c, char *err, size_t err_bytes) {
    r->tls = SSL_CTX_new(TLS_server_method());
    if (!r->tls || SSL_CTX_set_min_proto_version(r->tls, TLS1_3_VERSION) != 1)
        return fail(err, err_bytes, "remote_listen", "no TLS");
    if (!tls_use_certificate(r->tls, c->remote_certificate))
        return fail(err, err_bytes, "remote_certificate",
                    "not a readable CHAIN:KEY that belong together");
    if (SSL_CTX_load_verify_locations(r->tls, c->remote_ca, NULL) != 1)
        return fail(err, err_bytes, "remote_ca", "not a readable file of certificates");
    SSL_CTX_set_verify(r->tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_session_cache_mode(r->tls, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(r->tls, 0);
    return true;
}

static bool parse_address(const char *text, struct sockaddr_storage *out) {
    char host[64];
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;
    bool brackets = len > 2 && text[0] == '[' && text[len - 1] == ']';
    int port = colon ? atoi(colon + 1) : 0;
    if (len == 0 || len >= sizeof(host) || port <= 0 || port > 65535)
        return false;
    snprintf(host, sizeof(host), "%.*s", (int)(brackets ? len - 2 : len), text + brackets);
    return brackets ? uv_ip6_addr(host, port, (struct sockaddr_in6 *)out) == 0
                    : uv_ip4_addr(host, port, (struct sockaddr_in *)out) == 0;
}

static bool listen_on(struct remote *r, const char *text, char *err, size_t err_bytes) {
    struct sockaddr_storage address;
    if (!parse_address(text, &address))
        return fail(err, err_bytes, "remote_listen", "expected ADDRESS:PORT, numeric");
    int rc = uv_tcp_bind(&r->socket, (struct sockaddr *)&address, 0);
    if (rc == 0)
        rc = uv_listen((uv_stream_t *)&r->socket, CALLERS_MAX, on_connection);
    return rc == 0 || fail(err, err_bytes, "remote_listen", uv_strerror(rc));
}

static void on_socket_closed(uv_handle_t *h) {
    struct remote *r = h->data;
    SSL_CTX_free(r->tls);
    free(r);
}

bool remote_open(struct remote **out, uv_loop_t *loop, const struct reception *reception,
                 const struct config *c, char *err, size_t err_bytes) {
    *out = NULL;
    if (!c->remote_listen[0])
        return true;
    struct remote *r = calloc(1, sizeof(*r));
    if (!r)
        return fail(err, err_bytes, "remote_listen", "no memory");
    r->reception = reception;
    r->socket.data = r;
    uv_tcp_init(loop, &r->socket);
    if (make_tls(r, c, err, err_bytes) && listen_on(r, c->remote_listen, err, err_bytes)) {
        *out = r;
        return true;
    }
    uv_close((uv_handle_t *)&r->socket, on_socket_closed);
    return false;
}

void remote_close(struct remote *r) {
    if (r)
        uv_close((uv_handle_t *)&r->socket, on_socket_closed);
}

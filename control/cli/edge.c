#include "edge.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

static bool fail(struct edge *e, const char *what) {
    unsigned long code = ERR_get_error();
    const char *why = code ? ERR_reason_error_string(code) : NULL;
    snprintf(e->error, sizeof(e->error), "%s%s%.120s", what, why ? ": " : "", why ? why : "");
    ERR_clear_error();
    return false;
}

bool edge_url_parse(struct edge_url *u, const char *text) {
    static const struct {
        const char *scheme;
        bool tls;
    } schemes[] = {{"http://", false}, {"ws://", false}, {"https://", true}, {"wss://", true}};
    *u = (struct edge_url){0};
    const char *rest = NULL;
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t len = strlen(schemes[i].scheme);
        if (strncmp(text, schemes[i].scheme, len) == 0) {
            rest = text + len;
            u->tls = schemes[i].tls;
        }
    }
    size_t len = rest ? strcspn(rest, "/") : 0;
    const char *bracket = rest && rest[0] == '[' ? memchr(rest, ']', len) : NULL;
    const char *host = bracket ? rest + 1 : rest;
    size_t host_len = bracket ? (size_t)(bracket - host) : rest ? strcspn(rest, ":/") : 0;
    const char *after = bracket ? bracket + 1 : rest ? rest + host_len : "";
    size_t port_len = after[0] == ':' ? (size_t)(rest + len - after) - 1 : 0;
    if (host_len == 0 || host_len >= sizeof(u->host) || port_len >= sizeof(u->port) ||
        strspn(after + 1, "0123456789") < port_len || (rest[len] == '/' && rest[len + 1]))
        return false;
    memcpy(u->host, host, host_len);
    snprintf(u->port, sizeof(u->port), "%.*s", port_len ? (int)port_len : 3,
             port_len ? after + 1
             : u->tls ? "443"
                      : "80");
    return true;
}

struct addrinfo *edge_resolve(const struct edge_url *u, char *why, size_t why_bytes) {
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int rc = getaddrinfo(u->host, u->port, &hints, &found);
    if (rc != 0)
        snprintf(why, why_bytes, "%s", gai_strerror(rc));
    return rc == 0 ? found : NULL;
}

/* A BIO over a connected socket whose reads and writes give up after EDGE_TIMEOUT_S. */
static BIO *dial(struct edge *e) {
    const struct timeval timeout = {.tv_sec = EDGE_TIMEOUT_S};
    struct addrinfo *list = edge_resolve(e->url, e->error, sizeof(e->error));
    int fd = -1;
    for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
            continue;
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
        if (connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
            snprintf(e->error, sizeof(e->error), "connect: %s", strerror(errno));
            BIO_closesocket(fd);
            fd = -1;
        }
    }
    if (list)
        freeaddrinfo(list);
    return fd < 0 ? NULL : BIO_new_socket(fd, BIO_CLOSE);
}

static bool start_tls(struct edge *e) {
    SSL *ssl = NULL;
    e->tls = SSL_CTX_new(TLS_client_method());
    if (e->tls && SSL_CTX_set_default_verify_paths(e->tls) == 1)
        ssl = SSL_new(e->tls);
    if (!ssl)
        return fail(e, "TLS");
    SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
    SSL_clear_mode(ssl, SSL_MODE_AUTO_RETRY); /* a ticket alone must not block a read */
    BIO *bio = BIO_new(BIO_f_ssl());
    if (!bio || SSL_set1_host(ssl, e->url->host) != 1 ||
        SSL_set_tlsext_host_name(ssl, e->url->host) != 1) {
        BIO_free(bio);
        SSL_free(ssl);
        return fail(e, "TLS");
    }
    SSL_set_bio(ssl, e->bio, e->bio);
    BIO_set_ssl(bio, ssl, BIO_CLOSE);
    e->bio = bio;
    return SSL_connect(ssl) == 1 || fail(e, "TLS handshake");
}

bool edge_open(struct edge *e, const struct edge_url *u) {
    *e = (struct edge){.url = u};
    e->bio = dial(e);
    if (e->bio && (!u->tls || start_tls(e)))
        return true;
    edge_close(e);
    return false;
}

void edge_close(struct edge *e) {
    if (e->ws)
        wslay_event_context_free(e->ws);
    BIO_free_all(e->bio);
    SSL_CTX_free(e->tls);
    e->ws = NULL;
    e->bio = NULL;
    e->tls = NULL;
}

/* The head, and for all but a 101 everything until the end. */
static bool read_answer(struct edge *e) {
    size_t len = 0;
    char *end = NULL;
    while (!end || e->status != 101) {
        int n = BIO_read(e->bio, e->head + len, (int)(sizeof(e->head) - 1 - len));
        if (n <= 0)
            break;
        len += (size_t)n;
        e->head[len] = 0;
        end = strstr(e->head, "\r\n\r\n");
        if (sscanf(e->head, "HTTP/1.1 %d", &e->status) != 1 || len == sizeof(e->head) - 1)
            break;
    }
    if (!end || e->status < 100)
        return fail(e, "no HTTP answer");
    size_t head = (size_t)(end + 4 - e->head);
    e->buffered = e->status == 101 ? len - head : 0;
    memmove(e->head, e->head + (e->buffered ? head : 0), e->buffered ? e->buffered : len + 1);
    return true;
}

/* wslay reads until it is told that nothing is there: only the first read of a turn waits. */
static bool may_read(struct edge *e) {
    struct pollfd p = {.fd = (int)BIO_get_fd(e->bio, NULL), .events = POLLIN};
    bool first = e->may_wait;
    e->may_wait = false;
    return first || BIO_pending(e->bio) > 0 || poll(&p, 1, 0) > 0;
}

static ssize_t on_recv(wslay_event_context_ptr ws, uint8_t *buf, size_t len, int flags,
                       void *user) {
    struct edge *e = user;
    (void)flags;
    if (e->buffered) {
        size_t n = len < e->buffered ? len : e->buffered;
        memcpy(buf, e->head, n);
        e->buffered -= n;
        memmove(e->head, e->head + n, e->buffered);
        e->may_wait = false;
        return (ssize_t)n;
    }
    int n = may_read(e) ? BIO_read(e->bio, buf, (int)len) : -2;
    if (n > 0)
        return n;
    bool later = n == -2 || BIO_should_retry(e->bio);
    wslay_event_set_error(ws, later ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static ssize_t on_send(wslay_event_context_ptr ws, const uint8_t *data, size_t len, int flags,
                       void *user) {
    struct edge *e = user;
    (void)flags;
    int n = BIO_write(e->bio, data, (int)len);
    if (n <= 0)
        wslay_event_set_error(ws, WSLAY_ERR_CALLBACK_FAILURE);
    return n > 0 ? n : -1;
}

static int on_mask(wslay_event_context_ptr ws, uint8_t *buf, size_t len, void *user) {
    (void)ws;
    (void)user;
    return RAND_bytes(buf, (int)len) == 1 ? 0 : -1;
}

/* Keep the last output: half of it goes when there is no room for more. */
static void on_message(wslay_event_context_ptr ws, const struct wslay_event_on_msg_recv_arg *arg,
                       void *user) {
    struct edge *e = user;
    (void)ws;
    if (wslay_is_ctrl_frame(arg->opcode)) {
        if (arg->opcode == WSLAY_CONNECTION_CLOSE)
            e->close_code = arg->status_code ? arg->status_code : 1005;
        return;
    }
    for (size_t i = 0; i < arg->msg_length; i++) {
        if (e->text_len == sizeof(e->text) - 1) {
            e->text_len /= 2;
            memmove(e->text, e->text + sizeof(e->text) - 1 - e->text_len, e->text_len);
        }
        e->text[e->text_len++] = arg->msg[i] ? (char)arg->msg[i] : ' ';
    }
    e->text[e->text_len] = 0;
}

static bool start_frames(struct edge *e) {
    const struct wslay_event_callbacks calls = {.recv_callback = on_recv,
                                                .send_callback = on_send,
                                                .genmask_callback = on_mask,
                                                .on_msg_recv_callback = on_message};
    return wslay_event_context_client_init(&e->ws, &calls, e) == 0 || fail(e, "no memory");
}

bool edge_request(struct edge *e, const char *path, const char *token) {
    unsigned char raw[16], key[32];
    bool v6 = strchr(e->url->host, ':') != NULL;
    RAND_bytes(raw, sizeof(raw));
    EVP_EncodeBlock(key, raw, sizeof(raw));
    BIO_printf(e->bio, "GET %s HTTP/1.1\r\nHost: %s%s%s:%s\r\nUser-Agent: tgwctl\r\n", path,
               v6 ? "[" : "", e->url->host, v6 ? "]" : "", e->url->port);
    if (token)
        BIO_printf(e->bio,
                   "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Protocol: %s\r\n",
                   key, token);
    else
        BIO_printf(e->bio, "Connection: close\r\n");
    if (BIO_printf(e->bio, "\r\n") <= 0)
        return fail(e, "cannot send");
    e->status = 0;
    return read_answer(e) && (e->status != 101 || start_frames(e));
}

bool edge_type(struct edge *e, const char *text) {
    const struct wslay_event_msg m = {WSLAY_BINARY_FRAME, (const uint8_t *)text, strlen(text)};
    return (wslay_event_queue_msg(e->ws, &m) == 0 && wslay_event_send(e->ws) == 0) ||
           fail(e, "cannot send");
}

/* What comes within a timeout, at once if it is there. False when it is over. */
static bool receive(struct edge *e) {
    e->may_wait = true;
    if (wslay_event_want_read(e->ws) && wslay_event_recv(e->ws) == 0)
        return true;
    return fail(e, "the session has ended");
}

bool edge_wait(struct edge *e, const char *text) {
    time_t deadline = time(NULL) + EDGE_TIMEOUT_S;
    while (!strstr(e->text, text)) {
        if (time(NULL) > deadline)
            return fail(e, "no answer in time");
        if (!receive(e) && !strstr(e->text, text))
            return false;
    }
    return true;
}

bool edge_wait_close(struct edge *e) {
    time_t deadline = time(NULL) + EDGE_TIMEOUT_S;
    while (!e->close_code) {
        if (time(NULL) > deadline)
            return fail(e, "no Close in time");
        if (!receive(e) && !e->close_code)
            return false;
    }
    wslay_event_send(e->ws);
    return true;
}

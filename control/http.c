#include "http.h"
#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECTIONS_MAX = 64, SILENCE_MAX_S = 15 };

struct http_server {
    struct MHD_Daemon *daemon;
    http_handler *handler;
    void *ctx;
    uv_poll_t poll;   /* libmicrohttpd's own epoll descriptor */
    uv_timer_t timer; /* its timeouts, and work it left over */
    unsigned open;    /* handles not closed yet */
};

/* A request on its way in. */
struct incoming {
    size_t len;
    bool too_large;
    char *body;
};

const char *http_header(const struct http_request *r, const char *name) {
    return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

void http_text(struct http_answer *a, unsigned status, const char *content_type, const char *text) {
    a->body = strdup(text);
    a->body_len = a->body ? strlen(text) : 0;
    a->status = a->body ? status : MHD_HTTP_INTERNAL_SERVER_ERROR;
    a->content_type = content_type;
}

static bool take_body(struct incoming *in, const char *data, size_t len) {
    if (in->too_large || len > HTTP_BODY_MAX - in->len) {
        in->too_large = true; /* read on, so that the answer is seen */
        return true;
    }
    char *longer = realloc(in->body, in->len + len + 1);
    if (!longer)
        return false;
    memcpy(longer + in->len, data, len);
    in->body = longer;
    in->len += len;
    in->body[in->len] = 0;
    return true;
}

static enum MHD_Result send_answer(struct MHD_Connection *c, struct http_answer *a) {
    struct MHD_Response *r =
        MHD_create_response_from_buffer(a->body_len, a->body, MHD_RESPMEM_MUST_FREE);
    if (!r) {
        free(a->body);
        return MHD_NO;
    }
    if (a->content_type)
        MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, a->content_type);
    for (unsigned i = 0; i < HTTP_HEADERS_MAX && a->headers[i].name; i++)
        MHD_add_response_header(r, a->headers[i].name, a->headers[i].value);
    enum MHD_Result sent =
        MHD_queue_response(c, a->status ? a->status : MHD_HTTP_INTERNAL_SERVER_ERROR, r);
    MHD_destroy_response(r);
    return sent;
}

/* Called once when the head is in, once for each piece of the body and once at its end. */
static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_len, void **state) {
    struct http_server *s = ctx;
    struct incoming *in = *state;
    struct http_answer a = {0};
    (void)version;
    if (!in) {
        *state = calloc(1, sizeof(*in));
        return *state ? MHD_YES : MHD_NO;
    }
    if (*data_len) {
        bool taken = take_body(in, data, *data_len);
        *data_len = 0;
        return taken ? MHD_YES : MHD_NO;
    }
    if (in->too_large) {
        a.status = MHD_HTTP_CONTENT_TOO_LARGE;
    } else {
        const struct http_request r = {
            .method = strcmp(method, "HEAD") == 0 ? "GET" : method,
            .path = path,
            .body = in->body ? in->body : "",
            .body_len = in->len,
            .connection = c,
        };
        s->handler(s->ctx, &r, &a);
    }
    return send_answer(c, &a);
}

static void on_done(void *ctx, struct MHD_Connection *c, void **state,
                    enum MHD_RequestTerminationCode why) {
    struct incoming *in = *state;
    (void)ctx, (void)c, (void)why;
    if (!in)
        return;
    free(in->body);
    free(in);
    *state = NULL;
}

static void run(struct http_server *s);

static void on_timer(uv_timer_t *t) {
    run(t->data);
}

static void on_ready(uv_poll_t *p, int status, int events) {
    (void)status, (void)events;
    run(p->data);
}

static void run(struct http_server *s) {
    MHD_UNSIGNED_LONG_LONG after_ms;
    MHD_run(s->daemon);
    if (MHD_get_timeout(s->daemon, &after_ms) == MHD_YES)
        uv_timer_start(&s->timer, on_timer, after_ms, 0);
    else
        uv_timer_stop(&s->timer);
}

/* "ADDRESS:PORT" or "[ADDRESS]:PORT"; returns the family or 0. */
static int parse(const char *text, struct sockaddr_storage *out) {
    char host[64];
    const char *colon = strrchr(text, ':');
    bool six = text[0] == '[';
    size_t len = colon ? (size_t)(colon - text) : 0;
    if (six && len > 2 && text[len - 1] == ']') {
        text++;
        len -= 2;
    }
    if (len == 0 || len >= sizeof(host))
        return 0;
    memcpy(host, text, len);
    host[len] = 0;
    char *end;
    long port = strtol(colon + 1, &end, 10);
    if (end == colon + 1 || *end || port < 1 || port > 65535)
        return 0;
    if (six)
        return uv_ip6_addr(host, (int)port, (struct sockaddr_in6 *)out) == 0 ? AF_INET6 : 0;
    return uv_ip4_addr(host, (int)port, (struct sockaddr_in *)out) == 0 ? AF_INET : 0;
}

static bool start(struct http_server *s, const struct sockaddr_storage *address, int family) {
    unsigned flags = MHD_USE_EPOLL | (family == AF_INET6 ? MHD_USE_IPv6 : 0u);
    s->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, s, MHD_OPTION_SOCK_ADDR, address,
                                 MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
                                 MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SILENCE_MAX_S,
                                 MHD_OPTION_NOTIFY_COMPLETED, on_done, NULL, MHD_OPTION_END);
    return s->daemon != NULL;
}

struct http_server *http_listen(uv_loop_t *loop, const char *key, const char *address,
                                http_handler *handler, void *ctx, char *err, size_t err_bytes) {
    struct sockaddr_storage at = {0};
    int family = parse(address, &at);
    if (!family) {
        snprintf(err, err_bytes, "%s: %s: expected ADDRESS:PORT", key, address);
        return NULL;
    }
    struct http_server *s = calloc(1, sizeof(*s));
    if (!s || !start(s, &at, family)) {
        snprintf(err, err_bytes, "%s: %s: %s", key, address, strerror(errno));
        free(s);
        return NULL;
    }
    s->handler = handler;
    s->ctx = ctx;
    s->open = 2;
    uv_poll_init(loop, &s->poll,
                 MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd);
    uv_timer_init(loop, &s->timer);
    s->poll.data = s->timer.data = s;
    uv_poll_start(&s->poll, UV_READABLE, on_ready);
    return s;
}

static void on_closed(uv_handle_t *h) {
    struct http_server *s = h->data;
    if (--s->open == 0)
        free(s);
}

void http_close(struct http_server *s) {
    if (!s)
        return;
    uv_poll_stop(&s->poll); /* before its descriptor goes */
    MHD_stop_daemon(s->daemon);
    uv_close((uv_handle_t *)&s->poll, on_closed);
    uv_close((uv_handle_t *)&s->timer, on_closed);
}

#include "http.h"
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

enum { CONNECTIONS_MAX = 64, SILENCE_MAX_S = 15 };

struct http_server {
    struct MHD_Daemon *daemon;
    http_handler *handler;
    void *ctx;
    uv_poll_t poll;   /* libmicrohttpd's own epoll descriptor */
    uv_timer_t timer; /* its timeouts, and work it left over */
    unsigned open;    /* handles not closed yet */
    LIST_HEAD(, exchange) waiting;
};

/* A request and its answer. `request` is what the handler knows: it stands first. */
struct exchange {
    struct http_request request;
    struct http_answer answer;
    struct http_server *server;
    char *body;
    bool too_large;
    bool handled;   /* the handler has it or had it */
    bool answered;  /* `answer` is there */
    bool suspended; /* and in `waiting` */
    bool gone;      /* the connection ended before the answer came */
    LIST_ENTRY(exchange) link;
};

const char *http_header(const struct http_request *r, const char *name) {
    return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

static void exchange_free(struct exchange *x) {
    free(x->answer.body);
    free(x->body);
    free(x);
}

static bool take_body(struct exchange *x, const char *data, size_t len) {
    size_t before = x->request.body_len;
    if (x->too_large || len > HTTP_BODY_MAX - before) {
        x->too_large = true; /* read on, so that the answer is seen */
        return true;
    }
    char *longer = realloc(x->body, before + len + 1);
    if (!longer)
        return false;
    memcpy(longer + before, data, len);
    longer[before + len] = 0;
    x->body = longer;
    x->request.body_len = before + len;
    return true;
}

static enum MHD_Result send_answer(struct exchange *x) {
    struct http_answer *a = &x->answer;
    struct MHD_Response *r =
        MHD_create_response_from_buffer(a->body_len, a->body, MHD_RESPMEM_MUST_FREE);
    if (!r)
        return MHD_NO;
    a->body = NULL; /* the response's now */
    if (a->content_type)
        MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, a->content_type);
    for (unsigned i = 0; i < HTTP_HEADERS_MAX && a->headers[i].name; i++)
        MHD_add_response_header(r, a->headers[i].name, a->headers[i].value);
    enum MHD_Result sent = MHD_queue_response(x->request.connection, a->status, r);
    MHD_destroy_response(r);
    return sent;
}

static void handle(struct exchange *x, const char *method, const char *path) {
    x->handled = true;
    x->request.method = strcmp(method, "HEAD") == 0 ? "GET" : method;
    x->request.path = path;
    x->request.body = x->body ? x->body : "";
    if (x->too_large)
        http_text(&x->request, MHD_HTTP_CONTENT_TOO_LARGE, "text/plain", "body too large\n");
    else
        x->server->handler(x->server->ctx, &x->request);
    if (x->answered)
        return;
    x->suspended = true;
    LIST_INSERT_HEAD(&x->server->waiting, x, link);
    MHD_suspend_connection(x->request.connection);
}

/* Called once when the head is in, once for each piece of the body, once at its end, and
 * once more when an answer came later. */
static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_len, void **state) {
    struct exchange *x = *state;
    (void)version;
    if (!x) {
        *state = x = calloc(1, sizeof(*x));
        if (!x)
            return MHD_NO;
        x->server = ctx;
        x->request.connection = c;
        return MHD_YES;
    }
    if (*data_len) {
        bool taken = take_body(x, data, *data_len);
        *data_len = 0;
        return taken ? MHD_YES : MHD_NO;
    }
    if (!x->handled)
        handle(x, method, path);
    return x->answered ? send_answer(x) : MHD_YES;
}

static void on_done(void *ctx, struct MHD_Connection *c, void **state,
                    enum MHD_RequestTerminationCode why) {
    struct exchange *x = *state;
    (void)ctx, (void)c, (void)why;
    *state = NULL;
    if (!x)
        return;
    if (x->handled && !x->answered)
        x->gone = true; /* http_answer() frees it */
    else
        exchange_free(x);
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

static void resume(struct exchange *x) {
    x->suspended = false;
    LIST_REMOVE(x, link);
    MHD_resume_connection(x->request.connection);
}

void http_answer(struct http_request *r, const struct http_answer *a) {
    struct exchange *x = (struct exchange *)r;
    assert(!x->answered && a->status);
    x->answer = *a;
    x->answered = true;
    if (x->gone) {
        exchange_free(x);
    } else if (x->suspended) {
        resume(x);
        uv_timer_start(&x->server->timer, on_timer, 0, 0);
    }
}

void http_text(struct http_request *r, unsigned status, const char *content_type,
               const char *text) {
    struct http_answer a = {.status = status, .content_type = content_type, .body = strdup(text)};
    if (a.body)
        a.body_len = strlen(text);
    else
        a.status = MHD_HTTP_INTERNAL_SERVER_ERROR;
    http_answer(r, &a);
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
    unsigned flags =
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | (family == AF_INET6 ? MHD_USE_IPv6 : 0u);
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
    LIST_INIT(&s->waiting);
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
    while (!LIST_EMPTY(&s->waiting))
        resume(LIST_FIRST(&s->waiting));
    uv_poll_stop(&s->poll); /* before its descriptor goes */
    MHD_stop_daemon(s->daemon);
    uv_close((uv_handle_t *)&s->poll, on_closed);
    uv_close((uv_handle_t *)&s->timer, on_closed);
}

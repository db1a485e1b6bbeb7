#include "link.h"
#include "control/tls/pipe.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READ_BYTES = 16384, REPLY_BYTES_MAX = 1 << 20, WHY_BYTES = 160 };

enum state { RESOLVING, CONNECTING, HANDSHAKE, GREETING, UP, OVER };

struct waiting {
    redis_reply_fn *done;
    void *ctx;
    uint64_t deadline_ms;
};

struct redis_link {
    uv_loop_t *loop;
    uv_tcp_t tcp;
    uv_timer_t timer;
    uv_getaddrinfo_t resolve;
    uv_connect_t connect;
    uv_write_t write;
    struct redis_options options;
    const struct redis_link_events *events;
    void *ctx;
    enum state state;
    unsigned holds; /* handles not closed and a resolution under way: then it is freed */
    bool closed;    /* by its owner: nobody is told anything any more */
    bool writing;
    struct tls_pipe *tls;
    redisReader *reader;
    struct {
        char *at;
        size_t len, size;
    } out, flying; /* bytes for the wire; those that libuv holds */
    struct waiting *waiting;
    uint32_t head, tail; /* of `waiting`, free-running */
    struct redis_address address;
    char why[WHY_BYTES];
    char in[READ_BYTES];
};

static void cleanse_free(char *at, size_t len) {
    if (at)
        explicit_bzero(at, len); /* it may hold a password */
    free(at);
}

static void let_go(struct redis_link *l) {
    if (--l->holds > 0)
        return;
    tls_pipe_free(l->tls);
    if (l->reader)
        redisReaderFree(l->reader);
    cleanse_free(l->out.at, l->out.size);
    cleanse_free(l->flying.at, l->flying.size);
    free(l->waiting);
    free(l);
}

static void on_handle_closed(uv_handle_t *h) {
    let_go(h->data);
}

static void answer_all(struct redis_link *l) {
    while (l->head != l->tail) {
        struct waiting w = l->waiting[l->head++ % REDIS_LINK_WAITING_MAX];
        w.done(w.ctx, NULL);
    }
}

static void tell_down(uv_timer_t *t) {
    struct redis_link *l = t->data;
    answer_all(l);
    if (!l->closed)
        l->events->down(l->ctx, l->why);
}

/* The end, told from the loop: whoever called is not called back from within. */
static void fail(struct redis_link *l, const char *why) {
    if (l->state == OVER)
        return;
    l->state = OVER;
    snprintf(l->why, sizeof(l->why), "%s", why);
    uv_read_stop((uv_stream_t *)&l->tcp);
    uv_timer_start(&l->timer, tell_down, 0, 0);
}

static void on_timer(uv_timer_t *t) {
    struct redis_link *l = t->data;
    fail(l, l->state == UP         ? "an answer is overdue"
            : l->state < HANDSHAKE ? "cannot connect in time"
                                   : "the server does not answer");
}

/* Of the oldest request; before the link is up, of all that comes before. */
static void arm(struct redis_link *l) {
    if (l->state != UP)
        return;
    if (l->head == l->tail) {
        uv_timer_stop(&l->timer);
        return;
    }
    uint64_t now_ms = uv_now(l->loop);
    uint64_t at_ms = l->waiting[l->head % REDIS_LINK_WAITING_MAX].deadline_ms;
    uv_timer_start(&l->timer, on_timer, at_ms > now_ms ? at_ms - now_ms : 0, 0);
}

static bool append(struct redis_link *l, const char *data, size_t len) {
    if (l->out.size - l->out.len < len) {
        size_t size = (l->out.len + len) * 2;
        char *longer = malloc(size);
        if (!longer)
            return false;
        if (l->out.len)
            memcpy(longer, l->out.at, l->out.len);
        cleanse_free(l->out.at, l->out.size);
        l->out.at = longer;
        l->out.size = size;
    }
    memcpy(l->out.at + l->out.len, data, len);
    l->out.len += len;
    return true;
}

static void flush(struct redis_link *l);

static void on_written(uv_write_t *w, int status) {
    struct redis_link *l = w->data;
    cleanse_free(l->flying.at, l->flying.size);
    memset(&l->flying, 0, sizeof(l->flying));
    l->writing = false;
    if (status < 0 && status != UV_ECANCELED)
        fail(l, uv_strerror(status));
    else if (l->state != OVER)
        flush(l);
}

/* One write at a time: what is said meanwhile goes out together. */
static void flush(struct redis_link *l) {
    char cipher[READ_BYTES];
    size_t n;
    while (l->tls && (n = tls_pipe_take(l->tls, cipher, sizeof(cipher))) > 0)
        if (!append(l, cipher, n))
            fail(l, "no memory");
    if (l->writing || l->out.len == 0 || l->state == OVER)
        return;
    l->flying = l->out;
    memset(&l->out, 0, sizeof(l->out));
    uv_buf_t buf = uv_buf_init(l->flying.at, (unsigned)l->flying.len);
    l->write.data = l;
    l->writing = true;
    int rc = uv_write(&l->write, (uv_stream_t *)&l->tcp, &buf, 1, on_written);
    if (rc < 0) {
        l->writing = false;
        fail(l, uv_strerror(rc));
    }
}

static bool say(struct redis_link *l, const char *command, size_t len, redis_reply_fn *done,
                void *ctx) {
    if (l->tail - l->head == REDIS_LINK_WAITING_MAX)
        return false;
    if (l->tls ? !tls_pipe_write(l->tls, command, len) : !append(l, command, len))
        return false;
    l->waiting[l->tail++ % REDIS_LINK_WAITING_MAX] =
        (struct waiting){done, ctx, uv_now(l->loop) + l->options.timeout_ms};
    return true;
}

bool redis_link_is_up(const struct redis_link *l) {
    return l && l->state == UP;
}

bool redis_link_send(struct redis_link *l, const char *command, size_t len, redis_reply_fn *done,
                     void *ctx) {
    bool first = l->head == l->tail;
    if (l->state != UP || !say(l, command, len, done, ctx))
        return false;
    flush(l);
    if (first)
        arm(l);
    return true;
}

/* An error text may quote what was sent: only its first word is told. */
static void fail_with_error(struct redis_link *l, const char *what, const redisReply *r) {
    char why[WHY_BYTES];
    int word = r->type == REDIS_REPLY_ERROR ? (int)strcspn(r->str, " ") : 0;
    snprintf(why, sizeof(why), "%s: %.*s", what, word < 40 ? word : 40, word ? r->str : "");
    fail(l, why);
}

static void on_auth(void *ctx, const redisReply *r) {
    struct redis_link *l = ctx;
    if (r && r->type == REDIS_REPLY_ERROR && !l->options.auth_may_fail)
        fail_with_error(l, "the server refuses the credentials", r);
}

static void on_select(void *ctx, const redisReply *r) {
    if (r && r->type == REDIS_REPLY_ERROR)
        fail_with_error(ctx, "the server refuses the database", r);
}

/* The last of the greeting. A user who may not PING is greeted all the same. */
static void on_ping(void *ctx, const redisReply *r) {
    struct redis_link *l = ctx;
    if (!r || l->state != GREETING)
        return;
    if (r->type == REDIS_REPLY_ERROR && strncmp(r->str, "NOPERM", 6) != 0) {
        fail_with_error(l, "the server is not ready", r);
        return;
    }
    l->state = UP;
    uv_timer_stop(&l->timer);
    l->events->up(l->ctx);
}

static bool say_words(struct redis_link *l, int words, const char **word, redis_reply_fn *done) {
    char *command = NULL;
    int len = redisFormatCommandArgv(&command, words, word, NULL);
    bool said = len > 0 && say(l, command, (size_t)len, done, l);
    if (len > 0)
        cleanse_free(command, (size_t)len);
    return said;
}

static void greet(struct redis_link *l) {
    const struct redis_options *o = &l->options;
    char database[12];
    const char *with_user[] = {"AUTH", o->user, o->password};
    const char *without[] = {"AUTH", o->password};
    const char *choose[] = {"SELECT", database}, *ping[] = {"PING"};
    bool good = true;
    snprintf(database, sizeof(database), "%u", o->database);
    l->state = GREETING;
    if (o->password[0])
        good = o->user[0] ? say_words(l, 3, with_user, on_auth) : say_words(l, 2, without, on_auth);
    if (o->database)
        good = good && say_words(l, 2, choose, on_select);
    if (good && say_words(l, 1, ping, on_ping))
        flush(l);
    else
        fail(l, "no memory");
}

/* Every whole answer goes to whom it belongs to. */
static void take_replies(struct redis_link *l) {
    while (l->state != OVER) {
        void *reply = NULL;
        if (redisReaderGetReply(l->reader, &reply) != REDIS_OK ||
            l->reader->len > REPLY_BYTES_MAX) {
            fail(l, "the answer is not Redis'");
            return;
        }
        if (!reply)
            break;
        if (l->head == l->tail) {
            fail(l, "an answer that nobody asked for");
        } else {
            struct waiting w = l->waiting[l->head++ % REDIS_LINK_WAITING_MAX];
            w.done(w.ctx, reply);
        }
        freeReplyObject(reply);
    }
    arm(l);
}

static void take_plain(struct redis_link *l, const char *data, size_t len) {
    if (redisReaderFeed(l->reader, data, len) == REDIS_OK)
        take_replies(l);
    else
        fail(l, "no memory");
}

static void take_cipher(struct redis_link *l, const char *data, size_t len) {
    char plain[READ_BYTES];
    int n = 0;
    if (!tls_pipe_feed(l->tls, data, len)) {
        fail(l, "no memory");
        return;
    }
    if (l->state == HANDSHAKE) {
        bool good = tls_pipe_handshake(l->tls);
        flush(l); /* an alert too */
        if (!good)
            fail(l, tls_pipe_why(l->tls));
        else if (tls_pipe_ready(l->tls))
            greet(l);
    }
    while (l->state > HANDSHAKE && l->state != OVER &&
           (n = tls_pipe_read(l->tls, plain, sizeof(plain))) > 0)
        take_plain(l, plain, (size_t)n);
    if (n < 0)
        fail(l, "the server ended the connection");
    flush(l);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf) {
    struct redis_link *l = h->data;
    (void)suggested;
    *buf = uv_buf_init(l->in, sizeof(l->in));
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf) {
    struct redis_link *l = s->data;
    if (n < 0)
        fail(l, n == UV_EOF ? "the server ended the connection" : uv_strerror((int)n));
    else if (n > 0 && l->tls)
        take_cipher(l, buf->base, (size_t)n);
    else if (n > 0)
        take_plain(l, buf->base, (size_t)n);
}

static void on_connected(uv_connect_t *c, int status) {
    struct redis_link *l = c->data;
    if (status == UV_ECANCELED || l->state == OVER)
        return;
    if (status == 0)
        status = uv_read_start((uv_stream_t *)&l->tcp, on_alloc, on_read);
    if (status < 0) {
        fail(l, uv_strerror(status));
        return;
    }
    uv_tcp_nodelay(&l->tcp, 1);
    if (!l->tls) {
        greet(l);
        return;
    }
    l->state = HANDSHAKE;
    if (tls_pipe_handshake(l->tls))
        flush(l);
    else
        fail(l, tls_pipe_why(l->tls));
}

static void on_resolved(uv_getaddrinfo_t *q, int status, struct addrinfo *found) {
    struct redis_link *l = q->data;
    if (l->state == RESOLVING && status == 0) {
        l->state = CONNECTING;
        l->connect.data = l;
        status = uv_tcp_connect(&l->connect, &l->tcp, found->ai_addr, on_connected);
    }
    if (status < 0)
        fail(l, uv_strerror(status));
    uv_freeaddrinfo(found);
    let_go(l);
}

static bool begin(struct redis_link *l) {
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    char port[8];
    snprintf(port, sizeof(port), "%u", l->address.port);
    l->resolve.data = l;
    return uv_getaddrinfo(l->loop, &l->resolve, on_resolved, l->address.host, port, &hints) == 0;
}

struct redis_link *redis_link_open(uv_loop_t *loop, const struct redis_address *address,
                                   const struct redis_options *options,
                                   const struct redis_link_events *events, void *ctx) {
    struct redis_link *l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    *l = (struct redis_link){.loop = loop,
                             .options = *options,
                             .events = events,
                             .ctx = ctx,
                             .holds = 1,
                             .reader = redisReaderCreate(),
                             .waiting = calloc(REDIS_LINK_WAITING_MAX, sizeof(*l->waiting)),
                             .address = *address};
    if (options->tls)
        l->tls = tls_pipe_connect(options->tls, address->host);
    if (!l->reader || !l->waiting || (options->tls && !l->tls)) {
        let_go(l);
        return NULL;
    }
    l->tcp.data = l->timer.data = l;
    uv_tcp_init(loop, &l->tcp);
    uv_timer_init(loop, &l->timer);
    l->holds = 3;
    uv_timer_start(&l->timer, on_timer, options->timeout_ms, 0);
    if (!begin(l)) {
        let_go(l);
        fail(l, "cannot resolve the name");
    }
    return l;
}

void redis_link_close(struct redis_link *l) {
    if (!l || l->closed)
        return;
    l->closed = true;
    l->state = OVER;
    answer_all(l);
    uv_cancel((uv_req_t *)&l->resolve);
    uv_close((uv_handle_t *)&l->tcp, on_handle_closed);
    uv_close((uv_handle_t *)&l->timer, on_handle_closed);
}

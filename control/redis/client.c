#include "client_priv.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void client_note(struct redis_client *c, const char *event, const char *format, ...) {
    char text[400];
    va_list v;
    va_start(v, format);
    vsnprintf(text, sizeof(text), format, v);
    va_end(v);
    if (c->config.note)
        c->config.note(c->config.ctx, event, text);
}

static uint64_t random_below(struct redis_client *c, uint64_t n) {
    c->jitter ^= c->jitter << 13;
    c->jitter ^= c->jitter >> 7;
    c->jitter ^= c->jitter << 17;
    return c->jitter % n;
}

/* Doubled each time, and anything from half of it to the whole: gateways that lost the same
 * server do not come back as one. */
void pause_longer(struct redis_client *c, struct pause *p) {
    p->ms = p->ms ? p->ms * 2 : PAUSE_MIN_MS;
    p->ms = p->ms < PAUSE_MAX_MS ? p->ms : PAUSE_MAX_MS;
    p->until_ms = uv_now(c->loop) + p->ms / 2 + random_below(c, p->ms / 2 + 1);
}

static void on_tick(uv_timer_t *t) {
    struct redis_client *c = t->data;
    sentinel_tick(c);
    servers_tick(c);
    map_tick(c);
    client_unpark(c);
}

static void seed_servers(struct redis_client *c) {
    const struct redis_url *u = c->config.url;
    for (uint32_t i = 0; u->mode != REDIS_SENTINEL && i < u->hosts; i++)
        server_at(c, &u->host[i]);
}

struct redis_client *redis_client_open(uv_loop_t *loop, const struct redis_client_config *config) {
    struct redis_client *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->loop = loop;
    c->config = *config;
    c->jitter = config->seed | 1;
    c->options = (struct redis_options){.user = config->url->user,
                                        .password = config->url->password,
                                        .database = config->url->database,
                                        .tls = config->tls,
                                        .timeout_ms = config->timeout_ms};
    c->sentinel_options = c->options;
    c->sentinel_options.database = 0;
    c->sentinel_options.auth_may_fail = true;
    map_init(c);
    seed_servers(c);
    uv_timer_init(loop, &c->tick);
    c->tick.data = c;
    uv_timer_start(&c->tick, on_tick, 0, TICK_MS);
    return c;
}

static void finish(struct ask *a, const redisReply *reply) {
    redis_reply_fn *done = a->done;
    void *ctx = a->ctx;
    free(a->command);
    free(a);
    done(ctx, reply);
}

static struct server *route(struct redis_client *c, uint16_t slot) {
    return server_is_cluster(c) ? map_owner(c, slot) : &c->server[0];
}

static void park(struct ask *a, uint64_t for_ms) {
    struct redis_client *c = a->client;
    a->retry_ms = uv_now(c->loop) + for_ms;
    LIST_INSERT_HEAD(&c->parked, a, link);
}

static void on_reply(void *ctx, const redisReply *reply);

static void on_asking(void *ctx, const redisReply *reply) {
    (void)ctx, (void)reply; /* the command behind it tells */
}

static bool transmit(struct ask *a) {
    static const char word[] = "*1\r\n$6\r\nASKING\r\n";
    struct redis_link *l = a->server->link;
    if (a->asking && !redis_link_send(l, word, sizeof(word) - 1, on_asking, NULL))
        return false;
    return redis_link_send(l, a->command, a->len, on_reply, a);
}

/* Not connected yet, and no attempt has failed: worth waiting for. */
static bool is_coming(const struct server *s) {
    return s->taken && !s->up && s->pause.ms == 0;
}

/* A server that is away is an answer too, at once: the breaker. */
static void send_to(struct ask *a, struct server *s) {
    a->server = s;
    if (uv_now(a->client->loop) >= a->deadline_ms) {
        finish(a, NULL);
    } else if (s && is_coming(s)) {
        park(a, 0);
    } else if (!s || !s->up || !transmit(a)) {
        a->client->map_wanted |= server_is_cluster(a->client);
        finish(a, NULL);
    }
}

void client_unpark(struct redis_client *c) {
    uint64_t now_ms = uv_now(c->loop);
    LIST_HEAD(, ask) due = LIST_HEAD_INITIALIZER(due);
    struct ask *a, *next;
    for (a = LIST_FIRST(&c->parked); a; a = next) {
        next = LIST_NEXT(a, link);
        if (now_ms < a->deadline_ms &&
            (now_ms < a->retry_ms || (a->server && is_coming(a->server))))
            continue;
        LIST_REMOVE(a, link);
        LIST_INSERT_HEAD(&due, a, link);
    }
    while ((a = LIST_FIRST(&due)) != NULL) {
        LIST_REMOVE(a, link);
        send_to(a, a->server ? a->server : route(c, a->slot));
    }
}

/* Where the cluster says the key is now. True: asked there. */
static bool redirected(struct ask *a, const redisReply *reply) {
    struct redis_client *c = a->client;
    struct redis_address at;
    uint16_t slot;
    enum redis_redirect r = redis_redirect_parse(reply->str, &slot, &at);
    if (r == REDIS_STAY || !server_is_cluster(c) || ++a->hops > REDIRECTS_MAX)
        return false;
    if (!at.host[0])
        memcpy(at.host, a->server->address.host, sizeof(at.host));
    struct server *s = server_at(c, &at);
    c->redirects++;
    a->asking = r == REDIS_ASK;
    if (r == REDIS_MOVED && s) {
        c->owner[slot] = (uint8_t)(s - c->server);
        c->map_wanted = true;
    }
    servers_tick(c);
    send_to(a, s);
    return true;
}

/* A slot that moves just now: the keys of one command are on both sides, or on the way. */
static bool is_on_the_move(const struct ask *a, const redisReply *reply) {
    return server_is_cluster(a->client) && (strncmp(reply->str, "TRYAGAIN", 8) == 0 ||
                                            strstr(reply->str, "access a non local key") != NULL);
}

static void on_reply(void *ctx, const redisReply *reply) {
    struct ask *a = ctx;
    struct server *s = a->server;
    if (reply && reply->type == REDIS_REPLY_ERROR) {
        if (redirected(a, reply))
            return;
        if (is_on_the_move(a, reply)) {
            a->server = NULL; /* to its owner again */
            a->asking = false;
            park(a, RETRY_MS);
            return;
        }
    }
    finish(a, reply);
    server_heard(s, reply);
}

void redis_client_ask(struct redis_client *c, const char *key, int words, const char **word,
                      const size_t *len, redis_reply_fn *done, void *ctx) {
    char *command = NULL;
    int bytes = redisFormatCommandArgv(&command, words, word, len);
    struct ask *a = bytes > 0 ? calloc(1, sizeof(*a)) : NULL;
    if (!a) {
        free(command);
        done(ctx, NULL);
        return;
    }
    *a = (struct ask){.client = c,
                      .done = done,
                      .ctx = ctx,
                      .deadline_ms = uv_now(c->loop) + c->config.timeout_ms,
                      .slot = redis_slot(key, strlen(key)),
                      .command = command,
                      .len = (size_t)bytes};
    send_to(a, route(c, a->slot));
}

static void on_tick_closed(uv_handle_t *h) {
    free(h->data);
}

void redis_client_close(struct redis_client *c) {
    if (!c)
        return;
    redis_link_close(c->sentinel.link);
    c->sentinel.link = NULL;
    for (struct server *s = c->server; s < c->server + SERVERS_MAX; s++)
        if (s->taken)
            server_forget(s);
    for (struct ask *a; (a = LIST_FIRST(&c->parked)) != NULL;) {
        LIST_REMOVE(a, link);
        finish(a, NULL);
    }
    uv_close((uv_handle_t *)&c->tick, on_tick_closed);
}

bool redis_client_is_up(const struct redis_client *c) {
    for (const struct server *s = c->server; s < c->server + SERVERS_MAX; s++)
        if (s->up)
            return true;
    return false;
}

void redis_client_usage(const struct redis_client *c, struct redis_client_usage *out) {
    *out = (struct redis_client_usage){
        .connects = c->connects, .failures = c->failures, .redirects = c->redirects};
    for (const struct server *s = c->server; s < c->server + SERVERS_MAX; s++) {
        out->servers += s->taken;
        out->up += s->up;
    }
}

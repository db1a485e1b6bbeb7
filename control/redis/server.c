/* The servers of a client: connected in the background, given up and tried again. */
#include "client_priv.h"
#include <string.h>

static bool same(const struct redis_address *a, const struct redis_address *b) {
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

static bool owns_nothing(const struct redis_client *c, const struct server *s) {
    return !memchr(c->owner, (int)(s - c->server), sizeof(c->owner));
}

void server_forget(struct server *s) {
    struct redis_link *link = s->link;
    s->link = NULL;
    s->up = false;
    redis_link_close(link); /* who waits is told before the slot is another's */
    *s = (struct server){0};
}

struct server *server_at(struct redis_client *c, const struct redis_address *a) {
    struct server *empty = NULL;
    for (struct server *s = c->server; s < c->server + SERVERS_MAX; s++) {
        if (s->taken && same(&s->address, a))
            return s;
        if (!empty && !s->taken)
            empty = s;
    }
    for (struct server *s = c->server; !empty && s < c->server + SERVERS_MAX; s++)
        if (!s->up && owns_nothing(c, s)) {
            server_forget(s);
            empty = s;
        }
    if (empty)
        *empty = (struct server){.client = c, .address = *a, .taken = true};
    return empty;
}

static void give_up(struct server *s, const char *why) {
    struct redis_client *c = s->client;
    struct redis_link *link = s->link;
    if (s->up || s->pause.ms == 0)
        client_note(c, "token_store_lost", "%s:%u: %s", s->address.host, s->address.port, why);
    s->link = NULL;
    s->up = false;
    s->failures = 0;
    c->failures++;
    c->map_wanted = true;
    pause_longer(c, &s->pause);
    sentinel_hurry(c);
    redis_link_close(link);
}

static void on_down(void *ctx, const char *why) {
    give_up(ctx, why);
}

static void be_up(struct server *s) {
    s->up = true;
    s->client->connects++;
    client_note(s->client, "token_store_found", "%s:%u", s->address.host, s->address.port);
    client_unpark(s->client);
}

/* A master that was made a replica takes nothing, but would call every token unknown. */
static void on_role(void *ctx, const redisReply *r) {
    struct server *s = ctx;
    if (!r || !s->link)
        return;
    bool replica = r->type == REDIS_REPLY_ARRAY && r->elements > 0 &&
                   r->element[0]->type == REDIS_REPLY_STRING &&
                   strcmp(r->element[0]->str, "master") != 0;
    if (replica)
        give_up(s, "it is not a master");
    else
        be_up(s);
}

static void on_up(void *ctx) {
    static const char role[] = "*1\r\n$4\r\nROLE\r\n";
    struct server *s = ctx;
    if (s->client->config.url->mode != REDIS_SENTINEL)
        be_up(s);
    else if (!redis_link_send(s->link, role, sizeof(role) - 1, on_role, s))
        give_up(s, "no memory");
}

void servers_tick(struct redis_client *c) {
    static const struct redis_link_events events = {on_up, on_down};
    for (struct server *s = c->server; s < c->server + SERVERS_MAX; s++) {
        if (!s->taken || s->link || uv_now(c->loop) < s->pause.until_ms)
            continue;
        s->link = redis_link_open(c->loop, &s->address, &c->options, &events, s);
        if (!s->link)
            pause_longer(c, &s->pause);
    }
}

/* Errors by which a server says that it cannot serve, as against what a script answers. */
static bool is_unfit(const redisReply *r) {
    static const char *const words[] = {"LOADING", "READONLY",  "MASTERDOWN", "CLUSTERDOWN",
                                        "OOM",     "MISCONF",   "NOAUTH",     "NOPERM",
                                        "BUSY",    "NOREPLICAS"};
    if (!r || r->type != REDIS_REPLY_ERROR)
        return false;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strncmp(r->str, words[i], strlen(words[i])) == 0)
            return true;
    return false;
}

void server_heard(struct server *s, const redisReply *r) {
    char why[48];
    if (!s->up || !r)
        return;
    if (!is_unfit(r)) {
        s->failures = 0;
        s->pause = (struct pause){0};
        return;
    }
    bool moved_away = strncmp(r->str, "READONLY", 8) == 0;
    if (++s->failures < FAILURES_MAX && !moved_away)
        return;
    snprintf(why, sizeof(why), "it answers %.*s", (int)strcspn(r->str, " ") % 30, r->str);
    give_up(s, why);
}

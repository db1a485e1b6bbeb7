/* Sentinels: one of them is kept asked who the master is; the next one when it is silent. */
#include "client_priv.h"
#include <stdlib.h>
#include <string.h>

static void drop_sentinel(struct redis_client *c) {
    struct sentinel *s = &c->sentinel;
    struct redis_link *link = s->link;
    s->link = NULL;
    s->asked = false;
    s->at = (s->at + 1) % c->config.url->hosts;
    if (s->at == 0)
        pause_longer(c, &s->pause); /* all of them were tried */
    redis_link_close(link);
}

static void on_down(void *ctx, const char *why) {
    (void)why;
    drop_sentinel(ctx);
}

static bool parse(const redisReply *r, struct redis_address *out) {
    if (r->type != REDIS_REPLY_ARRAY || r->elements != 2)
        return false;
    const redisReply *host = r->element[0], *port = r->element[1];
    if (host->type != REDIS_REPLY_STRING || port->type != REDIS_REPLY_STRING || host->len == 0 ||
        (size_t)host->len >= sizeof(out->host))
        return false;
    long n = strtol(port->str, NULL, 10);
    memcpy(out->host, host->str, (size_t)host->len + 1);
    out->port = (uint16_t)n;
    return n > 0 && n <= 65535;
}

/* The one server of this client follows the sentinels' word. */
static void follow(struct redis_client *c, const struct redis_address *a) {
    struct server *s = &c->server[0];
    if (s->taken && s->address.port == a->port && strcmp(s->address.host, a->host) == 0)
        return;
    client_note(c, "token_store_master", "%s is %s:%u", c->config.url->master, a->host, a->port);
    if (s->taken)
        server_forget(s);
    server_at(c, a);
    servers_tick(c);
}

static void on_master(void *ctx, const redisReply *r) {
    struct redis_client *c = ctx;
    struct redis_address a;
    c->sentinel.asked = false;
    if (!r || !c->sentinel.link)
        return; /* the end of the link tells more */
    c->sentinel.pause = (struct pause){0};
    if (parse(r, &a))
        follow(c, &a);
    else
        drop_sentinel(c); /* it does not know this master */
}

static void ask(struct redis_client *c) {
    const char *word[] = {"SENTINEL", "get-master-addr-by-name", c->config.url->master};
    struct sentinel *s = &c->sentinel;
    char *command = NULL;
    int len = redisFormatCommandArgv(&command, 3, word, NULL);
    s->ask_ms = uv_now(c->loop) + SENTINEL_EVERY_MS;
    s->asked = len > 0 && redis_link_send(s->link, command, (size_t)len, on_master, c);
    free(command);
}

static void on_up(void *ctx) {
    ask(ctx);
}

void sentinel_tick(struct redis_client *c) {
    static const struct redis_link_events events = {on_up, on_down};
    struct sentinel *s = &c->sentinel;
    uint64_t now_ms = uv_now(c->loop);
    if (c->config.url->mode != REDIS_SENTINEL)
        return;
    if (!s->link && now_ms >= s->pause.until_ms) {
        s->link =
            redis_link_open(c->loop, &c->config.url->host[s->at], &c->sentinel_options, &events, c);
        if (!s->link)
            pause_longer(c, &s->pause);
    } else if (redis_link_is_up(s->link) && !s->asked && now_ms >= s->ask_ms) {
        ask(c);
    }
}

void sentinel_hurry(struct redis_client *c) {
    c->sentinel.ask_ms = 0;
}

/* Which server of a cluster owns which slot: asked for at the start, after each surprise
 * and now and then; corrected by each MOVED. */
#include "client_priv.h"
#include <string.h>

void map_init(struct redis_client *c) {
    memset(c->owner, NO_SERVER, sizeof(c->owner));
    c->map_wanted = server_is_cluster(c);
}

struct server *map_owner(struct redis_client *c, uint16_t slot) {
    uint8_t n = c->owner[slot];
    if (n != NO_SERVER)
        return &c->server[n];
    c->map_wanted = true;
    return NULL;
}

static bool is_number(const redisReply *r, long long max) {
    return r->type == REDIS_REPLY_INTEGER && r->integer >= 0 && r->integer <= max;
}

/* A node is [address, port, ...]; no address means the one that was asked. */
static bool node_address(const redisReply *r, const struct redis_address *asked,
                         struct redis_address *out) {
    if (r->type != REDIS_REPLY_ARRAY || r->elements < 2 || !is_number(r->element[1], 65535))
        return false;
    const redisReply *host = r->element[0];
    *out = *asked;
    out->port = (uint16_t)r->element[1]->integer;
    if (host->type == REDIS_REPLY_STRING && host->len > 0 && strcmp(host->str, "?") != 0) {
        if ((size_t)host->len >= sizeof(out->host))
            return false;
        memcpy(out->host, host->str, (size_t)host->len + 1);
    }
    return true;
}

/* [first slot, last slot, master, replicas...] */
static void take_range(struct redis_client *c, const redisReply *r,
                       const struct redis_address *asked) {
    struct redis_address a;
    if (r->type != REDIS_REPLY_ARRAY || r->elements < 3 ||
        !is_number(r->element[0], REDIS_SLOTS - 1) || !is_number(r->element[1], REDIS_SLOTS - 1) ||
        !node_address(r->element[2], asked, &a))
        return;
    struct server *s = server_at(c, &a);
    for (long long slot = r->element[0]->integer; s && slot <= r->element[1]->integer; slot++)
        c->owner[slot] = (uint8_t)(s - c->server);
}

static void on_map(void *ctx, const redisReply *r) {
    struct server *asked = ctx;
    struct redis_client *c = asked->client;
    c->map_asked = false;
    if (!r || r->type != REDIS_REPLY_ARRAY)
        return;
    const struct redis_address address = asked->address;
    c->map_wanted = false;
    for (size_t i = 0; i < r->elements; i++)
        take_range(c, r->element[i], &address);
    servers_tick(c);
    client_unpark(c);
}

void map_tick(struct redis_client *c) {
    static const char command[] = "*2\r\n$7\r\nCLUSTER\r\n$5\r\nSLOTS\r\n";
    uint64_t now_ms = uv_now(c->loop);
    uint64_t pause_ms = c->map_wanted ? MAP_PAUSE_MS : MAP_EVERY_MS;
    if (!server_is_cluster(c) || c->map_asked || now_ms < c->map_ms + pause_ms)
        return;
    uint32_t first = (uint32_t)(now_ms / TICK_MS); /* not always the same one */
    for (uint32_t i = 0; i < SERVERS_MAX && !c->map_asked; i++) {
        struct server *s = &c->server[(first + i) % SERVERS_MAX];
        c->map_asked = s->up && redis_link_send(s->link, command, sizeof(command) - 1, on_map, s);
    }
    if (c->map_asked)
        c->map_ms = now_ms;
}

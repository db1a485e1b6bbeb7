/* Private to redis/: the client's servers and what its files offer each other. */
#ifndef TGW_REDIS_CLIENT_PRIV_H
#define TGW_REDIS_CLIENT_PRIV_H

#include "client.h"
#include "slots.h"
#include <sys/queue.h>

enum {
    SERVERS_MAX = 64,
    NO_SERVER = 0xff,
    TICK_MS = 50,
    PAUSE_MIN_MS = 100,
    PAUSE_MAX_MS = 5000,
    REDIRECTS_MAX = 5,
    FAILURES_MAX = 3,     /* answers in a row that say "not now": the connection is given up */
    MAP_EVERY_MS = 30000, /* the cluster's map is asked for anew */
    MAP_PAUSE_MS = 200,
    RETRY_MS = 20, /* of a key whose slot is on the move */
    SENTINEL_EVERY_MS = 1000,
};
_Static_assert(SERVERS_MAX < NO_SERVER, "a server's number fits a byte");

/* When to try again, and how long to wait after that. */
struct pause {
    uint64_t until_ms;
    uint32_t ms;
};

struct server {
    struct redis_client *client;
    struct redis_address address;
    struct redis_link *link;
    struct pause pause;
    uint32_t failures; /* in a row */
    bool taken, up;
};

struct sentinel {
    struct redis_link *link;
    struct pause pause;
    uint32_t at; /* of the URL's hosts */
    uint64_t ask_ms;
    bool asked;
};

/* A command on its way, over redirections. */
struct ask {
    struct redis_client *client;
    struct server *server; /* that was asked last */
    redis_reply_fn *done;
    void *ctx;
    uint64_t deadline_ms, retry_ms;
    uint32_t hops;
    uint16_t slot;
    bool asking; /* the redirection said ASK */
    char *command;
    size_t len;
    LIST_ENTRY(ask) link; /* while parked */
};

struct redis_client {
    uv_loop_t *loop;
    uv_timer_t tick;
    struct redis_client_config config;
    struct redis_options options, sentinel_options;
    struct server server[SERVERS_MAX];
    uint8_t owner[REDIS_SLOTS]; /* cluster: number of the server, NO_SERVER */
    bool map_wanted, map_asked;
    uint64_t map_ms;         /* when it was asked for last */
    LIST_HEAD(, ask) parked; /* that wait for a server to be connected, or for its slot */
    struct sentinel sentinel;
    uint64_t jitter;
    uint64_t connects, failures, redirects;
};

static inline bool server_is_cluster(const struct redis_client *c) {
    return c->config.url->mode == REDIS_CLUSTER;
}

/* client.c */
__attribute__((format(printf, 3, 4))) void client_note(struct redis_client *c, const char *event,
                                                       const char *format, ...);
void pause_longer(struct redis_client *c, struct pause *p);
/* What was parked and can be asked now. */
void client_unpark(struct redis_client *c);
/* server.c */
/* The server at that address, made where there is none. NULL: too many. */
struct server *server_at(struct redis_client *c, const struct redis_address *a);
void server_forget(struct server *s);
/* Connect those whose pause is over. */
void servers_tick(struct redis_client *c);
/* An answer that says whether the server is fit. */
void server_heard(struct server *s, const redisReply *reply);

/* map.c: the cluster's map */
void map_init(struct redis_client *c);
void map_tick(struct redis_client *c);
/* NULL: nobody is known to own it. */
struct server *map_owner(struct redis_client *c, uint16_t slot);

/* sentinel.c */
void sentinel_tick(struct redis_client *c);
void sentinel_hurry(struct redis_client *c);

#endif

/* A Redis store whatever its shape: one server, the master that sentinels name, or a
 * cluster. Finds the server of a key, follows MOVED and ASK, connects again by itself with
 * growing, jittered pauses, and while a server is away refuses at once: the breaker. */
#ifndef TGW_REDIS_CLIENT_H
#define TGW_REDIS_CLIENT_H

#include "link.h"

struct redis_client;

struct redis_client_config {
    const struct redis_url *url; /* outlives the client */
    SSL_CTX *tls;                /* with url->tls; outlives it too */
    uint32_t timeout_ms;         /* of a request, redirections included */
    uint64_t seed;               /* of the jitter */
    /* A line for the log: a server came, went or was found. Nothing secret. */
    void (*note)(void *ctx, const char *event, const char *text);
    void *ctx;
};

/* NULL: no memory. Connects in the background. */
struct redis_client *redis_client_open(uv_loop_t *loop, const struct redis_client_config *c);
void redis_client_close(struct redis_client *c);

/* Ask the server of `key`. `done` is called exactly once, before this returns or later; with
 * NULL when no server answered. A command may have run whose answer was lost. */
void redis_client_ask(struct redis_client *c, const char *key, int words, const char **word,
                      const size_t *len, redis_reply_fn *done, void *ctx);

/* A server that could answer is connected. */
bool redis_client_is_up(const struct redis_client *c);
struct redis_client_usage {
    uint32_t servers, up; /* sentinels are not counted */
    uint64_t connects, failures, redirects;
};
void redis_client_usage(const struct redis_client *c, struct redis_client_usage *out);

#endif

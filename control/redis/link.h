/* One connection to one Redis server, on the libuv loop: plain or TLS, greeted (AUTH,
 * SELECT, PING), requests pipelined, each with a deadline.
 *
 * A connection whose oldest request is overdue is given up whole: what stands behind it
 * would be late as well, and a half-open connection tells nothing else. */
#ifndef TGW_REDIS_LINK_H
#define TGW_REDIS_LINK_H

#include "url.h"
#include <hiredis/hiredis.h>
#include <openssl/ssl.h>
#include <uv.h>

enum { REDIS_LINK_WAITING_MAX = 4096 }; /* requests without their answer, power of two */

struct redis_link;

/* Borrowed for the life of the link, but for `address`. */
struct redis_options {
    const char *user, *password; /* "": none; sent, and shown nowhere */
    uint32_t database;
    bool auth_may_fail; /* a sentinel may want no password, or want this one */
    SSL_CTX *tls;       /* NULL: plain */
    uint32_t timeout_ms;
};

/* `down` comes at most once, after which the link is only to be closed. Neither comes from
 * within a call of this file. `why` holds nothing that is secret. */
struct redis_link_events {
    void (*up)(void *ctx);
    void (*down)(void *ctx, const char *why);
};

/* NULL: the link ended or the deadline passed before the answer came. */
typedef void redis_reply_fn(void *ctx, const redisReply *reply);

/* Begin to connect. NULL: no memory. */
struct redis_link *redis_link_open(uv_loop_t *loop, const struct redis_address *address,
                                   const struct redis_options *options,
                                   const struct redis_link_events *events, void *ctx);
/* Send a command in Redis' own format. False: not up, or too many wait; `done` is not called
 * then. Else it is called exactly once, later. */
bool redis_link_send(struct redis_link *l, const char *command, size_t len, redis_reply_fn *done,
                     void *ctx);
bool redis_link_is_up(const struct redis_link *l);
/* What still waits is answered with NULL, now. NULL is allowed. */
void redis_link_close(struct redis_link *l);

#endif

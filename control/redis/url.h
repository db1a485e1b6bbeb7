/* The address of a Redis store, as one text:
 *
 *   redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]          one server
 *   redis-sentinel://[...@]HOST[:PORT],HOST.../MASTER[/DB]  the master that sentinels name
 *   redis-cluster://[...@]HOST[:PORT],HOST...               a cluster, some of its nodes
 *
 * "rediss" in the place of "redis" speaks TLS. ":PASSWORD@" is the default user's. User and
 * password may be percent-encoded; an IPv6 address stands in brackets. */
#ifndef TGW_REDIS_URL_H
#define TGW_REDIS_URL_H

#include <stdbool.h>
#include <stdint.h>

enum {
    REDIS_HOSTS_MAX = 16,
    REDIS_HOST_MAX = 253, /* bytes of a name */
    REDIS_NAME_MAX = 64,
    REDIS_PASSWORD_MAX = 512,
    REDIS_PORT = 6379,
    REDIS_SENTINEL_PORT = 26379,
};

enum redis_mode { REDIS_SINGLE, REDIS_SENTINEL, REDIS_CLUSTER };

struct redis_address {
    char host[REDIS_HOST_MAX + 1];
    uint16_t port;
};

struct redis_url {
    enum redis_mode mode;
    bool tls;
    char user[REDIS_NAME_MAX + 1];         /* "": the default user */
    char password[REDIS_PASSWORD_MAX + 1]; /* "": none */
    uint32_t hosts;
    struct redis_address host[REDIS_HOSTS_MAX];
    char master[REDIS_NAME_MAX + 1]; /* SENTINEL only */
    uint32_t database;
};

/* NULL, or what is wrong in a few words that hold no part of the text. */
const char *redis_url_parse(const char *text, struct redis_url *out);

#endif

/* Keys ready for use, by connection and direction: a cipher's context is most of a
 * kilobyte, so that only those who talk just now have one. Four-way, least recently used
 * goes. */
#ifndef TGW_TLS_CACHE_H
#define TGW_TLS_CACHE_H

#include "tls/record.h"

enum { TLS_CACHE_WAYS = 4 };

struct tls_cache_set {
    uint32_t id[TLS_CACHE_WAYS];
    uint32_t used[TLS_CACHE_WAYS]; /* when, in uses */
    struct tls_key key[TLS_CACHE_WAYS];
};

struct tls_cache {
    struct tls_cache_set *set;
    uint32_t sets;
    uint32_t clock;
};

/* `entries` is a power of two, 8 or more. False: no memory. */
bool tls_cache_init(struct tls_cache *c, uint32_t entries);
void tls_cache_fini(struct tls_cache *c);
/* The key of `id`; *fresh: it is to be set first. */
struct tls_key *tls_cache_get(struct tls_cache *c, uint32_t id, bool *fresh);
/* Forget a key and wipe it. */
void tls_cache_drop(struct tls_cache *c, uint32_t id);

#endif

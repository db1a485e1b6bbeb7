/* Keys ready for use, by connection and direction: an EVP context is over half a
 * kilobyte, so that only those who talk just now have one. Four-way, least recently used
 * goes. */
#ifndef TGW_TLS_CACHE_H
#define TGW_TLS_CACHE_H

#include "tls/record.h"

struct tls_cache_entry {
    struct tls_key key;
    uint32_t id;
    uint32_t used; /* when, in uses */
};

struct tls_cache {
    struct tls_cache_entry *entry;
    uint32_t sets;
    uint32_t clock;
};

/* `entries` is a power of two, 8 or more. False: no memory. */
bool tls_cache_init(struct tls_cache *c, uint32_t entries);
void tls_cache_fini(struct tls_cache *c);
/* The key of `id`; *fresh: it is to be set first. NULL: no memory. */
struct tls_key *tls_cache_get(struct tls_cache *c, uint32_t id, bool *fresh);
/* Forget a key and wipe it. */
void tls_cache_drop(struct tls_cache *c, uint32_t id);

#endif

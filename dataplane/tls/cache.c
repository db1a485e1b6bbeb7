#include "cache.h"
#include <openssl/crypto.h>
#include <stdlib.h>

static const uint32_t NOBODY = UINT32_MAX;

bool tls_cache_init(struct tls_cache *c, uint32_t entries) {
    *c = (struct tls_cache){.sets = entries / TLS_CACHE_WAYS};
    c->set = OPENSSL_zalloc(c->sets * sizeof(*c->set)); /* where keys may lie: see heap.h */
    for (uint32_t i = 0; c->set && i < c->sets; i++)
        for (int way = 0; way < TLS_CACHE_WAYS; way++)
            c->set[i].id[way] = NOBODY;
    return c->set != NULL;
}

void tls_cache_fini(struct tls_cache *c) {
    for (uint32_t i = 0; c->set && i < c->sets; i++)
        for (int way = 0; way < TLS_CACHE_WAYS; way++)
            tls_key_clear(&c->set[i].key[way]);
    OPENSSL_free(c->set);
    *c = (struct tls_cache){0};
}

static struct tls_cache_set *set_of(const struct tls_cache *c, uint32_t id) {
    uint32_t hash = id * 2654435761u;
    return &c->set[(hash >> 16) & (c->sets - 1)];
}

/* TLS_CACHE_WAYS: not there. */
static int find(const struct tls_cache_set *s, uint32_t id) {
    int way = 0;
    while (way < TLS_CACHE_WAYS && s->id[way] != id)
        way++;
    return way;
}

struct tls_key *tls_cache_get(struct tls_cache *c, uint32_t id, bool *fresh) {
    struct tls_cache_set *s = set_of(c, id);
    int way = find(s, id);
    *fresh = way == TLS_CACHE_WAYS;
    if (*fresh) {
        way = 0;
        for (int i = 1; i < TLS_CACHE_WAYS; i++) /* ages, so that the clock may wrap */
            if (c->clock - s->used[i] > c->clock - s->used[way])
                way = i;
        s->id[way] = id;
    }
    s->used[way] = ++c->clock;
    return &s->key[way];
}

void tls_cache_drop(struct tls_cache *c, uint32_t id) {
    struct tls_cache_set *s = set_of(c, id);
    int way = find(s, id);
    if (way == TLS_CACHE_WAYS)
        return;
    tls_key_clear(&s->key[way]);
    s->id[way] = NOBODY;
    s->used[way] = c->clock - UINT32_MAX / 2; /* next to be taken */
}

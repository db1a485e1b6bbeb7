#include "cache.h"
#include <openssl/crypto.h>
#include <stdlib.h>

enum { WAYS = 4 };
static const uint32_t NOBODY = UINT32_MAX;

bool tls_cache_init(struct tls_cache *c, uint32_t entries) {
    *c = (struct tls_cache){.sets = entries / WAYS, .entry = calloc(entries, sizeof(*c->entry))};
    for (uint32_t i = 0; c->entry && i < entries; i++)
        c->entry[i].id = NOBODY;
    return c->entry != NULL;
}

void tls_cache_fini(struct tls_cache *c) {
    for (uint32_t i = 0; c->entry && i < c->sets * WAYS; i++) {
        EVP_CIPHER_CTX_free(c->entry[i].key.ctx);
        OPENSSL_cleanse(&c->entry[i].key, sizeof(c->entry[i].key));
    }
    free(c->entry);
    *c = (struct tls_cache){0};
}

static struct tls_cache_entry *set_of(const struct tls_cache *c, uint32_t id) {
    uint32_t hash = id * 2654435761u;
    return &c->entry[((hash >> 16) & (c->sets - 1)) * WAYS];
}

static struct tls_cache_entry *find(const struct tls_cache *c, uint32_t id) {
    struct tls_cache_entry *set = set_of(c, id);
    for (int i = 0; i < WAYS; i++)
        if (set[i].id == id)
            return &set[i];
    return NULL;
}

struct tls_key *tls_cache_get(struct tls_cache *c, uint32_t id, bool *fresh) {
    struct tls_cache_entry *e = find(c, id), *set = set_of(c, id);
    *fresh = e == NULL;
    if (!e) {
        e = set;
        for (int i = 1; i < WAYS; i++) /* ages, so that the clock may wrap */
            if (c->clock - set[i].used > c->clock - e->used)
                e = &set[i];
        if (!e->key.ctx && !(e->key.ctx = EVP_CIPHER_CTX_new()))
            return NULL;
        e->id = id;
    }
    e->used = ++c->clock;
    return &e->key;
}

void tls_cache_drop(struct tls_cache *c, uint32_t id) {
    struct tls_cache_entry *e = find(c, id);
    if (!e)
        return;
    EVP_CIPHER_CTX_reset(e->key.ctx); /* wipes the key schedule */
    OPENSSL_cleanse(e->key.iv, sizeof(e->key.iv));
    e->id = NOBODY;
    e->used = c->clock - UINT32_MAX / 2; /* next to be taken */
}

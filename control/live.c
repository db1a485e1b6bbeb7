#include "live.h"

/* FNV-1a from the seed, its bits mixed once more at the end. Never 0. */
static uint64_t hash(uint64_t seed, const void *data, size_t len) {
    const uint8_t *p = data;
    uint64_t h = seed ^ UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * UINT64_C(0x100000001b3);
    h = (h ^ h >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
    h ^= h >> 32;
    return h ? h : 1;
}

uint64_t live_user_key(const struct live *l, const char *user_id) {
    return hash(l->seed, user_id, strlen(user_id));
}

uint64_t live_source_key(const struct live *l, const struct tgw_endpoint *source) {
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    bool v4 = memcmp(source->addr, mapped, sizeof(mapped)) == 0;
    return hash(~l->seed, source->addr, v4 ? 16 : 8);
}

void live_init(struct live *l, uint64_t seed) {
    *l = (struct live){.seed = seed};
}

void live_free(struct live *l) {
    map_free(&l->session);
    map_free(&l->count);
}

static void count_up(struct live *l, uint64_t key) {
    struct map_entry *e = map_add(&l->count, key);
    if (e)
        e->a++;
}

static void count_down(struct live *l, uint64_t key) {
    struct map_entry *e = key ? map_find(&l->count, key) : NULL;
    if (e && --e->a == 0)
        map_remove(&l->count, e);
}

void live_open(struct live *l, tgw_handle h, const char *user_id,
               const struct tgw_endpoint *source) {
    struct map_entry *e = h ? map_add(&l->session, h) : NULL;
    if (!e)
        return;
    if (!e->a && user_id) {
        e->a = live_user_key(l, user_id);
        count_up(l, e->a);
    }
    if (!e->b) {
        e->b = live_source_key(l, source);
        count_up(l, e->b);
    }
}

void live_close(struct live *l, tgw_handle h) {
    struct map_entry *e = h ? map_find(&l->session, h) : NULL;
    if (!e)
        return;
    count_down(l, e->a);
    count_down(l, e->b);
    map_remove(&l->session, e);
}

uint64_t live_count_user(const struct live *l, const char *user_id) {
    const struct map_entry *e = map_find(&l->count, live_user_key(l, user_id));
    return e ? e->a : 0;
}

uint64_t live_count_source(const struct live *l, const struct tgw_endpoint *source) {
    const struct map_entry *e = map_find(&l->count, live_source_key(l, source));
    return e ? e->a : 0;
}

#include "limit.h"

enum { MILLI = 1000, SWEEP_EVERY_S = 10, BUCKETS_MAX = 1 << 20 };

static const uint64_t SECOND_NS = 1000000000;

void limit_free(struct limit *l) {
    map_free(&l->bucket);
}

static uint64_t filled(const struct map_entry *e, uint64_t rate, uint64_t burst, uint64_t now_ns) {
    uint64_t since_ns = now_ns > e->b ? now_ns - e->b : 0;
    /* Beyond the time in which any bucket fills there is nothing to multiply. */
    if (since_ns / SECOND_NS >= burst)
        return burst * MILLI;
    uint64_t level = e->a + (uint64_t)((double)since_ns * (double)rate * MILLI / (double)SECOND_NS);
    return level < burst * MILLI ? level : burst * MILLI;
}

/* A full bucket says nothing that a new one would not. Removing may move another entry into
 * the slot, so it is looked at again. */
static void sweep(struct limit *l, uint64_t rate, uint64_t burst, uint64_t now_ns) {
    for (size_t i = 0; i < l->bucket.slots;) {
        struct map_entry *e = &l->bucket.slot[i];
        if (e->key && filled(e, rate, burst, now_ns) == burst * MILLI)
            map_remove(&l->bucket, e);
        else
            i++;
    }
    l->sweep_ns = now_ns + SWEEP_EVERY_S * SECOND_NS;
}

bool limit_take(struct limit *l, uint64_t key, uint64_t rate, uint64_t burst, uint64_t now_ns) {
    if (now_ns >= l->sweep_ns)
        sweep(l, rate, burst, now_ns);
    struct map_entry *e = map_find(&l->bucket, key);
    if (!e) {
        e = l->bucket.used < BUCKETS_MAX ? map_add(&l->bucket, key) : NULL;
        if (!e)
            return true;
        e->a = burst * MILLI;
        e->b = now_ns;
    }
    uint64_t level = filled(e, rate, burst, now_ns);
    if (level < MILLI)
        return false; /* and the time stands, so that refused requests cost no refill */
    e->a = level - MILLI;
    e->b = now_ns;
    return true;
}

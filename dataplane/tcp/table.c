#include "tcp/table.h"
#include "core/region.h"
#include "siphash.h"
#include <assert.h>

enum { SPARES_MIN = 8, SPARE_SHARE = 16 };

bool flow_table_init(struct flow_table *t, uint32_t entries_max, bool huge) {
    *t = (struct flow_table){.buckets = 1};
    while ((uint64_t)t->buckets * FLOW_LOAD < entries_max)
        t->buckets *= 2;
    t->spares = t->buckets / SPARE_SHARE + SPARES_MIN;
    t->mapped_bytes = ((size_t)t->buckets + t->spares) * sizeof(struct flow_bucket);
    t->bucket = region_map(t->mapped_bytes, huge);
    return t->bucket != NULL;
}

void flow_table_fini(struct flow_table *t) {
    region_unmap(t->bucket, t->mapped_bytes);
    *t = (struct flow_table){0};
}

uint64_t flow_hash(const uint64_t key[2], const struct flow_key *k) {
    uint64_t word[5];
    if (!ip_addr_is4(&k->remote)) {
        memcpy(word, k, sizeof(word));
        return siphash13(key, word, 5);
    }
    uint32_t remote, local;
    memcpy(&remote, k->remote.b + 12, sizeof(remote));
    memcpy(&local, k->local.b + 12, sizeof(local));
    word[0] = (uint64_t)remote << 32 | local;
    word[1] = (uint32_t)k->lport << 16 | k->rport;
    return siphash13(key, word, 2);
}

/* A spare bucket's number, 0 when all are in use. */
static uint32_t take_spare(struct flow_table *t) {
    uint32_t n = t->spare_free;
    if (n) {
        t->spare_free = t->bucket[n].next;
        t->bucket[n].next = 0;
    } else if (t->spare_touched < t->spares) {
        n = t->buckets + t->spare_touched++;
    }
    return n;
}

static bool put(struct flow_bucket *b, uint64_t hash, uint32_t index) {
    for (int i = 0; i < FLOW_SLOTS; i++) {
        if (b->tag[i])
            continue;
        b->tag[i] = flow_tag(hash);
        b->index[i] = index;
        return true;
    }
    return false;
}

bool flow_insert(struct flow_table *t, uint64_t hash, uint32_t index) {
    struct flow_bucket *b = flow_home(t, hash), *last = b;
    for (; b && !put(b, hash, index); b = flow_next(t, b))
        last = b;
    if (!b) {
        last->next = take_spare(t);
        b = flow_next(t, last);
        if (!b)
            return false;
        put(b, hash, index);
    }
    t->used++;
    return true;
}

static bool is_empty(const struct flow_bucket *b) {
    for (int i = 0; i < FLOW_SLOTS; i++)
        if (b->tag[i])
            return false;
    return true;
}

static bool take(struct flow_bucket *b, uint64_t hash, uint32_t index) {
    for (int i = 0; i < FLOW_SLOTS; i++) {
        if (b->tag[i] != flow_tag(hash) || b->index[i] != index)
            continue;
        b->tag[i] = 0;
        return true;
    }
    return false;
}

void flow_remove(struct flow_table *t, uint64_t hash, uint32_t index) {
    struct flow_bucket *b = flow_home(t, hash), *before = NULL;
    while (!take(b, hash, index)) {
        before = b;
        b = flow_next(t, b);
        assert(b);
    }
    t->used--;
    if (before && is_empty(b)) {
        uint32_t n = before->next;
        before->next = b->next;
        b->next = t->spare_free;
        t->spare_free = n;
    }
}

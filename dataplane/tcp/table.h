/* Flow table: from the keyed hash of a four-tuple to the index of what belongs to it.
 * Of fixed size; a bucket is a cache line of ten tags and indexes. A full bucket goes on
 * in a spare one, of which there is a bounded number. Private to tcp/. */
#ifndef TGW_TCP_TABLE_H
#define TGW_TCP_TABLE_H

#include "net/addr.h"

enum { FLOW_SLOTS = 10, FLOW_LOAD = 5, FLOW_NONE = 0xffffffffu };

struct flow_bucket {
    uint16_t tag[FLOW_SLOTS]; /* 0: free */
    uint32_t next;            /* spare bucket; 0: none, the first buckets are no spares */
    uint32_t index[FLOW_SLOTS];
};
_Static_assert(sizeof(struct flow_bucket) == 64, "a bucket is a cache line");

struct flow_table {
    struct flow_bucket *bucket; /* [buckets + spares] */
    size_t mapped_bytes;
    uint32_t buckets; /* a power of two, FLOW_LOAD entries each at most on average */
    uint32_t spares;
    uint32_t spare_touched; /* spares linked at least once */
    uint32_t spare_free;    /* list of those that are free again, by `next`; 0: empty */
    uint32_t used;          /* entries */
};

struct flow_key {
    struct ip_addr local, remote;
    uint16_t lport, rport; /* host byte order */
    uint32_t zero;
};
_Static_assert(sizeof(struct flow_key) == 40, "hashed as a whole: no padding");

/* False when memory cannot be reserved. */
bool flow_table_init(struct flow_table *t, uint32_t entries_max, bool huge);
void flow_table_fini(struct flow_table *t);
uint64_t flow_hash(const uint64_t key[2], const struct flow_key *k);

/* False: the buckets of this hash are full and no spare is left. */
bool flow_insert(struct flow_table *t, uint64_t hash, uint32_t index);
/* The pair must be in the table. */
void flow_remove(struct flow_table *t, uint64_t hash, uint32_t index);

static inline uint16_t flow_tag(uint64_t hash) {
    uint16_t tag = (uint16_t)(hash >> 48);
    return tag ? tag : 1;
}

static inline struct flow_bucket *flow_home(const struct flow_table *t, uint64_t hash) {
    return &t->bucket[hash & (t->buckets - 1)];
}

static inline struct flow_bucket *flow_next(const struct flow_table *t,
                                            const struct flow_bucket *b) {
    return b->next ? &t->bucket[b->next] : NULL;
}

/* The first entry with the hash's tag that `is` recognises, or FLOW_NONE. */
static inline uint32_t flow_find(const struct flow_table *t, uint64_t hash,
                                 bool (*is)(const void *ctx, uint32_t index), const void *ctx) {
    uint16_t tag = flow_tag(hash);
    for (const struct flow_bucket *b = flow_home(t, hash); b; b = flow_next(t, b))
        for (int i = 0; i < FLOW_SLOTS; i++)
            if (b->tag[i] == tag && is(ctx, b->index[i]))
                return b->index[i];
    return FLOW_NONE;
}

static inline void flow_prefetch(const struct flow_table *t, uint64_t hash) {
    __builtin_prefetch(flow_home(t, hash));
}

/* What a look-up will most likely come to: the first entry with the hash's tag in its
 * home bucket, or FLOW_NONE. */
static inline uint32_t flow_guess(const struct flow_table *t, uint64_t hash) {
    const struct flow_bucket *b = flow_home(t, hash);
    uint16_t tag = flow_tag(hash);
    for (int i = 0; i < FLOW_SLOTS; i++)
        if (b->tag[i] == tag)
            return b->index[i];
    return FLOW_NONE;
}

#endif

/* Fixed-size object pool with stable indexes. Memory is reserved for `capacity`
 * objects at once and touched only as objects are first used, so an idle
 * capacity costs address space, not memory. Single-threaded. */
#ifndef TGW_CORE_POOL_H
#define TGW_CORE_POOL_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { POOL_NONE = 0xffffffffu, POOL_UNIT_BYTES = 64 };

struct pool {
    uint8_t *base;
    size_t object_bytes; /* a multiple of the unit */
    size_t mapped_bytes;
    uint32_t capacity;
    uint32_t used;
    uint32_t touched;   /* objects handed out at least once */
    uint32_t free_head; /* the first free object, in units, or POOL_NONE */
    uint32_t fail_at;   /* tests: the allocation that fails, counted down; 0: none */
};

/* False when memory cannot be reserved. Objects are 64-byte aligned. `huge` asks
 * for transparent huge pages. */
bool pool_init(struct pool *p, size_t object_bytes, uint32_t capacity, bool huge);
void pool_fini(struct pool *p);

/* True for the address of an object that was handed out at least once. */
static inline bool pool_holds(const struct pool *p, const void *object) {
    const uint8_t *at = object;
    return p->base && at >= p->base && at < p->base + p->touched * p->object_bytes;
}

/* The seldom half of pool_alloc(): one that was never used before, none, or a test's failure. */
void *pool_alloc_slowly(struct pool *p);

/* A free object's first bytes hold the place of the next one in units: no division. */
static inline void *pool_take_free(struct pool *p) {
    void *object = p->base + (size_t)p->free_head * POOL_UNIT_BYTES;
    p->free_head = *(const uint32_t *)object;
    p->used++;
    return object;
}

/* An object whose contents are undefined beyond "zero if never used before";
 * NULL when the pool is empty. */
static inline void *pool_alloc(struct pool *p) {
    if (p->fail_at || p->free_head == POOL_NONE)
        return pool_alloc_slowly(p);
    return pool_take_free(p);
}

static inline void pool_free(struct pool *p, void *object) {
    size_t at = (size_t)((uint8_t *)object - p->base);
    assert(p->used > 0 && pool_holds(p, object));
    *(uint32_t *)object = p->free_head;
    p->free_head = (uint32_t)(at / POOL_UNIT_BYTES);
    p->used--;
}

static inline void *pool_at(const struct pool *p, uint32_t index) {
    return p->base + (size_t)index * p->object_bytes;
}
static inline uint32_t pool_index(const struct pool *p, const void *object) {
    return (uint32_t)((size_t)((const uint8_t *)object - p->base) / p->object_bytes);
}

static inline size_t pool_used_bytes(const struct pool *p) {
    return p->object_bytes * p->used;
}

#endif

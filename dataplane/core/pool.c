#include "core/pool.h"
#include "core/region.h"
#include <assert.h>

/* Where an object stands, in units of 64 bytes: no division on the way in or out. */
static void *object_at(const struct pool *p, uint32_t unit) {
    return p->base + (size_t)unit * POOL_UNIT_BYTES;
}

/* A free object's first bytes hold the place of the next free one. */
static uint32_t *link_of(const struct pool *p, uint32_t unit) {
    return object_at(p, unit);
}

bool pool_init(struct pool *p, size_t object_bytes, uint32_t capacity, bool huge) {
    size_t units = (object_bytes + POOL_UNIT_BYTES - 1) / POOL_UNIT_BYTES;
    *p = (struct pool){.free_head = POOL_NONE, .capacity = capacity};
    p->object_bytes = units * POOL_UNIT_BYTES;
    p->mapped_bytes = p->object_bytes * (capacity ? capacity : 1);
    if (units * capacity < POOL_NONE)
        p->base = region_map(p->mapped_bytes, huge);
    if (!p->base)
        p->mapped_bytes = 0;
    return p->base != NULL;
}

void pool_fini(struct pool *p) {
    region_unmap(p->base, p->mapped_bytes);
    *p = (struct pool){.free_head = POOL_NONE};
}

void *pool_alloc(struct pool *p) {
    void *object;
    if (p->fail_at && --p->fail_at == 0)
        return NULL;
    if (p->free_head != POOL_NONE) {
        object = object_at(p, p->free_head);
        p->free_head = *link_of(p, p->free_head);
    } else if (p->touched < p->capacity) {
        object = pool_at(p, p->touched++);
    } else {
        return NULL;
    }
    p->used++;
    return object;
}

bool pool_holds(const struct pool *p, const void *object) {
    const uint8_t *at = object;
    return p->base && at >= p->base && at < p->base + p->touched * p->object_bytes;
}

void pool_free(struct pool *p, void *object) {
    assert(p->used > 0 && pool_holds(p, object));
    uint32_t unit = (uint32_t)((size_t)((uint8_t *)object - p->base) / POOL_UNIT_BYTES);
    *link_of(p, unit) = p->free_head;
    p->free_head = unit;
    p->used--;
}

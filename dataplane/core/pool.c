#include "core/pool.h"
#include "core/region.h"

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

void *pool_alloc_slowly(struct pool *p) {
    if (p->fail_at && --p->fail_at == 0)
        return NULL;
    if (p->free_head != POOL_NONE)
        return pool_take_free(p);
    if (p->touched == p->capacity)
        return NULL;
    p->used++;
    return pool_at(p, p->touched++);
}

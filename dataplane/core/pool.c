#include "core/pool.h"
#include <assert.h>
#include <sys/mman.h>

/* A free object's first bytes hold the index of the next free one. */
static uint32_t *link_of(const struct pool *p, uint32_t index) {
    return pool_at(p, index);
}

bool pool_init(struct pool *p, size_t object_bytes, uint32_t capacity, bool huge) {
    *p = (struct pool){.free_head = POOL_NONE, .capacity = capacity};
    p->object_bytes = (object_bytes + 63) & ~(size_t)63;
    p->mapped_bytes = p->object_bytes * (capacity ? capacity : 1);
    void *base = mmap(NULL, p->mapped_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) {
        p->mapped_bytes = 0;
        return false;
    }
    /* Payload and identifiers pass through here: they stay out of core dumps. */
    madvise(base, p->mapped_bytes, MADV_DONTDUMP);
    if (huge)
        madvise(base, p->mapped_bytes, MADV_HUGEPAGE);
    p->base = base;
    return true;
}

void pool_fini(struct pool *p) {
    if (p->base)
        munmap(p->base, p->mapped_bytes);
    *p = (struct pool){.free_head = POOL_NONE};
}

void *pool_alloc(struct pool *p) {
    if (p->fail_at && --p->fail_at == 0)
        return NULL;
    uint32_t index = p->free_head;
    if (index != POOL_NONE)
        p->free_head = *link_of(p, index);
    else if (p->touched < p->capacity)
        index = p->touched++;
    else
        return NULL;
    p->used++;
    return pool_at(p, index);
}

void pool_free(struct pool *p, void *object) {
    uint32_t index = pool_index(p, object);
    assert(index < p->touched && pool_at(p, index) == object && p->used > 0);
    *link_of(p, index) = p->free_head;
    p->free_head = index;
    p->used--;
}

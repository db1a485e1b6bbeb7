#include "core/bq.h"
#include <assert.h>
#include <string.h>

bool bq_pools_init(struct bq_pools *p, uint32_t small_count, uint32_t large_count, bool huge) {
    if (!pool_init(&p->small, sizeof(struct bq_block) + BQ_SMALL_BYTES, small_count, huge))
        return false;
    if (pool_init(&p->large, sizeof(struct bq_block) + BQ_LARGE_BYTES, large_count, huge))
        return true;
    pool_fini(&p->small);
    return false;
}

void bq_pools_fini(struct bq_pools *p) {
    pool_fini(&p->small);
    pool_fini(&p->large);
}

/* The size that fits `len`, the other one when that is dry. */
static struct bq_block *block_alloc(struct bq_pools *p, size_t len) {
    bool large = len > BQ_SMALL_BYTES;
    struct bq_block *b = pool_alloc(large ? &p->large : &p->small);
    if (!b) {
        large = !large;
        b = pool_alloc(large ? &p->large : &p->small);
    }
    if (b)
        *b = (struct bq_block){.capacity = large ? BQ_LARGE_BYTES : BQ_SMALL_BYTES};
    return b;
}

static void block_free(struct bq_pools *p, struct bq_block *b) {
    pool_free(b->capacity == BQ_LARGE_BYTES ? &p->large : &p->small, b);
}

/* The tail block with room for at least one byte, or NULL. */
static struct bq_block *tail_with_room(struct bq *q, struct bq_pools *p, size_t len) {
    if (q->tail && q->tail->end < q->tail->capacity)
        return q->tail;
    struct bq_block *b = block_alloc(p, len);
    if (!b)
        return NULL;
    if (q->tail)
        q->tail->next = b;
    else
        q->head = b;
    q->tail = b;
    return b;
}

size_t bq_append(struct bq *q, struct bq_pools *p, const void *data, size_t len) {
    const uint8_t *from = data;
    size_t left = len;
    while (left) {
        struct bq_block *b = tail_with_room(q, p, left);
        if (!b)
            break;
        size_t room = (size_t)(b->capacity - b->end);
        size_t n = left < room ? left : room;
        memcpy(b->data + b->end, from, n);
        b->end = (uint16_t)(b->end + n);
        from += n;
        left -= n;
    }
    q->bytes += (uint32_t)(len - left);
    return len - left;
}

size_t bq_peek(const struct bq *q, const uint8_t **data) {
    if (!q->head)
        return 0;
    *data = q->head->data + q->head->start;
    return (size_t)(q->head->end - q->head->start);
}

void bq_copy(const struct bq *q, size_t offset, void *dst, size_t len) {
    assert(offset + len <= q->bytes);
    uint8_t *to = dst;
    for (const struct bq_block *b = q->head; len; b = b->next) {
        size_t have = (size_t)(b->end - b->start);
        if (offset >= have) {
            offset -= have;
            continue;
        }
        size_t n = have - offset < len ? have - offset : len;
        memcpy(to, b->data + b->start + offset, n);
        to += n;
        len -= n;
        offset = 0;
    }
}

void bq_consume(struct bq *q, struct bq_pools *p, size_t n) {
    assert(n <= q->bytes);
    q->bytes -= (uint32_t)n;
    while (n || (q->head && q->head->start == q->head->end)) {
        struct bq_block *b = q->head;
        size_t have = (size_t)(b->end - b->start);
        if (n < have) {
            b->start = (uint16_t)(b->start + n);
            return;
        }
        n -= have;
        q->head = b->next;
        if (!q->head)
            q->tail = NULL;
        block_free(p, b);
    }
}

void bq_clear(struct bq *q, struct bq_pools *p) {
    bq_consume(q, p, q->bytes);
    assert(!q->head && !q->tail);
}

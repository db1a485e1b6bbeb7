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

static size_t block_bytes(const struct bq_block *b) {
    return (size_t)(b->end - b->start);
}

/* Put the cursor on the block that holds the byte at `offset`. */
static void seek(struct bq *q, size_t offset) {
    if (!q->cursor || offset < q->cursor_bytes) {
        q->cursor = q->head;
        q->cursor_bytes = 0;
    }
    while (offset - q->cursor_bytes >= block_bytes(q->cursor)) {
        q->cursor_bytes += (uint32_t)block_bytes(q->cursor);
        q->cursor = q->cursor->next;
    }
}

void bq_copy(struct bq *q, size_t offset, void *dst, size_t len) {
    assert(offset + len <= q->bytes);
    uint8_t *to = dst;
    while (len) {
        seek(q, offset);
        const struct bq_block *b = q->cursor;
        size_t skip = offset - q->cursor_bytes, have = block_bytes(b) - skip;
        size_t n = have < len ? have : len;
        memcpy(to, b->data + b->start + skip, n);
        to += n;
        offset += n;
        len -= n;
    }
}

void bq_consume(struct bq *q, struct bq_pools *p, size_t n) {
    assert(n <= q->bytes);
    q->bytes -= (uint32_t)n;
    q->cursor_bytes = q->cursor_bytes > n ? q->cursor_bytes - (uint32_t)n : 0;
    while (n || (q->head && block_bytes(q->head) == 0)) {
        struct bq_block *b = q->head;
        size_t have = block_bytes(b);
        if (n < have) {
            b->start = (uint16_t)(b->start + n);
            return;
        }
        n -= have;
        q->head = b->next;
        if (!q->head)
            q->tail = NULL;
        if (q->cursor == b)
            q->cursor = NULL;
        block_free(p, b);
    }
}

void bq_clear(struct bq *q, struct bq_pools *p) {
    while (q->head) {
        struct bq_block *b = q->head;
        q->head = b->next;
        block_free(p, b);
    }
    *q = (struct bq){0};
}

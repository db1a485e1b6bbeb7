/* Byte queue over pooled blocks of two sizes: what a send or receive queue is
 * made of. An empty queue holds no block. Single-threaded. */
#ifndef TGW_CORE_BQ_H
#define TGW_CORE_BQ_H

#include "core/pool.h"

enum {
    BQ_SMALL_BYTES = 192, /* payload of a small block: a keystroke's worth of frames */
    BQ_LARGE_BYTES = 2032,
};

struct bq_block {
    struct bq_block *next;
    uint16_t start, end; /* valid bytes are data[start..end) */
    uint16_t capacity;
    uint16_t reserved;
    uint8_t data[];
};

struct bq_pools {
    struct pool small, large;
};

struct bq {
    struct bq_block *head, *tail;
    struct bq_block *cursor; /* where the last copy ended; NULL: at the head */
    uint32_t cursor_bytes;   /* bytes in the blocks before the cursor's */
    uint32_t bytes;
};

bool bq_pools_init(struct bq_pools *p, uint32_t small_count, uint32_t large_count, bool huge);
void bq_pools_fini(struct bq_pools *p);

/* Append up to len bytes; returns how many fitted (short when the pools are dry). */
size_t bq_append(struct bq *q, struct bq_pools *p, const void *data, size_t len);
/* First contiguous span; length 0 when empty. */
size_t bq_peek(const struct bq *q, const uint8_t **data);
/* Copy len bytes from `offset` (offset + len <= bytes) to dst. Copies that go forward
 * cost what they copy, however long the queue is. */
void bq_copy(struct bq *q, size_t offset, void *dst, size_t len);
/* Drop n (<= bytes) bytes off the front, freeing emptied blocks. */
void bq_consume(struct bq *q, struct bq_pools *p, size_t n);
void bq_clear(struct bq *q, struct bq_pools *p);

#endif

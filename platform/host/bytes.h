/* A byte queue: appended behind, taken from the front; no memory while empty. */
#ifndef TGW_HOST_BYTES_H
#define TGW_HOST_BYTES_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct bytes {
    uint8_t *data;
    size_t begin, end, capacity;
};

static inline size_t bytes_len(const struct bytes *b) {
    return b->end - b->begin;
}

static inline const uint8_t *bytes_front(const struct bytes *b) {
    return b->data + b->begin;
}

static inline void bytes_free(struct bytes *b) {
    free(b->data);
    *b = (struct bytes){0};
}

/* Room for len bytes behind; NULL when memory is short. */
static inline uint8_t *bytes_reserve(struct bytes *b, size_t len) {
    if (b->begin && b->end + len > b->capacity) {
        memmove(b->data, b->data + b->begin, bytes_len(b));
        b->end -= b->begin;
        b->begin = 0;
    }
    if (b->end + len > b->capacity) {
        size_t want = b->capacity * 2 > b->end + len ? b->capacity * 2 : b->end + len;
        uint8_t *grown = realloc(b->data, want);
        if (!grown)
            return NULL;
        b->data = grown;
        b->capacity = want;
    }
    return b->data + b->end;
}

static inline bool bytes_append(struct bytes *b, const void *data, size_t len) {
    uint8_t *room = len ? bytes_reserve(b, len) : NULL;
    if (!room)
        return len == 0;
    memcpy(room, data, len);
    b->end += len;
    return true;
}

static inline void bytes_take(struct bytes *b, size_t len) {
    assert(len <= bytes_len(b));
    b->begin += len;
    if (b->begin == b->end)
        bytes_free(b);
}

#endif

/* Memory of one core alone: whole cache lines, in pairs, since processors fetch them so.
 * What another core writes never lies in the same. */
#ifndef TGW_CORE_LINES_H
#define TGW_CORE_LINES_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { LINES_BYTES = 128 };

/* Zeroed; given back with free(). NULL: no memory. */
static inline void *lines_zalloc(size_t count, size_t bytes) {
    if (bytes && count > (SIZE_MAX - LINES_BYTES) / bytes)
        return NULL;
    size_t all = (count * bytes + LINES_BYTES - 1) & ~(size_t)(LINES_BYTES - 1);
    void *at = aligned_alloc(LINES_BYTES, all ? all : LINES_BYTES);
    if (at)
        memset(at, 0, all);
    return at;
}

#endif

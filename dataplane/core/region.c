#include "core/region.h"
#include <sys/mman.h>

void *region_map(size_t bytes, bool huge) {
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return NULL;
    madvise(base, bytes, MADV_DONTDUMP);
    if (huge)
        madvise(base, bytes, MADV_HUGEPAGE);
    return base;
}

void region_unmap(void *region, size_t bytes) {
    if (region)
        munmap(region, bytes);
}

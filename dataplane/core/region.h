/* Large zeroed memory, reserved at once and touched only as it is used. */
#ifndef TGW_CORE_REGION_H
#define TGW_CORE_REGION_H

#include <stdbool.h>
#include <stddef.h>

/* NULL when the address space cannot be had. Page-aligned, all zero, left out of core
 * dumps: payload, identifiers and keys pass through here. `huge` asks for transparent
 * huge pages. */
void *region_map(size_t bytes, bool huge);
/* NULL is ignored. */
void region_unmap(void *region, size_t bytes);

#endif

/* A hash table from a number to two numbers. Grows; open addressing, so that a million
 * sessions cost 32 bytes each and no allocation of their own. */
#ifndef TGW_CONTROL_MAP_H
#define TGW_CONTROL_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_entry {
    uint64_t key; /* 0: free slot */
    uint64_t a, b;
};

struct map {
    struct map_entry *slot;
    size_t slots, used;
};

void map_free(struct map *m);
/* The entry of `key` (not 0), NULL when there is none. Valid until the next change. */
struct map_entry *map_find(const struct map *m, uint64_t key);
/* The entry of `key`, made with zeros where there was none. NULL: no memory. */
struct map_entry *map_add(struct map *m, uint64_t key);
void map_remove(struct map *m, struct map_entry *e);

#endif

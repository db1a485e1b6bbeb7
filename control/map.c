#include "map.h"
#include <stdlib.h>

enum { SLOTS_MIN = 64 };

static size_t home(const struct map *m, uint64_t key) {
    uint64_t h = key * UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(h ^ h >> 32) & (m->slots - 1);
}

void map_free(struct map *m) {
    free(m->slot);
    *m = (struct map){0};
}

/* The slot where `key` is or would go. */
static struct map_entry *probe(const struct map *m, uint64_t key) {
    size_t i = home(m, key);
    while (m->slot[i].key && m->slot[i].key != key)
        i = (i + 1) & (m->slots - 1);
    return &m->slot[i];
}

struct map_entry *map_find(const struct map *m, uint64_t key) {
    struct map_entry *e = m->slots ? probe(m, key) : NULL;
    return e && e->key ? e : NULL;
}

static bool grow(struct map *m) {
    struct map bigger = {.slots = m->slots ? m->slots * 2 : SLOTS_MIN, .used = m->used};
    bigger.slot = calloc(bigger.slots, sizeof(*bigger.slot));
    if (!bigger.slot)
        return false;
    for (size_t i = 0; i < m->slots; i++)
        if (m->slot[i].key)
            *probe(&bigger, m->slot[i].key) = m->slot[i];
    free(m->slot);
    *m = bigger;
    return true;
}

struct map_entry *map_add(struct map *m, uint64_t key) {
    struct map_entry *e = map_find(m, key);
    if (e)
        return e;
    if ((m->used + 1) * 4 > m->slots * 3 && !grow(m))
        return NULL;
    e = probe(m, key);
    *e = (struct map_entry){.key = key};
    m->used++;
    return e;
}

/* Close the gap, so that no probe stops early. */
void map_remove(struct map *m, struct map_entry *e) {
    size_t hole = (size_t)(e - m->slot), mask = m->slots - 1;
    for (size_t i = (hole + 1) & mask; m->slot[i].key; i = (i + 1) & mask) {
        size_t from_home = (i - home(m, m->slot[i].key)) & mask;
        if (from_home >= ((i - hole) & mask)) {
            m->slot[hole] = m->slot[i];
            hole = i;
        }
    }
    m->slot[hole] = (struct map_entry){0};
    m->used--;
}

/* Creates the shared region of contract/shm.h. Belongs to the composition root. */
#ifndef TGW_DATAPLANE_SHM_REGION_H
#define TGW_DATAPLANE_SHM_REGION_H

#include "contract/shm.h"
#include <stdbool.h>
#include <stddef.h>

struct shm_region {
    struct tgw_shm *shm;
    size_t bytes;
    char path[256];
};

/* Make a fresh region at `path` (mode 0600), replacing a
 * predecessor's file atomically: whoever has the old one mapped keeps the old one.
 * Nobody attaches before it is published. False with one line in err. */
bool shm_region_create(struct shm_region *r, const char *path, uint32_t cores, char *err,
                       size_t err_bytes);
/* What the control process reads once is filled in: it may attach. */
void shm_region_publish(struct shm_region *r);
/* Unmap and remove the file if it is still ours. */
void shm_region_destroy(struct shm_region *r);

struct tgw_counters *shm_region_counters(const struct shm_region *r, uint32_t core);
struct tgw_ring *shm_region_cmd_ring(const struct shm_region *r, uint32_t core);
struct tgw_ring *shm_region_event_ring(const struct shm_region *r, uint32_t core);

#endif

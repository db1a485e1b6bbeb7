#include "shm_region.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t align64(uint64_t n) {
    return (n + 63) & ~UINT64_C(63);
}

/* Lay the cores out behind the head; returns the total size. */
static uint64_t lay_out(struct tgw_shm_core core[], uint32_t cores) {
    uint64_t at = align64(sizeof(struct tgw_shm));
    for (uint32_t i = 0; i < cores; i++) {
        core[i].counters_off = at;
        at += align64(sizeof(struct tgw_counters));
        core[i].cmd_ring_off = at;
        at += align64(tgw_ring_bytes(TGW_CMD_SLOTS, TGW_CMD_SLOT_BYTES));
        core[i].event_ring_off = at;
        at += align64(tgw_ring_bytes(TGW_EVENT_SLOTS, TGW_EVENT_SLOT_BYTES));
    }
    return at;
}

/* Fills a file that nobody sees yet, then moves it to its name. */
static void *map_new_file(const char *path, uint64_t bytes, char *err, size_t err_bytes) {
    char temp[300];
    snprintf(temp, sizeof(temp), "%s.%d", path, (int)getpid());
    int fd = open(temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        snprintf(err, err_bytes, "shm_path: cannot create %s: %s", temp, strerror(errno));
        return NULL;
    }
    void *at = MAP_FAILED;
    if (posix_fallocate(fd, 0, (off_t)bytes) == 0)
        at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at == MAP_FAILED || rename(temp, path) != 0) {
        snprintf(err, err_bytes, "shm_path: cannot set up %s: %s", path, strerror(errno));
        unlink(temp);
        if (at != MAP_FAILED)
            munmap(at, bytes);
        return NULL;
    }
    return at;
}

bool shm_region_create(struct shm_region *r, const char *path, uint32_t cores, char *err,
                       size_t err_bytes) {
    assert(cores > 0 && cores <= TGW_CORES_MAX);
    struct tgw_shm_core core[TGW_CORES_MAX] = {0};
    uint64_t bytes = lay_out(core, cores);
    *r = (struct shm_region){.bytes = bytes};
    if ((size_t)snprintf(r->path, sizeof(r->path), "%s", path) >= sizeof(r->path)) {
        snprintf(err, err_bytes, "shm_path: longer than %zu bytes", sizeof(r->path) - 1);
        return false;
    }
    r->shm = map_new_file(path, bytes, err, err_bytes);
    if (!r->shm)
        return false;
    /* Token hashes and grants pass through: not into core dumps. */
    madvise(r->shm, bytes, MADV_DONTDUMP);
    memcpy(r->shm->core, core, sizeof(core));
    r->shm->version = TGW_SHM_VERSION;
    r->shm->layout = tgw_shm_layout();
    r->shm->total_bytes = bytes;
    r->shm->core_count = cores;
    r->shm->dataplane_pid = (uint32_t)getpid();
    return true;
}

void shm_region_publish(struct shm_region *r) {
    tgw_shm_publish(r->shm);
}

void shm_region_destroy(struct shm_region *r) {
    if (!r->shm)
        return;
    tgw_shm_withdraw(r->shm);
    munmap(r->shm, r->bytes);
    unlink(r->path);
    r->shm = NULL;
}

/* Offsets come from our own computation each time: the other side could change the
 * ones in the region. */
static struct tgw_shm_core offsets(uint32_t index) {
    struct tgw_shm_core core[TGW_CORES_MAX] = {0};
    assert(index < TGW_CORES_MAX);
    lay_out(core, index + 1);
    return core[index];
}

struct tgw_counters *shm_region_counters(const struct shm_region *r, uint32_t core) {
    return (struct tgw_counters *)((char *)r->shm + offsets(core).counters_off);
}

struct tgw_ring *shm_region_cmd_ring(const struct shm_region *r, uint32_t core) {
    return (struct tgw_ring *)((char *)r->shm + offsets(core).cmd_ring_off);
}

struct tgw_ring *shm_region_event_ring(const struct shm_region *r, uint32_t core) {
    return (struct tgw_ring *)((char *)r->shm + offsets(core).event_ring_off);
}

#include "bridge.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static bool fits(const struct bridge *b, uint64_t off, size_t bytes) {
    return off % 64 == 0 && off >= sizeof(struct tgw_shm) && off <= b->bytes &&
           bytes <= b->bytes - off;
}

/* Nothing of the region is believed before it is checked against the file's size. */
static const char *check(struct bridge *b) {
    const struct tgw_shm *s = b->shm;
    if (b->bytes < sizeof(*s) || !tgw_shm_is_published(s))
        return "not a gateway's region";
    if (s->version != TGW_SHM_VERSION || s->layout != tgw_shm_layout())
        return "made by another version of the gateway";
    b->cores = s->core_count;
    if (s->total_bytes != b->bytes || b->cores == 0 || b->cores > TGW_CORES_MAX)
        return "its sizes contradict each other";
    for (uint32_t i = 0; i < b->cores; i++) {
        struct tgw_shm_core c = s->core[i];
        if (!fits(b, c.counters_off, sizeof(struct tgw_counters)) ||
            !fits(b, c.cmd_ring_off, tgw_ring_bytes(TGW_CMD_SLOTS, TGW_CMD_SLOT_BYTES)) ||
            !fits(b, c.event_ring_off, tgw_ring_bytes(TGW_EVENT_SLOTS, TGW_EVENT_SLOT_BYTES)))
            return "an offset lies outside of it";
        char *base = (char *)b->shm;
        b->core[i].counters = (struct tgw_counters *)(base + c.counters_off);
        tgw_ring_producer(&b->core[i].cmd, (struct tgw_ring *)(base + c.cmd_ring_off),
                          TGW_CMD_SLOTS, TGW_CMD_SLOT_BYTES);
        tgw_ring_consumer(&b->core[i].event, (struct tgw_ring *)(base + c.event_ring_off),
                          TGW_EVENT_SLOTS, TGW_EVENT_SLOT_BYTES);
    }
    return NULL;
}

static bool map(struct bridge *b, char *err, size_t err_bytes) {
    struct stat st;
    int fd = open(b->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    void *at = MAP_FAILED;
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0)
        at = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        snprintf(err, err_bytes, "%s: %s", b->path, strerror(errno));
    if (fd >= 0)
        close(fd);
    if (at == MAP_FAILED)
        return false;
    b->shm = at;
    b->bytes = (size_t)st.st_size;
    b->inode = st.st_ino;
    madvise(at, b->bytes, MADV_DONTDUMP);
    return true;
}

bool bridge_view(struct bridge *b, const char *path, char *err, size_t err_bytes) {
    *b = (struct bridge){.path = path};
    if (!map(b, err, err_bytes))
        return false;
    const char *wrong = check(b);
    if (wrong) {
        snprintf(err, err_bytes, "%s: %s", path, wrong);
        bridge_detach(b);
        return false;
    }
    return true;
}

bool bridge_attach(struct bridge *b, const char *path, uint64_t now_ns, char *err,
                   size_t err_bytes) {
    if (!bridge_view(b, path, err, err_bytes))
        return false;
    b->epoch = now_ns;
    atomic_store(&b->shm->control_drained, 0);
    atomic_store(&b->shm->control_beat_ns, now_ns);
    atomic_store(&b->shm->control_epoch, now_ns);
    return true;
}

void bridge_detach(struct bridge *b) {
    if (b->shm)
        munmap(b->shm, b->bytes);
    b->shm = NULL;
    b->cores = 0;
}

bool bridge_is_current(const struct bridge *b) {
    struct stat st;
    if (!b->shm || !tgw_shm_is_published(b->shm) || stat(b->path, &st) != 0)
        return false;
    return st.st_ino == b->inode && (size_t)st.st_size == b->bytes &&
           (kill((pid_t)b->shm->dataplane_pid, 0) == 0 || errno == EPERM);
}

void bridge_beat(struct bridge *b, uint64_t now_ns) {
    if (b->shm)
        atomic_store(&b->shm->control_beat_ns, now_ns);
}

uint32_t bridge_poll(struct bridge *b, uint32_t budget,
                     void (*on_event)(void *ctx, uint32_t core, const union tgw_event *e),
                     void *ctx) {
    union tgw_event e;
    uint32_t taken = 0;
    for (uint32_t i = 0; i < b->cores; i++) {
        for (uint32_t n = 0; b->shm && n < budget; n++, taken++) {
            uint32_t len = tgw_ring_pop(&b->core[i].event, &e);
            if (len == 0)
                break;
            memset(e.slot + len, 0, sizeof(e) - len);
            on_event(ctx, i, &e);
        }
    }
    return taken;
}

bool bridge_send(struct bridge *b, uint32_t core, const struct tgw_msg *cmd) {
    return core < b->cores && tgw_ring_push(&b->core[core].cmd, cmd);
}

uint64_t bridge_counter(const struct bridge *b, enum tgw_counter id) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < b->cores; i++)
        sum += tgw_counter_get(b->core[i].counters, id);
    return sum;
}

uint64_t bridge_reason(const struct bridge *b, enum tgw_reason r) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < b->cores; i++)
        sum += atomic_load_explicit(&b->core[i].counters->reason[r], memory_order_relaxed);
    return sum;
}

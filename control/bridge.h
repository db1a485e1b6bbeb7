/* The control process's end of the shared region: maps it, checks it, beats, and hands
 * events to a callback. A dataplane that goes away is waited for. */
#ifndef TGW_CONTROL_BRIDGE_H
#define TGW_CONTROL_BRIDGE_H

#include "contract/shm.h"

struct bridge {
    const char *path;
    struct tgw_shm *shm; /* NULL: not attached */
    size_t bytes;
    uint64_t inode, epoch;
    uint32_t cores; /* validated copy */
    struct {
        struct tgw_counters *counters;
        struct tgw_ring_end cmd, event;
    } core[TGW_CORES_MAX];
};

/* Try to attach. False with one line in err; nothing stays mapped then. */
bool bridge_attach(struct bridge *b, const char *path, uint64_t now_ns, char *err,
                   size_t err_bytes);
/* Map it to read counters only: another process is the control process. */
bool bridge_view(struct bridge *b, const char *path, char *err, size_t err_bytes);
void bridge_detach(struct bridge *b);
/* Still the region at that path, with a live dataplane behind it. */
bool bridge_is_current(const struct bridge *b);
void bridge_beat(struct bridge *b, uint64_t now_ns);
/* Take up to `budget` events a core. Returns how many. */
uint32_t bridge_poll(struct bridge *b, uint32_t budget,
                     void (*on_event)(void *ctx, uint32_t core, const union tgw_event *e),
                     void *ctx);
/* False: no such core, or its ring is full. */
bool bridge_send(struct bridge *b, uint32_t core, const struct tgw_msg *cmd);
uint64_t bridge_counter(const struct bridge *b, enum tgw_counter id);
uint64_t bridge_reason(const struct bridge *b, enum tgw_reason r);

#endif

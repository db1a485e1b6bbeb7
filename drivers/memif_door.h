/* Private to drivers/: the memif driver and its peer talk through this door.
 *
 * DPDK's driver unmaps the shared memory in its interrupt thread as soon as the peer's
 * socket ends, and asks no core whether it is reading there (seen in 22.11: SIGSEGV in
 * eth_memif_rx). So the driver gets a socket of its own, and a thread carries the messages,
 * file descriptors included, between that and the peer's. It sees the peer's end first,
 * shuts the gate, waits until the core is outside, and only then lets the driver know. */
#ifndef TGW_DRIVERS_MEMIF_DOOR_H
#define TGW_DRIVERS_MEMIF_DOOR_H

#include "gate.h"
#include <stddef.h>

enum { MEMIF_PATH_BYTES = 108 }; /* sockaddr_un */

struct memif_door;

struct memif_door_config {
    char path[MEMIF_PATH_BYTES];        /* where the peer is met */
    char driver_path[MEMIF_PATH_BYTES]; /* where the driver is */
    bool serves;              /* the peer comes to `path`; else the driver comes to `driver_path` */
    bool (*is_up)(void *ctx); /* has the driver set up its side? Called in the door's thread */
    void *ctx;
};

/* NULL with one line in err; as a client also when nobody listens at `path`. The gate stays
 * the caller's and opens while the port can be used. */
struct memif_door *memif_door_open(const struct memif_door_config *c, struct gate *gate, char *err,
                                   size_t err_bytes);
/* When no core uses the port any more, and before the driver is stopped: it has given back
 * the connection's memory by then. */
void memif_door_close(struct memif_door *d);

#endif

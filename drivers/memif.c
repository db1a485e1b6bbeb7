/* Shared memory with another process on this machine, met at a socket. */
#include "ethdev.h"
#include "memif_door.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct memif_port {
    struct port port;
    struct gate gate;
    struct memif_door *door;
    _Atomic(struct port *) inner;
};

static bool serves(const struct port_config *c) {
    return strstr(c->options, "role=server") || strstr(c->options, "role=master");
}

/* The socket that is the driver's own. Of those who serve at a path there is one, of clients
 * there may be many. */
static void driver_path(const struct port_config *c, char out[MEMIF_PATH_BYTES]) {
    if (serves(c))
        snprintf(out, MEMIF_PATH_BYTES, "%s.driver", c->device);
    else
        snprintf(out, MEMIF_PATH_BYTES, "%s.%d.%s", c->device, (int)getpid(), c->name);
}

static bool args(const struct port_config *c, char out[DEVARGS_BYTES], char *err,
                 size_t err_bytes) {
    char path[MEMIF_PATH_BYTES];
    if (!strchr(c->options, '=')) {
        snprintf(err, err_bytes, "%s: memif wants options such as role=server,id=0", c->name);
        return false;
    }
    driver_path(c, path);
    snprintf(out, DEVARGS_BYTES, "net_memif_%s,socket=%s,socket-abstract=no", c->name, path);
    family_add_options(c, out);
    return true;
}

static struct port *inner_of(struct port *p) {
    struct memif_port *m = (struct memif_port *)p;
    return atomic_load_explicit(&m->inner, memory_order_acquire);
}

static uint16_t rx_burst(struct port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n) {
    return gate_pass(&((struct memif_port *)p)->gate) ? port_rx(inner_of(p), queue, m, n) : 0;
}

static uint16_t tx_burst(struct port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n) {
    return gate_pass(&((struct memif_port *)p)->gate) ? port_tx(inner_of(p), queue, m, n) : 0;
}

static void stats(struct port *p, struct port_stats *out) {
    struct port *inner = inner_of(p);
    inner->ops->stats(inner, out);
}

static void link_state(struct port *p, struct port_link *out) {
    struct port *inner = inner_of(p);
    inner->ops->link(inner, out);
}

static void close_port(struct port *p) {
    struct memif_port *m = (struct memif_port *)p;
    struct port *inner = inner_of(p);
    if (m->door)
        memif_door_close(m->door);
    if (inner)
        inner->ops->close(inner);
    free(m);
}

/* In the door's thread, which may be ahead of the opening of the port. */
static bool is_up(void *port) {
    struct port *inner = inner_of(port);
    struct port_link link = {0};
    if (inner)
        inner->ops->link(inner, &link);
    return link.up;
}

static bool open_door(struct memif_port *m, const struct port_config *c, char *err,
                      size_t err_bytes) {
    struct memif_door_config door = {.serves = serves(c), .is_up = is_up, .ctx = m};
    snprintf(door.path, sizeof(door.path), "%s", c->device);
    driver_path(c, door.driver_path);
    m->door = memif_door_open(&door, &m->gate, err, err_bytes);
    return m->door != NULL;
}

static struct port *open_memif(const struct port_config *c, const struct family *f,
                               struct rte_mempool *pool, const char *devargs, char *err,
                               size_t err_bytes) {
    static const struct port_ops ops = {rx_burst, tx_burst, stats, link_state, close_port};
    struct memif_port *m = aligned_alloc(_Alignof(struct memif_port), sizeof(*m));
    if (!m || c->queues > 1) {
        snprintf(err, err_bytes, "%s: %s", c->name, m ? "memif has one queue" : "no memory");
        free(m);
        return NULL;
    }
    memset(m, 0, sizeof(*m));
    if (!open_door(m, c, err, err_bytes)) {
        free(m);
        return NULL;
    }
    mode_t mask = umask(S_IRWXG | S_IRWXO); /* the driver's socket is for us alone */
    struct port *inner = ethdev_open(c, f, pool, devargs, err, err_bytes);
    umask(mask);
    if (inner)
        m->port = *inner;
    m->port.ops = &ops;
    atomic_store_explicit(&m->inner, inner, memory_order_release);
    if (inner)
        return &m->port;
    close_port(&m->port);
    return NULL;
}

/* The door goes on meeting peers when the process has become another user. */
static int give(const struct port_config *c, uid_t user, gid_t group) {
    char path[MEMIF_PATH_BYTES];
    driver_path(c, path);
    return serves(c) ? chown(path, user, group) : 0;
}

const struct family family_memif = {
    .name = "memif", .args = args, .open = open_memif, .give = give};

/* The families, and a port with its decorators. */
#include "ethdev.h"
#include "sim.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct family *const families[] = {
    &family_af_packet, &family_af_xdp, &family_tap,  &family_memif,
    &family_ring,      &family_pci,    &family_mlx5,
};
enum { FAMILIES = sizeof(families) / sizeof(families[0]) };

static const struct family *find(const struct port_config *c, char *err, size_t err_bytes) {
    char names[128] = "";
    for (size_t i = 0; i < FAMILIES; i++) {
        if (strcmp(families[i]->name, c->driver) == 0)
            return families[i];
        size_t n = strlen(names);
        snprintf(names + n, sizeof(names) - n, "%s%s", n ? ", " : "", families[i]->name);
    }
    snprintf(err, err_bytes, "%s: driver \"%s\" is none of %s", c->name, c->driver, names);
    return NULL;
}

static bool wants_faults(const struct port_config *c) {
    return c->loss_pm || c->reorder_pm || c->duplicate_pm || c->corrupt_pm;
}

static struct port *decorate(struct port *p, const struct port_config *c, struct rte_mempool *pool,
                             char *err, size_t err_bytes) {
    struct port *faulty = wants_faults(c) ? port_fault_wrap(p, c, pool) : p;
    if (!faulty) {
        snprintf(err, err_bytes, "%s: no memory", c->name);
        p->ops->close(p);
        return NULL;
    }
    if (!c->pcap_file[0])
        return faulty;
    struct port *captured = port_pcap_wrap(faulty, c->pcap_file, NULL, err, err_bytes);
    if (!captured)
        faulty->ops->close(faulty);
    return captured;
}

bool port_check(const struct port_config *c, char *bus_args, size_t bytes, char *err,
                size_t err_bytes) {
    char args[DEVARGS_BYTES] = "";
    const struct family *f = find(c, err, err_bytes);
    errno = 0;
    if (!f || !f->args(c, args, err, err_bytes))
        return false;
    snprintf(bus_args, bytes, "%s", f->on_bus ? args : "");
    return true;
}

struct port *port_open(const struct port_config *c, struct rte_mempool *pool, char *err,
                       size_t err_bytes) {
    char args[DEVARGS_BYTES];
    /* A decorator's state is one core's. */
    if (c->queues > 1 && (wants_faults(c) || c->pcap_file[0])) {
        snprintf(err, err_bytes, "%s: faults and captures work with one queue (core) only",
                 c->name);
        return NULL;
    }
    const struct family *f = find(c, err, err_bytes);
    if (!f || !f->args(c, args, err, err_bytes))
        return NULL;
    struct port *p = (f->open ? f->open : ethdev_open)(c, f, pool, args, err, err_bytes);
    return p ? decorate(p, c, pool, err, err_bytes) : NULL;
}

bool port_give(const struct port_config *c, uid_t user, gid_t group) {
    char why[sizeof(c->driver) + 200];
    const struct family *f = find(c, why, sizeof(why));
    return f && (!f->give || f->give(c, user, group) == 0);
}

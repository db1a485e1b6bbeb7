/* Ports as the configuration names them: opened, and as interfaces of the net room. */
#ifndef TGW_DATAPLANE_PORTS_H
#define TGW_DATAPLANE_PORTS_H

#include "config/config.h"
#include "net/net.h"

enum { PORT_ARGS = 400 };

/* Are all there and fit to be opened? `bus_args`: what EAL is to be told of each, "" for
 * nothing. Before EAL starts. False with one line in err; errno is EAGAIN if another process
 * may have more luck. */
bool ports_check(const struct config *c, uint32_t cores, char bus_args[TGW_PORTS_MAX][PORT_ARGS],
                 char *err, size_t err_bytes);
void ports_describe(const struct config *c, uint32_t i, uint32_t cores, struct port_config *out);
/* All or none, each with a queue a core. False with one line in err. */
bool ports_open(const struct config *c, uint32_t cores, struct rte_mempool *mbufs,
                struct port *port[TGW_PORTS_MAX], char *err, size_t err_bytes);
/* Before the process becomes another user. False: errno. */
bool ports_give(const struct config *c, uint32_t cores, uid_t user, gid_t group);
void ports_close(struct port *port[], uint32_t count);
/* Port `i` with its addresses. False with one line in err. */
bool ports_iface(const struct config *c, uint32_t i, struct port *port, uint16_t queue,
                 struct net_iface_config *out, char *err, size_t err_bytes);

#endif

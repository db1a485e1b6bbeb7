/* A decorator that shows every packet of one core's queue to an observer while it is switched
 * on; off, it costs one test a burst. */
#ifndef TGW_DRIVERS_MIRROR_H
#define TGW_DRIVERS_MIRROR_H

#include "drivers/port.h"

struct port_mirror {
    struct port port; /* what the core uses instead of `inner` */
    struct port *inner;
    bool on;
    uint8_t index; /* of the interface, for the observer */
    /* `out`: on its way to the port, before checksums that the port fills in. */
    void (*see)(void *ctx, uint8_t index, bool out, const struct rte_mbuf *m);
    void *ctx;
};

/* `inner` stays its owner's: closing the mirror does nothing. */
void port_mirror_init(struct port_mirror *mirror, struct port *inner, uint8_t index,
                      void (*see)(void *ctx, uint8_t index, bool out, const struct rte_mbuf *m),
                      void *ctx);

#endif

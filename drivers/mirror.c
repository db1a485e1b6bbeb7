#include "mirror.h"

static void show(const struct port_mirror *p, bool out, struct rte_mbuf *const *m, uint16_t n) {
    for (uint16_t i = 0; p->on && i < n; i++)
        p->see(p->ctx, p->index, out, m[i]);
}

static uint16_t mirror_rx(struct port *port, uint16_t queue, struct rte_mbuf **m, uint16_t n) {
    const struct port_mirror *p = (const struct port_mirror *)port;
    uint16_t got = port_rx(p->inner, queue, m, n);
    show(p, false, m, got);
    return got;
}

static uint16_t mirror_tx(struct port *port, uint16_t queue, struct rte_mbuf **m, uint16_t n) {
    const struct port_mirror *p = (const struct port_mirror *)port;
    show(p, true, m, n); /* before it: afterwards they are the port's */
    return port_tx(p->inner, queue, m, n);
}

static void mirror_stats(struct port *port, struct port_stats *out) {
    struct port *inner = ((struct port_mirror *)port)->inner;
    inner->ops->stats(inner, out);
}

static void mirror_link(struct port *port, struct port_link *out) {
    struct port *inner = ((struct port_mirror *)port)->inner;
    inner->ops->link(inner, out);
}

static void mirror_close(struct port *port) {
    (void)port;
}

void port_mirror_init(struct port_mirror *mirror, struct port *inner, uint8_t index,
                      void (*see)(void *ctx, uint8_t index, bool out, const struct rte_mbuf *m),
                      void *ctx) {
    static const struct port_ops ops = {.rx_burst = mirror_rx,
                                        .tx_burst = mirror_tx,
                                        .stats = mirror_stats,
                                        .link = mirror_link,
                                        .close = mirror_close};
    *mirror = (struct port_mirror){
        .port = *inner, .inner = inner, .index = index, .see = see, .ctx = ctx};
    mirror->port.ops = &ops;
}

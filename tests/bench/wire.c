#include "wire.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 1024, SLOT_BYTES = 2044, BURST_MAX = 64 };

struct slot {
    uint32_t len;
    uint8_t data[SLOT_BYTES];
};

struct ring {
    uint32_t head, tail;
    struct slot slot[SLOTS];
};

struct end {
    struct port port;
    struct ring *in, *out;
    struct rte_mempool *pool;
};

static uint16_t receive(struct port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n) {
    struct end *e = (struct end *)p;
    uint32_t ready = e->in->head - e->in->tail;
    (void)queue;
    n = n < BURST_MAX ? n : BURST_MAX;
    n = n < ready ? n : (uint16_t)ready;
    if (n == 0 || rte_pktmbuf_alloc_bulk(e->pool, m, n) != 0)
        return 0;
    for (uint16_t i = 0; i < n; i++) {
        const struct slot *s = &e->in->slot[e->in->tail++ % SLOTS];
        m[i]->data_len = (uint16_t)s->len;
        m[i]->pkt_len = s->len;
        memcpy(rte_pktmbuf_mtod(m[i], void *), s->data, s->len);
    }
    return n;
}

static uint16_t transmit(struct port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n) {
    struct end *e = (struct end *)p;
    uint16_t i = 0;
    (void)queue;
    for (; i < n && e->out->head - e->out->tail < SLOTS; i++) {
        struct slot *s = &e->out->slot[e->out->head++ % SLOTS];
        s->len = m[i]->data_len;
        memcpy(s->data, rte_pktmbuf_mtod(m[i], const void *), s->len);
    }
    rte_pktmbuf_free_bulk(m, i);
    return i;
}

static void stats(struct port *p, struct port_stats *out) {
    (void)p;
    *out = (struct port_stats){0};
}

static void link_state(struct port *p, struct port_link *out) {
    (void)p;
    *out = (struct port_link){true, 10000};
}

static void close_port(struct port *p) {
    struct end *e = (struct end *)p;
    free(e->in);
    free(e);
}

static const struct port_ops ops = {receive, transmit, stats, link_state, close_port};

static struct end *make(uint8_t number, struct rte_mempool *pool) {
    struct end *e = calloc(1, sizeof(*e));
    if (e)
        e->in = calloc(1, sizeof(*e->in));
    if (!e || !e->in) {
        free(e);
        return NULL;
    }
    e->pool = pool;
    e->port = (struct port){.ops = &ops, .mac = {2, 0, 0, 0, 0, number}, .mtu = 1500, .queues = 1};
    snprintf(e->port.name, sizeof(e->port.name), "wire%u", number);
    return e;
}

bool wire_pair(struct port *out[2], struct rte_mempool *pool[2]) {
    static uint8_t number;
    struct end *a = make(++number, pool[0]), *b = make(++number, pool[1]);
    if (!a || !b) {
        if (a)
            close_port(&a->port);
        if (b)
            close_port(&b->port);
        return false;
    }
    a->out = b->in;
    b->out = a->in;
    out[0] = &a->port;
    out[1] = &b->port;
    return true;
}

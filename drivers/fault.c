/* Decorator: an unreliable wire, the same for the same seed. */
#include "sim.h"
#include <stdlib.h>
#include <string.h>

enum { HELD_MAX = 8, HOLD_BURSTS = 3 };

/* One direction: packets held back to come out of order. */
struct lane {
    struct rte_mbuf *held[HELD_MAX];
    uint32_t count, age;
};

struct fault_port {
    struct port port;
    struct port *inner;
    struct rte_mempool *pool;
    struct port_config faults;
    uint64_t random;
    struct lane rx, tx;
};

/* splitmix64 */
static uint64_t next_random(struct fault_port *f) {
    uint64_t z = f->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static bool happens(struct fault_port *f, uint16_t per_mille) {
    return per_mille && next_random(f) % 1000 < per_mille;
}

/* A flipped bit; checksum verdicts of the port no longer hold. */
static struct rte_mbuf *corrupted(struct fault_port *f, struct rte_mbuf *m) {
    struct rte_mbuf *copy = rte_pktmbuf_copy(m, f->pool, 0, UINT32_MAX);
    if (!copy)
        return m;
    rte_pktmbuf_free(m);
    uint64_t r = next_random(f);
    if (copy->data_len)
        rte_pktmbuf_mtod(copy, uint8_t *)[(r >> 3) % copy->data_len] ^= (uint8_t)(1u << (r & 7));
    copy->ol_flags = 0;
    return copy;
}

/* Passes `n` packets through the lane; `out` has room for 2 * n + HELD_MAX. */
static uint16_t impair(struct fault_port *f, struct lane *l, struct rte_mbuf **in, uint16_t n,
                       struct rte_mbuf **out) {
    uint16_t count = 0;
    for (uint16_t i = 0; i < n; i++) {
        struct rte_mbuf *m = in[i];
        if (happens(f, f->faults.loss_pm)) {
            rte_pktmbuf_free(m);
            continue;
        }
        if (happens(f, f->faults.corrupt_pm))
            m = corrupted(f, m);
        if (happens(f, f->faults.duplicate_pm)) {
            struct rte_mbuf *copy = rte_pktmbuf_copy(m, f->pool, 0, UINT32_MAX);
            if (copy)
                out[count++] = copy;
        }
        if (l->count < HELD_MAX && happens(f, f->faults.reorder_pm))
            l->held[l->count++] = m;
        else
            out[count++] = m;
    }
    if (l->count && ++l->age >= HOLD_BURSTS) {
        memcpy(out + count, l->held, l->count * sizeof(*out));
        count = (uint16_t)(count + l->count);
        l->count = 0;
        l->age = 0;
    }
    return count;
}

enum { CHUNK = 32, CHUNK_OUT = 2 * CHUNK + HELD_MAX };

static uint16_t fault_rx(struct port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n) {
    struct fault_port *f = (struct fault_port *)p;
    struct rte_mbuf *raw[CHUNK];
    /* Everything that can come out must fit into the caller's burst. */
    uint16_t want = n > HELD_MAX ? (uint16_t)((n - HELD_MAX) / 2) : 0;
    uint16_t got = port_rx(f->inner, queue, raw, want < CHUNK ? want : CHUNK);
    return impair(f, &f->rx, raw, got, m);
}

static uint16_t fault_tx(struct port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n) {
    struct fault_port *f = (struct fault_port *)p;
    struct rte_mbuf *out[CHUNK_OUT];
    uint16_t taken = n < CHUNK ? n : CHUNK;
    uint16_t count = impair(f, &f->tx, m, taken, out);
    uint16_t sent = port_tx(f->inner, queue, out, count);
    while (sent < count)
        rte_pktmbuf_free(out[sent++]);
    return taken;
}

static void fault_stats(struct port *p, struct port_stats *out) {
    struct port *inner = ((struct fault_port *)p)->inner;
    inner->ops->stats(inner, out);
}

static void fault_link(struct port *p, struct port_link *out) {
    struct port *inner = ((struct fault_port *)p)->inner;
    inner->ops->link(inner, out);
}

static void fault_close(struct port *p) {
    struct fault_port *f = (struct fault_port *)p;
    rte_pktmbuf_free_bulk(f->rx.held, f->rx.count);
    rte_pktmbuf_free_bulk(f->tx.held, f->tx.count);
    f->inner->ops->close(f->inner);
    free(f);
}

static const struct port_ops fault_ops = {fault_rx, fault_tx, fault_stats, fault_link, fault_close};

struct port *port_fault_wrap(struct port *inner, const struct port_config *c,
                             struct rte_mempool *pool) {
    struct fault_port *f = calloc(1, sizeof(*f));
    if (!f)
        return NULL;
    f->port = *inner;
    f->port.ops = &fault_ops;
    f->port.offloads = 0; /* what crosses this wire is checked in software */
    f->inner = inner;
    f->pool = pool;
    f->faults = *c;
    f->random = c->fault_seed;
    return &f->port;
}

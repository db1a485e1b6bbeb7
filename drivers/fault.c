/* Decorator: an unreliable wire, the same for the same seed. */
#include "sim.h"
#include <stdlib.h>
#include <string.h>

enum {
    HELD_MAX = 8,    /* packets kept back at once, a direction */
    HELD_PASSED = 3, /* how many later ones overtake them */
    CHUNK = 32,
    READY_MAX = 2 * CHUNK + HELD_MAX, /* every packet twice, and the held ones */
};

/* One direction: packets kept back to come out of order, and those that came through. */
struct lane {
    struct rte_mbuf *held[HELD_MAX];
    uint16_t held_count, passed;
    struct rte_mbuf *ready[READY_MAX];
    uint16_t ready_first, ready_end;
};

struct fault_port {
    struct port port;
    struct port *inner;
    struct rte_mempool *pool;
    struct port_config faults;
    uint64_t random;
    uint64_t tx_refused; /* by the port below, after we took them */
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

/* A flipped bit, in a copy: the sender may hold a reference for retransmission.
 * Checksum verdicts of the port no longer hold. */
static struct rte_mbuf *corrupted(struct fault_port *f, struct rte_mbuf *m) {
    struct rte_mbuf *copy = rte_pktmbuf_copy(m, f->pool, 0, UINT32_MAX);
    uint64_t r = next_random(f);
    if (!copy)
        return m;
    rte_pktmbuf_free(m);
    if (copy->data_len)
        rte_pktmbuf_mtod(copy, uint8_t *)[(r >> 3) % copy->data_len] ^= (uint8_t)(1u << (r & 7));
    copy->ol_flags &= RTE_MBUF_F_EXTERNAL | RTE_MBUF_F_INDIRECT;
    return copy;
}

static void release_held(struct lane *l) {
    memcpy(l->ready + l->ready_end, l->held, l->held_count * sizeof(l->held[0]));
    l->ready_end = (uint16_t)(l->ready_end + l->held_count);
    l->held_count = l->passed = 0;
}

static void put_ready(struct lane *l, struct rte_mbuf *m) {
    l->ready[l->ready_end++] = m;
    if (l->held_count && ++l->passed >= HELD_PASSED)
        release_held(l);
}

static void impair_one(struct fault_port *f, struct lane *l, struct rte_mbuf *m) {
    if (happens(f, f->faults.loss_pm)) {
        rte_pktmbuf_free(m);
        return;
    }
    if (happens(f, f->faults.corrupt_pm))
        m = corrupted(f, m);
    if (happens(f, f->faults.duplicate_pm)) {
        struct rte_mbuf *copy = rte_pktmbuf_copy(m, f->pool, 0, UINT32_MAX);
        if (copy)
            put_ready(l, copy);
    }
    if (l->held_count < HELD_MAX && happens(f, f->faults.reorder_pm))
        l->held[l->held_count++] = m;
    else
        put_ready(l, m);
}

/* At most CHUNK packets through an empty `ready`. A burst of none is a silence in
 * which what was held back arrives. */
static void impair(struct fault_port *f, struct lane *l, struct rte_mbuf **in, uint16_t n) {
    l->ready_first = l->ready_end = 0;
    for (uint16_t i = 0; i < n; i++)
        impair_one(f, l, in[i]);
    if (n == 0)
        release_held(l);
}

static void send_ready(struct fault_port *f, uint16_t queue) {
    struct lane *l = &f->tx;
    uint16_t count = l->ready_end;
    uint16_t sent = port_tx(f->inner, queue, l->ready, count);
    f->tx_refused += (uint64_t)(count - sent);
    rte_pktmbuf_free_bulk(l->ready + sent, (unsigned)(count - sent));
    l->ready_end = 0;
}

static uint16_t fault_rx(struct port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n) {
    struct fault_port *f = (struct fault_port *)p;
    struct lane *l = &f->rx;
    uint16_t given = 0;
    while (given < n) {
        if (l->ready_first == l->ready_end) {
            struct rte_mbuf *raw[CHUNK];
            uint16_t got = port_rx(f->inner, queue, raw, CHUNK);
            impair(f, l, raw, got);
            if (got == 0 && l->ready_end == 0)
                break;
            continue;
        }
        m[given++] = l->ready[l->ready_first++];
    }
    if (given == 0 && f->tx.held_count) {
        impair(f, &f->tx, NULL, 0);
        send_ready(f, queue);
    }
    return given;
}

static uint16_t fault_tx(struct port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n) {
    struct fault_port *f = (struct fault_port *)p;
    for (uint16_t done = 0; done < n;) {
        uint16_t step = (uint16_t)(n - done) < CHUNK ? (uint16_t)(n - done) : CHUNK;
        impair(f, &f->tx, m + done, step);
        send_ready(f, queue);
        done = (uint16_t)(done + step);
    }
    return n;
}

static void fault_stats(struct port *p, struct port_stats *out) {
    struct fault_port *f = (struct fault_port *)p;
    f->inner->ops->stats(f->inner, out);
    out->tx_errors += f->tx_refused;
}

static void fault_link(struct port *p, struct port_link *out) {
    struct port *inner = ((struct fault_port *)p)->inner;
    inner->ops->link(inner, out);
}

static void fault_close(struct port *p) {
    struct fault_port *f = (struct fault_port *)p;
    rte_pktmbuf_free_bulk(f->rx.held, f->rx.held_count);
    rte_pktmbuf_free_bulk(f->tx.held, f->tx.held_count);
    rte_pktmbuf_free_bulk(f->rx.ready + f->rx.ready_first,
                          (unsigned)(f->rx.ready_end - f->rx.ready_first));
    f->inner->ops->close(f->inner);
    free(f);
}

static const struct port_ops fault_ops = {fault_rx, fault_tx, fault_stats, fault_link, fault_close};

struct port *port_fault_wrap(struct port *inner, const struct port_config *c,
                             struct rte_mempool *pool) {
    struct fault_port *f = inner->queues == 1 ? calloc(1, sizeof(*f)) : NULL;
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

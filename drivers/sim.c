#include "sim.h"
#include <stdio.h>
#include <stdlib.h>

/* A pair shares two queues; each end reads one and writes the other. */
struct sim_queue {
    uint32_t capacity, head, tail;
    struct rte_mbuf **slot;
};

struct sim_port {
    struct port port;
    struct sim_queue in;    /* owned by this end */
    struct sim_port *other; /* NULL once that end is closed */
    bool down;
    struct port_stats stats;
};

static uint16_t sim_rx(struct port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n) {
    struct sim_port *s = (struct sim_port *)p;
    uint16_t got = 0;
    (void)queue;
    for (; got < n && s->in.head != s->in.tail; got++) {
        m[got] = s->in.slot[s->in.head++ % s->in.capacity];
        s->stats.rx_bytes += m[got]->pkt_len;
    }
    s->stats.rx_packets += got;
    return got;
}

/* A packet that its sender keeps a reference to, for retransmission, must not be changed
 * by the receiver: on a wire it would be a copy. */
static struct rte_mbuf *across(struct rte_mbuf *m) {
    if (rte_mbuf_refcnt_read(m) == 1 && RTE_MBUF_DIRECT(m) && m->nb_segs == 1)
        return m;
    struct rte_mbuf *copy = rte_pktmbuf_copy(m, m->pool, 0, UINT32_MAX);
    if (copy)
        rte_pktmbuf_free(m);
    return copy;
}

static uint16_t sim_tx(struct port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n) {
    struct sim_port *s = (struct sim_port *)p;
    uint16_t sent = 0;
    (void)queue;
    for (; s->other && sent < n; sent++) {
        struct sim_queue *q = &s->other->in;
        if (s->down || s->other->down) {
            rte_pktmbuf_free(m[sent]);
            continue;
        }
        if (q->tail - q->head == q->capacity)
            break;
        struct rte_mbuf *arriving = across(m[sent]);
        if (!arriving)
            break;
        s->stats.tx_bytes += arriving->pkt_len;
        arriving->ol_flags &=
            RTE_MBUF_F_EXTERNAL | RTE_MBUF_F_INDIRECT; /* transmit requests do not cross the wire */
        q->slot[q->tail++ % q->capacity] = arriving;
    }
    s->stats.tx_packets += sent;
    return sent;
}

static void sim_stats(struct port *p, struct port_stats *out) {
    *out = ((struct sim_port *)p)->stats;
}

static void sim_link(struct port *p, struct port_link *out) {
    const struct sim_port *s = (struct sim_port *)p;
    *out = (struct port_link){s->other && !s->down && !s->other->down, 10000};
}

void port_sim_set_link(struct port *port, bool up) {
    ((struct sim_port *)port)->down = !up;
}

static void sim_close(struct port *p) {
    struct sim_port *s = (struct sim_port *)p;
    for (; s->in.head != s->in.tail; s->in.head++)
        rte_pktmbuf_free(s->in.slot[s->in.head % s->in.capacity]);
    if (s->other)
        s->other->other = NULL;
    free(s->in.slot);
    free(s);
}

static const struct port_ops sim_ops = {sim_rx, sim_tx, sim_stats, sim_link, sim_close};

static struct sim_port *make(uint16_t mtu, uint32_t packets, uint8_t number) {
    struct sim_port *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->in.capacity = packets;
    s->in.slot = calloc(packets, sizeof(*s->in.slot));
    if (!s->in.slot) {
        free(s);
        return NULL;
    }
    s->port =
        (struct port){.ops = &sim_ops, .mac = {0x02, 0, 0, 0, 0, number}, .mtu = mtu, .queues = 1};
    snprintf(s->port.name, sizeof(s->port.name), "sim%u", number);
    snprintf(s->port.driver, sizeof(s->port.driver), "sim");
    return s;
}

bool port_sim_pair(struct port *out[2], uint16_t mtu, uint32_t queue_packets) {
    struct sim_port *a = make(mtu, queue_packets, 1), *b = make(mtu, queue_packets, 2);
    if (!a || !b) {
        if (a)
            sim_close(&a->port);
        if (b)
            sim_close(&b->port);
        return false;
    }
    a->other = b;
    b->other = a;
    out[0] = &a->port;
    out[1] = &b->port;
    return true;
}

#include "wire.h"
#include "drivers/rss.h"
#include <rte_byteorder.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SLOTS = 1024,
    SLOT_BYTES = 2044,
    BURST_MAX = 64,
    QUEUES_MAX = 4,
    KEY_BYTES = 40,
    TABLE_SIZE = 128,
    ETH_BYTES = 14,
    PROTO_TCP = 6,
    TO_ALL = 0xffff,
};

struct slot {
    uint32_t len;
    uint8_t data[SLOT_BYTES];
};

/* One producer, one consumer. */
struct ring {
    _Alignas(64) _Atomic uint32_t head;
    _Alignas(64) _Atomic uint32_t tail;
    _Alignas(64) struct slot slot[SLOTS];
};

struct wire {
    struct wire_plan plan;
    struct ring *to_ours[QUEUES_MAX][WIRE_HALVES], *to_theirs[QUEUES_MAX][WIRE_HALVES];
};

struct end {
    struct port port;
    struct wire *wire;
    uint16_t half; /* of a rig's */
    struct port_rss rss;
};

static uint16_t take(struct ring *r, struct rte_mempool *pool, struct rte_mbuf **m, uint16_t n) {
    uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    uint32_t ready = atomic_load_explicit(&r->head, memory_order_acquire) - tail;
    n = n < BURST_MAX ? n : BURST_MAX;
    n = n < ready ? n : (uint16_t)ready;
    if (n == 0 || rte_pktmbuf_alloc_bulk(pool, m, n) != 0)
        return 0;
    for (uint16_t i = 0; i < n; i++) {
        const struct slot *s = &r->slot[tail++ % SLOTS];
        m[i]->data_len = (uint16_t)s->len;
        m[i]->pkt_len = s->len;
        memcpy(rte_pktmbuf_mtod(m[i], void *), s->data, s->len);
    }
    atomic_store_explicit(&r->tail, tail, memory_order_release);
    return n;
}

/* False: full. */
static bool put(struct ring *r, const struct rte_mbuf *m) {
    uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    if (head - atomic_load_explicit(&r->tail, memory_order_acquire) >= SLOTS)
        return false;
    struct slot *s = &r->slot[head % SLOTS];
    s->len = m->data_len;
    memcpy(s->data, rte_pktmbuf_mtod(m, const void *), s->len);
    atomic_store_explicit(&r->head, head + 1, memory_order_release);
    return true;
}

static bool is_ip4(const uint8_t *p, uint32_t len) {
    return len >= ETH_BYTES + 24 && p[12] == 0x08 && p[13] == 0x00;
}

static uint16_t half_of(const struct wire *w, const struct rte_mbuf *m) {
    const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
    uint32_t to;
    if (w->plan.halves == 1)
        return 0;
    if (!is_ip4(p, m->data_len))
        return TO_ALL;
    memcpy(&to, p + ETH_BYTES + 16, sizeof(to));
    return rte_be_to_cpu_32(to) & w->plan.half_bit ? 1 : 0;
}

/* As the NIC does it, on the rig's time. */
static uint16_t queue_of(const struct port_rss *rss, const struct rte_mbuf *m) {
    uint8_t src[16] = {[10] = 0xff, [11] = 0xff}, dst[16] = {[10] = 0xff, [11] = 0xff};
    const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *), *ip = p + ETH_BYTES;
    if (!is_ip4(p, m->data_len) || ip[9] != PROTO_TCP)
        return 0;
    const uint8_t *tcp = ip + (ip[0] & 0xf) * 4;
    memcpy(src + 12, ip + 12, 4);
    memcpy(dst + 12, ip + 16, 4);
    return rss_queue(rss, src, dst, (uint16_t)(tcp[0] << 8 | tcp[1]),
                     (uint16_t)(tcp[2] << 8 | tcp[3]));
}

static uint16_t ours_receive(struct port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n) {
    const struct wire *w = ((struct end *)p)->wire;
    uint16_t got = 0;
    for (uint16_t h = 0; h < w->plan.halves; h++)
        got = (uint16_t)(got +
                         take(w->to_ours[queue][h], w->plan.ours, m + got, (uint16_t)(n - got)));
    return got;
}

static uint16_t ours_transmit(struct port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n) {
    const struct wire *w = ((struct end *)p)->wire;
    uint16_t i = 0;
    for (bool room = true; room && i < n; i += room) {
        uint16_t half = half_of(w, m[i]);
        if (half != TO_ALL)
            room = put(w->to_theirs[queue][half], m[i]);
        for (uint16_t h = 0; half == TO_ALL && h < w->plan.halves; h++)
            (void)put(w->to_theirs[queue][h], m[i]);
    }
    rte_pktmbuf_free_bulk(m, i);
    return i;
}

static uint16_t theirs_receive(struct port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n) {
    const struct end *e = (struct end *)p;
    const struct wire *w = e->wire;
    uint16_t got = 0;
    (void)queue;
    for (uint16_t q = 0; q < w->plan.queues; q++)
        got = (uint16_t)(got + take(w->to_theirs[q][e->half], w->plan.theirs[e->half], m + got,
                                    (uint16_t)(n - got)));
    return got;
}

static uint16_t theirs_transmit(struct port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n) {
    const struct end *e = (struct end *)p;
    const struct wire *w = e->wire;
    uint16_t i = 0;
    (void)queue;
    while (i < n) {
        uint16_t q = w->plan.queues > 1 ? queue_of(&e->rss, m[i]) : 0;
        if (!put(w->to_ours[q][e->half], m[i]))
            break;
        i++;
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

static void close_theirs(struct port *p) {
    free(p);
}

static void free_wire(struct wire *w) {
    for (uint16_t q = 0; w && q < QUEUES_MAX; q++)
        for (uint16_t h = 0; h < WIRE_HALVES; h++) {
            free(w->to_ours[q][h]);
            free(w->to_theirs[q][h]);
        }
    free(w);
}

static void close_ours(struct port *p) {
    free_wire(((struct end *)p)->wire);
    free(p);
}

static const struct port_ops ours_ops = {ours_receive, ours_transmit, stats, link_state,
                                         close_ours};
static const struct port_ops theirs_ops = {theirs_receive, theirs_transmit, stats, link_state,
                                           close_theirs};

static struct end *make_end(struct wire *w, const struct port_ops *ops, uint8_t number,
                            uint16_t half) {
    struct end *e = calloc(1, sizeof(*e));
    if (!e)
        return NULL;
    e->wire = w;
    e->half = half;
    e->port = (struct port){.ops = ops, .mac = {2, 0, 0, 0, 0, number}, .mtu = 1500, .queues = 1};
    snprintf(e->port.name, sizeof(e->port.name), "wire%u", number);
    e->rss = (struct port_rss){
        .ports4 = true, .ports6 = true, .table_size = TABLE_SIZE, .key_bytes = KEY_BYTES};
    rss_symmetric_key(e->rss.key, KEY_BYTES);
    for (uint16_t i = 0; i < TABLE_SIZE; i++)
        e->rss.table[i] = (uint16_t)(i % w->plan.queues);
    return e;
}

static struct ring *make_ring(void) {
    struct ring *r = aligned_alloc(64, sizeof(*r));
    if (r) {
        atomic_store(&r->head, 0);
        atomic_store(&r->tail, 0);
    }
    return r;
}

static struct wire *make_wire(const struct wire_plan *p) {
    struct wire *w = calloc(1, sizeof(*w));
    bool good = w && p->queues <= QUEUES_MAX && p->halves <= WIRE_HALVES;
    if (good)
        w->plan = *p;
    for (uint16_t q = 0; good && q < p->queues; q++)
        for (uint16_t h = 0; good && h < p->halves; h++)
            good = (w->to_ours[q][h] = make_ring()) && (w->to_theirs[q][h] = make_ring());
    if (good)
        return w;
    free_wire(w);
    return NULL;
}

bool wire_make(const struct wire_plan *p, struct port **ours, struct port *theirs[WIRE_HALVES]) {
    static uint8_t number;
    struct wire *w = make_wire(p);
    struct end *mine = w ? make_end(w, &ours_ops, ++number, 0) : NULL;
    bool good = mine != NULL;
    number++; /* the rigs share an address: one router, or one machine of agents, to the gateway */
    for (uint16_t h = 0; h < p->halves; h++) {
        struct end *e = good ? make_end(w, &theirs_ops, number, h) : NULL;
        theirs[h] = e ? &e->port : NULL;
        good = e != NULL;
    }
    if (!good) {
        for (uint16_t h = 0; h < p->halves; h++)
            free(theirs[h]);
        free(mine);
        free_wire(w);
        return false;
    }
    mine->port.queues = p->queues;
    mine->port.rss = p->queues > 1 ? &mine->rss : NULL;
    *ours = &mine->port;
    return true;
}

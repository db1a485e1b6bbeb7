#include "spread.h"
#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RING_SLOTS = 1024,
    BURST = 32,
    CORES_MAX = 64,
    EVERYBODY = 0xffff,
    PROTO_ICMP4 = 1,
    PROTO_TCP = 6,
    PROTO_ICMP6 = 58,
};

/* What one core writes: a line of its own. */
struct lane {
    _Alignas(64) uint64_t lost; /* handed over to a ring that was full, or to nobody */
};

struct spread {
    struct port port;
    struct port *inner;
    struct rte_mempool *pool;
    uint16_t cores;
    bool placed; /* the hardware brings connections to their core */
    struct lane lane[CORES_MAX];
    struct rte_ring *ring[]; /* [way][from][to] */
};
enum way { WAY_RX, WAY_TX, WAYS };

static struct rte_ring **ring_at(struct spread *s, enum way way, uint16_t from, uint16_t to) {
    return &s->ring[((size_t)way * s->cores + from) * s->cores + to];
}

static uint64_t mix(uint64_t h) {
    h ^= h >> 32;
    h *= 0x9e3779b97f4a7c15u;
    return h ^ (h >> 29);
}

static uint64_t word(const uint8_t *p) {
    uint64_t w;
    memcpy(&w, p, sizeof(w));
    return w;
}

static uint16_t core_of(uint16_t cores, uint64_t src, uint64_t dst, uint16_t sport,
                        uint16_t dport) {
    uint64_t h = mix(mix(src) + dst);
    h = mix(h + ((uint32_t)sport << 16 | dport));
    return (uint16_t)((h >> 32) * cores >> 32);
}

/* Sixteen bytes in eight: of IPv4 the address alone. */
static uint64_t folded(const uint8_t a[16]) {
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    uint32_t v4;
    if (memcmp(a, mapped, sizeof(mapped)) != 0)
        return mix(word(a)) + word(a + 8);
    memcpy(&v4, a + 12, sizeof(v4));
    return v4;
}

static bool is_spread(const struct port *p);

uint16_t port_spread_core(const struct port *p, const uint8_t src[16], const uint8_t dst[16],
                          uint16_t sport, uint16_t dport) {
    const struct spread *s = (const struct spread *)p;
    if (!is_spread(p))
        return 0;
    return s->placed ? port_rx_queue(s->inner, src, dst, sport, dport)
                     : core_of(s->cores, folded(src), folded(dst), sport, dport);
}

static uint16_t get16(const uint8_t *p) {
    return (uint16_t)(p[0] << 8 | p[1]);
}

static uint16_t owner4(const struct spread *s, uint16_t core, const uint8_t *p, uint32_t len) {
    uint32_t head = len >= 20 ? (p[0] & 0xfu) * 4 : 0, src, dst;
    if (head < 20 || len < head + 4 || (get16(p + 6) & 0x3fff))
        return 0;
    if (p[9] == PROTO_ICMP4) /* destination unreachable: to whose connection it quotes */
        return p[head] == 3 ? EVERYBODY : 0;
    if (p[9] != PROTO_TCP)
        return 0;
    if (s->placed)
        return core;
    memcpy(&src, p + 12, sizeof(src));
    memcpy(&dst, p + 16, sizeof(dst));
    return core_of(s->cores, src, dst, get16(p + head), get16(p + head + 2));
}

static uint16_t owner6(const struct spread *s, uint16_t core, const uint8_t *p, uint32_t len) {
    enum { HEAD = 40, ERRORS_MAX = 4, ADVERTISEMENT = 136 };
    if (len < HEAD + 4)
        return 0;
    uint8_t type = p[HEAD];
    if (p[6] == PROTO_ICMP6)
        return type <= ERRORS_MAX || type == ADVERTISEMENT ? EVERYBODY : 0;
    if (p[6] != PROTO_TCP)
        return 0;
    if (s->placed)
        return core;
    return core_of(s->cores, folded(p + 8), folded(p + 24), get16(p + HEAD), get16(p + HEAD + 2));
}

static uint16_t owner(const struct spread *s, uint16_t core, const struct rte_mbuf *m) {
    const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
    uint32_t len = m->data_len, at = RTE_ETHER_HDR_LEN;
    if (len < at + 8)
        return 0;
    uint16_t type = get16(p + 12);
    if (type == RTE_ETHER_TYPE_VLAN) {
        type = get16(p + 16);
        at += 4;
    }
    if (type == RTE_ETHER_TYPE_IPV4)
        return owner4(s, core, p + at, len - at);
    if (type == RTE_ETHER_TYPE_IPV6)
        return owner6(s, core, p + at, len - at);
    return type == RTE_ETHER_TYPE_ARP && len >= at + 8 && get16(p + at + 6) == 2 ? EVERYBODY : 0;
}

static void hand_over(struct spread *s, uint16_t from, uint16_t to, struct rte_mbuf **m,
                      uint16_t n) {
    unsigned sent = rte_ring_sp_enqueue_burst(*ring_at(s, WAY_RX, from, to), (void **)m, n, NULL);
    s->lane[from].lost += n - sent;
    rte_pktmbuf_free_bulk(m + sent, n - sent);
}

static void hand_to_all(struct spread *s, uint16_t from, const struct rte_mbuf *m) {
    for (uint16_t to = 0; to < s->cores; to++) {
        struct rte_mbuf *copy = to == from ? NULL : rte_pktmbuf_copy(m, s->pool, 0, UINT32_MAX);
        s->lane[from].lost += to != from && !copy;
        if (copy)
            hand_over(s, from, to, &copy, 1);
    }
}

/* Packets of a burst for other cores, in runs: each run is one operation on a ring, which
 * its reader looks at from another cache. */
static void hand_out(struct spread *s, uint16_t from, struct rte_mbuf **m, const uint16_t *to,
                     uint16_t n) {
    struct rte_mbuf *run[BURST];
    uint16_t left = n;
    for (uint16_t core = 0; left && core < s->cores; core++) {
        uint16_t count = 0;
        for (uint16_t i = 0; i < n; i++)
            if (to[i] == core)
                run[count++] = m[i];
        if (count)
            hand_over(s, from, core, run, count);
        left = (uint16_t)(left - count);
    }
}

/* What the core's own queue brings: its own packets to m, the others to their owners. */
static uint16_t receive_own(struct spread *s, uint16_t core, struct rte_mbuf **m, uint16_t n) {
    struct rte_mbuf *burst[BURST], *other[BURST];
    uint16_t kept = 0, others = 0, got = port_rx(s->inner, core, burst, n < BURST ? n : BURST);
    uint16_t to[BURST];
    for (uint16_t i = 0; i < got; i++) {
        uint16_t its = owner(s, core, burst[i]);
        if (its == EVERYBODY)
            hand_to_all(s, core, burst[i]);
        if (its == EVERYBODY || its == core) {
            m[kept++] = burst[i];
        } else {
            other[others] = burst[i];
            to[others++] = its;
        }
    }
    if (others)
        hand_out(s, core, other, to, others);
    return kept;
}

/* Send for the cores that have no queue of their own. */
static void send_for_others(struct spread *s, uint16_t core) {
    struct rte_mbuf *burst[BURST];
    for (uint16_t from = s->inner->queues; from < s->cores; from++) {
        if (from % s->inner->queues != core)
            continue;
        uint16_t n = (uint16_t)rte_ring_sc_dequeue_burst(*ring_at(s, WAY_TX, from, core),
                                                         (void **)burst, BURST, NULL);
        uint16_t sent = n ? port_tx(s->inner, core, burst, n) : 0;
        s->lane[core].lost += (uint64_t)(n - sent);
        rte_pktmbuf_free_bulk(burst + sent, (unsigned)(n - sent));
    }
}

static uint16_t spread_rx(struct port *p, uint16_t core, struct rte_mbuf **m, uint16_t n) {
    struct spread *s = (struct spread *)p;
    uint16_t got = 0;
    for (uint16_t from = 0; from < s->inner->queues && got < n; from++)
        if (from != core)
            got = (uint16_t)(got + rte_ring_sc_dequeue_burst(*ring_at(s, WAY_RX, from, core),
                                                             (void **)(m + got),
                                                             (unsigned)(n - got), NULL));
    if (core >= s->inner->queues)
        return got;
    send_for_others(s, core);
    return got < n ? (uint16_t)(got + receive_own(s, core, m + got, (uint16_t)(n - got))) : got;
}

static uint16_t spread_tx(struct port *p, uint16_t core, struct rte_mbuf **m, uint16_t n) {
    struct spread *s = (struct spread *)p;
    if (core < s->inner->queues)
        return port_tx(s->inner, core, m, n);
    struct rte_ring *ring = *ring_at(s, WAY_TX, core, core % s->inner->queues);
    return (uint16_t)rte_ring_sp_enqueue_burst(ring, (void **)m, n, NULL);
}

static void spread_stats(struct port *p, struct port_stats *out) {
    struct spread *s = (struct spread *)p;
    s->inner->ops->stats(s->inner, out);
    for (uint16_t i = 0; i < s->cores; i++)
        out->rx_missed += s->lane[i].lost;
}

static void spread_link(struct port *p, struct port_link *out) {
    struct spread *s = (struct spread *)p;
    s->inner->ops->link(s->inner, out);
}

static void free_ring(struct rte_ring *ring) {
    void *m;
    while (ring && rte_ring_sc_dequeue(ring, &m) == 0)
        rte_pktmbuf_free(m);
    rte_ring_free(ring);
}

static void spread_close(struct port *p) {
    struct spread *s = (struct spread *)p;
    for (size_t i = 0; i < (size_t)WAYS * s->cores * s->cores; i++)
        free_ring(s->ring[i]);
    s->inner->ops->close(s->inner);
    free(s);
}

static const struct port_ops ops = {spread_rx, spread_tx, spread_stats, spread_link, spread_close};

static bool is_spread(const struct port *p) {
    return p->ops == &ops;
}

static bool is_used(const struct spread *s, enum way way, uint16_t from, uint16_t to) {
    uint16_t queues = s->inner->queues;
    if (from == to)
        return false;
    return way == WAY_RX ? from < queues : from >= queues && from % queues == to;
}

static bool make_rings(struct spread *s) {
    static unsigned made;
    char name[32];
    for (int way = WAY_RX; way < WAYS; way++)
        for (uint16_t from = 0; from < s->cores; from++)
            for (uint16_t to = 0; to < s->cores; to++) {
                if (!is_used(s, way, from, to))
                    continue;
                snprintf(name, sizeof(name), "spread%u", made++);
                struct rte_ring *r =
                    rte_ring_create(name, RING_SLOTS, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
                if (!r)
                    return false;
                *ring_at(s, way, from, to) = r;
            }
    return true;
}

struct port *port_spread_wrap(struct port *inner, uint16_t cores, struct rte_mempool *pool,
                              char *err, size_t err_bytes) {
    size_t bytes = sizeof(struct spread) + (size_t)WAYS * cores * cores * sizeof(struct rte_ring *);
    struct spread *s = cores <= CORES_MAX ? aligned_alloc(64, (bytes + 63) & ~(size_t)63) : NULL;
    if (!s) {
        snprintf(err, err_bytes, "%s: no memory to spread it over %u cores", inner->name, cores);
        inner->ops->close(inner);
        return NULL;
    }
    memset(s, 0, bytes);
    s->port = *inner;
    s->port.ops = &ops;
    s->port.queues = cores;
    s->inner = inner;
    s->pool = pool;
    s->cores = cores;
    s->placed = inner->rss && inner->queues >= cores;
    if (!s->placed) { /* what other cores hand over interrupts nobody */
        s->port.rss = NULL;
        s->port.wake = NULL;
    }
    if (make_rings(s))
        return &s->port;
    snprintf(err, err_bytes, "%s: no memory for rings between %u cores", inner->name, cores);
    spread_close(&s->port);
    return NULL;
}

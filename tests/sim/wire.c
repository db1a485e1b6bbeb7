#include "tests/sim/wire.h"
#include "tests/sim/frame.h"
#include <stdlib.h>
#include <string.h>

struct packet {
    uint64_t at_ns, serial; /* arrival; equal times keep their order */
    uint32_t len;
    uint8_t bytes[WIRE_FRAME_MAX];
};

/* One end: its port, what is on its way to it, what happens to what it sends. */
struct wire_end {
    struct port port; /* first: a port is its end */
    struct wire *wire;
    struct rte_mempool *pool;
    struct packet **heap; /* by arrival */
    uint32_t count, capacity;
    struct wire_fault fault;
    uint64_t free_ns; /* when the bottleneck has sent what stands in its queue */
    bool in_burst;
};

struct wire {
    const uint64_t *now_ns;
    struct rng rng;
    struct wire_watch watch;
    struct wire_end end[2];
    struct packet **spare;
    uint32_t spares, spare_room;
    uint64_t serial, segments;
    unsigned strip;
};

static bool earlier(const struct packet *a, const struct packet *b) {
    return a->at_ns < b->at_ns || (a->at_ns == b->at_ns && a->serial < b->serial);
}

static void *grown(void *array, uint32_t *room) {
    *room = *room ? *room * 2 : 64;
    void *to = realloc(array, *room * sizeof(void *));
    if (!to)
        abort();
    return to;
}

static void heap_push(struct wire_end *e, struct packet *p) {
    if (e->count == e->capacity)
        e->heap = grown(e->heap, &e->capacity);
    uint32_t at = e->count++;
    for (; at && earlier(p, e->heap[(at - 1) / 2]); at = (at - 1) / 2)
        e->heap[at] = e->heap[(at - 1) / 2];
    e->heap[at] = p;
}

static struct packet *heap_pop(struct wire_end *e) {
    struct packet *top = e->heap[0], *last = e->heap[--e->count];
    uint32_t at = 0, child;
    while ((child = 2 * at + 1) < e->count) {
        child += child + 1 < e->count && earlier(e->heap[child + 1], e->heap[child]);
        if (!earlier(e->heap[child], last))
            break;
        e->heap[at] = e->heap[child];
        at = child;
    }
    e->heap[at] = last;
    return top;
}

static struct packet *packet_new(struct wire *w) {
    struct packet *p = w->spares ? w->spare[--w->spares] : malloc(sizeof(*p));
    if (!p)
        abort();
    return p;
}

static void packet_drop(struct wire *w, struct packet *p) {
    if (w->spares == w->spare_room)
        w->spare = grown(w->spare, &w->spare_room);
    w->spare[w->spares++] = p;
}

/* A flipped bit past the Ethernet header, whose frame check a wire has. ARP has no
 * checksum to notice by. */
static void corrupt(struct wire *w, struct packet *p) {
    if (!frame_is_ip(p->bytes, p->len) || p->len <= 14)
        return;
    uint64_t r = rng_next(&w->rng);
    p->bytes[14 + (r >> 8) % (p->len - 14)] ^= (uint8_t)(1u << (r & 7));
}

/* The time at which a packet that enters the bottleneck now leaves it. */
static uint64_t through_bottleneck(struct wire_end *from, uint32_t len) {
    uint64_t now_ns = *from->wire->now_ns;
    if (from->free_ns < now_ns)
        from->free_ns = now_ns;
    return from->free_ns += len * from->fault.ns_a_byte;
}

static bool queue_is_full(const struct wire_end *from) {
    uint64_t now_ns = *from->wire->now_ns, waiting = from->free_ns - now_ns;
    return from->fault.ns_a_byte && from->free_ns > now_ns &&
           waiting > from->fault.queue_packets * UINT64_C(1500) * from->fault.ns_a_byte;
}

static void carry(struct wire_end *from, struct wire_end *to, const uint8_t *frame, uint32_t len,
                  uint64_t leaves_ns) {
    struct wire *w = from->wire;
    const struct wire_fault *f = &from->fault;
    struct packet *p = packet_new(w);
    p->len = len;
    memcpy(p->bytes, frame, len);
    p->serial = w->serial++;
    p->at_ns = leaves_ns + f->delay_ns + (f->jitter_ns ? rng_next(&w->rng) % f->jitter_ns : 0);
    if (f->late_pm && rng_chance(&w->rng, f->late_pm))
        p->at_ns += rng_next(&w->rng) % f->late_ns;
    frame_strip(p->bytes, p->len, w->strip);
    if (rng_chance(&w->rng, f->corrupt_pm))
        corrupt(w, p);
    if (rng_chance(&w->rng, f->truncate_pm) && p->len > 20)
        p->len = (uint32_t)rng_range(&w->rng, 14, p->len - 1);
    heap_push(to, p);
}

static bool lost(struct wire_end *from) {
    struct rng *r = &from->wire->rng;
    const struct wire_fault *f = &from->fault;
    if (f->burst_begin_pm)
        from->in_burst =
            from->in_burst ? !rng_chance(r, f->burst_end_pm) : rng_chance(r, f->burst_begin_pm);
    else
        from->in_burst = false;
    return from->in_burst || (f->loss_pm && rng_chance(r, f->loss_pm));
}

static enum wire_fate fate_of(struct wire_end *from, const uint8_t *frame, uint32_t len) {
    const struct wire_fault *f = &from->fault;
    if (f->dark)
        return FATE_DARK;
    if (f->mtu && frame_is_ip(frame, len) && len > 14u + f->mtu)
        return FATE_TOO_BIG;
    if (lost(from))
        return FATE_LOST;
    return queue_is_full(from) ? FATE_QUEUE_FULL : FATE_SENT;
}

static void tell_too_big(struct wire_end *from, const uint8_t *frame, uint32_t len) {
    uint8_t answer[WIRE_FRAME_MAX];
    uint32_t n = from->fault.icmp ? frame_too_big(frame, len, from->fault.mtu, answer) : 0;
    if (n)
        carry(&from->wire->end[from == from->wire->end], from, answer, n, *from->wire->now_ns);
}

void wire_inject(struct wire *w, unsigned end, const uint8_t *frame, uint32_t len) {
    struct wire_end *from = &w->end[end], *to = &w->end[!end];
    enum wire_fate fate = fate_of(from, frame, len);
    w->segments += frame_tcp_at(frame, len) != 0;
    if (w->watch.sent)
        w->watch.sent(w->watch.ctx, end, frame, len, fate);
    if (fate == FATE_TOO_BIG)
        tell_too_big(from, frame, len);
    if (fate != FATE_SENT)
        return;
    uint64_t leaves_ns = through_bottleneck(from, len);
    carry(from, to, frame, len, leaves_ns);
    if (rng_chance(&w->rng, from->fault.duplicate_pm))
        carry(from, to, frame, len, leaves_ns);
}

void wire_forge(struct wire *w, unsigned end, const uint8_t *frame, uint32_t len) {
    struct packet *p = packet_new(w);
    p->len = len;
    memcpy(p->bytes, frame, len);
    p->serial = w->serial++;
    p->at_ns = *w->now_ns + 1;
    w->segments += frame_tcp_at(frame, len) != 0;
    heap_push(&w->end[!end], p);
}

static uint16_t wire_tx(struct port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n) {
    struct wire_end *e = (struct wire_end *)p;
    uint8_t bytes[WIRE_FRAME_MAX];
    (void)queue;
    for (uint16_t i = 0; i < n; i++) {
        if (m[i]->pkt_len > sizeof(bytes))
            abort();
        const uint8_t *frame = rte_pktmbuf_read(m[i], 0, m[i]->pkt_len, bytes);
        wire_inject(e->wire, e != e->wire->end, frame, m[i]->pkt_len);
    }
    rte_pktmbuf_free_bulk(m, n);
    return n;
}

static struct rte_mbuf *arrive(struct wire_end *e) {
    struct packet *p = heap_pop(e);
    struct rte_mbuf *m = rte_pktmbuf_alloc(e->pool);
    if (m)
        memcpy(rte_pktmbuf_append(m, (uint16_t)p->len), p->bytes, p->len);
    packet_drop(e->wire, p);
    return m;
}

static uint16_t wire_rx(struct port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n) {
    struct wire_end *e = (struct wire_end *)p;
    uint16_t got = 0;
    (void)queue;
    while (got < n && e->count && e->heap[0]->at_ns <= *e->wire->now_ns)
        if ((m[got] = arrive(e)) != NULL)
            got++;
    return got;
}

static void wire_stats(struct port *p, struct port_stats *out) {
    (void)p;
    *out = (struct port_stats){0};
}

static void wire_link(struct port *p, struct port_link *out) {
    (void)p;
    *out = (struct port_link){true, 10000};
}

/* Ends live as long as their wire. */
static void wire_close(struct port *p) {
    (void)p;
}

static const struct port_ops wire_ops = {wire_rx, wire_tx, wire_stats, wire_link, wire_close};

struct wire *wire_create(const uint64_t *now_ns, struct rng rng, const struct wire_watch *watch) {
    struct wire *w = calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    w->now_ns = now_ns;
    w->rng = rng;
    w->watch = *watch;
    for (unsigned i = 0; i < 2; i++)
        w->end[i].wire = w;
    return w;
}

void wire_destroy(struct wire *w) {
    for (unsigned i = 0; i < 2; i++) {
        while (w->end[i].count)
            free(w->end[i].heap[--w->end[i].count]);
        free(w->end[i].heap);
    }
    while (w->spares)
        free(w->spare[--w->spares]);
    free(w->spare);
    free(w);
}

struct port *wire_port(struct wire *w, unsigned end, uint16_t mtu, struct rte_mempool *pool) {
    struct wire_end *e = &w->end[end];
    e->pool = pool;
    e->port = (struct port){.ops = &wire_ops,
                            .name = "wire",
                            .driver = "wire",
                            .mac = {0x02, 0, 0, 0, 0, (uint8_t)(end + 1)},
                            .mtu = mtu,
                            .queues = 1};
    return &e->port;
}

struct wire_fault *wire_fault(struct wire *w, unsigned end) {
    return &w->end[end].fault;
}

void wire_strip(struct wire *w, unsigned strip) {
    w->strip = strip;
}

uint64_t wire_next(const struct wire *w, unsigned end) {
    return w->end[end].count ? w->end[end].heap[0]->at_ns : UINT64_MAX;
}

uint64_t wire_segments(const struct wire *w) {
    return w->segments;
}

#include "rig.h"
#include <assert.h>
#include <stdlib.h>

static void take_segment(void *ctx, const struct seg *s, struct rte_mbuf *m) {
    struct rig *r = ctx;
    (void)m;
    r->segments++;
    r->seg = *s;
    assert(s->len <= sizeof(r->payload));
    memcpy(r->payload, s->payload, s->len);
}

static void take_error(void *ctx, const struct net_icmp_error *e) {
    struct rig *r = ctx;
    r->errors++;
    r->error = *e;
}

struct ip_addr rig_addr(const char *text) {
    struct ip_addr a;
    bool ok = ip_addr_parse(text, &a);
    assert(ok);
    (void)ok;
    return a;
}

struct rig *rig_open(struct rte_mempool *pool) {
    static const char *addr[2][2] = {{"198.18.0.2/24", "fd18::2/64"},
                                     {"198.18.1.2/24", "fd19::2/64"}};
    struct rig *r = calloc(1, sizeof(*r));
    size_t bytes = (sizeof(*r->counters) + 63) / 64 * 64;
    r->counters = aligned_alloc(64, bytes);
    memset(r->counters, 0, bytes);
    r->pool = pool;
    r->now_ns = 1000000000;
    struct net_config c = {.iface_count = 2, .pool = pool, .counters = r->counters, .seed = 1};
    for (int i = 0; i < 2; i++) {
        struct port *pair[2];
        bool ok = port_sim_pair(pair, 1500, 256);
        assert(ok);
        (void)ok;
        r->ours[i] = pair[0];
        r->peer[i] = pair[1];
        c.iface[i].port = pair[0];
        c.iface[i].addr_count = 2;
        for (int k = 0; k < 2; k++)
            ip_prefix_parse(addr[i][k], true, &c.iface[i].addr[k]);
    }
    c.iface[1].has_gateway4 = c.iface[1].has_gateway6 = true;
    c.iface[1].gateway4 = rig_addr("198.18.1.1");
    c.iface[1].gateway6 = rig_addr("fd19::1");
    c.iface[1].has_range = ip_prefix_parse("198.18.1.64/26", false, &c.iface[1].range);
    r->net = net_create(&c, &(struct net_ops){take_segment, take_error, NULL}, r, r->now_ns);
    return r;
}

void rig_close(struct rig *r) {
    net_destroy(r->net);
    for (int i = 0; i < 2; i++) {
        r->ours[i]->ops->close(r->ours[i]);
        r->peer[i]->ops->close(r->peer[i]);
    }
    free(r->counters);
    free(r);
}

static void free_buffer(void *buffer, void *ctx) {
    (void)ctx;
    free(buffer);
}

/* Over heap memory that ends where the frame does, so that the address sanitizer sees a
 * byte read too far; a pool's packets would hide it. */
static struct rte_mbuf *exact_mbuf(struct rte_mempool *pool, const struct frame *f) {
    enum { HEADROOM = 128 };
    size_t shared = sizeof(struct rte_mbuf_ext_shared_info), bytes = shared + HEADROOM + f->len;
    struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
    uint8_t *buffer = malloc(bytes);
    assert(m && buffer);
    struct rte_mbuf_ext_shared_info *info = (struct rte_mbuf_ext_shared_info *)buffer;
    info->free_cb = free_buffer;
    info->fcb_opaque = NULL;
    rte_mbuf_ext_refcnt_set(info, 1);
    rte_pktmbuf_attach_extbuf(m, buffer, 0, (uint16_t)bytes, info);
    m->data_off = (uint16_t)(shared + HEADROOM);
    m->data_len = (uint16_t)f->len;
    m->pkt_len = f->len;
    memcpy(rte_pktmbuf_mtod(m, void *), f->b, f->len);
    return m;
}

void rig_send(struct rig *r, uint8_t iface, const struct frame *f) {
    struct rte_mbuf *m = exact_mbuf(r->pool, f);
    m->ol_flags |= r->rx_verdict;
    net_input(r->net, r->now_ns, iface, &m, 1);
    net_flush(r->net);
}

bool rig_recv(struct rig *r, uint8_t iface, struct frame *out) {
    struct rte_mbuf *m;
    if (port_rx(r->peer[iface], 0, &m, 1) == 0)
        return false;
    out->len = m->pkt_len;
    assert(m->nb_segs == 1 && out->len <= sizeof(out->b));
    memcpy(out->b, rte_pktmbuf_mtod(m, const void *), out->len);
    rte_pktmbuf_free(m);
    return true;
}

void rig_drain(struct rig *r) {
    struct frame f;
    for (uint8_t i = 0; i < 2; i++)
        while (rig_recv(r, i, &f))
            ;
}

uint64_t rig_reason(const struct rig *r, enum tgw_reason why) {
    return atomic_load(&r->counters->reason[why]);
}

void rig_wait_ms(struct rig *r, unsigned ms) {
    for (unsigned k = 0; k < ms; k += 10) {
        r->now_ns += 10000000;
        net_tick(r->net, r->now_ns);
        net_flush(r->net);
    }
}

void rig_output_by(struct rig *r, const char *src, const char *dst, uint8_t iface) {
    struct ip_addr s = rig_addr(src), d = rig_addr(dst);
    struct rte_mbuf *m = net_tx_alloc(r->net);
    uint8_t *p = (uint8_t *)rte_pktmbuf_append(m, 20);
    memset(p, 0, 20);
    p[1] = 80;
    p[3] = 99;
    p[12] = 0x50;
    net_output(r->net, r->now_ns, m, &s, &d, 0, iface);
    net_flush(r->net);
}

void rig_output(struct rig *r, const char *src, const char *dst) {
    rig_output_by(r, src, dst, 0xff);
}

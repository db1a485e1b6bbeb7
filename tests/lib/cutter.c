#include "tests/lib/cutter.h"
#include <string.h>

enum { HEADERS_MAX = 14 + 40 + 60, FIN_PSH = 0x09, CWR = 0x80 };

static void put16(uint8_t *p, uint32_t v) {
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static uint32_t get32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Payload [at, at + len) of `m` as a packet of its own. */
static struct rte_mbuf *piece(struct cutter *c, struct rte_mbuf *m, uint32_t at, uint32_t len) {
    uint8_t head[HEADERS_MAX], payload[9000];
    uint32_t l3 = m->l2_len, l4 = l3 + m->l3_len, headers = l4 + m->l4_len;
    struct rte_mbuf *out = rte_pktmbuf_alloc(c->pool);
    uint8_t *to = out ? (uint8_t *)rte_pktmbuf_append(out, (uint16_t)(headers + len)) : NULL;
    if (!to)
        return NULL;
    memcpy(head, rte_pktmbuf_read(m, 0, headers, head), headers);
    uint32_t seq = get32(head + l4 + 4) + at;
    put16(head + l4 + 4, seq >> 16);
    put16(head + l4 + 6, seq);
    if (at + len < m->pkt_len - headers)
        head[l4 + 13] &= (uint8_t)~FIN_PSH;
    if (at)
        head[l4 + 13] &= (uint8_t)~CWR;
    if (m->l3_len == 20)
        put16(head + l3 + 2, headers - l3 + len);
    else
        put16(head + l3 + 4, headers - l4 + len);
    memcpy(to, head, headers);
    memcpy(to + headers, rte_pktmbuf_read(m, headers + at, len, payload), len);
    return out;
}

/* False: no room or no buffer for some of it, which is lost, as on a wire. */
static void cut(struct cutter *c, struct rte_mbuf *m) {
    uint32_t bytes = m->pkt_len - m->l2_len - m->l3_len - m->l4_len;
    c->longs++;
    c->longest = bytes > c->longest ? bytes : c->longest;
    c->faulty += m->tso_segsz == 0 || bytes <= m->tso_segsz || m->l2_len != 14 || m->l4_len < 20;
    for (uint32_t at = 0; at < bytes; at += m->tso_segsz) {
        struct rte_mbuf *p = piece(c, m, at, bytes - at < m->tso_segsz ? bytes - at : m->tso_segsz);
        if (p && port_tx(c->inner, 0, &p, 1) == 0)
            rte_pktmbuf_free(p);
    }
    rte_pktmbuf_free(m);
}

static uint16_t tx(struct port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n) {
    struct cutter *c = (struct cutter *)p;
    for (uint16_t i = 0; i < n; i++) {
        if (m[i]->ol_flags & RTE_MBUF_F_TX_TCP_SEG)
            cut(c, m[i]);
        else if (port_tx(c->inner, queue, &m[i], 1) == 0)
            return i;
    }
    return n;
}

static uint16_t rx(struct port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n) {
    return port_rx(((struct cutter *)p)->inner, queue, m, n);
}

static void end(struct port *p) {
    struct port *inner = ((struct cutter *)p)->inner;
    inner->ops->close(inner);
}

struct port *cutter_wrap(struct cutter *c, struct port *inner, struct rte_mempool *pool) {
    static const struct port_ops ops = {.rx_burst = rx, .tx_burst = tx, .close = end};
    *c = (struct cutter){.port = *inner, .inner = inner, .pool = pool};
    c->port.ops = &ops;
    c->port.offloads |= PORT_TX_TSO | PORT_TX_L4_CKSUM | PORT_TX_IP_CKSUM | PORT_RX_TRUSTED;
    return &c->port;
}

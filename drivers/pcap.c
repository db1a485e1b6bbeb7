/* Decorator: writes every packet, both directions, to a classic pcap file with
 * nanosecond timestamps (magic 0xa1b23c4d, draft-ietf-opsawg-pcap). */
#include "sim.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SNAP_BYTES = 65535, LINKTYPE_ETHERNET = 1 };
static const uint32_t MAGIC_NS = 0xa1b23c4d;

struct pcap_header {
    uint32_t magic;
    uint16_t major, minor;
    uint32_t zone, sigfigs, snap_bytes, linktype;
};
struct pcap_record {
    uint32_t seconds, ns, captured_bytes, wire_bytes;
};
_Static_assert(sizeof(struct pcap_header) == 24 && sizeof(struct pcap_record) == 16, "on disk");

struct pcap_port {
    struct port port;
    struct port *inner;
    FILE *file;
    const uint64_t *now_ns; /* NULL: the wall clock */
};

static uint64_t timestamp_ns(const struct pcap_port *c) {
    struct timespec ts;
    if (c->now_ns)
        return *c->now_ns;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

/* A full disk loses the capture, never the packet. */
static void record(struct pcap_port *c, struct rte_mbuf **m, uint16_t n) {
    uint64_t at_ns = n ? timestamp_ns(c) : 0;
    for (uint16_t i = 0; i < n; i++) {
        uint32_t len = m[i]->pkt_len < SNAP_BYTES ? m[i]->pkt_len : SNAP_BYTES;
        struct pcap_record r = {(uint32_t)(at_ns / 1000000000), (uint32_t)(at_ns % 1000000000), len,
                                m[i]->pkt_len};
        fwrite(&r, sizeof(r), 1, c->file);
        for (const struct rte_mbuf *s = m[i]; s && len; s = s->next) {
            uint32_t part = s->data_len < len ? s->data_len : len;
            fwrite(rte_pktmbuf_mtod(s, const void *), 1, part, c->file);
            len -= part;
        }
    }
}

static uint16_t pcap_rx(struct port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n) {
    struct pcap_port *c = (struct pcap_port *)p;
    uint16_t got = port_rx(c->inner, queue, m, n);
    record(c, m, got);
    return got;
}

/* Sent packets are no longer ours to read afterwards: a reference is held meanwhile,
 * and what the port did not take is not written. */
static uint16_t pcap_tx(struct port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n) {
    enum { CHUNK = 64 };
    struct pcap_port *c = (struct pcap_port *)p;
    struct rte_mbuf *copy[CHUNK];
    uint16_t count = n < CHUNK ? n : CHUNK;
    for (uint16_t i = 0; i < count; i++)
        copy[i] = rte_pktmbuf_copy(m[i], m[i]->pool, 0, UINT32_MAX);
    uint16_t sent = port_tx(c->inner, queue, m, count);
    for (uint16_t i = 0; i < count; i++) {
        if (copy[i] && i < sent)
            record(c, &copy[i], 1);
        rte_pktmbuf_free(copy[i]);
    }
    return sent;
}

static void pcap_stats(struct port *p, struct port_stats *out) {
    struct port *inner = ((struct pcap_port *)p)->inner;
    inner->ops->stats(inner, out);
}

static void pcap_link(struct port *p, struct port_link *out) {
    struct port *inner = ((struct pcap_port *)p)->inner;
    inner->ops->link(inner, out);
}

static void pcap_close(struct port *p) {
    struct pcap_port *c = (struct pcap_port *)p;
    c->inner->ops->close(c->inner);
    fclose(c->file);
    free(c);
}

static const struct port_ops pcap_ops = {pcap_rx, pcap_tx, pcap_stats, pcap_link, pcap_close};

struct port *port_pcap_wrap(struct port *inner, const char *file, const uint64_t *now_ns, char *err,
                            size_t err_bytes) {
    const struct pcap_header h = {.magic = MAGIC_NS,
                                  .major = 2,
                                  .minor = 4,
                                  .snap_bytes = SNAP_BYTES,
                                  .linktype = LINKTYPE_ETHERNET};
    struct pcap_port *c = calloc(1, sizeof(*c));
    FILE *f = c ? fopen(file, "wb") : NULL;
    if (!f || fwrite(&h, sizeof(h), 1, f) != 1) {
        snprintf(err, err_bytes, "%s: cannot write capture %s: %s", inner->name, file,
                 strerror(c ? errno : ENOMEM));
        if (f)
            fclose(f);
        free(c);
        return NULL;
    }
    c->port = *inner;
    c->port.ops = &pcap_ops;
    c->inner = inner;
    c->file = f;
    c->now_ns = now_ns;
    return &c->port;
}

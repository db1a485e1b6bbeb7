#include "twins.h"
#include "net/net_priv.h"
#include <CUnit/CUnit.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>

enum { BURST = 256, ETHER_BYTES = 14, IP4_BYTES = 20 };

static void on_connected(void *user) {
    struct twin *t = user;
    t->connected++;
}

static void read_all(struct twin *t, const struct stream *s) {
    const uint8_t *data;
    size_t n;
    while (s->impl && (n = s->ops->peek(s->impl, &data)) > 0) {
        t->received += n;
        s->ops->consume(s->impl, n);
    }
}

/* Only the stream accepted last is read. */
static void on_readable(void *user) {
    struct twin *t = user;
    read_all(t, &t->last);
}

static void on_writable(void *user) {
    (void)user;
}

static void on_closed(void *user, enum stream_end why) {
    struct twin *t = user;
    t->closed++;
    t->reset += why == STREAM_END_RESET;
}

static const struct stream_handler handler = {on_connected, on_readable, on_writable, on_closed};

static void *on_accepted(void *ctx, struct stream s, const struct tgw_endpoint *local,
                         const struct tgw_endpoint *remote) {
    struct twin *t = ctx;
    (void)local;
    (void)remote;
    t->accepted++;
    t->last = s;
    return t->refuse ? NULL : t;
}

void twins_config(struct tcp_config *c) {
    tcp_config_defaults(c);
    c->connections_max = 512;
    c->time_wait_max = 512;
    c->small_blocks = c->large_blocks = 1024;
    c->keepalive_ms = 0;
    c->seed = 1;
    memset(c->secret, 7, sizeof(c->secret));
}

static void open_side(struct twins *w, int side, const struct tcp_config *c) {
    static const struct net_ops up = {tcp_input, tcp_icmp_error};
    struct twin *t = &w->side[side];
    struct tcp_config mine = *c;
    size_t bytes = (sizeof(*t->counters) + 63) / 64 * 64;
    t->counters = aligned_alloc(64, bytes);
    CU_ASSERT_PTR_NOT_NULL_FATAL(t->counters);
    memset(t->counters, 0, bytes);
    struct net_config nc = {.iface_count = 1, .pool = w->mbufs, .counters = t->counters};
    nc.iface[0] = (struct net_iface_config){.port = t->port, .addr_count = 1};
    ip_prefix_parse(side == CLIENT ? "198.18.0.1/24" : "198.18.0.2/24", true, &nc.iface[0].addr[0]);
    nc.iface[0].has_gateway4 = side == SERVER && ip_addr_parse("198.18.0.1", &nc.iface[0].gateway4);
    t->net = net_create(&nc, &up, NULL, w->now_ns);
    mine.counters = t->counters;
    mine.secret[0] = (uint8_t)side;
    t->tcp = t->net ? tcp_create(&mine, t->net, w->now_ns) : NULL;
    CU_ASSERT_PTR_NOT_NULL_FATAL(t->tcp);
    net_bind(t->net, t->tcp);
}

static struct stream connect_to(struct twins *w, uint16_t port, struct twin *owner) {
    struct tgw_endpoint to = {.port = port};
    struct ip_addr a;
    ip_addr_parse("198.18.0.2", &a);
    memcpy(to.addr, a.b, sizeof(to.addr));
    return tcp_connect(w->side[CLIENT].tcp, w->now_ns, &to, &handler, owner, NULL, NULL);
}

/* A connection refused, and each knows the other's MAC address. */
static void get_acquainted(struct twins *w) {
    connect_to(w, 81, NULL);
    twins_run(w, 5);
    for (int i = 0; i < 2; i++)
        memset(w->side[i].counters, 0, sizeof(*w->side[i].counters));
}

void twins_open(struct twins *w, struct rte_mempool *mbufs, const struct tcp_config *c) {
    struct port *pair[2];
    *w = (struct twins){.now_ns = UINT64_C(5000000000), .mbufs = mbufs};
    CU_ASSERT_TRUE_FATAL(port_sim_pair(pair, 1500, 4096));
    for (int i = 0; i < 2; i++) {
        w->side[i].port = pair[i];
        open_side(w, i, c);
    }
    const struct tcp_listener l = {on_accepted, &w->side[SERVER], &handler};
    CU_ASSERT_TRUE(tcp_listen(w->side[SERVER].tcp, 80, &l));
    get_acquainted(w);
}

void twins_close(struct twins *w) {
    for (int i = 0; i < 2; i++) {
        tcp_check(w->side[i].tcp);
        tcp_destroy(w->side[i].tcp);
        net_destroy(w->side[i].net);
    }
    for (int i = 0; i < 2; i++) {
        w->side[i].port->ops->close(w->side[i].port);
        free(w->side[i].counters);
    }
    CU_ASSERT_EQUAL(rte_mempool_in_use_count(w->mbufs), 0);
}

static void turn(struct twins *w, struct twin *t) {
    struct rte_mbuf *m[BURST];
    tcp_begin(t->tcp, w->now_ns);
    uint16_t n = port_rx(t->port, 0, m, BURST);
    if (n)
        net_input(t->net, w->now_ns, 0, m, n);
    tcp_advance(t->tcp, w->now_ns);
    net_tick(t->net, w->now_ns);
    tcp_flush(t->tcp);
    net_flush(t->net);
}

void twins_turn(struct twins *w) {
    for (int i = 0; i < 2; i++)
        turn(w, &w->side[i]);
}

void twins_run(struct twins *w, uint32_t ms) {
    for (uint32_t i = 0; i < ms; i++) {
        w->now_ns += 1000000;
        twins_turn(w);
    }
}

struct stream twins_connect(struct twins *w) {
    return connect_to(w, 80, &w->side[CLIENT]);
}

struct seg twins_segment(uint32_t from, uint16_t sport, uint8_t flags, uint32_t seq, uint32_t ack) {
    const uint8_t b[4] = {(uint8_t)(from >> 24), (uint8_t)(from >> 16), (uint8_t)(from >> 8),
                          (uint8_t)from};
    struct seg s = {.src = ip_addr_from4(b),
                    .sport = sport,
                    .dport = 80,
                    .seq = seq,
                    .ack = ack,
                    .wnd = 65535,
                    .flags = flags};
    ip_addr_parse("198.18.0.2", &s.dst);
    return s;
}

void twins_inject(struct twins *w, const struct seg *s) {
    struct twin *t = &w->side[SERVER];
    tcp_begin(t->tcp, w->now_ns);
    tcp_input(t->tcp, s, NULL);
    tcp_flush(t->tcp);
    net_flush(t->net);
}

bool twins_answer(struct twins *w, struct seg *out) {
    struct rte_mbuf *m[BURST];
    uint16_t n = port_rx(w->side[CLIENT].port, 0, m, BURST);
    bool found = false;
    for (uint16_t i = 0; i < n; i++) {
        const uint8_t *p = rte_pktmbuf_mtod(m[i], const uint8_t *);
        if (p[12] == 8 && p[13] == 0)
            found = seg_parse(out, p + ETHER_BYTES + IP4_BYTES,
                              m[i]->pkt_len - ETHER_BYTES - IP4_BYTES) == TGW_OK;
    }
    rte_pktmbuf_free_bulk(m, n);
    return found;
}

uint64_t twins_count(const struct twins *w, int side, enum tgw_counter id) {
    return tgw_counter_get(w->side[side].counters, id);
}

uint64_t twins_reason(const struct twins *w, int side, enum tgw_reason id) {
    return w->side[side].counters->reason[id];
}

void twins_usage(const struct twins *w, int side, struct tcp_usage *out) {
    tcp_usage(w->side[side].tcp, out);
}

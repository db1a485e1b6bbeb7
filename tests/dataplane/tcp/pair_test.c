/* Two stacks joined by an unreliable wire, on a virtual clock. */
#include "drivers/sim.h"
#include "tcp/tcp.h"
#include "tests/lib/cutter.h"
#include "tests/lib/eal_init.h"
#include "tests/lib/suite.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct rte_mempool *mbufs;
static struct cutter *cutters; /* the two ports cut segments; NULL: they do not */

struct host;

/* One end of the connection and what it is to do. */
struct end {
    struct host *host;
    struct stream s;
    uint64_t to_send, sent, received;
    bool connected, closed, shut, half, no_read, reset_on_data, release_at_once, released;
    enum stream_end why;
    unsigned wrong;
};

struct host {
    struct port *port;
    struct net *net;
    struct tcp_stack *tcp;
    struct tgw_counters counters;
    struct end end;
    char obituary[TGW_TRACE_TEXT_MAX]; /* of the last connection that died abnormally */
};

struct world {
    struct host h[2];
    uint64_t now_ns;
    uint32_t keepalive_ms, rcv_buffer_bytes; /* 0: the default */
    bool drop_data;                          /* large packets to h[1] are lost */
};

static bool backlog_none; /* of hosts made while it is set: cookies for everybody */

static uint8_t pattern(uint64_t i) {
    return (uint8_t)(i * 7 + (i >> 11));
}

static void push(struct end *e) {
    uint8_t buf[4096];
    while (!e->closed && e->connected && e->sent < e->to_send) {
        uint64_t n = e->to_send - e->sent < sizeof(buf) ? e->to_send - e->sent : sizeof(buf);
        for (uint64_t i = 0; i < n; i++)
            buf[i] = pattern(e->sent + i);
        size_t took = e->s.ops->write(e->s.impl, buf, n);
        e->sent += took;
        if (took < n)
            return;
    }
    if (!e->closed && e->connected && e->sent == e->to_send && !e->shut && !e->half) {
        e->shut = true;
        e->s.ops->shutdown(e->s.impl);
    }
}

static void on_connected(void *user) {
    struct end *e = user;
    e->connected = true;
    push(e);
}

static void on_readable(void *user) {
    struct end *e = user;
    CU_ASSERT_FALSE(e->released);
    const uint8_t *data;
    size_t n;
    while (!e->no_read && (n = e->s.ops->peek(e->s.impl, &data)) > 0) {
        if (n > 1500)
            n = 1000 + e->received % 500; /* leave some for later */
        for (size_t i = 0; i < n; i++)
            e->wrong += data[i] != pattern(e->received + i);
        e->received += n;
        e->s.ops->consume(e->s.impl, n);
        if (e->reset_on_data) {
            e->s.ops->abort(e->s.impl);
            e->closed = true;
            return;
        }
    }
}

static void on_writable(void *user) {
    push(user);
}

static void on_closed(void *user, enum stream_end why) {
    struct end *e = user;
    CU_ASSERT_FALSE(e->released);
    e->closed = true;
    e->why = why;
}

static const struct stream_handler handler = {on_connected, on_readable, on_writable, on_closed};

static void *on_accepted(void *ctx, struct stream s, const struct tgw_endpoint *local,
                         const struct tgw_endpoint *remote) {
    struct host *h = ctx;
    (void)local;
    (void)remote;
    h->end.s = s;
    h->end.connected = true;
    tcp_set_owner(s, &handler, &h->end);
    push(&h->end);
    if (h->end.release_at_once) {
        h->end.released = true;
        s.ops->release(s.impl);
    }
    return &h->end;
}

static void on_died(void *ctx, const struct tcp_obituary *o) {
    struct host *h = ctx;
    snprintf(h->obituary, sizeof(h->obituary), "%s", o->text);
}

static void make_host(struct world *w, struct port *port, int number, uint64_t seed) {
    static const struct net_ops up = {tcp_input, tcp_icmp_error};
    char text[32];
    struct host *h = &w->h[number - 1];
    struct net_config nc = {.iface_count = 1, .pool = mbufs, .counters = &h->counters};
    struct tcp_config tc;
    h->port = port;
    nc.seed = seed;
    nc.iface[0] = (struct net_iface_config){.port = port, .addr_count = 1};
    snprintf(text, sizeof(text), "198.18.0.%d/24", number);
    CU_ASSERT_TRUE_FATAL(ip_prefix_parse(text, true, &nc.iface[0].addr[0]));
    h->net = net_create(&nc, &up, NULL, w->now_ns);
    tcp_config_defaults(&tc);
    tc.connections_max = 16;
    tc.backlog_max = backlog_none ? 0 : tc.backlog_max;
    tc.keepalive_ms = w->keepalive_ms ? w->keepalive_ms : tc.keepalive_ms;
    tc.rcv_buffer_bytes = w->rcv_buffer_bytes ? w->rcv_buffer_bytes : tc.rcv_buffer_bytes;
    tc.small_blocks = tc.large_blocks = 2048;
    tc.counters = &h->counters;
    tc.trace_records = 1024;
    tc.died = on_died;
    tc.died_ctx = h;
    tc.seed = seed;
    memset(tc.secret, number + (int)seed, sizeof(tc.secret));
    h->tcp = tcp_create(&tc, h->net, w->now_ns);
    CU_ASSERT_FATAL(h->net && h->tcp);
    net_bind(h->net, h->tcp);
    h->end.host = h;
    const struct tcp_listener l = {on_accepted, h, &handler};
    CU_ASSERT_TRUE(tcp_listen(h->tcp, 80, &l));
}

static void begin_with(struct world *w, const struct port_config *faults, uint64_t seed,
                       uint32_t keepalive_ms, uint32_t rcv_buffer_bytes) {
    struct port *port[2];
    memset(w, 0, sizeof(*w));
    w->keepalive_ms = keepalive_ms;
    w->rcv_buffer_bytes = rcv_buffer_bytes;
    w->now_ns = UINT64_C(5000000000) + seed;
    CU_ASSERT_TRUE_FATAL(port_sim_pair(port, 1500, 1024));
    if (faults) {
        struct port_config c = *faults;
        c.fault_seed = seed;
        port[0] = port_fault_wrap(port[0], &c, mbufs);
    }
    for (int i = 0; i < 2; i++)
        make_host(w, cutters ? cutter_wrap(&cutters[i], port[i], mbufs) : port[i], i + 1,
                  seed + (uint64_t)i);
}

static void begin(struct world *w, const struct port_config *faults, uint64_t seed) {
    begin_with(w, faults, seed, 0, 0);
}

static void turn(struct host *h, uint64_t now_ns) {
    struct rte_mbuf *m[128];
    tcp_begin(h->tcp, now_ns);
    uint16_t n = port_rx(h->port, 0, m, 128);
    if (n)
        net_input(h->net, now_ns, 0, m, n);
    tcp_advance(h->tcp, now_ns);
    net_tick(h->net, now_ns);
    tcp_flush(h->tcp);
    net_flush(h->net);
    tcp_check(h->tcp);
}

static void lose_data(struct world *w) {
    struct rte_mbuf *m[128];
    uint16_t n = port_rx(w->h[1].port, 0, m, 128);
    for (uint16_t i = 0; i < n; i++) {
        if (m[i]->pkt_len < 200)
            net_input(w->h[1].net, w->now_ns, 0, &m[i], 1);
        else
            rte_pktmbuf_free(m[i]);
    }
}

static bool done(const struct world *w) {
    return w->h[0].end.closed && w->h[1].end.closed;
}

static void run(struct world *w, uint64_t ms, bool until_done) {
    for (uint64_t i = 0; i < ms * 2 && !(until_done && done(w)); i++) {
        w->now_ns += 500000;
        turn(&w->h[0], w->now_ns);
        if (w->drop_data)
            lose_data(w);
        turn(&w->h[1], w->now_ns);
    }
}

static void open_connection(struct world *w) {
    struct tgw_endpoint to = {.port = 80};
    struct ip_addr a;
    ip_addr_parse("198.18.0.2", &a);
    memcpy(to.addr, a.b, sizeof(to.addr));
    struct end *e = &w->h[0].end;
    e->s = tcp_connect(w->h[0].tcp, w->now_ns, &to, &handler, e, NULL, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(e->s.impl);
}

static void finish(struct world *w) {
    for (int i = 0; i < 20000; i++) { /* TIME_WAIT and lingering ends, in longer steps */
        w->now_ns += 20000000;
        turn(&w->h[0], w->now_ns);
        turn(&w->h[1], w->now_ns);
    }
    for (int i = 0; i < 2; i++) {
        struct tcp_usage u;
        tcp_usage(w->h[i].tcp, &u);
        CU_ASSERT_EQUAL(u.connections + u.time_wait, 0);
        CU_ASSERT_EQUAL(u.small_blocks + u.large_blocks, 0);
        CU_ASSERT_EQUAL(u.half_open, 0);
        tcp_destroy(w->h[i].tcp);
        net_destroy(w->h[i].net);
    }
    for (int i = 0; i < 2; i++)
        w->h[i].port->ops->close(w->h[i].port);
    CU_ASSERT_EQUAL(rte_mempool_in_use_count(mbufs), 0);
}

static void exchange(const struct port_config *faults, uint64_t seed, uint64_t up, uint64_t down) {
    static struct world w;
    begin(&w, faults, seed);
    w.h[0].end.to_send = up;
    w.h[1].end.to_send = down;
    open_connection(&w);
    run(&w, 600000, true);
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_TRUE(w.h[i].end.closed);
        CU_ASSERT_EQUAL(w.h[i].end.why, STREAM_END_OK);
        CU_ASSERT_EQUAL(w.h[i].end.wrong, 0);
    }
    CU_ASSERT_EQUAL(w.h[1].end.received, up);
    CU_ASSERT_EQUAL(w.h[0].end.received, down);
    if (!done(&w) || w.h[1].end.received != up || w.h[0].end.received != down)
        printf("# seed %lu: %lu of %lu up, %lu of %lu down\n", seed, w.h[1].end.received, up,
               w.h[0].end.received, down);
    finish(&w);
}

/* Long segments handed down whole, also when the wire then loses some of them. */
static void the_port_cuts_segments(void) {
    static const struct port_config bad = {.loss_pm = 20, .reorder_pm = 20};
    struct cutter c[2];
    cutters = c;
    exchange(NULL, 21, 1000000, 5000);
    CU_ASSERT_TRUE(c[0].longs > 50 && c[0].longest > 14000 && c[0].longest <= 16384);
    CU_ASSERT_EQUAL(c[0].faulty + c[1].faulty, 0);
    exchange(&bad, 22, 1000000, 300000);
    CU_ASSERT_TRUE(c[0].longs > 0 && c[1].longs > 0);
    CU_ASSERT_EQUAL(c[0].faulty + c[1].faulty, 0);
    cutters = NULL;
}

static void bytes_cross_a_good_wire(void) {
    exchange(NULL, 1, 5000000, 3000000);
    exchange(NULL, 2, 0, 1);
    exchange(NULL, 3, 0, 0);
}

static void bytes_cross_a_bad_wire(void) {
    const struct port_config faults = {.loss_pm = 10, .reorder_pm = 10, .duplicate_pm = 10};
    for (uint64_t seed = 1; seed <= 20; seed++)
        exchange(&faults, seed * 977, 1000000, 1000000);
}

static void bytes_cross_a_terrible_wire(void) {
    const struct port_config faults = {
        .loss_pm = 80, .reorder_pm = 100, .duplicate_pm = 50, .corrupt_pm = 20};
    for (uint64_t seed = 1; seed <= 20; seed++)
        exchange(&faults, seed * 31337, 100000, 60000);
}

static void a_reader_that_stops_stops_the_writer(void) {
    static struct world w;
    begin(&w, NULL, 9);
    w.h[0].end.to_send = 3000000;
    w.h[1].end.no_read = true;
    open_connection(&w);
    run(&w, 90000, false);
    CU_ASSERT_FALSE(w.h[0].end.closed || w.h[1].end.closed);
    CU_ASSERT_TRUE(w.h[0].end.sent <= 2 * 256 * 1024);
    CU_ASSERT_EQUAL(w.h[1].end.received, 0);
    w.h[1].end.no_read = false;
    on_readable(&w.h[1].end);
    run(&w, 60000, true);
    CU_ASSERT_EQUAL(w.h[1].end.received, 3000000);
    CU_ASSERT_EQUAL(w.h[1].end.wrong, 0);
    finish(&w);
}

static void a_reset_reaches_the_other_end(void) {
    static struct world w;
    begin(&w, NULL, 10);
    w.h[0].end.to_send = 100000;
    w.h[1].end.reset_on_data = true;
    open_connection(&w);
    run(&w, 5000, true);
    CU_ASSERT_TRUE(w.h[0].end.closed);
    CU_ASSERT_EQUAL(w.h[0].end.why, STREAM_END_RESET);
    CU_ASSERT_PTR_NOT_NULL(strstr(w.h[0].obituary, "-0ms rst_in 0"));
    CU_ASSERT_PTR_NOT_NULL(strstr(w.h[0].obituary, "data_out 1448"));
    finish(&w);
}

static void an_orderly_end_tells_nothing(void) {
    static struct world w;
    begin(&w, NULL, 10);
    w.h[0].end.to_send = 1000;
    open_connection(&w);
    run(&w, 60000, true);
    CU_ASSERT_TRUE(w.h[0].end.closed && w.h[1].end.closed);
    CU_ASSERT_TRUE(!w.h[0].obituary[0] && !w.h[1].obituary[0]);
    finish(&w);
}

static void a_closed_port_refuses(void) {
    static struct world w;
    begin(&w, NULL, 11);
    tcp_unlisten(w.h[1].tcp, 80);
    open_connection(&w);
    run(&w, 2000, false);
    CU_ASSERT_TRUE(w.h[0].end.closed);
    CU_ASSERT_EQUAL(w.h[0].end.why, STREAM_END_REFUSED);
    finish(&w);
}

/* No packet for a SYN cookie: the SYN is dropped, and its repetition gets in. */
static void a_full_backlog_without_packets_drops_the_syn(void) {
    static struct world w;
    struct rte_mbuf *taken[20000];
    unsigned n = 0;
    backlog_none = true;
    begin(&w, NULL, 12);
    backlog_none = false;
    open_connection(&w);
    run(&w, 3, false); /* a cookie, and ARP is done with */
    CU_ASSERT_TRUE(w.h[0].end.connected);
    w.h[0].end.s.ops->abort(w.h[0].end.s.impl);
    run(&w, 3, false);
    w.h[0].end = w.h[1].end = (struct end){0};
    w.h[0].end.host = &w.h[0];
    w.h[1].end.host = &w.h[1];
    open_connection(&w);
    turn(&w.h[0], w.now_ns += 500000);
    while (n < 20000 && (taken[n] = rte_pktmbuf_alloc(mbufs)) != NULL)
        n++;
    turn(&w.h[1], w.now_ns);
    while (n > 0)
        rte_pktmbuf_free(taken[--n]);
    uint64_t dropped = atomic_load(&w.h[1].counters.reason[TGW_R_tcp_backlog_full]);
    CU_ASSERT_EQUAL(dropped, 1);
    run(&w, 600000, true);
    CU_ASSERT_TRUE(done(&w));
    finish(&w);
}

static void a_dead_peer_is_given_up(void) {
    static struct world w;
    begin(&w, NULL, 12);
    w.h[0].end.half = w.h[1].end.half = true;
    w.h[0].end.to_send = 10;
    open_connection(&w);
    run(&w, 1000, false);
    CU_ASSERT_EQUAL(w.h[1].end.received, 10);
    for (int i = 0; i < 400000 && !w.h[0].end.closed; i++) { /* only one side lives */
        struct rte_mbuf *m[32];
        w.now_ns += 1000000;
        turn(&w.h[0], w.now_ns);
        rte_pktmbuf_free_bulk(m, port_rx(w.h[1].port, 0, m, 32));
    }
    CU_ASSERT_TRUE(w.h[0].end.closed);
    CU_ASSERT_EQUAL(w.h[0].end.why, STREAM_END_TIMEOUT);
    CU_ASSERT_PTR_NOT_NULL(strstr(w.h[0].obituary, "keepalive"));
    run(&w, 200000, true);
    CU_ASSERT_TRUE(w.h[1].end.closed);
    finish(&w);
}

/* Both in TIME_WAIT: an ACK that nobody needs must not draw another. */
static void a_simultaneous_close_is_quiet(void) {
    const struct port_config twice = {.duplicate_pm = 1000};
    static struct world w;
    begin(&w, &twice, 13);
    open_connection(&w);
    run(&w, 1000, true);
    run(&w, 10, false);
    uint64_t sent = tgw_counter_get(&w.h[0].counters, TGW_C_tcp_segments_out);
    run(&w, 1000, false);
    CU_ASSERT_EQUAL(tgw_counter_get(&w.h[0].counters, TGW_C_tcp_segments_out), sent);
    finish(&w);
}

/* The peer is done and gone: neither a window update nor a keepalive may draw its RST,
 * and what it sent is still there to be read. */
static void unread_data_outlives_the_peer(void) {
    static struct world w;
    begin(&w, NULL, 14);
    w.h[0].end.to_send = 100000;
    w.h[1].end.no_read = true;
    open_connection(&w);
    run(&w, 200000, false);
    CU_ASSERT_TRUE(w.h[0].end.closed);
    CU_ASSERT_FALSE_FATAL(w.h[1].end.closed);
    for (int i = 0; i < 100 && !w.h[1].end.closed; i++) {
        const uint8_t *data;
        struct end *e = &w.h[1].end;
        size_t n = e->s.ops->peek(e->s.impl, &data);
        e->s.ops->consume(e->s.impl, n);
        e->received += n;
        run(&w, 10, false);
    }
    CU_ASSERT_EQUAL(w.h[1].end.received, 100000);
    CU_ASSERT_TRUE(w.h[1].end.closed);
    CU_ASSERT_EQUAL(w.h[1].end.why, STREAM_END_OK);
    finish(&w);
}

static void a_stream_released_at_once_stays_released(void) {
    static struct world w;
    begin(&w, NULL, 15);
    w.h[0].end.to_send = 1000;
    w.h[1].end.release_at_once = true;
    open_connection(&w);
    run(&w, 2000, false);
    CU_ASSERT_TRUE(w.h[0].end.closed);
    CU_ASSERT_EQUAL(w.h[0].end.why, STREAM_END_OK);
    finish(&w);
}

/* The writer's probes are seldom then, and are no silence to either end's keepalive. */
static void a_reader_may_stop_for_long(void) {
    static struct world w;
    begin_with(&w, NULL, 16, 20000, 0);
    w.h[0].end.to_send = 3000000;
    w.h[1].end.no_read = true;
    open_connection(&w);
    run(&w, 400000, false);
    CU_ASSERT_FALSE(w.h[0].end.closed);
    CU_ASSERT_FALSE_FATAL(w.h[1].end.closed);
    w.h[1].end.no_read = false;
    on_readable(&w.h[1].end);
    run(&w, 90000, true);
    CU_ASSERT_EQUAL(w.h[1].end.received, 3000000);
    finish(&w);
}

/* It stands at the edge of the window, beyond which nothing may be sent. */
static void an_ack_counts_when_the_window_is_full(void) {
    static struct world w;
    struct tgw_leg_state leg;
    begin_with(&w, NULL, 17, 0, 4 * 1448); /* whole segments fill it */
    w.h[0].end.half = w.h[1].end.half = true;
    open_connection(&w);
    run(&w, 10, false);
    w.drop_data = true;
    w.h[0].end.to_send = 100000;
    push(&w.h[0].end);
    run(&w, 10, false);
    w.h[1].end.to_send = 10;
    push(&w.h[1].end);
    run(&w, 10, false);
    w.h[1].end.s.ops->inspect(w.h[1].end.s.impl, &leg);
    CU_ASSERT_EQUAL(w.h[0].end.received, 10);
    CU_ASSERT_EQUAL(leg.unacked_bytes, 0);
    w.drop_data = w.h[0].end.half = w.h[1].end.half = false;
    push(&w.h[0].end);
    push(&w.h[1].end);
    run(&w, 60000, true);
    finish(&w);
}

/* The user timeout counts from when the window opened. */
static void a_loss_after_a_long_stop_is_repaired(void) {
    static struct world w;
    begin(&w, NULL, 18);
    w.h[0].end.to_send = 3000000;
    w.h[1].end.no_read = true;
    open_connection(&w);
    run(&w, 200000, false);
    w.h[1].end.no_read = false;
    on_readable(&w.h[1].end);
    w.drop_data = true;
    run(&w, 500, false);
    w.drop_data = false;
    run(&w, 60000, true);
    CU_ASSERT_EQUAL(w.h[1].end.received, 3000000);
    finish(&w);
}

static void a_connection_outlives_its_link(void) {
    static struct world w;
    struct port_link link;
    begin(&w, NULL, 23);
    w.h[0].end.to_send = w.h[1].end.to_send = 2000000;
    open_connection(&w);
    run(&w, 5, false);
    CU_ASSERT_TRUE(w.h[1].end.received < 2000000);
    port_sim_set_link(w.h[0].port, false);
    w.h[0].port->ops->link(w.h[0].port, &link);
    CU_ASSERT_FALSE(link.up);
    run(&w, 20000, false);
    uint64_t before = w.h[1].end.received;
    CU_ASSERT_FALSE(w.h[0].end.closed || w.h[1].end.closed);
    port_sim_set_link(w.h[0].port, true);
    run(&w, 60000, true);
    CU_ASSERT_TRUE(before < 2000000);
    CU_ASSERT_EQUAL(w.h[0].end.received, 2000000);
    CU_ASSERT_EQUAL(w.h[1].end.received, 2000000);
    finish(&w);
}

int main(void) {
    static const struct suite_case cases[] = {
        {"bytes cross a good wire", bytes_cross_a_good_wire},
        {"bytes cross a bad wire", bytes_cross_a_bad_wire},
        {"the port cuts segments", the_port_cuts_segments},
        {"bytes cross a terrible wire", bytes_cross_a_terrible_wire},
        {"a reader that stops stops the writer", a_reader_that_stops_stops_the_writer},
        {"a reset reaches the other end", a_reset_reaches_the_other_end},
        {"an orderly end tells nothing", an_orderly_end_tells_nothing},
        {"a closed port refuses", a_closed_port_refuses},
        {"a full backlog without packets drops the SYN",
         a_full_backlog_without_packets_drops_the_syn},
        {"a dead peer is given up", a_dead_peer_is_given_up},
        {"a simultaneous close is quiet", a_simultaneous_close_is_quiet},
        {"unread data outlives the peer", unread_data_outlives_the_peer},
        {"a reader may stop for long", a_reader_may_stop_for_long},
        {"an ACK counts when the window is full", an_ack_counts_when_the_window_is_full},
        {"a loss after a long stop is repaired", a_loss_after_a_long_stop_is_repaired},
        {"a connection outlives its link", a_connection_outlives_its_link},
        {"a stream released at once stays released", a_stream_released_at_once_stays_released},
    };
    mbufs = test_eal_init(8191);
    return suite_run("tcp/pair", cases, sizeof(cases) / sizeof(cases[0]));
}

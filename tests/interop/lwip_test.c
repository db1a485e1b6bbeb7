/* Our stack and Debian's lwIP, each a host on the simulation's wire, on one virtual clock: the
 * same every time. Each echoes what the other sends; every byte is compared. */
#include "tcp/tcp.h"
#include "tests/interop/lwip_side.h"
#include "tests/lib/eal_init.h"
#include "tests/lib/suite.h"
#include "tests/sim/wire.h"
#include <stdio.h>
#include <stdlib.h>

enum { BURST = 32, MBUFS = 8191, ECHO_PORT = 7, PLACES = 256, LWIP_END = 1 };
static const uint64_t MS = 1000000, SECOND = 1000000000;

/* A connection of ours: a client of lwIP's echo server, or an echo server. */
struct conn {
    struct stream s;
    uint64_t bytes, ahead, sent, received, stall_until_ns;
    enum lwip_ending ending;
    bool client, connected, shut, over, wrong;
    enum stream_end end;
};

static struct rte_mempool *ours, *theirs;
static struct wire *wire;
static struct port *port, *lwip_port;
static struct net *net;
static struct tcp_stack *tcp;
static struct tgw_counters counters;
static uint64_t now_ns = UINT64_C(5000000000);
static struct conn place[PLACES];
static struct lwip_conn lwip_place[PLACES];
static unsigned places, lwip_places;

static void on_frame(void *ctx, const uint8_t *frame, uint32_t len) {
    (void)ctx;
    wire_inject(wire, LWIP_END, frame, len);
}

static void finish(struct conn *c) {
    if (!c->shut) {
        c->shut = true;
        c->s.ops->shutdown(c->s.impl);
    }
}

static void echo(struct conn *c) {
    const uint8_t *data;
    size_t n;
    while ((n = c->s.ops->peek(c->s.impl, &data)) > 0) {
        size_t took = c->s.ops->write(c->s.impl, data, n);
        c->s.ops->consume(c->s.impl, took);
        c->received += took;
        if (took < n)
            return;
    }
    if (c->s.ops->at_eof(c->s.impl))
        finish(c);
}

static void compare(struct conn *c) {
    const uint8_t *data;
    size_t n;
    while ((n = c->s.ops->peek(c->s.impl, &data)) > 0) {
        for (size_t i = 0; i < n; i++)
            c->wrong |= data[i] != lwip_pattern(c->received++);
        c->s.ops->consume(c->s.impl, n);
    }
}

static void client(struct conn *c) {
    uint8_t bytes[1024];
    compare(c);
    while (c->sent < c->bytes && c->sent - c->received < c->ahead) {
        uint64_t n = c->bytes - c->sent, ahead = c->ahead - (c->sent - c->received);
        n = n < ahead ? n : ahead;
        n = n < sizeof(bytes) ? n : sizeof(bytes);
        for (uint64_t i = 0; i < n; i++)
            bytes[i] = lwip_pattern(c->sent + i);
        size_t took = c->s.ops->write(c->s.impl, bytes, n);
        c->sent += took;
        if (took < n)
            return;
    }
    if (c->ending == LWIP_ABORTS && c->received >= c->bytes / 2) {
        c->over = true;
        c->end = STREAM_END_OK;
        c->s.ops->abort(c->s.impl);
    } else if (c->sent == c->bytes &&
               (c->ending == LWIP_CLOSES_FIRST || c->s.ops->at_eof(c->s.impl))) {
        finish(c);
    }
}

static void go_on(struct conn *c) {
    if (c->over || !c->connected || now_ns < c->stall_until_ns)
        return;
    if (c->client)
        client(c);
    else
        echo(c);
}

static void on_connected(void *user) {
    struct conn *c = user;
    c->connected = true;
    go_on(c);
}

static void on_event(void *user) {
    go_on(user);
}

static void on_closed(void *user, enum stream_end end) {
    struct conn *c = user;
    c->over = true;
    c->end = end;
}

static const struct stream_handler handler = {on_connected, on_event, on_event, on_closed};

static uint64_t next_stall_ns; /* of connections that are accepted from now on */

static void *on_accepted(void *ctx, struct stream s, const struct tgw_endpoint *local,
                         const struct tgw_endpoint *remote) {
    (void)ctx;
    (void)local;
    (void)remote;
    if (places == PLACES)
        return NULL;
    place[places] =
        (struct conn){.s = s, .connected = true, .stall_until_ns = now_ns + next_stall_ns};
    return &place[places++];
}

static struct lwip_conn *on_lwip_accepted(void) {
    if (lwip_places == PLACES)
        return NULL;
    lwip_place[lwip_places] = (struct lwip_conn){.stall_until_ns = now_ns + next_stall_ns};
    return &lwip_place[lwip_places++];
}

static void our_turn(void) {
    struct rte_mbuf *m[BURST];
    tcp_begin(tcp, now_ns);
    uint16_t n = port_rx(port, 0, m, BURST);
    if (n)
        net_input(net, now_ns, 0, m, n);
    for (unsigned i = 0; i < places; i++)
        if (place[i].stall_until_ns && place[i].stall_until_ns <= now_ns) {
            place[i].stall_until_ns = 0;
            go_on(&place[i]);
        }
    tcp_advance(tcp, now_ns);
    net_tick(net, now_ns);
    tcp_flush(tcp);
    net_flush(net);
    tcp_check(tcp);
}

static void lwip_side_turn(void) {
    struct rte_mbuf *m[BURST];
    uint16_t n = port_rx(lwip_port, 0, m, BURST);
    for (uint16_t i = 0; i < n; i++)
        lwip_input(rte_pktmbuf_mtod(m[i], const uint8_t *), m[i]->pkt_len);
    rte_pktmbuf_free_bulk(m, n);
    lwip_turn();
    for (unsigned i = 0; i < lwip_places; i++)
        if (lwip_place[i].stall_until_ns && lwip_place[i].stall_until_ns <= now_ns) {
            lwip_place[i].stall_until_ns = 0;
            lwip_go_on(&lwip_place[i]);
        }
}

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static void step(void) {
    uint64_t next = least(tcp_next_timer(tcp), net_next_timer(net));
    next = least(least(next, lwip_next()), least(wire_next(wire, 0), wire_next(wire, 1)));
    next = least(next, now_ns + 100 * MS); /* stalls end in steps */
    now_ns = next > now_ns ? next : now_ns + 1000;
    our_turn();
    lwip_side_turn();
}

static bool all_over(void) {
    for (unsigned i = 0; i < places; i++)
        if (!place[i].over)
            return false;
    for (unsigned i = 0; i < lwip_places; i++)
        if (lwip_place[i].pcb)
            return false;
    return true;
}

static void run(uint64_t most_ns) {
    uint64_t until_ns = now_ns + most_ns;
    do
        step();
    while (now_ns < until_ns && !all_over());
    CU_ASSERT_TRUE(all_over());
}

static void fair_weather(void) {
    for (unsigned end = 0; end < 2; end++)
        *wire_fault(wire, end) = (struct wire_fault){.delay_ns = MS};
}

static void begin(void) {
    fair_weather();
    places = lwip_places = 0;
    next_stall_ns = 0;
}

/* Nothing is held once TIME_WAIT is over. */
static void settle(void) {
    struct tcp_usage u;
    fair_weather();
    for (uint64_t until_ns = now_ns + 200 * SECOND; now_ns < until_ns;)
        step();
    tcp_usage(tcp, &u);
    CU_ASSERT_EQUAL(u.connections + u.time_wait + u.half_open, 0);
    CU_ASSERT_EQUAL(u.small_blocks + u.large_blocks, 0);
}

static const uint8_t OUR4[4] = {198, 18, 0, 1}, LWIP4[4] = {198, 18, 0, 2};
static const uint8_t OUR6[16] = {0xfd, 0x18, [15] = 1}, LWIP6[16] = {0xfd, 0x18, [15] = 2};

static struct conn *we_connect(bool ipv6, uint64_t bytes, uint64_t ahead, enum lwip_ending ending) {
    struct conn *c = &place[places++];
    struct tgw_endpoint to = {.port = ECHO_PORT};
    struct ip_addr a = ip_addr_from4(LWIP4);
    memcpy(to.addr, ipv6 ? LWIP6 : a.b, 16);
    *c = (struct conn){.client = true, .bytes = bytes, .ahead = ahead, .ending = ending};
    tcp_begin(tcp, now_ns);
    c->s = tcp_connect(tcp, now_ns, &to, &handler, c, NULL, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(c->s.impl);
    tcp_flush(tcp);
    net_flush(net);
    return c;
}

static struct lwip_conn *lwip_connects(bool ipv6, uint64_t bytes, uint64_t ahead,
                                       enum lwip_ending ending) {
    struct lwip_conn *c = &lwip_place[lwip_places++];
    *c = (struct lwip_conn){.bytes = bytes, .ahead = ahead, .ending = ending};
    CU_ASSERT_TRUE_FATAL(lwip_connect(c, OUR4, OUR6, ipv6, ECHO_PORT));
    return c;
}

static void is_good(const struct conn *c) {
    CU_ASSERT_FALSE(c->wrong);
    CU_ASSERT_EQUAL(c->end, STREAM_END_OK);
    if (c->client && c->ending != LWIP_ABORTS)
        CU_ASSERT_EQUAL(c->received, c->bytes);
}

static void all_good(void) {
    for (unsigned i = 0; i < places; i++)
        is_good(&place[i]);
    for (unsigned i = 0; i < lwip_places; i++) {
        const struct lwip_conn *c = &lwip_place[i];
        CU_ASSERT_FALSE(c->wrong || c->reset);
        if (c->client)
            CU_ASSERT_EQUAL(c->received, c->bytes);
    }
}

/* One each way, over each family. */
static void both_ways(uint64_t bytes, uint64_t ahead) {
    for (int ipv6 = 0; ipv6 < 2; ipv6++) {
        we_connect(ipv6, bytes, ahead, LWIP_CLOSES_FIRST);
        lwip_connects(ipv6, bytes, ahead, LWIP_CLOSES_FIRST);
    }
    run(3600 * SECOND);
    all_good();
    CU_ASSERT_EQUAL(places, 4);
    CU_ASSERT_EQUAL(lwip_places, 4);
}

static void bulk(void) {
    begin();
    both_ways(5000000, UINT64_MAX);
    settle();
}

static void ping_pong(void) {
    begin();
    both_ways(32 * 1000, 32);
    settle();
}

static void short_connections(void) {
    for (int round = 0; round < 10; round++) {
        begin();
        for (int i = 0; i < 50; i++) {
            we_connect(i & 1, 100, UINT64_MAX, LWIP_CLOSES_FIRST);
            lwip_connects(i & 1, 100, UINT64_MAX, LWIP_CLOSES_FIRST);
        }
        run(600 * SECOND);
        all_good();
    }
    settle();
}

static void the_other_end_closes_by_itself(void) {
    begin();
    /* An echo server closes when its client has: a client that waits has to be told. */
    struct conn *c = we_connect(false, 0, UINT64_MAX, LWIP_CLOSES_LAST);
    struct lwip_conn *l = lwip_connects(true, 0, UINT64_MAX, LWIP_CLOSES_LAST);
    for (uint64_t until_ns = now_ns + SECOND; now_ns < until_ns;)
        step();
    CU_ASSERT_FALSE(c->over);
    CU_ASSERT_PTR_NOT_NULL(l->pcb);
    /* Both ends of both connections at the same moment. */
    for (unsigned i = 0; i < places; i++)
        finish(&place[i]);
    tcp_flush(tcp);
    net_flush(net);
    for (unsigned i = 0; i < lwip_places; i++) {
        lwip_place[i].eof = true;
        lwip_go_on(&lwip_place[i]);
    }
    run(600 * SECOND);
    all_good();
    settle();
}

static void aborts_are_told(void) {
    begin();
    we_connect(false, 100000, 4096, LWIP_ABORTS);
    run(600 * SECOND);
    CU_ASSERT_EQUAL(lwip_places, 1);
    CU_ASSERT_TRUE(lwip_place[0].reset);
    begin();
    lwip_connects(true, 100000, 4096, LWIP_ABORTS);
    run(600 * SECOND);
    CU_ASSERT_EQUAL(places, 1);
    CU_ASSERT_EQUAL(place[0].end, STREAM_END_RESET);
    settle();
}

static void readers_that_stall(void) {
    begin();
    next_stall_ns = 90 * SECOND;
    both_ways(1000000, UINT64_MAX);
    CU_ASSERT_TRUE(tgw_counter_get(&counters, TGW_C_tcp_zero_window_probes) > 0);
    CU_ASSERT_TRUE(tgw_counter_get(&counters, TGW_C_tcp_zero_windows) > 0);
    settle();
}

static void rough(const struct wire_fault *f, uint64_t bytes) {
    begin();
    for (unsigned end = 0; end < 2; end++)
        *wire_fault(wire, end) = *f;
    both_ways(bytes, UINT64_MAX);
    settle();
}

static void loss_of_one_per_cent(void) {
    rough(&(struct wire_fault){.delay_ns = 10 * MS, .loss_pm = 10}, 2000000);
}

static void loss_of_five_per_cent(void) {
    rough(&(struct wire_fault){.delay_ns = 10 * MS, .loss_pm = 50}, 500000);
}

static void reordering_and_duplicates(void) {
    rough(&(struct wire_fault){.delay_ns = 5 * MS, .jitter_ns = 5 * MS, .duplicate_pm = 100},
          1000000);
}

static void damage(void) {
    rough(&(struct wire_fault){.delay_ns = 5 * MS, .corrupt_pm = 20, .truncate_pm = 10}, 500000);
}

static void open_ours(void) {
    static const struct net_ops up = {tcp_input, tcp_icmp_error, tcp_input_burst};
    static const struct tcp_listener l = {on_accepted, NULL, &handler};
    struct tcp_config c;
    struct net_config nc = {.iface_count = 1, .pool = ours, .counters = &counters, .seed = 1};
    port = wire_port(wire, 0, 1500, ours);
    nc.iface[0] = (struct net_iface_config){.port = port, .addr_count = 2};
    nc.iface[0].addr[0] = (struct ip_prefix){ip_addr_from4(OUR4), 120};
    nc.iface[0].addr[1] = (struct ip_prefix){.len = 64};
    memcpy(nc.iface[0].addr[1].addr.b, OUR6, 16);
    tcp_config_defaults(&c);
    c.connections_max = c.time_wait_max = 2048;
    c.counters = &counters;
    c.seed = 1;
    c.ack_delay_ms = 40;
    c.use_ecn = true;
    net = net_create(&nc, &up, NULL, now_ns);
    tcp = net ? tcp_create(&c, net, now_ns) : NULL;
    if (!tcp || !tcp_listen(tcp, ECHO_PORT, &l))
        abort();
    net_bind(net, tcp);
}

static const char *open_all(void) {
    struct lwip_setup s = {.send = on_frame, .now_ns = &now_ns};
    ours = test_eal_init(MBUFS);
    theirs =
        rte_pktmbuf_pool_create("lwip", MBUFS, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    wire = wire_create(&now_ns, (struct rng){1}, &(struct wire_watch){NULL, NULL});
    if (!theirs || !wire)
        return "no memory";
    lwip_port = wire_port(wire, LWIP_END, 1500, theirs);
    memcpy(s.mac, lwip_port->mac, 6);
    memcpy(s.addr4, LWIP4, 4);
    memcpy(s.addr6, LWIP6, 16);
    open_ours();
    const char *wrong = lwip_open(&s);
    if (!wrong && !lwip_serve(ECHO_PORT, on_lwip_accepted))
        wrong = "lwIP does not listen";
    return wrong;
}

int main(void) {
    static const struct suite_case cases[] = {
        {"bulk", bulk},
        {"ping-pong", ping_pong},
        {"1,000 short connections", short_connections},
        {"both ends close at once", the_other_end_closes_by_itself},
        {"aborts are told", aborts_are_told},
        {"readers that stall", readers_that_stall},
        {"loss of 1 %", loss_of_one_per_cent},
        {"loss of 5 %", loss_of_five_per_cent},
        {"reordering and duplicates", reordering_and_duplicates},
        {"damage", damage},
    };
    const char *wrong = open_all();
    if (wrong) {
        printf("Bail out! %s\n", wrong);
        return 1;
    }
    int status = suite_run("interop/lwip", cases, sizeof(cases) / sizeof(cases[0]));
    tcp_destroy(tcp);
    net_destroy(net);
    wire_destroy(wire);
    return status;
}

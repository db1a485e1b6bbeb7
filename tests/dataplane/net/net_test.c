#include "rig.h"
#include "tests/lib/eal_init.h"
#include "tests/lib/suite.h"

static struct rte_mempool *pool;
static struct rig *r;
static struct frame f, out;

static void begin(void) {
    r = rig_open(pool);
}

/* Nothing may be left behind, in whatever state the caches were. */
static void end(void) {
    rig_close(r);
    CU_ASSERT_EQUAL(rte_mempool_in_use_count(pool), 0);
}

static void own_addresses_are_announced(void) {
    begin();
    CU_ASSERT_TRUE_FATAL(rig_recv(r, 0, &out));
    CU_ASSERT_EQUAL(out.b[0], 0xff);
    CU_ASSERT_EQUAL(memcmp(out.b + 28, out.b + 38, 4), 0); /* sender is target: RFC 5227 */
    CU_ASSERT_TRUE_FATAL(rig_recv(r, 0, &out));
    CU_ASSERT_EQUAL(out.b[54], 136);
    CU_ASSERT_EQUAL(out.b[58], 0x20);
    end();
}

static void a_dry_pool_is_counted(void) {
    struct rte_mbuf *taken[8192];
    unsigned n = 0;
    begin();
    rig_drain(r);
    while (n < 8192 && (taken[n] = net_tx_alloc(r->net)) != NULL)
        n++;
    CU_ASSERT_TRUE_FATAL(n > 0 && n < 8192);
    CU_ASSERT_EQUAL(rig_reason(r, TGW_R_mbuf_exhausted), 1);
    while (n > 0)
        rte_pktmbuf_free(taken[--n]);
    end();
}

static void arp_is_answered(void) {
    begin();
    rig_drain(r);
    frame_arp(&f, 1, "198.18.0.1", "198.18.0.2");
    rig_send(r, 0, &f);
    CU_ASSERT_TRUE_FATAL(rig_recv(r, 0, &out));
    CU_ASSERT_EQUAL(out.len, 42);
    CU_ASSERT_EQUAL(memcmp(out.b, RIG_PEER_MAC, 6), 0);
    CU_ASSERT_EQUAL(out.b[21], 2);
    CU_ASSERT_EQUAL(memcmp(out.b + 22, RIG_OUR_MAC, 6), 0);
    CU_ASSERT_EQUAL(memcmp(out.b + 28, (uint8_t[]){198, 18, 0, 2}, 4), 0);
    /* The other interface's address is not answered for here. */
    frame_arp(&f, 1, "198.18.0.1", "198.18.1.2");
    rig_send(r, 0, &f);
    CU_ASSERT_FALSE(rig_recv(r, 0, &out));
    CU_ASSERT_EQUAL(rig_reason(r, TGW_R_arp_not_ours), 1);
    end();
}

static void echo_is_answered(void) {
    static const uint8_t request[] = {8, 0, 0, 0, 0, 7, 0, 1, 'p', 'i', 'n', 'g', '!'};
    begin();
    frame_arp(&f, 1, "198.18.0.1", "198.18.0.2");
    rig_send(r, 0, &f);
    rig_drain(r);
    frame_icmp(&f, "198.18.0.1", "198.18.0.2", request, sizeof(request));
    f.len = 60; /* padded, as Ethernet does */
    rig_send(r, 0, &f);
    CU_ASSERT_TRUE_FATAL(rig_recv(r, 0, &out)); /* a learned entry is verified at first use */
    CU_ASSERT_EQUAL(out.b[13], 0x06);
    CU_ASSERT_TRUE_FATAL(rig_recv(r, 0, &out));
    CU_ASSERT_EQUAL(out.len, 14 + 20 + sizeof(request));
    CU_ASSERT_EQUAL(out.b[34], 0);
    CU_ASSERT_EQUAL(memcmp(out.b + 38, request + 4, sizeof(request) - 4), 0);
    /* Right checksums: the reply, sent back, is told from a malformed one. */
    frame_icmp(&f, "198.18.0.2", "198.18.0.1", out.b + 34, sizeof(request));
    CU_ASSERT_EQUAL(memcmp(f.b + 34, out.b + 34, sizeof(request)), 0);
    end();
}

static void echo_is_answered_over_ipv6(void) {
    static const uint8_t request[] = {128, 0, 0, 0, 0, 7, 0, 1, 'p', 'i', 'n', 'g', '!'};
    begin();
    frame_ndp(&f, "fd18::1", "ff02::1:ff00:2", 135, 0, "fd18::2");
    rig_send(r, 0, &f);
    rig_drain(r);
    frame_icmp(&f, "fd18::1", "fd18::2", request, sizeof(request));
    rig_send(r, 0, &f);
    CU_ASSERT_TRUE_FATAL(rig_recv(r, 0, &out));
    CU_ASSERT_EQUAL(out.b[54], 135);
    CU_ASSERT_TRUE_FATAL(rig_recv(r, 0, &out));
    CU_ASSERT_EQUAL(out.len, 14 + 40 + sizeof(request));
    frame_icmp(&f, "fd18::2", "fd18::1", out.b + 54, sizeof(request));
    CU_ASSERT_EQUAL(out.b[54], 129);
    CU_ASSERT_EQUAL(memcmp(f.b + 54, out.b + 54, sizeof(request)), 0);
    end();
}

static void echo_has_a_rate_limit(void) {
    static const uint8_t request[] = {8, 0, 0, 0, 0, 7, 0, 1};
    begin();
    frame_arp(&f, 1, "198.18.0.1", "198.18.0.2");
    rig_send(r, 0, &f);
    frame_icmp(&f, "198.18.0.1", "198.18.0.2", request, sizeof(request));
    for (int k = 0; k < 1100; k++) {
        rig_send(r, 0, &f);
        rig_drain(r);
    }
    CU_ASSERT_EQUAL(rig_reason(r, TGW_R_icmp_rate_limited), 100);
    rig_wait_ms(r, 10);
    rig_send(r, 0, &f);
    CU_ASSERT_TRUE(rig_recv(r, 0, &out));
    end();
}

static void solicitation_is_answered(void) {
    begin();
    rig_drain(r);
    frame_ndp(&f, "fd18::1", "ff02::1:ff00:2", 135, 0, "fd18::2");
    rig_send(r, 0, &f);
    CU_ASSERT_TRUE_FATAL(rig_recv(r, 0, &out));
    CU_ASSERT_EQUAL(out.b[21], 255); /* hop limit */
    CU_ASSERT_EQUAL(out.b[54], 136);
    CU_ASSERT_EQUAL(out.b[58], 0x60); /* solicited, override */
    CU_ASSERT_EQUAL(memcmp(out.b, RIG_PEER_MAC, 6), 0);
    CU_ASSERT_EQUAL(memcmp(out.b + 80, RIG_OUR_MAC, 6), 0);
    /* Duplicate address detection by somebody else: told to everybody. */
    frame_ndp(&f, "::", "ff02::1:ff00:2", 135, 0, "fd18::2");
    f.len -= 8;
    frame_icmp(&out, "::", "ff02::1:ff00:2", f.b + 54, 24);
    rig_send(r, 0, &out);
    CU_ASSERT_TRUE_FATAL(rig_recv(r, 0, &out));
    CU_ASSERT_EQUAL(out.b[0], 0x33);
    CU_ASSERT_EQUAL(out.b[58], 0x20);
    end();
}

static void packets_wait_for_arp(void) {
    begin();
    rig_drain(r);
    for (int k = 0; k < 6; k++)
        rig_output(r, "198.18.0.2", "198.18.0.1");
    CU_ASSERT_EQUAL(rig_reason(r, TGW_R_neigh_unresolved), 2); /* four wait */
    CU_ASSERT_TRUE_FATAL(rig_recv(r, 0, &out));
    CU_ASSERT_EQUAL(out.b[13], 0x06);
    CU_ASSERT_FALSE(rig_recv(r, 0, &out));
    frame_arp(&f, 2, "198.18.0.1", "198.18.0.2");
    rig_send(r, 0, &f);
    for (int k = 0; k < 4; k++) {
        CU_ASSERT_TRUE_FATAL(rig_recv(r, 0, &out));
        CU_ASSERT_EQUAL(out.len, 54);
        CU_ASSERT_EQUAL(memcmp(out.b, RIG_PEER_MAC, 6), 0);
        CU_ASSERT_EQUAL(out.b[20] & 0x40, 0x40); /* DF */
    }
    CU_ASSERT_FALSE(rig_recv(r, 0, &out));
    end();
}

/* A network full of neighbours that differ in their last byte. */
static void many_neighbours_are_kept(void) {
    char peer[32];
    begin();
    rig_drain(r);
    for (int k = 3; k < 250; k++) {
        snprintf(peer, sizeof(peer), "198.18.0.%d", k);
        rig_output(r, "198.18.0.2", peer);
        frame_arp(&f, 2, peer, "198.18.0.2");
        rig_send(r, 0, &f);
        rig_drain(r);
    }
    int asked = 0;
    for (int k = 3; k < 250; k++) {
        snprintf(peer, sizeof(peer), "198.18.0.%d", k);
        rig_output(r, "198.18.0.2", peer);
        while (rig_recv(r, 0, &out))
            asked += out.b[13] == 0x06;
    }
    CU_ASSERT_TRUE(asked < 8); /* sets have four ways: a few may meet */
    end();
}

/* A load rig's many clients: every address of the range is answered for and listens. */
static void range_is_ours(void) {
    begin();
    rig_drain(r);
    frame_arp(&f, 1, "198.18.1.1", "198.18.1.77");
    rig_send(r, 1, &f);
    CU_ASSERT_TRUE_FATAL(rig_recv(r, 1, &out));
    CU_ASSERT_EQUAL(memcmp(out.b + 28, (uint8_t[]){198, 18, 1, 77}, 4), 0);
    frame_tcp(&f, "198.18.1.1", "198.18.1.127", NULL, 0, "x");
    rig_send(r, 1, &f);
    CU_ASSERT_EQUAL(r->segments, 1);
    frame_tcp(&f, "198.18.1.1", "198.18.1.128", NULL, 0, "x");
    rig_send(r, 1, &f);
    CU_ASSERT_EQUAL(r->segments, 1);
    CU_ASSERT_EQUAL(rig_reason(r, TGW_R_ip_not_ours), 1);
    end();
}

static void packets_wait_for_ndp(void) {
    begin();
    rig_drain(r);
    rig_output(r, "fd18::2", "fd18::1");
    CU_ASSERT_TRUE_FATAL(rig_recv(r, 0, &out));
    CU_ASSERT_EQUAL(out.b[54], 135);
    CU_ASSERT_EQUAL(memcmp(out.b, (uint8_t[]){0x33, 0x33, 0xff, 0, 0, 1}, 6), 0);
    frame_ndp(&f, "fd18::1", "fd18::2", 136, 0x60, "fd18::1");
    rig_send(r, 0, &f);
    CU_ASSERT_TRUE_FATAL(rig_recv(r, 0, &out));
    CU_ASSERT_EQUAL(out.len, 14 + 40 + 20);
    CU_ASSERT_EQUAL(out.b[20], 6);
    end();
}

static void silent_neighbour_is_given_up(void) {
    begin();
    rig_drain(r);
    CU_ASSERT_EQUAL(net_next_timer(r->net), UINT64_MAX);
    rig_output(r, "198.18.0.2", "198.18.0.1");
    CU_ASSERT_TRUE(net_next_timer(r->net) < r->now_ns + 2000000000);
    rig_wait_ms(r, 3500);
    int asked = 0;
    while (rig_recv(r, 0, &out))
        asked++;
    CU_ASSERT_EQUAL(asked, 3);
    CU_ASSERT_EQUAL(rig_reason(r, TGW_R_neigh_unresolved), 1);
    rig_output(r, "198.18.0.2", "198.18.0.1"); /* refused without asking again at once */
    CU_ASSERT_EQUAL(rig_reason(r, TGW_R_neigh_unresolved), 2);
    CU_ASSERT_FALSE(rig_recv(r, 0, &out));
    rig_wait_ms(r, 1100);
    rig_output(r, "198.18.0.2", "198.18.0.1");
    CU_ASSERT_TRUE(rig_recv(r, 0, &out));
    end();
}

static void used_neighbour_is_probed_by_unicast(void) {
    begin();
    rig_output(r, "198.18.0.2", "198.18.0.1");
    frame_arp(&f, 2, "198.18.0.1", "198.18.0.2");
    rig_send(r, 0, &f);
    rig_wait_ms(r, 31000);
    rig_drain(r);
    rig_output(r, "198.18.0.2", "198.18.0.1");
    CU_ASSERT_TRUE_FATAL(rig_recv(r, 0, &out));
    CU_ASSERT_EQUAL(out.b[13], 0x06);
    CU_ASSERT_EQUAL(memcmp(out.b, RIG_PEER_MAC, 6), 0);
    CU_ASSERT_TRUE_FATAL(rig_recv(r, 0, &out)); /* the packet goes meanwhile */
    CU_ASSERT_EQUAL(out.len, 54);
    rig_send(r, 0, &f);
    rig_wait_ms(r, 5000);
    CU_ASSERT_FALSE(rig_recv(r, 0, &out));
    end();
}

/* An ARP answer of a machine whose address ends with `last`. */
static void answer_as(const char *who, uint8_t last) {
    frame_arp(&f, 2, who, "198.18.0.2");
    f.b[11] = f.b[27] = last;
    rig_send(r, 0, &f);
}

/* Packets in turn to two of them: the one found last is not the other. */
static void each_neighbour_gets_its_own(void) {
    begin();
    rig_output_by(r, "198.18.0.2", "198.18.0.10", 0);
    rig_output_by(r, "198.18.0.2", "198.18.0.11", 0);
    answer_as("198.18.0.10", 10);
    answer_as("198.18.0.11", 11);
    rig_drain(r);
    for (int k = 0; k < 6; k++) {
        rig_output_by(r, "198.18.0.2", k & 1 ? "198.18.0.11" : "198.18.0.10", 0);
        CU_ASSERT_TRUE_FATAL(rig_recv(r, 0, &out));
        CU_ASSERT_EQUAL(out.len, 54);
        CU_ASSERT_EQUAL(out.b[5], k & 1 ? 11 : 10);
    }
    end();
}

/* Whose place was taken by others is asked for again, though found last. */
static void who_was_pushed_out_is_asked_for_again(void) {
    char peer[32];
    begin();
    rig_output_by(r, "198.18.0.2", "198.18.0.10", 0);
    answer_as("198.18.0.10", 10);
    rig_output_by(r, "198.18.0.2", "198.18.0.10", 0);
    rig_wait_ms(r, 20);
    for (int k = 0x100; k < 0x1100; k++) {
        snprintf(peer, sizeof(peer), "fd18::%x", (unsigned)k);
        rig_output(r, "fd18::2", peer);
        frame_ndp(&f, peer, "fd18::2", 136, 0x60, peer);
        rig_send(r, 0, &f);
        rig_drain(r);
    }
    rig_output_by(r, "198.18.0.2", "198.18.0.10", 0);
    CU_ASSERT_TRUE_FATAL(rig_recv(r, 0, &out));
    CU_ASSERT_EQUAL(out.b[13], 0x06);
    CU_ASSERT_EQUAL(out.b[0], 0xff);
    CU_ASSERT_FALSE(rig_recv(r, 0, &out));
    end();
}

/* Another machine may have the address now. */
static void neighbours_are_asked_for_when_the_link_returns(void) {
    begin();
    rig_output_by(r, "198.18.0.2", "198.18.0.10", 0);
    answer_as("198.18.0.10", 10);
    rig_output_by(r, "198.18.0.2", "198.18.0.10", 0);
    net_link_returned(r->net, r->now_ns);
    rig_drain(r);
    rig_output_by(r, "198.18.0.2", "198.18.0.10", 0);
    CU_ASSERT_TRUE_FATAL(rig_recv(r, 0, &out));
    CU_ASSERT_EQUAL(out.b[13], 0x06);
    CU_ASSERT_EQUAL(out.b[0], 0xff);
    CU_ASSERT_FALSE(rig_recv(r, 0, &out));
    answer_as("198.18.0.10", 77);
    CU_ASSERT_TRUE_FATAL(rig_recv(r, 0, &out));
    CU_ASSERT_EQUAL(out.len, 54);
    CU_ASSERT_EQUAL(out.b[5], 77);
    end();
}

static void unasked_answer_makes_no_entry(void) {
    begin();
    frame_arp(&f, 2, "198.18.0.1", "198.18.0.2");
    rig_send(r, 0, &f);
    rig_drain(r);
    rig_output(r, "198.18.0.2", "198.18.0.1");
    CU_ASSERT_TRUE_FATAL(rig_recv(r, 0, &out));
    CU_ASSERT_EQUAL(out.b[13], 0x06);
    end();
}

static void routes_are_chosen(void) {
    static const struct {
        const char *dst, *src;
        uint8_t iface;
    } rows[] = {
        {"198.18.0.77", "198.18.0.2", 0}, {"198.18.1.77", "198.18.1.2", 1},
        {"8.8.8.8", "198.18.1.2", 1},     {"fd18::77", "fd18::2", 0},
        {"fd19::77", "fd19::2", 1},       {"2001:db8::1", "fd19::2", 1},
    };
    struct net_route route;
    begin();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ip_addr dst = rig_addr(rows[i].dst), src = rig_addr(rows[i].src);
        CU_ASSERT_TRUE_FATAL(net_route(r->net, &dst, &route));
        CU_ASSERT_EQUAL(route.iface, rows[i].iface);
        CU_ASSERT_TRUE(ip_addr_eq(&route.src, &src));
        CU_ASSERT_EQUAL(route.mtu, 1500);
    }
    rig_drain(r);
    rig_output(r, "198.18.1.2", "8.8.8.8"); /* asks for the gateway */
    CU_ASSERT_TRUE_FATAL(rig_recv(r, 1, &out));
    CU_ASSERT_EQUAL(memcmp(out.b + 38, (uint8_t[]){198, 18, 1, 1}, 4), 0);
    end();
}

static void ignore_segment(void *ctx, const struct seg *s, struct rte_mbuf *m) {
    (void)ctx;
    (void)s;
    (void)m;
}

static void missing_route_is_a_reason(void) {
    struct port *pair[2];
    struct net_config c = {.iface_count = 1, .pool = pool};
    begin();
    CU_ASSERT_TRUE_FATAL(port_sim_pair(pair, 1500, 16));
    c.counters = r->counters;
    c.iface[0].port = pair[0];
    c.iface[0].addr_count = 1;
    ip_prefix_parse("198.18.0.2/24", true, &c.iface[0].addr[0]);
    net_destroy(r->net);
    struct net_ops none = {.tcp_segment = ignore_segment};
    r->net = net_create(&c, &none, NULL, r->now_ns);
    struct ip_addr far = rig_addr("8.8.8.8");
    struct net_route route;
    CU_ASSERT_FALSE(net_route(r->net, &far, &route));
    rig_output(r, "198.18.0.2", "8.8.8.8");
    CU_ASSERT_EQUAL(rig_reason(r, TGW_R_no_route), 1);
    net_destroy(r->net);
    r->net = NULL;
    pair[0]->ops->close(pair[0]);
    pair[1]->ops->close(pair[1]);
    end();
}

static void full_port_is_a_reason(void) {
    begin();
    frame_arp(&f, 1, "198.18.0.1", "198.18.0.2");
    rig_send(r, 0, &f);
    rig_drain(r);
    for (int k = 0; k < 300; k++) /* the pair holds 256; one more is the verifying ARP */
        rig_output(r, "198.18.0.2", "198.18.0.1");
    CU_ASSERT_EQUAL(rig_reason(r, TGW_R_tx_full), 300 + 1 - 256);
    end();
}

static void icmp_error_is_passed_up(void) {
    /* Fragmentation needed, next-hop MTU 1400, quoting 198.18.0.2:80 to 198.18.0.1:12345. */
    uint8_t e[36] = {3, 4, 0, 0, 0, 0, 0x05, 0x78, 0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6};
    memcpy(e + 20, (uint8_t[]){198, 18, 0, 2, 198, 18, 0, 1, 0, 80, 0x30, 0x39, 1, 2, 3, 4}, 16);
    begin();
    frame_icmp(&f, "198.18.0.9", "198.18.0.2", e, sizeof(e));
    rig_send(r, 0, &f);
    CU_ASSERT_EQUAL(r->errors, 1);
    CU_ASSERT_TRUE(r->error.too_big && !r->error.hard);
    CU_ASSERT_EQUAL(r->error.mtu, 1400);
    CU_ASSERT_EQUAL(r->error.lport, 80);
    CU_ASSERT_EQUAL(r->error.rport, 12345);
    CU_ASSERT_EQUAL(r->error.seq, 0x01020304);
    e[1] = 3;
    frame_icmp(&f, "198.18.0.9", "198.18.0.2", e, sizeof(e));
    rig_send(r, 0, &f);
    CU_ASSERT_TRUE(r->error.hard && !r->error.too_big && r->error.mtu == 0);
    end();
}

static void packet_too_big_is_passed_up(void) {
    uint8_t e[8 + 40 + 8] = {2, 0, 0, 0, 0, 0, 0x05, 0x00, 0x60, 0, 0, 0, 0, 20, 6, 64};
    struct ip_addr us = rig_addr("fd18::2"), peer = rig_addr("fd18::1");
    memcpy(e + 16, us.b, 16);
    memcpy(e + 32, peer.b, 16);
    memcpy(e + 48, (uint8_t[]){0, 80, 0x30, 0x39, 9, 8, 7, 6}, 8);
    begin();
    frame_icmp(&f, "fd18::9", "fd18::2", e, sizeof(e));
    rig_send(r, 0, &f);
    CU_ASSERT_EQUAL(r->errors, 1);
    CU_ASSERT_TRUE(r->error.too_big);
    CU_ASSERT_EQUAL(r->error.mtu, 1280);
    CU_ASSERT_EQUAL(r->error.seq, 0x09080706);
    CU_ASSERT_TRUE(ip_addr_eq(&r->error.local, &us));
    end();
}

int main(void) {
    static const struct suite_case cases[] = {
        {"own addresses are announced", own_addresses_are_announced},
        {"a dry pool is counted", a_dry_pool_is_counted},
        {"ARP is answered", arp_is_answered},
        {"echo is answered", echo_is_answered},
        {"echo is answered over IPv6", echo_is_answered_over_ipv6},
        {"echo has a rate limit", echo_has_a_rate_limit},
        {"solicitation is answered", solicitation_is_answered},
        {"packets wait for ARP", packets_wait_for_arp},
        {"many neighbours are kept", many_neighbours_are_kept},
        {"range is ours", range_is_ours},
        {"packets wait for NDP", packets_wait_for_ndp},
        {"silent neighbour is given up", silent_neighbour_is_given_up},
        {"each neighbour gets its own", each_neighbour_gets_its_own},
        {"who was pushed out is asked for again", who_was_pushed_out_is_asked_for_again},
        {"neighbours are asked for when the link returns",
         neighbours_are_asked_for_when_the_link_returns},
        {"used neighbour is probed by unicast", used_neighbour_is_probed_by_unicast},
        {"unasked answer makes no entry", unasked_answer_makes_no_entry},
        {"routes are chosen", routes_are_chosen},
        {"missing route is a reason", missing_route_is_a_reason},
        {"full port is a reason", full_port_is_a_reason},
        {"ICMP error is passed up", icmp_error_is_passed_up},
        {"packet too big is passed up", packet_too_big_is_passed_up},
    };
    pool = test_eal_init(2047);
    return suite_run("net", cases, sizeof(cases) / sizeof(cases[0]));
}

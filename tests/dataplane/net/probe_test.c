/* A port under test, its neighbour a host of the test's own: it answers only what arrives
 * right, as a kernel does. */
#include "drivers/sim.h"
#include "net/net.h"
#include "net/probe.h"
#include "tests/lib/eal_init.h"
#include "tests/lib/suite.h"
#include <rte_ip.h>
#include <rte_tcp.h>
#include <stdlib.h>

static struct rte_mempool *pool;
static const uint8_t HOST_MAC[6] = {0x02, 0, 0, 0, 0, 0x99};

/* What the port does of what it says; the rest are lies. */
enum truth { DOES_CKSUM = 1, DOES_TSO = 2, CALLS_GOOD_BAD = 4, GIVES_VERDICTS = 8 };

struct odd_port {
    struct port port;
    struct port *inner;
    unsigned truth;
};

struct bench {
    struct odd_port ours;
    struct port *host;
    struct net *net;
    struct tgw_counters *counters;
    uint64_t now_ns;
    uint16_t host_mtu, vlan;
    bool answers_echo, answers_tcp, open;
    uint16_t lands_on; /* queue of every answer */
};

static uint16_t odd_rx(struct port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n) {
    struct odd_port *o = (struct odd_port *)p;
    uint16_t got = port_rx(o->inner, queue, m, n);
    for (uint16_t i = 0; i < got; i++) {
        if (o->truth & GIVES_VERDICTS)
            m[i]->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
        if (o->truth & CALLS_GOOD_BAD)
            m[i]->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_BAD;
    }
    return got;
}

static void finish_checksums(struct rte_mbuf *m) {
    struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(m, void *, m->l2_len);
    struct rte_tcp_hdr *tcp = (void *)(ip + 1);
    if (m->ol_flags & RTE_MBUF_F_TX_IP_CKSUM) {
        ip->hdr_checksum = 0;
        ip->hdr_checksum = rte_ipv4_cksum(ip);
    }
    if ((m->ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_TCP_CKSUM) {
        tcp->cksum = 0;
        tcp->cksum = rte_ipv4_udptcp_cksum(ip, tcp);
    }
}

/* Two segments of a packet of two. */
static void cut(struct odd_port *o, struct rte_mbuf *m) {
    const uint16_t head = (uint16_t)(m->l2_len + 40), mss = m->tso_segsz;
    for (int k = 0; k < 2; k++) {
        struct rte_mbuf *s = rte_pktmbuf_copy(m, pool, 0, UINT32_MAX);
        uint8_t *p = rte_pktmbuf_mtod(s, uint8_t *);
        struct rte_ipv4_hdr *ip = (void *)(p + m->l2_len);
        struct rte_tcp_hdr *tcp = (void *)(ip + 1);
        memmove(p + head, p + head + k * mss, mss);
        rte_pktmbuf_trim(s, mss);
        ip->total_length = rte_cpu_to_be_16((uint16_t)(40 + mss));
        tcp->sent_seq = rte_cpu_to_be_32(rte_be_to_cpu_32(tcp->sent_seq) + (uint32_t)(k * mss));
        ip->hdr_checksum = tcp->cksum = 0;
        ip->hdr_checksum = rte_ipv4_cksum(ip);
        tcp->cksum = rte_ipv4_udptcp_cksum(ip, tcp);
        port_tx(o->inner, 0, &s, 1);
    }
    rte_pktmbuf_free(m);
}

static uint16_t odd_tx(struct port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n) {
    struct odd_port *o = (struct odd_port *)p;
    (void)queue;
    for (uint16_t i = 0; i < n; i++) {
        if (o->truth & DOES_CKSUM)
            finish_checksums(m[i]);
        if ((m[i]->ol_flags & RTE_MBUF_F_TX_TCP_SEG) && (o->truth & DOES_TSO))
            cut(o, m[i]);
        else
            port_tx(o->inner, 0, &m[i], 1);
    }
    return n;
}

static const struct port_ops odd_ops = {.rx_burst = odd_rx, .tx_burst = odd_tx};

static void bench_open(struct bench *b, uint32_t offloads, unsigned truth) {
    struct port *pair[2];
    size_t bytes = (sizeof(*b->counters) + 63) / 64 * 64;
    *b = (struct bench){.now_ns = 1000000000,
                        .host_mtu = 1500,
                        .answers_echo = true,
                        .answers_tcp = true,
                        .counters = aligned_alloc(64, bytes)};
    memset(b->counters, 0, bytes);
    CU_ASSERT_TRUE_FATAL(port_sim_pair(pair, 1500, 64));
    b->host = pair[1];
    b->ours = (struct odd_port){.port = *pair[0], .inner = pair[0], .truth = truth};
    b->ours.port.ops = &odd_ops;
    b->ours.port.offloads = offloads;
}

static void bench_net(struct bench *b) {
    static const struct net_ops nobody = {.tcp_segment = net_ignore_segment};
    struct net_config c = {.iface_count = 1, .pool = pool, .counters = b->counters, .seed = 3};
    b->ours.port.vlan = b->vlan;
    c.iface[0].port = &b->ours.port;
    c.iface[0].addr_count = 1;
    ip_prefix_parse("198.18.0.2/24", true, &c.iface[0].addr[0]);
    b->net = net_create(&c, &nobody, NULL, b->now_ns);
}

static void bench_close(struct bench *b) {
    net_destroy(b->net);
    b->ours.inner->ops->close(b->ours.inner);
    b->host->ops->close(b->host);
    CU_ASSERT_EQUAL(rte_mempool_in_use_count(pool), 0);
    free(b->counters);
}

static void swap(uint8_t *a, uint8_t *b, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint8_t t = a[i];
        a[i] = b[i];
        b[i] = t;
    }
}

/* False: not for a host to answer. */
static bool host_arp(uint8_t *p) {
    if (p[7] != 1 || memcmp(p + 24, (uint8_t[]){198, 18, 0, 1}, 4) != 0)
        return false;
    p[7] = 2;
    swap(p + 8, p + 18, 10);
    memcpy(p + 8, HOST_MAC, 6);
    return true;
}

static bool host_tcp(const struct bench *b, struct rte_mbuf *m, struct rte_ipv4_hdr *ip) {
    struct rte_tcp_hdr *t = (void *)(ip + 1);
    uint16_t ip_bytes = rte_be_to_cpu_16(ip->total_length);
    uint16_t claimed = t->cksum;
    t->cksum = 0;
    if (!b->answers_tcp || rte_ipv4_udptcp_cksum(ip, t) != claimed || (t->tcp_flags & 4))
        return false;
    bool syn = t->tcp_flags & 2;
    uint32_t ack = rte_be_to_cpu_32(t->sent_seq) + syn + (uint32_t)(ip_bytes - 40);
    swap((uint8_t *)&t->src_port, (uint8_t *)&t->dst_port, 2);
    t->recv_ack = rte_cpu_to_be_32(ack);
    t->sent_seq = 0;
    t->tcp_flags = b->open && syn ? 0x12 : 0x14;
    rte_pktmbuf_trim(m, (uint16_t)(ip_bytes - 40));
    ip->total_length = rte_cpu_to_be_16(40);
    swap((uint8_t *)&ip->src_addr, (uint8_t *)&ip->dst_addr, 4);
    t->cksum = 0;
    t->cksum = rte_ipv4_udptcp_cksum(ip, t);
    return true;
}

static bool host_icmp(const struct bench *b, struct rte_ipv4_hdr *ip) {
    uint8_t *p = (uint8_t *)(ip + 1);
    uint16_t len = (uint16_t)(rte_be_to_cpu_16(ip->total_length) - 20);
    if (!b->answers_echo || p[0] != 8 || rte_raw_cksum(p, len) != 0xffff)
        return false;
    p[0] = p[2] = p[3] = 0;
    uint16_t sum = (uint16_t)~rte_raw_cksum(p, len);
    memcpy(p + 2, &sum, 2);
    swap((uint8_t *)&ip->src_addr, (uint8_t *)&ip->dst_addr, 4);
    return true;
}

static bool host_answers(const struct bench *b, struct rte_mbuf *m) {
    uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *), *l3 = p + (b->vlan ? 18 : 14);
    swap(p, p + 6, 6);
    memcpy(p + 6, HOST_MAC, 6);
    if (b->vlan && (p[12] != 0x81 || p[13] != 0 || (p[14] << 8 | p[15]) != b->vlan))
        return false;
    if (l3[-2] == 8 && l3[-1] == 6)
        return host_arp(l3);
    struct rte_ipv4_hdr *ip = (void *)l3;
    uint16_t total = rte_be_to_cpu_16(ip->total_length);
    if (total > b->host_mtu || rte_raw_cksum(ip, 20) != 0xffff)
        return false;
    bool good = ip->next_proto_id == 6 ? host_tcp(b, m, ip) : host_icmp(b, ip);
    ip->hdr_checksum = 0;
    ip->hdr_checksum = rte_ipv4_cksum(ip);
    return good;
}

static void host_turn(struct bench *b) {
    struct rte_mbuf *m;
    while (port_rx(b->host, 0, &m, 1)) {
        if (!host_answers(b, m) || !port_tx(b->host, 0, &m, 1))
            rte_pktmbuf_free(m);
    }
}

static uint16_t to_queue(void *ctx, const struct ip_addr *local, uint16_t lport,
                         const struct ip_addr *remote, uint16_t rport) {
    const struct bench *b = ctx;
    (void)local, (void)remote, (void)rport;
    return b->lands_on ? 1 : lport % 2;
}

/* Run the probe to its end; the queue of an answer is that of the question's port. */
static void run(struct bench *b, struct tgw_check_result out[TGW_CHECK_COUNT], uint16_t queues) {
    struct net_probe_plan plan = {.tcp_port = 0,
                                  .offloads = b->ours.port.offloads,
                                  .queues = queues,
                                  .queue_of = to_queue,
                                  .ctx = b};
    if (!b->net)
        bench_net(b);
    ip_addr_parse("198.18.0.1", &plan.target);
    net_probe_start(b->net, b->now_ns, &plan);
    for (int turns = 0; turns < 20000 && !net_probe_result(b->net, out); turns++) {
        struct rte_mbuf *m;
        net_flush(b->net);
        host_turn(b);
        while (port_rx(&b->ours.port, 0, &m, 1)) {
            const uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);
            net_probe_queue(b->net, b->lands_on ? 0 : p[37] % 2);
            net_input(b->net, b->now_ns, 0, &m, 1);
        }
        b->now_ns += 1000000;
        net_tick(b->net, b->now_ns);
    }
    CU_ASSERT_TRUE(net_probe_result(b->net, out));
}

#define STATE(check, want) CU_ASSERT_EQUAL(r[TGW_CHECK_##check].state, TGW_CHECK_##want)

static void plain_port_passes(void) {
    struct bench b;
    struct tgw_check_result r[TGW_CHECK_COUNT];
    bench_open(&b, 0, 0);
    run(&b, r, 1);
    STATE(neighbour, PASS);
    STATE(echo, PASS);
    STATE(tcp, PASS);
    STATE(mtu, PASS);
    CU_ASSERT_EQUAL(r[TGW_CHECK_mtu].value, 1500);
    STATE(tx_ip_cksum, ABSENT);
    STATE(tx_l4_cksum, ABSENT);
    STATE(tx_tso, ABSENT);
    STATE(rx_cksum, ABSENT);
    STATE(steering, ABSENT);
    bench_close(&b);
}

enum { ALL = PORT_TX_IP_CKSUM | PORT_TX_L4_CKSUM | PORT_TX_TSO | PORT_RX_L4_CKSUM };

static void honest_offloads_pass(void) {
    struct bench b;
    struct tgw_check_result r[TGW_CHECK_COUNT];
    bench_open(&b, ALL, DOES_CKSUM | DOES_TSO | GIVES_VERDICTS);
    b.open = true;
    run(&b, r, 2);
    STATE(tx_ip_cksum, PASS);
    STATE(tx_l4_cksum, PASS);
    STATE(tx_tso, PASS);
    CU_ASSERT_EQUAL(r[TGW_CHECK_tx_tso].value, 2);
    STATE(rx_cksum, PASS);
    STATE(steering, PASS);
    CU_ASSERT_EQUAL(r[TGW_CHECK_steering].value, 2);
    bench_close(&b);
}

static void false_offloads_are_caught(void) {
    static const struct {
        unsigned truth;
        enum tgw_check_state l4, tso, rx;
    } rows[] = {
        {0, TGW_CHECK_OFF, TGW_CHECK_UNVERIFIED, TGW_CHECK_UNVERIFIED},
        {DOES_CKSUM, TGW_CHECK_PASS, TGW_CHECK_OFF, TGW_CHECK_UNVERIFIED},
        {DOES_CKSUM | DOES_TSO, TGW_CHECK_PASS, TGW_CHECK_PASS, TGW_CHECK_UNVERIFIED},
        {CALLS_GOOD_BAD, TGW_CHECK_OFF, TGW_CHECK_UNVERIFIED, TGW_CHECK_OFF},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct bench b;
        struct tgw_check_result r[TGW_CHECK_COUNT];
        bench_open(&b, ALL, rows[i].truth);
        run(&b, r, 1);
        STATE(echo, PASS); /* software's own work is sound throughout */
        STATE(tcp, PASS);
        CU_ASSERT_EQUAL(r[TGW_CHECK_tx_ip_cksum].state, rows[i].l4);
        CU_ASSERT_EQUAL(r[TGW_CHECK_tx_l4_cksum].state, rows[i].l4);
        CU_ASSERT_EQUAL(r[TGW_CHECK_tx_tso].state, rows[i].tso);
        CU_ASSERT_EQUAL(r[TGW_CHECK_rx_cksum].state, rows[i].rx);
        bench_close(&b);
    }
}

static void silence_is_told_apart(void) {
    struct bench b;
    struct tgw_check_result r[TGW_CHECK_COUNT];
    bench_open(&b, ALL, DOES_CKSUM);
    b.answers_tcp = false;
    run(&b, r, 1);
    STATE(echo, PASS);
    STATE(tcp, UNVERIFIED); /* filtered */
    STATE(tx_ip_cksum, PASS);
    STATE(tx_l4_cksum, UNVERIFIED);
    b.answers_tcp = true;
    b.answers_echo = false;
    run(&b, r, 1);
    STATE(echo, UNVERIFIED);
    STATE(tcp, PASS);
    STATE(mtu, UNVERIFIED);
    STATE(tx_ip_cksum, PASS);
    STATE(tx_l4_cksum, PASS);
    b.answers_tcp = false;
    run(&b, r, 1);
    STATE(neighbour, PASS);
    STATE(echo, FAIL);
    STATE(tcp, FAIL);
    STATE(tx_l4_cksum, UNVERIFIED);
    bench_close(&b);
}

static void a_smaller_path_is_measured(void) {
    struct bench b;
    struct tgw_check_result r[TGW_CHECK_COUNT];
    bench_open(&b, 0, 0);
    b.host_mtu = 1450;
    run(&b, r, 1);
    STATE(mtu, FAIL);
    CU_ASSERT_EQUAL(r[TGW_CHECK_mtu].value, 1450);
    b.host_mtu = 100; /* less than any that is tried */
    run(&b, r, 1);
    STATE(mtu, FAIL);
    CU_ASSERT_EQUAL(r[TGW_CHECK_mtu].value, 0);
    bench_close(&b);
}

static void nobody_there_fails(void) {
    struct bench b;
    struct tgw_check_result r[TGW_CHECK_COUNT];
    bench_open(&b, 0, 0);
    b.vlan = 7; /* the host's frames come without */
    bench_net(&b);
    b.vlan = 0;
    run(&b, r, 1);
    STATE(neighbour, FAIL);
    STATE(echo, FAIL);
    bench_close(&b);
}

static void a_wrong_queue_is_seen(void) {
    struct bench b;
    struct tgw_check_result r[TGW_CHECK_COUNT];
    bench_open(&b, 0, 0);
    b.lands_on = 1;
    run(&b, r, 2);
    STATE(steering, FAIL);
    bench_close(&b);
}

static void works_in_a_vlan(void) {
    struct bench b;
    struct tgw_check_result r[TGW_CHECK_COUNT];
    bench_open(&b, 0, 0);
    b.vlan = 42;
    run(&b, r, 1);
    STATE(neighbour, PASS);
    STATE(tcp, PASS);
    STATE(mtu, PASS);
    bench_close(&b);
}

int main(void) {
    static const struct suite_case cases[] = {
        {"plain port passes", plain_port_passes},
        {"honest offloads pass", honest_offloads_pass},
        {"false offloads are caught", false_offloads_are_caught},
        {"silence is told apart", silence_is_told_apart},
        {"a smaller path is measured", a_smaller_path_is_measured},
        {"nobody there fails", nobody_there_fails},
        {"a wrong queue is seen", a_wrong_queue_is_seen},
        {"works in a VLAN", works_in_a_vlan},
    };
    pool = test_eal_init(1023);
    return suite_run("net/probe", cases, sizeof(cases) / sizeof(cases[0]));
}

/* The start's look at a port of two queues, whose neighbour is a host of the test's own. */
#include "drivers/rss.h"
#include "selftest.h"
#include "tests/lib/eal_init.h"
#include "tests/lib/suite.h"
#include <rte_arp.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <stdio.h>
#include <string.h>

enum { QUEUES = 2, HELD = 64 };

static struct rte_mempool *pool;
static const struct rte_ether_addr host = {{2, 0, 0, 0, 0, 0x99}};

struct two_queues {
    struct port port;
    struct port_rss rss;
    uint16_t off_by; /* answers land so many queues beside their own */
    uint16_t held[QUEUES];
    struct rte_mbuf *packet[QUEUES][HELD];
};

static void swap(void *a, void *b, size_t n) {
    uint8_t *x = a, *y = b;
    for (size_t i = 0; i < n; i++) {
        uint8_t t = x[i];
        x[i] = y[i];
        y[i] = t;
    }
}

static void mapped(uint8_t out[16], uint32_t address) {
    memset(out, 0, 16);
    out[10] = out[11] = 0xff;
    memcpy(out + 12, &address, 4);
}

/* 0xffff: no answer. */
static uint16_t answer_arp(struct rte_arp_hdr *a) {
    if (a->arp_opcode != RTE_BE16(1) || a->arp_data.arp_tip != RTE_BE32(0xc6120001))
        return UINT16_MAX;
    a->arp_opcode = RTE_BE16(2);
    swap(&a->arp_data.arp_sha, &a->arp_data.arp_tha, 10);
    a->arp_data.arp_sha = host;
    return 0;
}

static uint16_t answer_ip(const struct two_queues *q, struct rte_ipv4_hdr *ip) {
    struct rte_tcp_hdr *t = (void *)(ip + 1);
    uint8_t src[16], dst[16], *icmp = (uint8_t *)t;
    uint16_t len = (uint16_t)(rte_be_to_cpu_16(ip->total_length) - 20), queue = 0;
    swap(&ip->src_addr, &ip->dst_addr, 4);
    if (ip->next_proto_id == IPPROTO_ICMP) {
        icmp[0] = icmp[2] = icmp[3] = 0;
        uint16_t sum = (uint16_t)~rte_raw_cksum(icmp, len);
        memcpy(icmp + 2, &sum, 2);
    } else {
        if (!(t->tcp_flags & RTE_TCP_SYN_FLAG))
            return UINT16_MAX;
        swap(&t->src_port, &t->dst_port, 2);
        t->recv_ack = rte_cpu_to_be_32(rte_be_to_cpu_32(t->sent_seq) + 1);
        t->tcp_flags = RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG;
        mapped(src, ip->src_addr);
        mapped(dst, ip->dst_addr);
        queue = rss_queue(&q->rss, src, dst, rte_be_to_cpu_16(t->src_port),
                          rte_be_to_cpu_16(t->dst_port));
        t->cksum = 0;
        t->cksum = rte_ipv4_udptcp_cksum(ip, t);
    }
    return queue;
}

static uint16_t transmit(struct port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n) {
    struct two_queues *q = (struct two_queues *)p;
    (void)queue;
    for (uint16_t i = 0; i < n; i++) {
        struct rte_ether_hdr *e = rte_pktmbuf_mtod(m[i], struct rte_ether_hdr *);
        uint16_t to = UINT16_MAX;
        if (e->ether_type == RTE_BE16(RTE_ETHER_TYPE_ARP))
            to = answer_arp((void *)(e + 1));
        else if (e->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV4))
            to = answer_ip(q, (void *)(e + 1));
        e->dst_addr = e->src_addr;
        e->src_addr = host;
        to = to == UINT16_MAX ? to : (uint16_t)((to + q->off_by) % QUEUES);
        if (to != UINT16_MAX && q->held[to] < HELD)
            q->packet[to][q->held[to]++] = m[i];
        else
            rte_pktmbuf_free(m[i]);
    }
    return n;
}

static uint16_t receive(struct port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n) {
    struct two_queues *q = (struct two_queues *)p;
    uint16_t got = q->held[queue] < n ? q->held[queue] : n;
    memcpy(m, q->packet[queue], got * sizeof(m[0]));
    q->held[queue] = 0;
    return got;
}

static void link_up(struct port *p, struct port_link *out) {
    (void)p;
    out->up = true;
}

static const struct port_ops ops = {.rx_burst = receive, .tx_burst = transmit, .link = link_up};

/* The start of a gateway of so many cores with such a port. */
static bool starts(uint32_t cores, uint16_t off_by, bool self_test, char err[256]) {
    static struct config c;
    static struct two_queues q;
    struct port *port[] = {&q.port};
    struct tgw_check_result steering[TGW_PORTS_MAX] = {0};
    q = (struct two_queues){
        .port = {.ops = &ops, .name = "wire", .mac = {2, 0, 0, 0, 0, 1}, .mtu = 1500},
        .rss = {.ports4 = true, .table_size = QUEUES, .key_bytes = 40, .table = {0, 1}},
        .off_by = off_by};
    rss_symmetric_key(q.rss.key, q.rss.key_bytes);
    q.port.queues = QUEUES;
    q.port.rss = &q.rss;
    c = (struct config){.port_count = 1, .self_test = self_test};
    c.ports[0].addr_count = 1;
    snprintf(c.ports[0].addr[0], sizeof(c.ports[0].addr[0]), "198.18.0.2/24");
    snprintf(c.ports[0].gateway4, sizeof(c.ports[0].gateway4), "198.18.0.1");
    bool good = selftest_ports(&c, cores, port, pool, steering, err, 256);
    CU_ASSERT_EQUAL(steering[0].state, !self_test ? TGW_CHECK_NOT_RUN
                                       : off_by   ? TGW_CHECK_FAIL
                                                  : TGW_CHECK_PASS);
    for (int k = 0; k < QUEUES; k++)
        rte_pktmbuf_free_bulk(q.packet[k], q.held[k]);
    return good;
}

static void answers_on_their_own_core_let_it_start(void) {
    char err[256] = "";
    CU_ASSERT_TRUE(starts(2, 0, true, err));
    CU_ASSERT_STRING_EQUAL(err, "");
}

static void answers_on_another_core_refuse_the_start(void) {
    char err[256] = "";
    CU_ASSERT_FALSE(starts(2, 1, true, err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "ports[0]: wire: packets for queue 0 land elsewhere"));
}

static void one_core_takes_them_all(void) {
    char err[256] = "";
    CU_ASSERT_TRUE(starts(1, 1, true, err));
}

static void what_is_not_asked_is_not_refused(void) {
    char err[256] = "";
    CU_ASSERT_TRUE(starts(2, 1, false, err));
}

int main(void) {
    static const struct suite_case cases[] = {
        {"answers on their own core let it start", answers_on_their_own_core_let_it_start},
        {"answers on another core refuse the start", answers_on_another_core_refuse_the_start},
        {"one core takes them all", one_core_takes_them_all},
        {"what is not asked is not refused", what_is_not_asked_is_not_refused},
    };
    pool = test_eal_init(1023);
    return suite_run("selftest", cases, sizeof(cases) / sizeof(cases[0]));
}

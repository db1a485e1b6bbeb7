#include "drivers/sim.h"
#include "tests/lib/eal_init.h"
#include "tests/lib/suite.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PACKETS = 9600 /* whole bursts */, BYTES = 64 };

static struct rte_mempool *pool;

static struct rte_mbuf *packet(uint32_t number) {
    struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
    uint8_t *p = m ? (uint8_t *)rte_pktmbuf_append(m, BYTES) : NULL;
    if (!p)
        abort();
    memset(p, 0x5a, BYTES);
    memcpy(p, &number, sizeof(number));
    return m;
}

static void close_both(struct port *a, struct port *b) {
    a->ops->close(a);
    b->ops->close(b);
    CU_ASSERT_EQUAL(rte_mempool_in_use_count(pool), 0);
}

static void pair_keeps_order_and_refuses_when_full(void) {
    struct port *p[2];
    struct rte_mbuf *m[6], *got[8];
    CU_ASSERT_TRUE_FATAL(port_sim_pair(p, 1500, 4));
    for (uint32_t i = 0; i < 6; i++)
        m[i] = packet(i);
    CU_ASSERT_EQUAL(port_tx(p[0], 0, m, 6), 4);
    CU_ASSERT_EQUAL(port_rx(p[1], 0, got, 8), 4);
    for (uint32_t i = 0; i < 4; i++)
        CU_ASSERT_EQUAL(*rte_pktmbuf_mtod(got[i], uint32_t *), i);
    rte_pktmbuf_free_bulk(got, 4);
    rte_pktmbuf_free_bulk(m + 4, 2);
    close_both(p[0], p[1]);
}

static void shared_packet_is_copied(void) {
    struct port *p[2];
    struct rte_mbuf *m = packet(1), *got;
    CU_ASSERT_TRUE_FATAL(port_sim_pair(p, 1500, 4));
    rte_mbuf_refcnt_update(m, 1);
    CU_ASSERT_EQUAL(port_tx(p[0], 0, &m, 1), 1);
    CU_ASSERT_EQUAL(port_rx(p[1], 0, &got, 1), 1);
    CU_ASSERT_PTR_NOT_EQUAL(got, m);
    CU_ASSERT_EQUAL(rte_mbuf_refcnt_read(m), 1);
    rte_pktmbuf_free(got);
    rte_pktmbuf_free(m);
    close_both(p[0], p[1]);
}

struct tally {
    unsigned count, repeated, late, damaged;
    uint64_t digest;
};

/* PACKETS through a faulty end, sent by it or received, in bursts of `burst`. */
static struct tally run(const struct port_config *c, bool receiving, uint16_t burst) {
    struct port *p[2];
    struct tally t = {.digest = 1469598103934665603u};
    uint32_t highest = 0, last = UINT32_MAX;
    CU_ASSERT_TRUE_FATAL(port_sim_pair(p, 1500, 512));
    struct port *faulty = port_fault_wrap(p[receiving], c, pool);
    CU_ASSERT_PTR_NOT_NULL_FATAL(faulty);
    p[receiving] = faulty;
    for (uint32_t sent = 0; sent < PACKETS + 100;) {
        struct rte_mbuf *m[64], *back;
        for (uint16_t i = 0; sent < PACKETS && i < burst; i++)
            m[i] = packet(sent + i);
        if (sent < PACKETS)
            CU_ASSERT_EQUAL_FATAL(port_tx(p[0], 0, m, burst), burst);
        port_rx(p[0], 0, &back, 1); /* a poll, as the worker makes */
        sent += burst;
        for (uint16_t n; (n = port_rx(p[1], 0, m, burst)) > 0;) {
            for (uint16_t i = 0; i < n; i++) {
                uint32_t number = *rte_pktmbuf_mtod(m[i], uint32_t *);
                bool damaged = number >= PACKETS;
                for (int k = 4; k < BYTES; k++)
                    damaged |= rte_pktmbuf_mtod(m[i], uint8_t *)[k] != 0x5a;
                t.count++;
                t.damaged += damaged;
                t.repeated += number == last;
                t.late += !damaged && number < highest;
                if (!damaged && number > highest)
                    highest = number;
                last = number;
                t.digest = (t.digest ^ number) * 1099511628211u;
            }
            rte_pktmbuf_free_bulk(m, n);
        }
    }
    close_both(p[0], p[1]);
    return t;
}

static bool near(unsigned got, unsigned want) {
    return got > want * 8 / 10 && got < want * 12 / 10;
}

static void faults_come_in_their_ratio(void) {
    for (int receiving = 0; receiving < 2; receiving++) {
        struct tally t = run(&(struct port_config){.loss_pm = 100, .fault_seed = 1}, receiving, 32);
        CU_ASSERT_TRUE(near(PACKETS - t.count, PACKETS / 10));
        CU_ASSERT_EQUAL(t.damaged + t.late + t.repeated, 0);
        t = run(&(struct port_config){.duplicate_pm = 100, .fault_seed = 1}, receiving, 32);
        CU_ASSERT_TRUE(near(t.count - PACKETS, PACKETS / 10));
        CU_ASSERT_TRUE(near(t.repeated, PACKETS / 10));
        t = run(&(struct port_config){.corrupt_pm = 100, .fault_seed = 1}, receiving, 32);
        CU_ASSERT_EQUAL(t.count, PACKETS);
        CU_ASSERT_TRUE(t.damaged > PACKETS / 20 && t.damaged < PACKETS / 8);
        t = run(&(struct port_config){.reorder_pm = 100, .fault_seed = 1}, receiving, 32);
        CU_ASSERT_EQUAL(t.count, PACKETS); /* late, never lost */
        CU_ASSERT_TRUE(t.late > PACKETS / 20);
    }
}

static void same_seed_same_faults(void) {
    struct port_config c = {.loss_pm = 50, .reorder_pm = 50, .duplicate_pm = 50, .corrupt_pm = 50};
    c.fault_seed = 7;
    struct tally a = run(&c, true, 32), b = run(&c, true, 32);
    CU_ASSERT_EQUAL(a.digest, b.digest);
    c.fault_seed = 8;
    b = run(&c, true, 32);
    CU_ASSERT_NOT_EQUAL(a.digest, b.digest);
}

static void small_bursts_pass(void) {
    struct tally t = run(&(struct port_config){.duplicate_pm = 1000, .reorder_pm = 300}, true, 1);
    CU_ASSERT_EQUAL(t.count, 2 * PACKETS);
}

static void verdicts_do_not_survive_corruption(void) {
    struct port *p[2];
    struct rte_mbuf *m = packet(1), *got;
    CU_ASSERT_TRUE_FATAL(port_sim_pair(p, 1500, 4));
    struct port *faulty = port_fault_wrap(p[0], &(struct port_config){.corrupt_pm = 1000}, pool);
    CU_ASSERT_PTR_NOT_NULL_FATAL(faulty);
    rte_mbuf_refcnt_update(m, 1);
    m->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    CU_ASSERT_EQUAL(port_tx(faulty, 0, &m, 1), 1);
    CU_ASSERT_EQUAL(port_rx(p[1], 0, &got, 1), 1);
    CU_ASSERT_EQUAL(got->ol_flags, 0);
    CU_ASSERT_EQUAL(faulty->offloads, 0);
    CU_ASSERT_EQUAL(*rte_pktmbuf_mtod(m, uint32_t *), 1); /* the sender's is whole */
    rte_pktmbuf_free(got);
    rte_pktmbuf_free(m);
    close_both(faulty, p[1]);
}

static void capture_is_a_pcap_file(void) {
    static const uint8_t want[24 + 16] = {
        0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0,     0, 0, 0, 0xff,  0xff, 0, 0,
        1,    0,    0,    0,    5, 0, 0, 0, 7, 0, 0, 0, BYTES, 0, 0, 0, BYTES, 0,    0, 0};
    char path[] = "/tmp/pcap-XXXXXX", err[128];
    uint8_t bytes[512];
    uint64_t now_ns = 5000000007;
    struct port *p[2];
    struct rte_mbuf *m = packet(1), *got;
    int fd = mkstemp(path);
    CU_ASSERT_TRUE_FATAL(fd >= 0 && port_sim_pair(p, 1500, 4));
    struct port *c = port_pcap_wrap(p[0], path, &now_ns, err, sizeof(err));
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    CU_ASSERT_EQUAL(port_tx(c, 0, &m, 1), 1);
    CU_ASSERT_EQUAL(port_rx(p[1], 0, &got, 1), 1);
    CU_ASSERT_EQUAL(port_tx(p[1], 0, &got, 1), 1);
    CU_ASSERT_EQUAL(port_rx(c, 0, &got, 1), 1);
    rte_pktmbuf_free(got);
    close_both(c, p[1]);
    CU_ASSERT_EQUAL(read(fd, bytes, sizeof(bytes)), 24 + 2 * (16 + BYTES));
    CU_ASSERT_EQUAL(memcmp(bytes, want, sizeof(want)), 0);
    CU_ASSERT_EQUAL(bytes[sizeof(want)], 1);
    close(fd);
    unlink(path);
}

static void what_cannot_be_opened_says_why(void) {
    static const struct {
        struct port_config c;
        const char *says;
    } rows[] = {
        {{.name = "client", .driver = "bogus", .queues = 1}, "none of af_packet"},
        {{.name = "client", .driver = "af_packet", .device = "none0", .queues = 1}, "none0"},
        {{.name = "client", .driver = "af_xdp", .device = "none0", .queues = 1}, "none0"},
        {{.name = "client", .driver = "pci", .device = "zzz", .queues = 1}, "no PCI address"},
        {{.name = "client", .driver = "memif", .device = "/tmp/x", .queues = 1}, "role=server"},
        {{.name = "client", .driver = "tap", .loss_pm = 1, .queues = 2}, "one queue"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char err[256] = "";
        CU_ASSERT_PTR_NULL(port_open(&rows[i].c, pool, err, sizeof(err)));
        CU_ASSERT_PTR_NOT_NULL(strstr(err, "client"));
        CU_ASSERT_PTR_NOT_NULL(strstr(err, rows[i].says));
    }
}

static void ring_device_carries_packets(void) {
    struct port_config c = {.name = "loop", .driver = "ring", .queues = 1};
    struct port_stats s = {0};
    struct port_link l = {0};
    struct rte_mbuf *m = packet(5), *got;
    char err[256] = "";
    struct port *p = port_open(&c, pool, err, sizeof(err));
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    CU_ASSERT_EQUAL(port_tx(p, 0, &m, 1), 1);
    CU_ASSERT_EQUAL(port_rx(p, 0, &got, 1), 1);
    CU_ASSERT_EQUAL(*rte_pktmbuf_mtod(got, uint32_t *), 5);
    rte_pktmbuf_free(got);
    p->ops->stats(p, &s);
    p->ops->link(p, &l);
    CU_ASSERT_EQUAL(s.tx_packets, 1);
    CU_ASSERT_TRUE(l.up);
    p->ops->close(p);
}

int main(void) {
    static const struct suite_case cases[] = {
        {"pair keeps order and refuses when full", pair_keeps_order_and_refuses_when_full},
        {"shared packet is copied", shared_packet_is_copied},
        {"faults come in their ratio", faults_come_in_their_ratio},
        {"same seed, same faults", same_seed_same_faults},
        {"small bursts pass", small_bursts_pass},
        {"verdicts do not survive corruption", verdicts_do_not_survive_corruption},
        {"capture is a pcap file", capture_is_a_pcap_file},
        {"what cannot be opened says why", what_cannot_be_opened_says_why},
        {"ring device carries packets", ring_device_carries_packets},
    };
    pool = test_eal_init(4095);
    return suite_run("drivers", cases, sizeof(cases) / sizeof(cases[0]));
}

/* A port with one queue shared by several cores, all played by this thread. */
#include "drivers/rss.h"
#include "drivers/sim.h"
#include "drivers/spread.h"
#include "tests/lib/eal_init.h"
#include "tests/lib/suite.h"
#include <rte_byteorder.h>
#include <string.h>

enum { CORES = 3, FLOWS = 300, BYTES = 64, ROOM = 2048 };

static struct rte_mempool *pool;
static struct port *wire, *port; /* the other end; what the cores share */

static void begin(uint32_t room) {
    struct port *pair[2];
    char err[200] = "";
    CU_ASSERT_TRUE_FATAL(port_sim_pair(pair, 1500, room));
    wire = pair[0];
    port = port_spread_wrap(pair[1], CORES, pool, err, sizeof(err));
    CU_ASSERT_PTR_NOT_NULL_FATAL(port);
    CU_ASSERT_EQUAL(port->queues, CORES);
}

static void end(void) {
    port->ops->close(port);
    wire->ops->close(wire);
    CU_ASSERT_EQUAL(rte_mempool_in_use_count(pool), 0);
}

static void send(const uint8_t *frame) {
    struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
    CU_ASSERT_PTR_NOT_NULL_FATAL(m);
    memcpy(rte_pktmbuf_append(m, BYTES), frame, BYTES);
    CU_ASSERT_EQUAL_FATAL(port_tx(wire, 0, &m, 1), 1);
}

/* A TCP segment over IPv4 from port `flow`. */
static void send_tcp4(uint16_t flow) {
    uint8_t f[BYTES] = {[12] = 0x08, [14] = 0x45, [23] = 6};
    memcpy(f + 26, (const uint8_t[]){198, 18, 0, 1, 198, 18, 0, 2}, 8);
    f[34] = (uint8_t)(flow >> 8);
    f[35] = (uint8_t)flow;
    f[37] = 80;
    send(f);
}

static uint16_t owner4(uint16_t flow) {
    static const uint8_t src[16] = {[10] = 0xff, [11] = 0xff, 198, 18, 0, 1};
    static const uint8_t dst[16] = {[10] = 0xff, [11] = 0xff, 198, 18, 0, 2};
    return port_spread_core(port, src, dst, flow, 80);
}

/* Every core's turn, so often that all that is on its way arrives. */
static void turns(unsigned got[CORES], unsigned wrong[CORES]) {
    struct rte_mbuf *m[32];
    for (int round = 0; round < 64; round++)
        for (uint16_t core = 0; core < CORES; core++) {
            uint16_t n = port_rx(port, core, m, 32);
            for (uint16_t i = 0; i < n; i++) {
                const uint8_t *p = rte_pktmbuf_mtod(m[i], const uint8_t *);
                wrong[core] += owner4((uint16_t)(p[34] << 8 | p[35])) != core;
            }
            got[core] += n;
            rte_pktmbuf_free_bulk(m, n);
        }
}

static void flows_come_to_their_core(void) {
    unsigned got[CORES] = {0}, wrong[CORES] = {0};
    begin(ROOM);
    for (uint16_t i = 0; i < FLOWS; i++)
        send_tcp4(i);
    turns(got, wrong);
    CU_ASSERT_EQUAL(got[0] + got[1] + got[2], FLOWS);
    for (int core = 0; core < CORES; core++) {
        CU_ASSERT_EQUAL(wrong[core], 0);
        CU_ASSERT_TRUE(got[core] > FLOWS / CORES / 2); /* spread about evenly */
    }
    end();
}

static void what_all_wait_for_comes_to_all(void) {
    unsigned got[CORES] = {0}, wrong[CORES] = {0};
    const uint8_t reply[BYTES] = {[12] = 0x08, [13] = 0x06, [21] = 2};
    const uint8_t unreachable[BYTES] = {[12] = 0x08, [14] = 0x45, [23] = 1, [34] = 3};
    const uint8_t advertisement[BYTES] = {
        [12] = 0x86, [13] = 0xdd, [14] = 0x60, [20] = 58, [54] = 136};
    begin(ROOM);
    send(reply);
    send(unreachable);
    send(advertisement);
    turns(got, wrong);
    for (int core = 0; core < CORES; core++)
        CU_ASSERT_EQUAL(got[core], 3);
    end();
}

static void what_is_nobodys_comes_to_the_first(void) {
    unsigned got[CORES] = {0}, wrong[CORES] = {0};
    const uint8_t request[BYTES] = {[12] = 0x08, [13] = 0x06, [21] = 1};
    const uint8_t echo[BYTES] = {[12] = 0x08, [14] = 0x45, [23] = 1, [34] = 8};
    const uint8_t fragment[BYTES] = {[12] = 0x08, [14] = 0x45, [20] = 0x20, [23] = 6};
    const uint8_t bad_header[BYTES] = {[12] = 0x08, [14] = 0x4f, [23] = 6};
    begin(ROOM);
    send(request);
    send(echo);
    send(fragment);
    send(bad_header);
    turns(got, wrong);
    CU_ASSERT_EQUAL(got[0] + got[1] + got[2], 4);
    CU_ASSERT_TRUE(got[0] >= 3); /* 60 bytes of IP header leave ports: any core's */
    end();
}

static void every_core_can_send(void) {
    struct rte_mbuf *m[CORES], *in[8];
    begin(ROOM);
    for (uint16_t core = 0; core < CORES; core++) {
        m[core] = rte_pktmbuf_alloc(pool);
        memset(rte_pktmbuf_append(m[core], BYTES), core, BYTES);
        CU_ASSERT_EQUAL(port_tx(port, core, &m[core], 1), 1);
    }
    CU_ASSERT_EQUAL(port_rx(port, 0, in, 8), 0); /* core 0 sends for the others */
    uint16_t n = port_rx(wire, 0, in, 8);
    CU_ASSERT_EQUAL(n, CORES);
    rte_pktmbuf_free_bulk(in, n);
    end();
}

/* A core that stands still costs its own packets, counted, and nobody else's. */
static void a_full_ring_loses_and_counts(void) {
    struct rte_mbuf *m[32];
    struct port_stats stats = {0};
    unsigned sent = 0, got = 0;
    begin(4096);
    for (uint16_t i = 0; sent < 2000; i++)
        if (owner4(i) == 1) {
            send_tcp4(i);
            sent++;
        }
    for (int i = 0; i < 100; i++)
        CU_ASSERT_EQUAL(port_rx(port, 0, m, 32), 0);
    for (uint16_t n; (n = port_rx(port, 1, m, 32)) > 0; got += n)
        rte_pktmbuf_free_bulk(m, n);
    port->ops->stats(port, &stats);
    CU_ASSERT_TRUE(got > 0 && got < sent);
    CU_ASSERT_EQUAL(stats.rx_missed, sent - got);
    end();
}

/* A device whose hash is known: one packet a call, on whichever queue it is asked for. */
static uint16_t placed_rx(struct port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n) {
    static uint16_t flow;
    uint8_t *f;
    (void)p;
    (void)queue;
    if (n == 0 || !(m[0] = rte_pktmbuf_alloc(pool)))
        return 0;
    f = (uint8_t *)rte_pktmbuf_append(m[0], BYTES);
    memset(f, 0, BYTES);
    f[12] = 0x08;
    f[14] = 0x45;
    f[23] = 6;
    f[34] = (uint8_t)(++flow >> 8);
    f[35] = (uint8_t)flow;
    return 1;
}

static void placed_close(struct port *p) {
    (void)p;
}

/* Where the hardware brings a connection, there it stays; nothing crosses a ring. */
static void what_the_hardware_placed_stays(void) {
    static const struct port_ops placed_ops = {.rx_burst = placed_rx, .close = placed_close};
    static const struct port_rss rss = {.table_size = 1};
    static const struct port_wake wake = {0};
    struct port device = {.ops = &placed_ops, .queues = CORES, .rss = &rss, .wake = &wake};
    struct rte_mbuf *m[32];
    char err[200] = "";
    port = port_spread_wrap(&device, CORES, pool, err, sizeof(err));
    CU_ASSERT_PTR_NOT_NULL_FATAL(port);
    CU_ASSERT_PTR_EQUAL(port->wake, &wake);
    for (int i = 0; i < FLOWS; i++)
        for (uint16_t core = 0; core < CORES; core++) {
            uint16_t n = port_rx(port, core, m, 32);
            CU_ASSERT_EQUAL(n, 1);
            rte_pktmbuf_free_bulk(m, n);
        }
    port->ops->close(port);
    device.queues = 1; /* too few: packets come from other cores, which interrupt nobody */
    port = port_spread_wrap(&device, CORES, pool, err, sizeof(err));
    CU_ASSERT_PTR_NULL(port->wake);
    port->ops->close(port);
    CU_ASSERT_EQUAL(rte_mempool_in_use_count(pool), 0);
}

int main(void) {
    static const struct suite_case cases[] = {
        {"flows come to their core", flows_come_to_their_core},
        {"what all wait for comes to all", what_all_wait_for_comes_to_all},
        {"what is nobody's comes to the first", what_is_nobodys_comes_to_the_first},
        {"every core can send", every_core_can_send},
        {"a full ring loses and counts", a_full_ring_loses_and_counts},
        {"what the hardware placed stays", what_the_hardware_placed_stays},
    };
    pool = test_eal_init(8191);
    return suite_run("drivers/spread", cases, sizeof(cases) / sizeof(cases[0]));
}

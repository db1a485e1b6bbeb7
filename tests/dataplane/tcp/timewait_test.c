/* TIME_WAIT as a table. The scripts in tests/packet/time-wait show the segments. */
#include "tests/lib/eal_init.h"
#include "tests/lib/suite.h"
#include "twins.h"

static struct rte_mempool *mbufs;

/* A connection that the client closes first: it is the client's to wait. */
static void open_and_close(struct twins *w) {
    struct stream s = twins_connect(w);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s.impl);
    twins_run(w, 3);
    s.ops->shutdown(s.impl);
    twins_run(w, 2);
    w->side[SERVER].last.ops->shutdown(w->side[SERVER].last.impl);
    w->side[SERVER].last.impl = NULL;
    twins_run(w, 3);
}

static void waiting_takes_no_connection(void) {
    struct tcp_config c;
    static struct twins w;
    struct tcp_usage u;
    twins_config(&c);
    c.connections_max = 4;
    twins_open(&w, mbufs, &c);
    for (int i = 0; i < 100; i++)
        open_and_close(&w);
    twins_usage(&w, CLIENT, &u);
    CU_ASSERT_EQUAL(u.connections, 0);
    CU_ASSERT_EQUAL(u.time_wait, 100);
    CU_ASSERT_EQUAL(w.side[SERVER].closed, 100);
    CU_ASSERT_EQUAL(w.side[CLIENT].closed, 100);
    CU_ASSERT_EQUAL(twins_count(&w, CLIENT, TGW_C_tcp_time_wait), 100);
    twins_run(&w, c.time_wait_ms);
    twins_usage(&w, CLIENT, &u);
    CU_ASSERT_EQUAL(u.time_wait, 0);
    CU_ASSERT_EQUAL(twins_count(&w, CLIENT, TGW_C_tcp_time_wait_evicted), 0);
    twins_close(&w);
}

static void the_oldest_goes_when_it_is_full(void) {
    struct tcp_config c;
    static struct twins w;
    struct tcp_usage u;
    twins_config(&c);
    c.time_wait_max = 10;
    twins_open(&w, mbufs, &c);
    for (int i = 0; i < 25; i++)
        open_and_close(&w);
    twins_usage(&w, CLIENT, &u);
    CU_ASSERT_EQUAL(u.time_wait, 10);
    CU_ASSERT_EQUAL(twins_count(&w, CLIENT, TGW_C_tcp_time_wait_evicted), 15);
    twins_close(&w);
}

static void none_waits_when_it_is_off(void) {
    struct tcp_config c;
    static struct twins w;
    struct tcp_usage u;
    twins_config(&c);
    c.time_wait_max = 0;
    twins_open(&w, mbufs, &c);
    open_and_close(&w);
    twins_usage(&w, CLIENT, &u);
    CU_ASSERT_EQUAL(u.time_wait + u.connections, 0);
    CU_ASSERT_EQUAL(w.side[CLIENT].closed, 1);
    twins_close(&w);
}

/* No port twice within 2 MSL, and all of them after it. */
static void a_waiting_port_is_taken(void) {
    struct tcp_config c;
    static struct twins w;
    twins_config(&c);
    c.port_first = 30000;
    c.port_last = 30004;
    twins_open(&w, mbufs, &c);
    for (int i = 0; i < 5; i++)
        open_and_close(&w);
    CU_ASSERT_PTR_NULL(twins_connect(&w).impl);
    twins_run(&w, c.time_wait_ms);
    CU_ASSERT_PTR_NOT_NULL(twins_connect(&w).impl);
    twins_close(&w);
}

/* A FIN that keeps coming keeps moving its entry to the end: the ring's gaps are bounded. */
static void fins_again_and_again(void) {
    struct tcp_config c;
    static struct twins w;
    struct tcp_usage u;
    struct seg s = twins_segment(0xc6120001, 4000, SEG_SYN, 100, 0), answer;
    twins_config(&c);
    c.time_wait_max = 4;
    twins_open(&w, mbufs, &c);
    twins_inject(&w, &s);
    CU_ASSERT_TRUE_FATAL(twins_answer(&w, &answer));
    s = twins_segment(0xc6120001, 4000, SEG_ACK, 101, answer.seq + 1);
    twins_inject(&w, &s);
    CU_ASSERT_EQUAL_FATAL(w.side[SERVER].accepted, 1);
    w.side[SERVER].last.ops->shutdown(w.side[SERVER].last.impl);
    w.side[SERVER].last.impl = NULL;
    s.flags = SEG_ACK | SEG_FIN;
    s.ack++;
    twins_run(&w, 1);
    for (int i = 0; i < 1000; i++) {
        w.now_ns += UINT64_C(1000000000);
        twins_inject(&w, &s);
        twins_usage(&w, SERVER, &u);
        CU_ASSERT_EQUAL(u.time_wait, 1);
        CU_ASSERT_TRUE(twins_answer(&w, &answer));
        CU_ASSERT_EQUAL(answer.ack, 102);
    }
    CU_ASSERT_EQUAL(twins_count(&w, SERVER, TGW_C_tcp_time_wait_evicted), 0);
    w.now_ns += UINT64_C(60000000000);
    twins_turn(&w);
    twins_usage(&w, SERVER, &u);
    CU_ASSERT_EQUAL(u.time_wait, 0);
    twins_close(&w);
}

/* Many at once: expiry takes its time over several turns and keeps the order. */
static void the_next_timer_is_the_oldest_end(void) {
    struct tcp_config c;
    static struct twins w;
    twins_config(&c);
    twins_open(&w, mbufs, &c);
    open_and_close(&w);
    uint64_t end_ns = tcp_next_timer(w.side[CLIENT].tcp);
    CU_ASSERT_TRUE(end_ns <= w.now_ns + UINT64_C(60000000000));
    CU_ASSERT_TRUE(end_ns > w.now_ns + UINT64_C(59000000000));
    struct tcp_usage u;
    w.now_ns = end_ns - 1000000;
    twins_turn(&w);
    twins_usage(&w, CLIENT, &u);
    CU_ASSERT_EQUAL(u.time_wait, 1);
    w.now_ns = end_ns;
    twins_turn(&w);
    twins_usage(&w, CLIENT, &u);
    CU_ASSERT_EQUAL(u.time_wait, 0);
    twins_close(&w);
}

int main(void) {
    static const struct suite_case cases[] = {
        {"waiting takes no connection", waiting_takes_no_connection},
        {"the oldest goes when it is full", the_oldest_goes_when_it_is_full},
        {"none waits when it is off", none_waits_when_it_is_off},
        {"a waiting port is taken", a_waiting_port_is_taken},
        {"FINs again and again", fins_again_and_again},
        {"the next timer is the oldest's end", the_next_timer_is_the_oldest_end},
    };
    mbufs = test_eal_init(8191);
    return suite_run("tcp/timewait", cases, sizeof(cases) / sizeof(cases[0]));
}

/* ACKs that wait for data: when many are due at once or one after the other, no turn has them
 * all. What one connection's does: tests/packet/delayed-ack. */
#include "tests/lib/eal_init.h"
#include "tests/lib/suite.h"
#include "twins.h"

enum { CONNECTIONS = 300, A_TURN = 64, DELAY_MS = 40 };

static struct rte_mempool *mbufs;
static struct twins w;
static struct stream typist[CONNECTIONS];

static void begin(void) {
    struct tcp_config c;
    twins_config(&c);
    c.ack_delay_ms = DELAY_MS;
    twins_open(&w, mbufs, &c);
    for (int i = 0; i < CONNECTIONS; i++) {
        typist[i] = twins_connect(&w);
        CU_ASSERT_PTR_NOT_NULL_FATAL(typist[i].impl);
        twins_run(&w, 1);
    }
    twins_run(&w, 100);
    CU_ASSERT_EQUAL_FATAL(w.side[SERVER].accepted, CONNECTIONS);
}

static void end(void) {
    for (int i = 0; i < CONNECTIONS; i++)
        typist[i].ops->abort(typist[i].impl);
    twins_run(&w, 100);
    twins_close(&w);
}

static void type(int first, int last) {
    for (int i = first; i < last; i++)
        CU_ASSERT_EQUAL(typist[i].ops->write(typist[i].impl, "x", 1), 1);
}

static uint64_t sent(void) {
    return twins_count(&w, SERVER, TGW_C_tcp_segments_out);
}

static void many_at_once_take_turns(void) {
    begin();
    uint64_t before = sent(), most = 0;
    type(0, CONNECTIONS);
    for (int ms = 0; ms < DELAY_MS + 2 * CONNECTIONS / A_TURN; ms++) {
        uint64_t had = sent();
        twins_run(&w, 1);
        most = sent() - had > most ? sent() - had : most;
        if (ms < DELAY_MS / 2)
            CU_ASSERT_EQUAL(sent(), before);
    }
    CU_ASSERT_EQUAL(sent() - before, CONNECTIONS);
    CU_ASSERT_TRUE(most <= A_TURN);
    end();
}

static void each_waits_from_its_own_beginning(void) {
    begin();
    uint64_t before = sent();
    type(0, 10);
    twins_run(&w, 10);
    type(10, 20);
    twins_run(&w, DELAY_MS - 10 + 1);
    CU_ASSERT_EQUAL(sent() - before, 10);
    twins_run(&w, 8);
    CU_ASSERT_EQUAL(sent() - before, 10);
    twins_run(&w, 2);
    CU_ASSERT_EQUAL(sent() - before, 20);
    end();
}

int main(void) {
    static const struct suite_case cases[] = {
        {"many at once take turns", many_at_once_take_turns},
        {"each waits from its own beginning", each_waits_from_its_own_beginning},
    };
    mbufs = test_eal_init(4095);
    return suite_run("tcp/delack", cases, sizeof(cases) / sizeof(cases[0]));
}

/* Every pool of the stack fails once, at each place in turn: what was asked for happens
 * all the same, or is refused, and everything goes back. */
#include "tcp/tcb.h"
#include "tests/lib/eal_init.h"
#include "tests/lib/suite.h"
#include "twins.h"

enum { BYTES = 30000, PLACES = 24 };

static struct rte_mempool *mbufs;

static struct pool *pool_of(struct tcp_stack *t, int which) {
    struct pool *const pools[] = {&t->tcbs, &t->flights, &t->ooos, &t->blocks.small,
                                  &t->blocks.large};
    return pools[which];
}

static void settle(struct twins *w) {
    struct tcp_usage u;
    twins_run(w, 2000);
    for (int i = 0; i < 2; i++) {
        twins_usage(w, i, &u);
        CU_ASSERT_EQUAL(u.half_open + u.flights + u.small_blocks + u.large_blocks, 0);
        tcp_check(w->side[i].tcp);
    }
}

/* Writes as an owner does: on until a write comes short, then when told that there is
 * room. Short pieces and long ones take blocks of both sizes. */
static void write_all(struct twins *w, struct stream s, uint32_t *sent) {
    static const uint8_t bytes[4000];
    unsigned told = w->side[CLIENT].writable;
    bool blocked = false;
    for (uint32_t ms = 0; *sent < BYTES && ms < 60000; ms++) {
        uint32_t n = *sent % 3 ? (uint32_t)sizeof(bytes) : 5;
        n = n < BYTES - *sent ? n : BYTES - *sent;
        blocked = blocked && told == w->side[CLIENT].writable;
        if (!blocked) {
            told = w->side[CLIENT].writable;
            size_t took = s.ops->write(s.impl, bytes, n);
            *sent += (uint32_t)took;
            blocked = took < n;
        }
        twins_run(w, 1);
    }
}

static void transfer_with_failure(int side, int which, uint32_t place) {
    struct tcp_config c;
    static struct twins w;
    uint32_t sent = 0;
    twins_config(&c);
    twins_open(&w, mbufs, &c);
    pool_of(w.side[side].tcp, which)->fail_at = place;
    struct stream s = twins_connect(&w);
    if (s.impl) {
        twins_run(&w, 3000);
        CU_ASSERT_EQUAL(w.side[CLIENT].connected, 1);
        CU_ASSERT_EQUAL(w.side[SERVER].accepted, 1);
        write_all(&w, s, &sent);
        settle(&w);
        CU_ASSERT_EQUAL(sent, BYTES);
        CU_ASSERT_EQUAL(w.side[SERVER].received, BYTES);
        CU_ASSERT_EQUAL(w.side[CLIENT].closed + w.side[SERVER].closed, 0);
    }
    twins_close(&w);
}

static void each_allocation_may_fail(void) {
    for (int side = CLIENT; side <= SERVER; side++)
        for (int which = 0; which < 5; which++)
            for (uint32_t place = 1; place <= PLACES; place++)
                transfer_with_failure(side, which, place);
}

/* Not once but for as long as the owner writes: it is told when memory is there again. */
static void a_dry_pool_stalls_and_goes_on(void) {
    struct tcp_config c;
    static struct twins w;
    static void *taken[2][1024];
    uint32_t n[2] = {0}, sent = 0;
    twins_config(&c);
    twins_open(&w, mbufs, &c);
    struct stream s = twins_connect(&w);
    twins_run(&w, 10);
    struct bq_pools *blocks = &w.side[CLIENT].tcp->blocks;
    struct pool *const pool[2] = {&blocks->small, &blocks->large};
    for (int i = 0; i < 2; i++)
        while (n[i] < 1024 && (taken[i][n[i]] = pool_alloc(pool[i])) != NULL)
            n[i]++;
    CU_ASSERT_EQUAL(s.ops->write(s.impl, "hello", 5), 0);
    twins_run(&w, 5000);
    unsigned told = w.side[CLIENT].writable;
    CU_ASSERT_EQUAL(s.ops->write(s.impl, "hello", 5), 0);
    for (int i = 0; i < 2; i++)
        while (n[i] > 0)
            pool_free(pool[i], taken[i][--n[i]]);
    twins_run(&w, 1500);
    CU_ASSERT_TRUE(w.side[CLIENT].writable > told);
    write_all(&w, s, &sent);
    settle(&w);
    CU_ASSERT_EQUAL(w.side[SERVER].received, BYTES);
    twins_close(&w);
}

/* As many connections as there are TCBs, no more, and again after they went. */
static void the_last_connection_is_refused(void) {
    struct tcp_config c;
    static struct twins w;
    struct stream s[5];
    twins_config(&c);
    c.connections_max = 4;
    twins_open(&w, mbufs, &c);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 5; i++)
            s[i] = twins_connect(&w);
        CU_ASSERT_PTR_NULL(s[4].impl);
        twins_run(&w, 10);
        CU_ASSERT_EQUAL(w.side[SERVER].accepted, 4u * (unsigned)(round + 1));
        for (int i = 0; i < 4; i++)
            s[i].ops->abort(s[i].impl);
        twins_run(&w, 10);
    }
    CU_ASSERT_EQUAL(twins_count(&w, CLIENT, TGW_C_tcp_connect_failures), 3);
    twins_close(&w);
}

int main(void) {
    static const struct suite_case cases[] = {
        {"each allocation may fail", each_allocation_may_fail},
        {"a dry pool stalls and goes on", a_dry_pool_stalls_and_goes_on},
        {"the last connection is refused", the_last_connection_is_refused},
    };
    mbufs = test_eal_init(8191);
    return suite_run("tcp/alloc", cases, sizeof(cases) / sizeof(cases[0]));
}

/* Half-open connections, SYN cookies, a flood. The scripts in tests/packet/syn-cookie show
 * the segments. */
#include "tests/lib/eal_init.h"
#include "tests/lib/suite.h"
#include "twins.h"
#include <string.h>

static struct rte_mempool *mbufs;

static struct seg syn_from(uint32_t i) {
    /* 10.0.0.0/8, routed back over the client's side. */
    return twins_segment(0x0a000000u + i, (uint16_t)(1024 + i % 50000), SEG_SYN, i * 7919u, 0);
}

static void write_hello(struct stream s) {
    s.ops->write(s.impl, "hello", 5);
}

static void a_flood_keeps_nobody_out(void) {
    enum { SYNS = 100000, REAL = 200 };
    struct tcp_config c;
    static struct twins w;
    struct tcp_usage u;
    unsigned opened = 0, most_half_open = 0;
    twins_config(&c);
    c.backlog_max = 64;
    c.syn_rate_max = 0;
    twins_open(&w, mbufs, &c);
    for (uint32_t i = 0; i < SYNS; i++) {
        struct seg s = syn_from(i);
        twins_inject(&w, &s);
        if (i % (SYNS / REAL) == 0)
            opened += twins_connect(&w).impl != NULL;
        if (i % 20 == 0)
            twins_run(&w, 1);
        twins_usage(&w, SERVER, &u);
        most_half_open = u.half_open > most_half_open ? u.half_open : most_half_open;
    }
    twins_run(&w, 100);
    twins_usage(&w, SERVER, &u);
    CU_ASSERT_EQUAL(opened, REAL);
    CU_ASSERT_EQUAL(w.side[CLIENT].connected, REAL);
    CU_ASSERT_EQUAL(w.side[SERVER].accepted, REAL);
    CU_ASSERT_EQUAL(w.side[CLIENT].closed, 0);
    CU_ASSERT_TRUE(most_half_open <= c.backlog_max);
    CU_ASSERT_TRUE(u.connections <= REAL + c.backlog_max);
    CU_ASSERT_TRUE(twins_count(&w, SERVER, TGW_C_tcp_syn_cookies_sent) > SYNS - SYNS / 20);
    CU_ASSERT_TRUE(twins_count(&w, SERVER, TGW_C_tcp_syn_cookies_ok) > REAL / 2);
    twins_close(&w);
}

static void a_rate_over_the_limit_draws_cookies(void) {
    struct tcp_config c;
    static struct twins w;
    struct tcp_usage u;
    twins_config(&c);
    c.syn_rate_max = 10;
    twins_open(&w, mbufs, &c);
    for (int second = 0; second < 2; second++) {
        for (uint32_t i = 0; i < 25; i++) {
            struct seg s = syn_from((uint32_t)second * 100 + i);
            twins_inject(&w, &s);
        }
        twins_usage(&w, SERVER, &u);
        CU_ASSERT_EQUAL(u.half_open, 10u * (unsigned)(second + 1));
        CU_ASSERT_EQUAL(twins_count(&w, SERVER, TGW_C_tcp_syn_cookies_sent),
                        15u * (unsigned)(second + 1));
        w.now_ns += UINT64_C(1000000000);
    }
    twins_close(&w);
}

/* Through a cookie as through the backlog: the same options, both ways of data. */
static void options_survive_a_cookie(void) {
    struct tgw_leg_state plain, cookie;
    struct tcp_config c;
    static struct twins w;
    for (unsigned backlog = 0; backlog < 2; backlog++) {
        twins_config(&c);
        c.backlog_max = backlog;
        twins_open(&w, mbufs, &c);
        struct stream s = twins_connect(&w);
        twins_run(&w, 10);
        write_hello(s);
        twins_run(&w, 10);
        CU_ASSERT_EQUAL(w.side[SERVER].received, 5);
        CU_ASSERT_EQUAL_FATAL(w.side[SERVER].accepted, 1);
        w.side[SERVER].last.ops->inspect(w.side[SERVER].last.impl, backlog ? &plain : &cookie);
        twins_close(&w);
    }
    CU_ASSERT_EQUAL(plain.mss, cookie.mss);
    CU_ASSERT_EQUAL(plain.snd_wnd, cookie.snd_wnd);
    CU_ASSERT_EQUAL(plain.rcv_wnd, cookie.rcv_wnd);
    CU_ASSERT_EQUAL(plain.bytes_in, cookie.bytes_in);
}

/* 28 bits stand between a guess and a connection. */
static void guesses_open_nothing(void) {
    enum { GUESSES = 100000 };
    struct tcp_config c;
    static struct twins w;
    struct tcp_usage u;
    twins_config(&c);
    c.backlog_max = 0;
    twins_open(&w, mbufs, &c);
    struct seg s = syn_from(1);
    twins_inject(&w, &s);
    for (uint32_t i = 0; i < GUESSES; i++) {
        s = syn_from(i % 1000);
        s.flags = SEG_ACK;
        s.seq++;
        s.ack = i * 2654435761u;
        twins_inject(&w, &s);
        if (i % 100 == 0)
            twins_turn(&w);
    }
    twins_usage(&w, SERVER, &u);
    CU_ASSERT_EQUAL(u.connections, 0);
    CU_ASSERT_EQUAL(w.side[SERVER].accepted, 0);
    CU_ASSERT_EQUAL(twins_count(&w, SERVER, TGW_C_tcp_syn_cookies_bad), GUESSES);
    twins_close(&w);
}

/* Another secret, another peer, another port: a good cookie is good in one place. */
static void a_cookie_is_good_in_one_place(void) {
    struct tcp_config c;
    static struct twins w;
    struct seg s = syn_from(5), answer;
    twins_config(&c);
    c.backlog_max = 0;
    twins_open(&w, mbufs, &c);
    twins_inject(&w, &s);
    CU_ASSERT_TRUE_FATAL(twins_answer(&w, &answer));
    CU_ASSERT_EQUAL(answer.flags, SEG_SYN | SEG_ACK);
    s.flags = SEG_ACK;
    s.seq++;
    s.ack = answer.seq + 1;
    for (int i = 0; i < 3; i++) {
        struct seg moved = s;
        moved.sport += i == 0;
        moved.src.b[15] ^= (uint8_t)(i == 1);
        moved.seq += i == 2;
        twins_inject(&w, &moved);
        CU_ASSERT_EQUAL(w.side[SERVER].accepted, 0);
    }
    twins_inject(&w, &s);
    CU_ASSERT_EQUAL(w.side[SERVER].accepted, 1);
    twins_inject(&w, &s); /* again: it is a connection's ACK now */
    CU_ASSERT_EQUAL(w.side[SERVER].accepted, 1);
    twins_close(&w);
}

/* The owner's queue is full: the peer is told at once, cookie or not. */
static void a_refused_connection_is_reset(void) {
    struct tcp_config c;
    static struct twins w;
    struct tcp_usage u;
    for (unsigned backlog = 0; backlog < 2; backlog++) {
        twins_config(&c);
        c.backlog_max = backlog;
        twins_open(&w, mbufs, &c);
        w.side[SERVER].refuse = true;
        twins_connect(&w);
        twins_run(&w, 10);
        CU_ASSERT_EQUAL(w.side[SERVER].accepted, 1);
        CU_ASSERT_EQUAL(w.side[CLIENT].reset, 1);
        twins_usage(&w, SERVER, &u);
        CU_ASSERT_EQUAL(u.connections + u.half_open, 0);
        twins_close(&w);
    }
}

/* No TCB for it: the ACK goes unanswered, and the peer's data comes again. */
static void no_memory_for_a_good_cookie(void) {
    struct tcp_config c;
    static struct twins w;
    twins_config(&c);
    c.backlog_max = 0;
    c.connections_max = 1;
    twins_open(&w, mbufs, &c);
    struct stream first = twins_connect(&w);
    twins_run(&w, 10);
    CU_ASSERT_EQUAL_FATAL(w.side[SERVER].accepted, 1);
    struct seg s = syn_from(9), answer;
    twins_inject(&w, &s);
    CU_ASSERT_TRUE_FATAL(twins_answer(&w, &answer));
    s.flags = SEG_ACK;
    s.seq++;
    s.ack = answer.seq + 1;
    twins_inject(&w, &s);
    CU_ASSERT_EQUAL(twins_reason(&w, SERVER, TGW_R_tcp_no_memory), 1);
    CU_ASSERT_FALSE(twins_answer(&w, &answer));
    first.ops->abort(first.impl);
    twins_run(&w, 10);
    twins_inject(&w, &s);
    CU_ASSERT_EQUAL(w.side[SERVER].accepted, 2);
    twins_close(&w);
}

static void a_half_open_connection_is_given_up(void) {
    struct tcp_config c;
    static struct twins w;
    struct tcp_usage u;
    twins_config(&c);
    twins_open(&w, mbufs, &c);
    struct seg s = syn_from(3);
    twins_inject(&w, &s);
    twins_usage(&w, SERVER, &u);
    CU_ASSERT_EQUAL(u.half_open, 1);
    for (int i = 0; i < 200; i++) {
        w.now_ns += UINT64_C(1000000000);
        twins_turn(&w);
    }
    twins_usage(&w, SERVER, &u);
    CU_ASSERT_EQUAL(u.half_open + u.connections, 0);
    twins_close(&w);
}

/* Not even a packet buffer for the cookie. */
static void a_cookie_that_cannot_go_is_counted(void) {
    enum { ALL = 8192 };
    static struct rte_mbuf *taken[ALL];
    struct tcp_config c;
    static struct twins w;
    uint32_t n = 0;
    twins_config(&c);
    c.backlog_max = 0;
    twins_open(&w, mbufs, &c);
    while (n < ALL && (taken[n] = rte_pktmbuf_alloc(mbufs)) != NULL)
        n++;
    struct seg s = syn_from(3);
    twins_inject(&w, &s);
    CU_ASSERT_EQUAL(twins_reason(&w, SERVER, TGW_R_tcp_backlog_full), 1);
    rte_pktmbuf_free_bulk(taken, n);
    twins_close(&w);
}

int main(void) {
    static const struct suite_case cases[] = {
        {"a flood keeps nobody out", a_flood_keeps_nobody_out},
        {"a rate over the limit draws cookies", a_rate_over_the_limit_draws_cookies},
        {"options survive a cookie", options_survive_a_cookie},
        {"guesses open nothing", guesses_open_nothing},
        {"a cookie is good in one place", a_cookie_is_good_in_one_place},
        {"a refused connection is reset", a_refused_connection_is_reset},
        {"no memory for a good cookie", no_memory_for_a_good_cookie},
        {"a half-open connection is given up", a_half_open_connection_is_given_up},
        {"a cookie that cannot go is counted", a_cookie_that_cannot_go_is_counted},
    };
    mbufs = test_eal_init(8191);
    return suite_run("tcp/listen", cases, sizeof(cases) / sizeof(cases[0]));
}

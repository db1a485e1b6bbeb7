/* The scoreboard against a map of single bytes, and its limits. */
#include "tcp/sack.h"
#include "tests/lib/suite.h"
#include <stdlib.h>
#include <string.h>

enum { SPAN = 4096, MSS = 100 };

static const uint32_t BASE = UINT32_C(0xfffffc00); /* wraps within the test */

static void ignore(void *ctx, uint32_t from, const struct tcp_run *r) {
    (void)ctx;
    (void)from;
    (void)r;
}

static void sum(void *ctx, uint32_t from, const struct tcp_run *r) {
    *(uint32_t *)ctx += r->end - from;
}

static struct tcp_board ten_segments(void) {
    struct tcp_board b;
    tcp_board_init(&b, BASE);
    for (uint32_t i = 1; i <= 10; i++)
        tcp_board_sent(&b, BASE + i * MSS, i);
    return b;
}

static void burst_is_one_run(void) {
    struct tcp_board b;
    tcp_board_init(&b, BASE);
    for (uint32_t i = 1; i <= 100; i++)
        tcp_board_sent(&b, BASE + i * MSS, 7);
    CU_ASSERT_EQUAL(b.count, 1);
    CU_ASSERT_EQUAL(tcp_board_pipe(&b), 100 * MSS);
}

static void holes_and_pipe(void) {
    struct tcp_board b = ten_segments();
    uint32_t fresh = 0, from, to;
    CU_ASSERT_EQUAL(tcp_board_sack(&b, BASE + 300, BASE + 500, sum, &fresh), 200);
    CU_ASSERT_EQUAL(fresh, 200);
    CU_ASSERT_EQUAL(tcp_board_sack(&b, BASE + 300, BASE + 550, sum, &fresh), 50);
    CU_ASSERT_EQUAL(tcp_board_pipe(&b), 750);
    CU_ASSERT_FALSE(tcp_board_first_lost(&b, &from, &to));
    CU_ASSERT_EQUAL(tcp_board_lose(&b, BASE, BASE + 300), 300);
    CU_ASSERT_TRUE(tcp_board_first_lost(&b, &from, &to));
    CU_ASSERT_TRUE(from == BASE && to == BASE + 300);
    tcp_board_resent(&b, BASE, BASE + 100, 50);
    CU_ASSERT_EQUAL(tcp_board_pipe(&b), 550);
    CU_ASSERT_TRUE(tcp_board_first_lost(&b, &from, &to));
    CU_ASSERT_TRUE(from == BASE + 100 && to == BASE + 300);
    CU_ASSERT_EQUAL(tcp_board_ack(&b, BASE + 150, sum, &fresh), 150);
    CU_ASSERT_EQUAL(b.lost_bytes, 150);
    CU_ASSERT_TRUE(tcp_board_good(&b));
    CU_ASSERT_EQUAL(tcp_board_ack(&b, BASE + 1000, ignore, NULL), 600);
    CU_ASSERT_TRUE(b.count == 0 && tcp_board_pipe(&b) == 0);
}

static void is_lost_by_rfc_6675(void) {
    struct tcp_board b = ten_segments();
    tcp_board_sack(&b, BASE + 300, BASE + 500, ignore, NULL);
    CU_ASSERT_EQUAL(tcp_board_lost_below(&b, MSS), BASE); /* two segments: not yet */
    tcp_board_sack(&b, BASE + 500, BASE + 501, ignore, NULL);
    CU_ASSERT_EQUAL(tcp_board_lost_below(&b, MSS), BASE + 300);
    b = ten_segments(); /* three blocks of a byte do as well */
    for (uint32_t i = 3; i < 9; i += 2)
        tcp_board_sack(&b, BASE + i * MSS, BASE + i * MSS + 1, ignore, NULL);
    CU_ASSERT_EQUAL(tcp_board_lost_below(&b, MSS), BASE + 300);
}

/* Every other byte is reported, then all is sent again: the table has its size, and
 * every byte stays accounted for. */
static void bomb_is_bounded(void) {
    struct tcp_board b = ten_segments();
    for (uint32_t i = 1; i < 999; i += 2)
        tcp_board_sack(&b, BASE + i, BASE + i + 1, ignore, NULL);
    CU_ASSERT_TRUE(tcp_board_good(&b));
    CU_ASSERT_TRUE(b.count <= TCP_RUNS_MAX - TCP_RUNS_SPARE);
    tcp_board_lose(&b, BASE, BASE + 1000);
    for (uint32_t from, to, n = 0; tcp_board_first_lost(&b, &from, &to); n++) {
        CU_ASSERT_TRUE_FATAL(n < 2000);
        tcp_board_resent(&b, from, from + 1, 100 + n);
        CU_ASSERT_TRUE(tcp_board_good(&b));
    }
    for (uint32_t i = 0; i < 300; i++)
        tcp_board_sent(&b, BASE + 1001 + i, 5000 + i);
    CU_ASSERT_TRUE(tcp_board_good(&b) && tcp_board_end(&b) == BASE + 1300);
}

/* Sent, reported whole, sent, reported whole: no split, yet a run each. */
static void full_table_takes_new_data(void) {
    struct tcp_board b;
    tcp_board_init(&b, BASE);
    for (uint32_t i = 0; i < 200; i++) {
        tcp_board_sent(&b, BASE + 20 * i + 10, 2 * i);
        tcp_board_sack(&b, BASE + 20 * i, BASE + 20 * i + 10, ignore, NULL);
        tcp_board_sent(&b, BASE + 20 * i + 20, 2 * i + 1);
        tcp_board_resent(&b, BASE + 20 * i + 15, BASE + 20 * i + 20, 2 * i + 1);
        CU_ASSERT_TRUE(tcp_board_good(&b));
    }
    CU_ASSERT_EQUAL(tcp_board_end(&b), BASE + 4000);
}

struct model {
    uint32_t una, nxt;
    bool sacked[SPAN], lost[SPAN];
};

static uint32_t count(const struct model *m, const bool *marks) {
    uint32_t n = 0;
    for (uint32_t i = m->una; i < m->nxt; i++)
        n += marks[i];
    return n;
}

static void pick(const struct model *m, uint32_t *from, uint32_t *to) {
    *from = m->una + (uint32_t)rand() % (m->nxt - m->una);
    *to = *from + 1 + (uint32_t)rand() % (m->nxt - *from);
}

static void step(struct model *m, struct tcp_board *b, uint32_t now) {
    uint32_t from, to;
    int what = rand() % 6;
    if (m->una == m->nxt || (what == 0 && m->nxt < SPAN - 400)) {
        m->nxt += 1 + (uint32_t)rand() % 300;
        tcp_board_sent(b, BASE + m->nxt, now);
        return;
    }
    pick(m, &from, &to);
    if (what == 1) {
        tcp_board_ack(b, BASE + from, ignore, NULL);
        m->una = from;
    } else if (what == 2 || what == 3) {
        tcp_board_sack(b, BASE + from, BASE + to, ignore, NULL);
        for (uint32_t i = from; i < to; i++)
            m->sacked[i] = true, m->lost[i] = false;
    } else if (what == 4) {
        tcp_board_lose(b, BASE + from, BASE + to);
        for (uint32_t i = from; i < to; i++)
            m->lost[i] |= !m->sacked[i];
    } else {
        uint32_t a, z;
        if (!tcp_board_first_lost(b, &a, &z))
            return;
        z = seq_min(z, a + 50);
        tcp_board_resent(b, a, z, now);
        memset(m->lost + (a - BASE), 0, z - a);
    }
}

static void agrees_with_a_map_of_bytes(void) {
    srand(11);
    for (int round = 0; round < 300; round++) {
        static struct model m;
        struct tcp_board b;
        memset(&m, 0, sizeof(m));
        tcp_board_init(&b, BASE);
        for (uint32_t now = 0; now < 60 && m.nxt < SPAN - 400 && b.count < 50; now++) {
            step(&m, &b, now);
            CU_ASSERT_TRUE_FATAL(tcp_board_good(&b));
            CU_ASSERT_EQUAL_FATAL(b.sacked_bytes, count(&m, m.sacked));
            CU_ASSERT_EQUAL_FATAL(b.lost_bytes, count(&m, m.lost));
            CU_ASSERT_EQUAL_FATAL(b.start, BASE + m.una);
        }
    }
}

int main(void) {
    static const struct suite_case cases[] = {
        {"a burst is one run", burst_is_one_run},
        {"holes, losses and the pipe", holes_and_pipe},
        {"IsLost of RFC 6675", is_lost_by_rfc_6675},
        {"a SACK bomb is bounded", bomb_is_bounded},
        {"a full table takes new data in", full_table_takes_new_data},
        {"agrees with a map of bytes", agrees_with_a_map_of_bytes},
    };
    return suite_run("tcp/sack", cases, sizeof(cases) / sizeof(cases[0]));
}

/* Initial sequence numbers: RFC 6528 section 3, a clock of 4 us plus a keyed hash of the
 * four-tuple. */
#include "tests/lib/eal_init.h"
#include "tests/lib/suite.h"
#include "twins.h"
#include <string.h>

enum { CLIENT_ADDR = 0x0a000001, TUPLES = 256, ISN_BITS = 32 };

static struct rte_mempool *mbufs;

static void open_with_key(struct twins *w, uint8_t key) {
    struct tcp_config c;
    twins_config(&c);
    memset(c.secret, key, sizeof(c.secret));
    twins_open(w, mbufs, &c);
}

/* The number that the server chooses for a SYN from there; what it keeps is reset. */
static uint32_t number_for(struct twins *w, uint32_t from, uint16_t port) {
    struct seg answer = {0}, syn = twins_segment(from, port, SEG_SYN, 1000, 0);
    twins_inject(w, &syn);
    CU_ASSERT_TRUE_FATAL(twins_answer(w, &answer));
    CU_ASSERT_EQUAL(answer.flags & (SEG_SYN | SEG_ACK), SEG_SYN | SEG_ACK);
    struct seg rst = twins_segment(from, port, SEG_RST, 1001, 0);
    twins_inject(w, &rst);
    twins_answer(w, &answer);
    return answer.seq;
}

/* Without the clock's share. */
static uint32_t hash_for(struct twins *w, uint32_t from, uint16_t port) {
    uint32_t clock = (uint32_t)(w->now_ns / 4000);
    return number_for(w, from, port) - clock;
}

static void the_same_tuple_goes_on_with_the_clock(void) {
    static struct twins w;
    open_with_key(&w, 1);
    uint32_t first = number_for(&w, CLIENT_ADDR, 5000);
    uint64_t began_ns = w.now_ns;
    for (int i = 1; i <= 5; i++) {
        twins_run(&w, 1000);
        uint32_t grown = (uint32_t)((w.now_ns - began_ns) / 4000);
        CU_ASSERT_EQUAL(number_for(&w, CLIENT_ADDR, 5000) - first, grown);
    }
    twins_close(&w);
}

static void numbers_of_different_tuples_are_unrelated(void) {
    static struct twins w;
    static uint32_t seen[TUPLES];
    unsigned ones[ISN_BITS] = {0}, same = 0, neighbours = 0;
    open_with_key(&w, 1);
    for (unsigned i = 0; i < TUPLES; i++) {
        seen[i] = i & 1 ? hash_for(&w, CLIENT_ADDR, (uint16_t)(5000 + i))
                        : hash_for(&w, CLIENT_ADDR + i, 5000);
        for (unsigned j = 0; j < i; j++)
            same += seen[i] == seen[j];
        neighbours += i && (int32_t)(seen[i] - seen[i - 1]) < 1 << 20 &&
                      (int32_t)(seen[i] - seen[i - 1]) > -(1 << 20);
        for (unsigned bit = 0; bit < ISN_BITS; bit++)
            ones[bit] += seen[i] >> bit & 1;
    }
    CU_ASSERT_EQUAL(same, 0);
    CU_ASSERT_TRUE(neighbours < 4); /* an eighth of one is what chance gives */
    for (unsigned bit = 0; bit < ISN_BITS; bit++)
        CU_ASSERT_TRUE(ones[bit] > TUPLES / 4 && ones[bit] < TUPLES * 3 / 4);
    twins_close(&w);
}

static void another_key_gives_other_numbers(void) {
    static struct twins w;
    unsigned same = 0;
    for (uint16_t port = 5000; port < 5016; port++) {
        open_with_key(&w, 1);
        uint32_t one = hash_for(&w, CLIENT_ADDR, port);
        twins_close(&w);
        open_with_key(&w, 1);
        CU_ASSERT_EQUAL(hash_for(&w, CLIENT_ADDR, port), one);
        twins_close(&w);
        open_with_key(&w, 2);
        same += hash_for(&w, CLIENT_ADDR, port) == one;
        twins_close(&w);
    }
    CU_ASSERT_EQUAL(same, 0);
}

int main(void) {
    static const struct suite_case cases[] = {
        {"the same tuple goes on with the clock", the_same_tuple_goes_on_with_the_clock},
        {"numbers of different tuples are unrelated", numbers_of_different_tuples_are_unrelated},
        {"another key gives other numbers", another_key_gives_other_numbers},
    };
    mbufs = test_eal_init(2047);
    return suite_run("tcp/isn", cases, sizeof(cases) / sizeof(cases[0]));
}

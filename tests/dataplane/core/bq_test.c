#include "core/bq.h"
#include "tests/lib/suite.h"
#include <stdlib.h>
#include <string.h>

static uint8_t byte_at(size_t i) {
    return (uint8_t)(i * 131 + (i >> 8));
}

/* Random appends and consumes against the position in an endless pattern. */
static void stays_exact_under_random_use(void) {
    struct bq_pools p;
    struct bq q = {0};
    uint8_t buf[5000], back[5000];
    size_t in = 0, out = 0;
    CU_ASSERT_TRUE_FATAL(bq_pools_init(&p, 16, 8, false));
    srand(3);
    for (int turn = 0; turn < 20000; turn++) {
        size_t n = (size_t)rand() % (rand() % 4 ? 200 : 5000);
        for (size_t i = 0; i < n; i++)
            buf[i] = byte_at(in + i);
        in += bq_append(&q, &p, buf, n);
        CU_ASSERT_EQUAL_FATAL(q.bytes, in - out);
        size_t off = q.bytes ? (size_t)rand() % q.bytes : 0;
        size_t len = q.bytes - off < sizeof(back) ? q.bytes - off : sizeof(back);
        bq_copy(&q, off, back, len);
        for (size_t i = 0; i < len; i++)
            CU_ASSERT_EQUAL_FATAL(back[i], byte_at(out + off + i));
        size_t take = q.bytes ? (size_t)rand() % (q.bytes + 1) : 0;
        bq_consume(&q, &p, take);
        out += take;
    }
    bq_clear(&q, &p);
    CU_ASSERT_EQUAL(p.small.used + p.large.used, 0);
    bq_pools_fini(&p);
}

static void a_dry_pool_gives_a_short_append(void) {
    struct bq_pools p;
    struct bq q = {0};
    static uint8_t buf[BQ_LARGE_BYTES * 4];
    CU_ASSERT_TRUE_FATAL(bq_pools_init(&p, 1, 1, false));
    CU_ASSERT_EQUAL(bq_append(&q, &p, buf, sizeof(buf)), BQ_LARGE_BYTES + BQ_SMALL_BYTES);
    CU_ASSERT_EQUAL(bq_append(&q, &p, buf, 1), 0);
    bq_clear(&q, &p);
    p.large.fail_at = 1;
    CU_ASSERT_EQUAL(bq_append(&q, &p, buf, 400), 400);
    bq_clear(&q, &p);
    CU_ASSERT_PTR_NULL(q.head);
    bq_pools_fini(&p);
}

/* A sender that copies segment after segment must not walk from the head each time. */
static void forward_copies_go_on_from_the_last(void) {
    struct bq_pools p;
    struct bq q = {0};
    static uint8_t buf[BQ_LARGE_BYTES * 8];
    CU_ASSERT_TRUE_FATAL(bq_pools_init(&p, 1, 8, false));
    CU_ASSERT_EQUAL(bq_append(&q, &p, buf, sizeof(buf)), sizeof(buf));
    for (size_t at = 0; at + 1000 <= sizeof(buf); at += 1000) {
        uint8_t out[1000];
        bq_copy(&q, at, out, sizeof(out));
        CU_ASSERT_PTR_NOT_NULL_FATAL(q.cursor);
        CU_ASSERT_TRUE(at + 999 - q.cursor_bytes < BQ_LARGE_BYTES);
    }
    bq_consume(&q, &p, BQ_LARGE_BYTES * 3 + 1);
    CU_ASSERT_EQUAL(q.cursor_bytes, BQ_LARGE_BYTES * 4 - 1);
    bq_consume(&q, &p, BQ_LARGE_BYTES * 5 - 1);
    CU_ASSERT_PTR_NULL(q.cursor);
    bq_pools_fini(&p);
}

int main(void) {
    static const struct suite_case cases[] = {
        {"stays exact under random use", stays_exact_under_random_use},
        {"a dry pool gives a short append", a_dry_pool_gives_a_short_append},
        {"forward copies go on from the last", forward_copies_go_on_from_the_last},
    };
    return suite_run("core/bq", cases, sizeof(cases) / sizeof(cases[0]));
}

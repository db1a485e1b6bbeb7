#include "control/histogram.h"
#include "control/live.h"
#include "tests/lib/suite.h"
#include <stdio.h>
#include <stdlib.h>

enum { KEYS = 2000 };

/* Against an array: random adds and removals, every key looked up at the end. */
static void a_map_agrees_with_an_array(void) {
    static bool there[KEYS + 1];
    struct map m = {0};
    size_t used = 0;
    srand(7);
    for (int i = 0; i < 20000; i++) {
        uint64_t key = 1 + (uint64_t)rand() % KEYS;
        struct map_entry *e = map_find(&m, key);
        CU_ASSERT_EQUAL(e != NULL, there[key]);
        if (e) {
            CU_ASSERT_EQUAL(e->a, key * 3);
            map_remove(&m, e);
        } else {
            map_add(&m, key)->a = key * 3;
        }
        there[key] = !there[key];
        used += there[key] ? 1 : (size_t)-1;
        CU_ASSERT_EQUAL(m.used, used);
    }
    for (uint64_t key = 1; key <= KEYS; key++)
        CU_ASSERT_EQUAL(map_find(&m, key) != NULL, there[key]);
    map_free(&m);
}

static struct tgw_endpoint v4(uint8_t last, uint16_t port) {
    return (struct tgw_endpoint){.addr = {[10] = 0xff, [11] = 0xff, 10, 0, 0, last}, .port = port};
}

static void sessions_count_by_user_and_source(void) {
    struct live l;
    struct tgw_endpoint one = v4(1, 5), same_host = v4(1, 6), two = v4(2, 5);
    live_init(&l, 42);
    live_open(&l, 10, "ann", &one);
    live_open(&l, 10, "ann", &one); /* the list says again what the event said */
    live_open(&l, 11, "ann", &two);
    live_open(&l, 12, "bob", &same_host);
    CU_ASSERT_EQUAL(live_count_user(&l, "ann"), 2);
    CU_ASSERT_EQUAL(live_count_user(&l, "bob"), 1);
    CU_ASSERT_EQUAL(live_count_user(&l, "eve"), 0);
    CU_ASSERT_EQUAL(live_count_source(&l, &one), 2);
    live_close(&l, 10);
    live_close(&l, 10);
    live_close(&l, 99);
    CU_ASSERT_EQUAL(live_count_user(&l, "ann"), 1);
    CU_ASSERT_EQUAL(live_count_source(&l, &same_host), 1);
    live_close(&l, 11);
    live_close(&l, 12);
    CU_ASSERT_TRUE(l.session.used == 0 && l.count.used == 0);
    live_free(&l);
}

/* Who has an IPv6 /64 has all of its addresses. */
static void ipv6_sources_count_by_prefix(void) {
    struct live l;
    struct tgw_endpoint a = {.addr = {0xfd, 0x18, [15] = 1}}, b = {.addr = {0xfd, 0x18, [15] = 2}},
                        other = {.addr = {0xfd, 0x18, [7] = 1, [15] = 1}};
    live_init(&l, 42);
    live_open(&l, 1, "u", &a);
    CU_ASSERT_EQUAL(live_count_source(&l, &b), 1);
    CU_ASSERT_EQUAL(live_count_source(&l, &other), 0);
    live_free(&l);
}

static void a_histogram_is_cumulative(void) {
    struct histogram h;
    char *text;
    size_t len;
    histogram_init_setup(&h);
    histogram_add(&h, 100); /* on its bound: le means at most */
    histogram_add(&h, 101);
    histogram_add(&h, 99000000);
    FILE *out = open_memstream(&text, &len);
    histogram_print(&h, out, "x_seconds", "help");
    fclose(out);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "x_seconds_bucket{le=\"0.0001\"} 1\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "x_seconds_bucket{le=\"0.00025\"} 2\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "x_seconds_bucket{le=\"5\"} 2\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "x_seconds_bucket{le=\"+Inf\"} 3\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "x_seconds_sum 99.000201\nx_seconds_count 3\n"));
    free(text);
}

int main(void) {
    static const struct suite_case cases[] = {
        {"a map agrees with an array", a_map_agrees_with_an_array},
        {"sessions count by user and source", sessions_count_by_user_and_source},
        {"IPv6 sources count by prefix", ipv6_sources_count_by_prefix},
        {"a histogram is cumulative", a_histogram_is_cumulative},
    };
    return suite_run("control/live", cases, sizeof(cases) / sizeof(cases[0]));
}

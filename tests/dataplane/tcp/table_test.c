#include "tcp/table.h"
#include "tests/lib/suite.h"
#include <stdlib.h>

enum { ENTRIES = 20000 };

static bool always(const void *ctx, uint32_t index) {
    (void)ctx;
    (void)index;
    return true;
}

static bool is_index(const void *ctx, uint32_t index) {
    return *(const uint32_t *)ctx == index;
}

static bool holds(const struct flow_table *t, uint64_t hash, uint32_t index) {
    return flow_find(t, hash, is_index, &index) == index;
}

/* splitmix64 of the number: what a keyed hash looks like. */
static uint64_t hash_of(uint64_t n) {
    uint64_t z = (n + 1) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static void what_goes_in_is_found_and_goes_out(void) {
    struct flow_table t;
    unsigned wrong = 0;
    CU_ASSERT_TRUE_FATAL(flow_table_init(&t, ENTRIES, false));
    for (uint32_t i = 0; i < ENTRIES; i++)
        wrong += !flow_insert(&t, hash_of(i), i);
    for (uint32_t i = 0; i < ENTRIES; i++)
        wrong += !holds(&t, hash_of(i), i);
    CU_ASSERT_EQUAL(t.used, ENTRIES);
    for (uint32_t i = 0; i < ENTRIES; i += 2)
        flow_remove(&t, hash_of(i), i);
    for (uint32_t i = 0; i < ENTRIES; i++)
        wrong += holds(&t, hash_of(i), i) != (i % 2 == 1);
    CU_ASSERT_EQUAL(t.used, ENTRIES / 2);
    CU_ASSERT_EQUAL(wrong, 0);
    flow_table_fini(&t);
}

/* As many as it was made for, whatever their hashes, within the spares' bound. */
static void a_full_bucket_goes_on_in_spares(void) {
    struct flow_table t;
    uint64_t same = UINT64_C(0x1234000000000000);
    CU_ASSERT_TRUE_FATAL(flow_table_init(&t, 16, false));
    uint32_t most = FLOW_SLOTS * (1 + t.spares), n = 0;
    while (n < 2 * most && flow_insert(&t, same, n))
        n++;
    CU_ASSERT_EQUAL(n, most);
    CU_ASSERT_FALSE(flow_insert(&t, same, n));
    CU_ASSERT_TRUE(flow_insert(&t, same + 1, n));
    for (uint32_t i = 0; i < most; i++)
        CU_ASSERT_TRUE(holds(&t, same, i));
    flow_remove(&t, same + 1, n);
    flow_table_fini(&t);
}

static void emptied_spares_serve_again(void) {
    struct flow_table t;
    CU_ASSERT_TRUE_FATAL(flow_table_init(&t, 16, false));
    for (uint32_t round = 0; round < 100; round++) {
        uint64_t same = (uint64_t)(round + 1) << 48 | round;
        uint32_t n = 0;
        while (flow_insert(&t, same, n))
            n++;
        CU_ASSERT_EQUAL(n, FLOW_SLOTS * (1 + t.spares));
        for (uint32_t i = 0; i < n; i++) /* from the middle, then the rest */
            flow_remove(&t, same, (i + n / 2) % n);
        CU_ASSERT_EQUAL(t.used, 0);
        CU_ASSERT_EQUAL(flow_find(&t, same, always, NULL), FLOW_NONE);
    }
    flow_table_fini(&t);
}

static void equal_tags_are_told_apart(void) {
    struct flow_table t;
    uint64_t a = UINT64_C(0xabcd000000000003), b = UINT64_C(0xabcd111111111103);
    CU_ASSERT_TRUE_FATAL(flow_table_init(&t, 1000, false));
    CU_ASSERT_TRUE(flow_insert(&t, a, 1) && flow_insert(&t, b, 2));
    CU_ASSERT_TRUE(holds(&t, a, 1) && holds(&t, b, 2));
    flow_remove(&t, a, 1);
    CU_ASSERT_TRUE(!holds(&t, a, 1) && holds(&t, b, 2));
    flow_remove(&t, b, 2);
    CU_ASSERT_TRUE(flow_insert(&t, 5, 7)); /* the tag would be 0 */
    CU_ASSERT_TRUE(holds(&t, 5, 7));
    flow_table_fini(&t);
}

/* A million in a table for a million: spares suffice, with room to spare. */
static void spares_suffice_at_full_load(void) {
    struct flow_table t;
    const uint32_t full = (1u << 18) * FLOW_LOAD;
    unsigned refused = 0;
    CU_ASSERT_TRUE_FATAL(flow_table_init(&t, full, false));
    CU_ASSERT_EQUAL(t.buckets, 1u << 18);
    for (uint32_t i = 0; i < full; i++)
        refused += !flow_insert(&t, hash_of(i), i);
    CU_ASSERT_EQUAL(refused, 0);
    CU_ASSERT_TRUE(t.spare_touched < t.spares * 3 / 4);
    flow_table_fini(&t);
}

static void addresses_and_ports_all_count(void) {
    const uint64_t key[2] = {1, 2}, other[2] = {1, 3};
    struct flow_key k = {.lport = 80, .rport = 1000};
    uint64_t h = flow_hash(key, &k);
    CU_ASSERT_NOT_EQUAL(flow_hash(other, &k), h);
    for (size_t i = 0; i < offsetof(struct flow_key, zero); i++) {
        struct flow_key changed = k;
        ((uint8_t *)&changed)[i] ^= 1;
        CU_ASSERT_NOT_EQUAL(flow_hash(key, &changed), h);
    }
}

int main(void) {
    static const struct suite_case cases[] = {
        {"what goes in is found and goes out", what_goes_in_is_found_and_goes_out},
        {"a full bucket goes on in spares", a_full_bucket_goes_on_in_spares},
        {"emptied spares serve again", emptied_spares_serve_again},
        {"equal tags are told apart", equal_tags_are_told_apart},
        {"spares suffice at full load", spares_suffice_at_full_load},
        {"addresses and ports all count", addresses_and_ports_all_count},
    };
    return suite_run("tcp/table", cases, sizeof(cases) / sizeof(cases[0]));
}

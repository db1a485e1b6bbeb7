#include "hw/rig/hist.h"
#include "tests/lib/suite.h"

static struct hist h;

static void small_values_are_exact(void) {
    hist_clear(&h);
    for (uint64_t v = 0; v < 256; v++)
        hist_add(&h, v);
    CU_ASSERT_EQUAL(h.min, 0);
    CU_ASSERT_EQUAL(h.max, 255);
    CU_ASSERT_EQUAL(hist_quantile(&h, 500000), 127);
    CU_ASSERT_EQUAL(hist_quantile(&h, 1000000), 255);
    CU_ASSERT_DOUBLE_EQUAL(hist_mean(&h), 127.5, 1e-9);
}

/* Any value lies in its bucket, and the bucket is narrow. */
static void no_value_is_off_by_a_hundredth(void) {
    for (uint64_t v = 1; v < UINT64_MAX / 3; v = v * 3 / 2 + 1) {
        hist_clear(&h);
        hist_add(&h, v);
        hist_add(&h, UINT64_MAX); /* so that the maximum does not hide the bucket's end */
        uint64_t q = hist_quantile(&h, 500000);
        CU_ASSERT_TRUE(q >= v);
        CU_ASSERT_TRUE(q - v <= v / 100 + 1);
    }
}

static void buckets_meet_without_gap(void) {
    for (uint32_t i = 1; i < HIST_BUCKETS; i++) {
        CU_ASSERT_TRUE(hist_bucket_top(i) > hist_bucket_top(i - 1));
        hist_clear(&h);
        hist_add(&h, hist_bucket_top(i - 1) + 1);
        hist_add(&h, hist_bucket_top(i));
        CU_ASSERT_EQUAL(h.bucket[i], 2);
    }
}

static void quantiles_count_from_the_low_end(void) {
    hist_clear(&h);
    CU_ASSERT_EQUAL(hist_quantile(&h, 990000), 0); /* nothing in it */
    for (int i = 0; i < 99; i++)
        hist_add(&h, 10);
    hist_add(&h, 5000);
    CU_ASSERT_EQUAL(hist_quantile(&h, 990000), 10);
    CU_ASSERT_EQUAL(hist_quantile(&h, 990001), 5000); /* at most the maximum */
    CU_ASSERT_EQUAL(hist_quantile(&h, 0), 10);
}

int main(void) {
    static const struct suite_case cases[] = {
        {"small values are exact", small_values_are_exact},
        {"no value is off by a hundredth", no_value_is_off_by_a_hundredth},
        {"buckets meet without gap", buckets_meet_without_gap},
        {"quantiles count from the low end", quantiles_count_from_the_low_end},
    };
    return suite_run("rig/hist", cases, sizeof(cases) / sizeof(cases[0]));
}

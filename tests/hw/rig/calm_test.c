/* What a stall reaches, on a clock of the test's own. */
#include "hw/rig/calm.h"
#include "tests/lib/suite.h"
#include <string.h>

static const uint64_t US = 1000;

static struct tgw_counters gateway;
static struct calm calm;

static void begin(bool seen) {
    memset(&gateway, 0, sizeof(gateway));
    calm = (struct calm){.gateway = {&gateway}, .cores = seen, .tsc_hz = 2000000000};
    calm_init(&calm);
    calm_turn(&calm, 1000 * US, 0, 10);
}

static void a_gateway_stalls_us(uint64_t us) {
    tgw_count(&gateway, TGW_C_stall_ticks, us * 2000);
    tgw_count(&gateway, TGW_C_stalls, 1);
}

static void a_turn_of_the_rigs_that_works_is_none(void) {
    begin(true);
    calm_turn(&calm, 1050 * US, 0, 10);
    calm_turn(&calm, 1250 * US, 150, 10);
    CU_ASSERT_EQUAL(calm.rig.count, 0);
    CU_ASSERT_TRUE(calm_kept(&calm, 1250 * US, 900 * US));
    calm_turn(&calm, 1451 * US, 300, 10);
    CU_ASSERT_EQUAL(calm.rig.count, 1);
    CU_ASSERT_EQUAL(calm.rig.total_ns, 201 * US);
}

/* From its begin to five times its length behind that. */
static void what_a_stall_reaches_is_left_out(void) {
    begin(true);
    calm_turn(&calm, 2000 * US, 0, 10); /* 1,000 us */
    CU_ASSERT_EQUAL(calm.rig.longest_ns, 1000 * US);
    CU_ASSERT_FALSE(calm_kept(&calm, 2001 * US, 990 * US)); /* under way when it began */
    CU_ASSERT_FALSE(calm_kept(&calm, 2001 * US, 1500 * US));
    CU_ASSERT_FALSE(calm_kept(&calm, 6000 * US, 5999 * US));
    CU_ASSERT_TRUE(calm_kept(&calm, 6001 * US, 6000 * US));
}

static void queues_add_up(void) {
    begin(true);
    calm_turn(&calm, 1100 * US, 0, 10); /* until 1,500 */
    calm_turn(&calm, 1140 * US, 0, 10);
    calm_turn(&calm, 1240 * US, 0, 10); /* another 500 behind that */
    CU_ASSERT_EQUAL(calm.rig.count, 2);
    CU_ASSERT_FALSE(calm_kept(&calm, 1999 * US, 1999 * US));
    CU_ASSERT_TRUE(calm_kept(&calm, 2000 * US, 2000 * US));
}

/* However long that takes; and what was under way all the time is none. */
static void a_queue_that_stays_disturbs_on(void) {
    begin(true);
    for (uint64_t us = 1010; us < 21000; us += 10)
        calm_turn(&calm, us * US, 0, 40);
    CU_ASSERT_TRUE(calm_kept(&calm, 21000 * US, 20990 * US));
    calm_turn(&calm, 21100 * US, 0, 40); /* until 21,600 */
    for (uint64_t us = 21110; us < 50000; us += 10)
        calm_turn(&calm, us * US, 0, 200);
    CU_ASSERT_FALSE(calm_kept(&calm, 50000 * US, 49990 * US));
    for (uint64_t us = 50000; us < 51100; us += 10)
        calm_turn(&calm, us * US, 0, 40);
    CU_ASSERT_TRUE(calm_kept(&calm, 51200 * US, 51100 * US));
    CU_ASSERT_EQUAL(calm.rig.count, 1);
}

static void the_gateways_stalls_count_where_they_are_seen(void) {
    begin(true);
    a_gateway_stalls_us(100);
    CU_ASSERT_FALSE(calm_kept(&calm, 5000 * US, 4850 * US));
    CU_ASSERT_EQUAL(calm.by_gateway.count, 1);
    CU_ASSERT_EQUAL(calm.by_gateway.total_ns, 100 * US);
    CU_ASSERT_EQUAL(calm.rig.count, 0);
    CU_ASSERT_FALSE(calm_kept(&calm, 5399 * US, 5399 * US));
    CU_ASSERT_TRUE(calm_kept(&calm, 5400 * US, 5400 * US));
    CU_ASSERT_EQUAL(calm.by_gateway.count, 1); /* once */
    begin(false);
    a_gateway_stalls_us(100);
    CU_ASSERT_TRUE(calm_kept(&calm, 5000 * US, 4850 * US));
}

static void what_was_before_is_not_counted(void) {
    begin(true);
    a_gateway_stalls_us(100);
    calm_init(&calm);
    CU_ASSERT_TRUE(calm_kept(&calm, 5000 * US, 4990 * US));
    calm_turn(&calm, 9000 * US, 0, 10);
    calm_turn(&calm, 9900 * US, 0, 10);
    CU_ASSERT_EQUAL(calm.rig.count, 1);
    a_gateway_stalls_us(10);
    calm_clear(&calm, 9940 * US);
    CU_ASSERT_FALSE(calm_kept(&calm, 9960 * US, 9950 * US)); /* disturbed all the same */
    CU_ASSERT_EQUAL(calm.rig.count, 0);
    CU_ASSERT_EQUAL(calm.by_gateway.count, 0);
}

int main(void) {
    static const struct suite_case cases[] = {
        {"a turn of the rig's that works is none", a_turn_of_the_rigs_that_works_is_none},
        {"what a stall reaches is left out", what_a_stall_reaches_is_left_out},
        {"queues add up", queues_add_up},
        {"a queue that stays disturbs on", a_queue_that_stays_disturbs_on},
        {"the gateway's stalls count where they are seen",
         the_gateways_stalls_count_where_they_are_seen},
        {"what was before is not counted", what_was_before_is_not_counted},
    };
    return suite_run("rig/calm", cases, sizeof(cases) / sizeof(cases[0]));
}

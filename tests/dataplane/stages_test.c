/* Where cycles go: nothing is lost between the stages, whatever was sampled. */
#include "session/session.h"
#include "stages.h"
#include "tests/lib/suite.h"
#include "tls/tls.h"
#include <rte_cycles.h>
#include <string.h>

enum { HZ = 2000000000 }; /* as if */

static struct stages s;
static struct tgw_counters counters;

/* Longer than the coarsest counter's tick: 16 ns on many arm64 machines. */
static void work(void) {
    for (volatile int i = 0; i < 2000; i++)
        ;
}

static uint64_t cycles(enum tgw_stage stage) {
    return atomic_load(&counters.cycles[stage]);
}

static void burst(void) {
    stages_charge(&s, TGW_STAGE_rx, 1);
    stages_burst_begin(&s);
    uint8_t was = probe_enter(&s.probe, TGW_STAGE_tcp);
    work();
    uint8_t inner = probe_enter(&s.probe, TGW_STAGE_relay);
    work();
    probe_enter(&s.probe, inner);
    probe_enter(&s.probe, was);
    stages_burst_end(&s, 1);
}

static void stages_add_up_to_what_passed(void) {
    uint64_t sum = 0;
    memset(&counters, 0, sizeof(counters));
    stages_init(&s, &counters, HZ);
    uint64_t from = s.since_tsc;
    for (int i = 0; i < 1000; i++) {
        burst();
        stages_charge(&s, TGW_STAGE_tx, 1);
    }
    for (int i = 0; i < TGW_STAGE_COUNT; i++)
        sum += cycles((enum tgw_stage)i);
    CU_ASSERT_EQUAL(sum + s.unsplit, s.since_tsc - from);
}

static void bursts_are_split_as_the_sample_was(void) {
    memset(&counters, 0, sizeof(counters));
    stages_init(&s, &counters, HZ);
    for (int i = 0; i < 640; i++)
        burst();
    CU_ASSERT_EQUAL(s.unsplit, 0); /* the last one was a sample */
    CU_ASSERT_TRUE(cycles(TGW_STAGE_tcp) > 0);
    CU_ASSERT_TRUE(cycles(TGW_STAGE_relay) > 0);
    CU_ASSERT_EQUAL(cycles(TGW_STAGE_tls), 0); /* nobody was there */
    CU_ASSERT_EQUAL(cycles(TGW_STAGE_ws), 0);
}

/* As long as a core that is taken away for three times what nobody asks about. */
static void be_taken_away(void) {
    for (uint64_t from = rte_rdtsc(); rte_rdtsc() - from < 3 * s.stall_ticks;)
        ;
}

static uint64_t stalls(void) {
    return tgw_counter_get(&counters, TGW_C_stalls);
}

static void what_no_work_explains_is_a_stall(void) {
    const uint32_t much = 1000000;
    memset(&counters, 0, sizeof(counters));
    stages_init(&s, &counters, HZ);
    stages_use(&s);
    be_taken_away();
    stages_charge(&s, TGW_STAGE_timers, 0);
    CU_ASSERT_EQUAL(stalls(), 1);
    CU_ASSERT_EQUAL(tgw_counter_get(&counters, TGW_C_stall_ticks), cycles(TGW_STAGE_timers));
    be_taken_away();
    stages_charge(&s, TGW_STAGE_tcp, much);
    CU_ASSERT_EQUAL(stalls(), 1);
    be_taken_away();
    stages_burst_end(&s, much);
    CU_ASSERT_EQUAL(stalls(), 1);
    be_taken_away();
    stages_burst_end(&s, 0);
    CU_ASSERT_EQUAL(stalls(), 2);
}

static void a_sleep_of_ones_own_is_none(void) {
    memset(&counters, 0, sizeof(counters));
    stages_init(&s, &counters, HZ);
    stages_use(&s);
    stages_give_away(&s);
    be_taken_away();
    stages_charge(&s, TGW_STAGE_idle, 0);
    CU_ASSERT_EQUAL(stalls(), 0);
    be_taken_away(); /* it holds for one stretch */
    stages_charge(&s, TGW_STAGE_idle, 0);
    CU_ASSERT_EQUAL(stalls(), 1);
}

static unsigned heard;
static void hear(void *user) {
    heard += *(unsigned *)user;
}

static void handlers_are_called_through(void) {
    static const struct stream_handler agent = {.readable = hear}, other = {.readable = hear};
    unsigned user = 3;
    heard = 0;
    stages_init(&s, &counters, HZ);
    stages_use(&s);
    const struct stream_handler *outer = stages_wrap(&s, &agent);
    CU_ASSERT_PTR_NOT_EQUAL(outer, &agent);
    CU_ASSERT_PTR_EQUAL(stages_wrap(&s, &agent), outer);
    CU_ASSERT_PTR_EQUAL(stages_wrap(&s, &other), &other); /* one too many goes without */
    outer->readable(&user);
    CU_ASSERT_EQUAL(heard, 3);
    CU_ASSERT_PTR_NOT_EQUAL(stages_wrap(&s, &tls_lower_handler), &tls_lower_handler);
    CU_ASSERT_PTR_EQUAL(stages_wrap(&s, &session_client_handler)->closed,
                        session_client_handler.closed);
}

int main(void) {
    static const struct suite_case cases[] = {
        {"stages add up to what passed", stages_add_up_to_what_passed},
        {"bursts are split as the sample was", bursts_are_split_as_the_sample_was},
        {"what no work explains is a stall", what_no_work_explains_is_a_stall},
        {"a sleep of one's own is none", a_sleep_of_ones_own_is_none},
        {"handlers are called through", handlers_are_called_through},
    };
    return suite_run("dataplane/stages", cases, sizeof(cases) / sizeof(cases[0]));
}

/* The course of a run on a clock of the test's own; the browsers are played here. */
#include "hw/rig/pace.h"
#include "tests/lib/suite.h"
#include <string.h>

enum { SESSIONS = 10, TYPED_MAX = 1000 };
static const uint64_t MS = 1000000;

static struct rig rig;
static struct pace pace;
static struct {
    bool open[SESSIONS];
    uint32_t opened, opening, aborted, asked, typed, looked_at;
    uint64_t due_ns[TYPED_MAX];
    bool slow; /* what is opened stays under way */
} played;

bool browser_open(struct browsers *b, uint32_t i, uint64_t due_ns) {
    (void)b;
    (void)due_ns;
    CU_ASSERT_FALSE(played.open[i]);
    played.open[i] = true;
    played.opened++;
    played.opening += played.slow;
    rig.tally.opened += !played.slow;
    return true;
}
bool browser_is_idle(const struct browsers *b, uint32_t i) {
    (void)b;
    played.looked_at++;
    return !played.open[i];
}
void browser_type(struct browsers *b, uint32_t i, uint64_t due_ns) {
    (void)b;
    CU_ASSERT_TRUE(i < SESSIONS);
    if (played.typed < TYPED_MAX)
        played.due_ns[played.typed] = due_ns;
    played.typed++;
}
void browser_type_on(struct browsers *b, uint32_t i) {
    (void)b;
    (void)i;
    played.asked++;
}
void browser_paste(struct browsers *b, uint32_t i, uint64_t bytes) {
    (void)b;
    (void)i;
    (void)bytes;
}
void browser_ask(struct browsers *b, uint32_t i, enum ask ask, uint32_t bytes) {
    (void)b;
    (void)i;
    (void)bytes;
    played.asked += ask == ASK_FLOOD;
}
void browser_abort(struct browsers *b, uint32_t i) {
    (void)b;
    played.aborted += played.open[i];
}
bool secure_ready(struct rig *r) {
    (void)r;
    return true;
}
void browsers_rest(struct browsers *b) {
    (void)b;
}
uint32_t browsers_opening(const struct browsers *b) {
    (void)b;
    return played.opening;
}
uint32_t browsers_idle(const struct browsers *b) {
    uint32_t n = 0;
    (void)b;
    for (uint32_t i = 0; i < SESSIONS; i++)
        n += !played.open[i];
    return n;
}
uint32_t agents_live(const struct agents *a) {
    (void)a;
    return 0;
}

static void begin(enum scenario scenario, uint64_t rate_per_s) {
    memset(&played, 0, sizeof(played));
    rig = (struct rig){.now_ns = 1000 * MS,
                       .browsers = (struct browsers *)&played,
                       .plan = {.scenario = scenario,
                                .sessions = SESSIONS,
                                .ramp_per_s = 1000,
                                .opening_max = 4,
                                .rate_per_s = rate_per_s,
                                .settle_ms = 50,
                                .duration_ms = 200}};
    pace_init(&pace, &rig);
}

static void pass_ms(uint64_t ms) {
    for (uint64_t i = 0; i < ms; i++) {
        rig.now_ns += MS;
        pace_turn(&pace);
    }
}

static void until(enum phase phase) {
    for (int i = 0; i < 100000 && pace.phase < phase; i++)
        pass_ms(1);
    CU_ASSERT_EQUAL_FATAL(pace.phase, phase);
}

static void phases_follow_each_other(void) {
    begin(SCENARIO_flood, 0);
    pass_ms(299);
    CU_ASSERT_EQUAL(pace.phase, PHASE_WAIT);
    until(PHASE_SETTLE);
    CU_ASSERT_EQUAL(played.opened, SESSIONS);
    until(PHASE_MEASURE);
    CU_ASSERT_TRUE(rig.measuring);
    CU_ASSERT_EQUAL(played.asked, SESSIONS);
    uint64_t began_ns = rig.now_ns;
    until(PHASE_DOWN);
    CU_ASSERT_EQUAL(rig.now_ns - began_ns, 200 * MS);
    CU_ASSERT_FALSE(rig.measuring);
    until(PHASE_DONE);
    CU_ASSERT_EQUAL(played.aborted, SESSIONS);
}

static void sessions_open_at_the_rate(void) {
    begin(SCENARIO_echo, 100);
    rig.plan.ramp_per_s = 100;
    until(PHASE_RAMP);
    pass_ms(55);
    CU_ASSERT_EQUAL(played.opened, 6); /* at 0, 10, ... 50 ms */
}

static void one_goes_ahead_and_not_too_many_follow(void) {
    begin(SCENARIO_echo, 100);
    played.slow = true;
    until(PHASE_RAMP);
    pass_ms(100);
    CU_ASSERT_EQUAL(played.opened, 1); /* until it is open */
    rig.tally.opened = 1;
    pass_ms(100);
    CU_ASSERT_EQUAL(played.opened, 4);
}

/* No coordinated omission: a keystroke that could not be typed when it was due is typed
 * later and measured from when it was due. */
static void what_is_late_keeps_its_due_time(void) {
    begin(SCENARIO_echo, 1000); /* each of the ten every 10 ms: one a ms in all */
    until(PHASE_MEASURE);
    uint32_t before = played.typed;
    uint64_t held_up_at = rig.now_ns;
    rig.now_ns += 100 * MS;
    pace_turn(&pace);
    CU_ASSERT_EQUAL(played.typed - before, 100);
    for (uint32_t i = before; i < played.typed; i++) {
        CU_ASSERT_EQUAL(played.due_ns[i] - played.due_ns[i - 1], MS);
        CU_ASSERT_TRUE(played.due_ns[i] > held_up_at && played.due_ns[i] <= rig.now_ns);
    }
}

static void an_interrupted_run_is_taken_down(void) {
    begin(SCENARIO_echo, 1000);
    until(PHASE_SETTLE);
    pace.interrupted = true;
    pass_ms(1);
    CU_ASSERT_TRUE(pace.phase >= PHASE_DOWN);
    until(PHASE_DONE);
    CU_ASSERT_EQUAL(played.aborted, SESSIONS);
}

/* Fewer than a turn looks at. */
static void what_is_busy_is_not_opened_again(void) {
    begin(SCENARIO_churn, 0);
    until(PHASE_MEASURE);
    CU_ASSERT_EQUAL(played.opened, SESSIONS);
    played.looked_at = 0;
    pass_ms(5);
    CU_ASSERT_EQUAL(played.looked_at, 0); /* there is none */
    played.open[3] = false;               /* it ended */
    pass_ms(1);
    CU_ASSERT_EQUAL(played.opened, SESSIONS + 1);
}

int main(void) {
    static const struct suite_case cases[] = {
        {"phases follow each other", phases_follow_each_other},
        {"sessions open at the rate", sessions_open_at_the_rate},
        {"one goes ahead and not too many follow", one_goes_ahead_and_not_too_many_follow},
        {"what is late keeps its due time", what_is_late_keeps_its_due_time},
        {"what is busy is not opened again", what_is_busy_is_not_opened_again},
        {"an interrupted run is taken down", an_interrupted_run_is_taken_down},
    };
    return suite_run("rig/pace", cases, sizeof(cases) / sizeof(cases[0]));
}

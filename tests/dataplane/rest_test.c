/* What a core does between turns: decided from counts and times alone. */
#include "rest.h"
#include "tests/lib/suite.h"
#include <string.h>

static const uint64_t MS = 1000000;

/* A port whose interrupts are noted. */
static struct {
    int watched, on, off;
    bool refuses;
} seen;

bool port_wait(uint32_t timeout_ms) {
    CU_ASSERT_TRUE(seen.on > seen.off); /* armed before the wait */
    return timeout_ms == 0;
}

static bool watch(const struct port_wake *w, uint16_t queue) {
    (void)w;
    (void)queue;
    seen.watched++;
    return !seen.refuses;
}

static void arm(const struct port_wake *w, uint16_t queue, bool on) {
    (void)w;
    (void)queue;
    seen.on += on;
    seen.off += !on;
}

static const struct port_wake wake = {watch, arm};

static struct rest begin(enum idle_mode mode, bool refuses) {
    const struct port port = {.wake = &wake};
    struct rest r = {.mode = mode};
    memset(&seen, 0, sizeof(seen));
    seen.refuses = refuses;
    rest_add(&r, &port, 0);
    rest_begin(&r);
    return r;
}

/* Idle turns at one time, without doing what they say; the last one's plan. */
static struct rest_plan idle(struct rest *r, uint64_t now_ns, uint32_t turns) {
    struct rest_plan p = {0};
    while (turns--)
        p = rest_next(r, now_ns, 0);
    return p;
}

static void names_stand_for_modes(void) {
    CU_ASSERT_EQUAL(rest_mode("spin"), IDLE_spin);
    CU_ASSERT_EQUAL(rest_mode("pause"), IDLE_pause);
    CU_ASSERT_EQUAL(rest_mode("sleep"), IDLE_sleep);
    CU_ASSERT_EQUAL(rest_mode("interrupt"), IDLE_interrupt);
}

static void only_sleep_gives_the_cpu_away(void) {
    for (int mode = IDLE_spin; mode <= IDLE_pause; mode++) {
        struct rest r = begin((enum idle_mode)mode, false);
        struct rest_plan p = idle(&r, 5000 * MS, 100000);
        CU_ASSERT_EQUAL(p.way, REST_pause);
        CU_ASSERT_EQUAL(p.amount, mode == IDLE_spin ? 1 : 64);
        CU_ASSERT_FALSE(rest_gives_away(&p));
        CU_ASSERT_EQUAL(seen.on, 0);
    }
}

static void sleeps_grow_and_work_ends_them(void) {
    struct rest r = begin(IDLE_sleep, false);
    rest_next(&r, 1000 * MS, 1);
    CU_ASSERT_EQUAL(idle(&r, 1000 * MS, 511).way, REST_pause);
    struct rest_plan p = idle(&r, 1000 * MS, 1);
    CU_ASSERT_EQUAL(p.way, REST_sleep);
    CU_ASSERT_EQUAL(p.amount, 20);
    CU_ASSERT_TRUE(rest_gives_away(&p));
    CU_ASSERT_EQUAL(idle(&r, 1900 * MS, 1000).amount, 250);
    CU_ASSERT_EQUAL(idle(&r, 2100 * MS, 500).amount, 500);
    CU_ASSERT_EQUAL(idle(&r, 10900 * MS, 1).amount, 500);
    CU_ASSERT_EQUAL(idle(&r, 11100 * MS, 1).amount, 1000);
    CU_ASSERT_EQUAL(rest_next(&r, 11200 * MS, 3).way, REST_on);
    CU_ASSERT_EQUAL(idle(&r, 11200 * MS, 1).way, REST_pause);
}

static void a_quiet_core_waits_after_one_more_look(void) {
    struct rest r = begin(IDLE_interrupt, false);
    CU_ASSERT_EQUAL(seen.watched, 1);
    rest_next(&r, 1000 * MS, 1);
    CU_ASSERT_EQUAL(idle(&r, 1020 * MS, 600).way, REST_sleep); /* a verdict may come */
    struct rest_plan p = idle(&r, 1100 * MS, 1);
    CU_ASSERT_EQUAL(p.way, REST_arm);
    rest_do(&r, &p);
    CU_ASSERT_EQUAL(seen.on, 1);
    p = rest_next(&r, 1100 * MS, 0);
    CU_ASSERT_EQUAL(p.way, REST_wait);
    rest_do(&r, &p);
    CU_ASSERT_EQUAL(seen.off, 1);
    CU_ASSERT_EQUAL(idle(&r, 1110 * MS, 1).way, REST_arm); /* each wait has a look before it */
}

/* What comes between arming and waiting is found by the look, and the port disarmed. */
static void a_packet_before_the_wait_is_not_slept_over(void) {
    struct rest r = begin(IDLE_interrupt, false);
    struct rest_plan p = idle(&r, 1000 * MS, 600);
    CU_ASSERT_EQUAL(p.way, REST_arm);
    rest_do(&r, &p);
    p = rest_next(&r, 1001 * MS, 1);
    CU_ASSERT_EQUAL(p.way, REST_on);
    rest_do(&r, &p);
    CU_ASSERT_EQUAL(seen.on, 1);
    CU_ASSERT_EQUAL(seen.off, 1);
}

static void without_interrupts_it_sleeps(void) {
    const struct port dumb = {.wake = NULL};
    struct rest r = begin(IDLE_interrupt, true);
    CU_ASSERT_EQUAL(r.mode, IDLE_sleep);
    CU_ASSERT_EQUAL(idle(&r, 5000 * MS, 2000).way, REST_sleep);
    struct rest mixed = {.mode = IDLE_interrupt};
    rest_add(&mixed, &dumb, 0);
    CU_ASSERT_EQUAL(mixed.mode, IDLE_sleep);
    struct rest spins = {.mode = IDLE_spin};
    rest_add(&spins, &dumb, 0);
    CU_ASSERT_EQUAL(spins.mode, IDLE_spin);
}

int main(void) {
    static const struct suite_case cases[] = {
        {"names stand for modes", names_stand_for_modes},
        {"only sleep gives the CPU away", only_sleep_gives_the_cpu_away},
        {"sleeps grow and work ends them", sleeps_grow_and_work_ends_them},
        {"a quiet core waits, after one more look", a_quiet_core_waits_after_one_more_look},
        {"a packet before the wait is not slept over", a_packet_before_the_wait_is_not_slept_over},
        {"without interrupts it sleeps", without_interrupts_it_sleeps},
    };
    return suite_run("dataplane/rest", cases, sizeof(cases) / sizeof(cases[0]));
}

#include "core/timer.h"
#include "tests/lib/suite.h"
#include <stdlib.h>
#include <string.h>

enum { COUNT = 2000 };

struct fixture {
    struct timer_wheel wheel;
    uint64_t now_ns;
    struct {
        _Alignas(8) struct timer timer; /* first: the fire callback casts back */
        uint64_t deadline_ns;
        unsigned fired;
    } item[COUNT];
    unsigned early;
};

static void on_fire(void *ctx, struct timer *t) {
    struct fixture *f = ctx;
    size_t i = (size_t)((char *)t - (char *)f->item) / sizeof(f->item[0]);
    f->item[i].fired++;
    f->early += f->now_ns < f->item[i].deadline_ns;
}

static struct fixture *setup(uint64_t start_ns) {
    struct fixture *f = calloc(1, sizeof(*f));
    f->now_ns = start_ns;
    timer_wheel_init(&f->wheel, start_ns, f, on_fire, f);
    return f;
}

static void each_fires_once_never_early(void) {
    struct fixture *f = setup(UINT64_C(123456789012345));
    srand(7);
    for (size_t i = 0; i < COUNT; i++) {
        uint64_t span_ns = (UINT64_C(1) << (rand() % 28)) * 1000000;
        uint64_t wide = (uint64_t)rand() << 31 | (uint64_t)rand();
        f->item[i].deadline_ns = f->now_ns + wide % (span_ns + 1);
        timer_set(&f->wheel, &f->item[i].timer, f->item[i].deadline_ns);
    }
    uint64_t last = 0;
    for (unsigned turns = 0; timer_wheel_next(&f->wheel) != UINT64_MAX && turns < 90000000;
         turns++) {
        f->now_ns = timer_wheel_next(&f->wheel);
        CU_ASSERT_FATAL(f->now_ns > last || f->wheel.armed == 0);
        last = f->now_ns;
        timer_wheel_advance(&f->wheel, f->now_ns, UINT32_MAX);
    }
    unsigned once = 0;
    for (size_t i = 0; i < COUNT; i++)
        once += f->item[i].fired == 1;
    CU_ASSERT_EQUAL(once, COUNT);
    CU_ASSERT_EQUAL(f->early, 0);
    free(f);
}

static void a_late_advance_fires_all_within_a_tick(void) {
    struct fixture *f = setup(0);
    for (size_t i = 0; i < COUNT; i++)
        timer_set(&f->wheel, &f->item[i].timer, i * 700000);
    f->now_ns = UINT64_C(3600) * 1000000000;
    uint32_t fired = 0;
    for (uint32_t n; (n = timer_wheel_advance(&f->wheel, f->now_ns, 64)) != 0;)
        fired += n;
    CU_ASSERT_EQUAL(fired, COUNT);
    CU_ASSERT_EQUAL(f->wheel.armed, 0);
    free(f);
}

static void cancelled_and_moved_timers_keep_quiet(void) {
    struct fixture *f = setup(0);
    for (size_t i = 0; i < COUNT; i++)
        timer_set(&f->wheel, &f->item[i].timer, 5000000);
    for (size_t i = 0; i < COUNT; i += 2)
        timer_cancel(&f->wheel, &f->item[i].timer);
    timer_set(&f->wheel, &f->item[1].timer, 900000000);
    f->now_ns = 10000000;
    CU_ASSERT_EQUAL(timer_wheel_advance(&f->wheel, f->now_ns, UINT32_MAX), COUNT / 2 - 1);
    CU_ASSERT_EQUAL(f->item[0].fired + f->item[1].fired, 0);
    CU_ASSERT_TRUE(timer_is_set(&f->item[1].timer));
    timer_cancel(&f->wheel, &f->item[1].timer);
    CU_ASSERT_EQUAL(timer_wheel_next(&f->wheel), UINT64_MAX);
    free(f);
}

/* Low halves of ticks wrap after 49 days; farther than 24 days is as far as it goes. */
static void ticks_wrap(void) {
    const uint64_t day_ns = UINT64_C(86400) * 1000000000;
    struct fixture *f = setup(day_ns * 49);
    f->item[0].deadline_ns = day_ns * 60;
    timer_set(&f->wheel, &f->item[0].timer, day_ns * 60);
    timer_set(&f->wheel, &f->item[1].timer, day_ns * 400);
    for (f->now_ns = day_ns * 49; f->now_ns < day_ns * 60; f->now_ns += day_ns / 2)
        CU_ASSERT_EQUAL(timer_wheel_advance(&f->wheel, f->now_ns, UINT32_MAX), 0);
    CU_ASSERT_EQUAL(timer_wheel_advance(&f->wheel, day_ns * 60, UINT32_MAX), 1);
    CU_ASSERT_EQUAL(f->item[0].fired, 1);
    CU_ASSERT_EQUAL(timer_wheel_advance(&f->wheel, day_ns * 74, UINT32_MAX), 1);
    CU_ASSERT_EQUAL(f->item[1].fired, 1);
    free(f);
}

int main(void) {
    static const struct suite_case cases[] = {
        {"each fires once, never early", each_fires_once_never_early},
        {"a late advance fires all", a_late_advance_fires_all_within_a_tick},
        {"ticks wrap", ticks_wrap},
        {"cancelled and moved timers keep quiet", cancelled_and_moved_timers_keep_quiet},
    };
    return suite_run("core/timer", cases, sizeof(cases) / sizeof(cases[0]));
}

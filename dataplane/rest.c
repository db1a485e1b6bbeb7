#include "rest.h"
#include <rte_pause.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum {
    TURNS_BEFORE_REST = 512,
    PAUSES_MAX = 64,
    SLEEP_US_MIN = 20,
    SLEEP_US_MAX = 250,
    SLEEP_US_QUIET = 500, /* a wake-up costs 10 to 20 us: 3 to 5 % of a core */
    SLEEP_US_LONG = 1000, /* half of that */
    WAIT_MS = 10,         /* commands and timers are not waited for: so late are they at most */
    TIMER_SLACK_NS = 1,   /* the kernel's own choice would make 20 us 75 */
};

static const uint64_t QUIET_NS = 1000000000, LONG_NS = 10000000000;
/* Beyond what the control process takes for a verdict, whose ring nobody waits for. */
static const uint64_t WAIT_AFTER_NS = 50000000;

enum idle_mode rest_mode(const char *name) {
    static const char *const names[] = {
        [IDLE_spin] = "spin", [IDLE_pause] = "pause", [IDLE_interrupt] = "interrupt"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (names[i] && strcmp(names[i], name) == 0)
            return (enum idle_mode)i;
    return IDLE_sleep;
}

void rest_add(struct rest *r, const struct port *port, uint16_t queue) {
    if (!port->wake || r->queues == REST_QUEUES_MAX) {
        r->mode = r->mode == IDLE_interrupt ? IDLE_sleep : r->mode;
        return;
    }
    r->queue[r->queues].wake = port->wake;
    r->queue[r->queues++].queue = queue;
}

void rest_begin(struct rest *r) {
    (void)prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0);
    for (uint32_t i = 0; r->mode == IDLE_interrupt && i < r->queues; i++)
        if (!r->queue[i].wake->watch(r->queue[i].wake, r->queue[i].queue))
            r->mode = IDLE_sleep;
}

static void arm(struct rest *r, bool on) {
    for (uint32_t i = 0; i < r->queues; i++)
        r->queue[i].wake->arm(r->queue[i].wake, r->queue[i].queue, on);
    r->armed = on;
}

static uint32_t sleep_us(const struct rest *r, uint64_t quiet_ns) {
    uint32_t us = SLEEP_US_MIN + (r->idle_turns - TURNS_BEFORE_REST);
    uint32_t most = quiet_ns < QUIET_NS  ? SLEEP_US_MAX
                    : quiet_ns < LONG_NS ? SLEEP_US_QUIET
                                         : SLEEP_US_LONG;
    return us < most ? us : most;
}

struct rest_plan rest_next(struct rest *r, uint64_t now_ns, uint32_t work) {
    if (work) {
        r->idle_turns = 0;
        r->busy_ns = now_ns;
        return (struct rest_plan){REST_on, 0};
    }
    if (r->idle_turns < UINT32_MAX)
        r->idle_turns++;
    if (r->idle_turns < TURNS_BEFORE_REST || r->mode == IDLE_spin)
        return (struct rest_plan){REST_pause, 1};
    uint32_t over = r->idle_turns - TURNS_BEFORE_REST;
    if (r->mode == IDLE_pause)
        return (struct rest_plan){REST_pause, over < PAUSES_MAX ? over + 1 : PAUSES_MAX};
    if (r->mode == IDLE_interrupt && now_ns - r->busy_ns >= WAIT_AFTER_NS)
        return (struct rest_plan){r->armed ? REST_wait : REST_arm, WAIT_MS};
    return (struct rest_plan){REST_sleep, sleep_us(r, now_ns - r->busy_ns)};
}

void rest_do(struct rest *r, const struct rest_plan *p) {
    if (r->armed && p->way != REST_wait)
        arm(r, false);
    for (uint32_t i = 0; p->way == REST_pause && i < p->amount; i++)
        rte_pause();
    if (p->way == REST_sleep)
        usleep(p->amount);
    if (p->way == REST_arm)
        arm(r, true);
    if (p->way == REST_wait) {
        (void)port_wait(p->amount);
        arm(r, false);
    }
}

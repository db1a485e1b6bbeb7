/* Level 0 has a slot a tick, level n a slot per 256^n ticks. A timer sits in the
 * level of its distance and moves down when its slot's time comes (cascade). */
#include "core/timer.h"
#include <assert.h>
#include <stddef.h>
#include <string.h>

enum { SLOT_BITS = 8 };
_Static_assert(1 << SLOT_BITS == TIMER_SLOTS, "slots are addressed by SLOT_BITS bits");

static const uint64_t SPAN_MAX = (UINT64_C(1) << (SLOT_BITS * TIMER_LEVELS)) - 1;

static unsigned slot_of(uint64_t tick, unsigned level) {
    return (unsigned)(tick >> (SLOT_BITS * level)) & (TIMER_SLOTS - 1);
}

static void link_in(struct timer_wheel *w, struct timer *t) {
    uint64_t distance = t->deadline_tick - w->now_tick;
    uint64_t at = distance > SPAN_MAX ? w->now_tick + SPAN_MAX : t->deadline_tick;
    unsigned level = 0;
    while (level + 1 < TIMER_LEVELS && (at - w->now_tick) >> (SLOT_BITS * (level + 1)))
        level++;
    struct timer **head = &w->slot[level][slot_of(at, level)];
    t->next = *head;
    if (t->next)
        t->next->pprev = &t->next;
    t->pprev = head;
    *head = t;
    w->armed++;
}

static void unlink_timer(struct timer_wheel *w, struct timer *t) {
    *t->pprev = t->next;
    if (t->next)
        t->next->pprev = t->pprev;
    t->next = NULL;
    t->pprev = NULL;
    w->armed--;
}

void timer_wheel_init(struct timer_wheel *w, uint64_t now_ns,
                      void (*fire)(void *ctx, struct timer *t), void *ctx) {
    memset(w, 0, sizeof(*w));
    w->now_tick = now_ns / TIMER_TICK_NS;
    w->fire = fire;
    w->ctx = ctx;
}

void timer_set(struct timer_wheel *w, struct timer *t, uint64_t deadline_ns) {
    /* Round up: never early. At least one tick on, since this tick was handled. */
    uint64_t tick = deadline_ns / TIMER_TICK_NS + (deadline_ns % TIMER_TICK_NS != 0);
    if (tick <= w->now_tick)
        tick = w->now_tick + 1;
    if (t->pprev) {
        if (t->deadline_tick == tick)
            return;
        unlink_timer(w, t);
    }
    t->deadline_tick = tick;
    link_in(w, t);
}

void timer_cancel(struct timer_wheel *w, struct timer *t) {
    if (t->pprev)
        unlink_timer(w, t);
}

/* Move the timers of a higher level's slot to where they belong now. */
static void cascade(struct timer_wheel *w, unsigned level) {
    struct timer **head = &w->slot[level][slot_of(w->now_tick, level)];
    struct timer *list = *head;
    *head = NULL;
    while (list) {
        struct timer *t = list;
        list = t->next;
        w->armed--;
        link_in(w, t);
    }
}

static void step(struct timer_wheel *w) {
    w->now_tick++;
    for (unsigned level = 1; level < TIMER_LEVELS; level++) {
        if (slot_of(w->now_tick, level - 1) != 0)
            break;
        cascade(w, level);
    }
}

/* The next tick, not after `limit`, at which a level-0 slot holds timers or a cascade
 * is due: ticks between hold nothing. */
static uint64_t next_stop(const struct timer_wheel *w, uint64_t limit) {
    uint64_t tick = w->now_tick + 1;
    for (; tick < limit && slot_of(tick, 0) != 0; tick++)
        if (w->slot[0][slot_of(tick, 0)])
            break;
    return tick;
}

static uint32_t fire_slot(struct timer_wheel *w, uint32_t budget) {
    struct timer **head = &w->slot[0][slot_of(w->now_tick, 0)];
    uint32_t fired = 0;
    while (*head && fired < budget) {
        struct timer *t = *head;
        assert(t->deadline_tick <= w->now_tick);
        unlink_timer(w, t);
        fired++;
        w->fire(w->ctx, t);
    }
    return fired;
}

uint32_t timer_wheel_advance(struct timer_wheel *w, uint64_t now_ns, uint32_t budget) {
    uint64_t target = now_ns / TIMER_TICK_NS;
    uint32_t fired = fire_slot(w, budget); /* what an earlier budget left over */
    while (w->now_tick < target && fired < budget) {
        if (w->armed == 0) {
            w->now_tick = target;
            break;
        }
        w->now_tick = next_stop(w, target) - 1;
        step(w);
        fired += fire_slot(w, budget - fired);
    }
    return fired;
}

uint64_t timer_wheel_next(const struct timer_wheel *w) {
    if (w->armed == 0)
        return UINT64_MAX;
    if (w->slot[0][slot_of(w->now_tick, 0)])
        return w->now_tick * TIMER_TICK_NS;
    return next_stop(w, w->now_tick + TIMER_SLOTS) * TIMER_TICK_NS;
}

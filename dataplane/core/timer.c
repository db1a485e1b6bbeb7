/* Level 0 has a slot a tick, level n a slot per 256^n ticks. A timer sits in the
 * level of its distance and moves down when its slot's time comes (cascade). */
#include "core/timer.h"
#include <assert.h>
#include <stddef.h>
#include <string.h>

enum { SLOT_BITS = 8, TIMER_ALIGN = 8 };
_Static_assert(1 << SLOT_BITS == TIMER_SLOTS, "slots are addressed by SLOT_BITS bits");
_Static_assert(SLOT_BITS *TIMER_LEVELS == 32, "the levels span every 32-bit distance");

/* `prev` of a timer that is the first of its slot. */
#define SLOT_BIT UINT32_C(0x80000000)

static unsigned slot_of(uint64_t tick, unsigned level) {
    return level << SLOT_BITS | ((unsigned)(tick >> (SLOT_BITS * level)) & (TIMER_SLOTS - 1));
}

static struct timer *timer_at(const struct timer_wheel *w, uint32_t ref) {
    return (struct timer *)(w->base + ((size_t)ref - 1) * TIMER_ALIGN);
}

static uint32_t ref_of(const struct timer_wheel *w, const struct timer *t) {
    size_t offset = (size_t)((const uint8_t *)t - w->base);
    assert((const uint8_t *)t >= w->base && offset % TIMER_ALIGN == 0 &&
           offset / TIMER_ALIGN < SLOT_BIT - 1);
    return (uint32_t)(offset / TIMER_ALIGN) + 1;
}

/* How far off the deadline is, from -2^31 to 2^31 - 1 ticks. */
static int32_t ticks_left(const struct timer_wheel *w, const struct timer *t) {
    return (int32_t)(t->deadline_tick - (uint32_t)w->now_tick);
}

static void link_in(struct timer_wheel *w, struct timer *t) {
    int32_t left = ticks_left(w, t);
    uint64_t distance = left > 0 ? (uint64_t)left : 0;
    unsigned level = 0;
    while (level + 1 < TIMER_LEVELS && distance >> (SLOT_BITS * (level + 1)))
        level++;
    unsigned slot = slot_of(w->now_tick + distance, level);
    uint32_t ref = ref_of(w, t);
    t->next = w->slot[slot];
    if (t->next)
        timer_at(w, t->next)->prev = ref;
    t->prev = SLOT_BIT | slot;
    w->slot[slot] = ref;
    w->armed++;
}

static void unlink_timer(struct timer_wheel *w, struct timer *t) {
    if (t->prev & SLOT_BIT)
        w->slot[t->prev & ~SLOT_BIT] = t->next;
    else
        timer_at(w, t->prev)->next = t->next;
    if (t->next)
        timer_at(w, t->next)->prev = t->prev;
    t->next = t->prev = 0;
    w->armed--;
}

void timer_wheel_init(struct timer_wheel *w, uint64_t now_ns, void *base,
                      void (*fire)(void *ctx, struct timer *t), void *ctx) {
    memset(w, 0, sizeof(*w));
    w->now_tick = now_ns / TIMER_TICK_NS;
    w->base = base;
    w->fire = fire;
    w->ctx = ctx;
}

void timer_set(struct timer_wheel *w, struct timer *t, uint64_t deadline_ns) {
    /* Round up: never early. At least one tick on, since this tick was handled. */
    uint64_t tick = deadline_ns / TIMER_TICK_NS + (deadline_ns % TIMER_TICK_NS != 0);
    if (tick <= w->now_tick)
        tick = w->now_tick + 1;
    if (tick - w->now_tick > TIMER_SPAN_MAX_MS)
        tick = w->now_tick + TIMER_SPAN_MAX_MS;
    if (timer_is_set(t)) {
        if (t->deadline_tick == (uint32_t)tick)
            return;
        unlink_timer(w, t);
    }
    t->deadline_tick = (uint32_t)tick;
    link_in(w, t);
}

void timer_cancel(struct timer_wheel *w, struct timer *t) {
    if (timer_is_set(t))
        unlink_timer(w, t);
}

/* Move the timers of a higher level's slot to where they belong now. */
static void cascade(struct timer_wheel *w, unsigned level) {
    unsigned slot = slot_of(w->now_tick, level);
    uint32_t ref = w->slot[slot];
    w->slot[slot] = 0;
    while (ref) {
        struct timer *t = timer_at(w, ref);
        ref = t->next;
        w->armed--;
        link_in(w, t);
    }
}

static void step(struct timer_wheel *w) {
    w->now_tick++;
    for (unsigned level = 1; level < TIMER_LEVELS; level++) {
        if (slot_of(w->now_tick, level - 1) % TIMER_SLOTS != 0)
            break;
        cascade(w, level);
    }
}

/* The next tick, not after `limit`, at which a level-0 slot holds timers or a cascade
 * is due: ticks between hold nothing. */
static uint64_t next_stop(const struct timer_wheel *w, uint64_t limit) {
    uint64_t tick = w->now_tick + 1;
    for (; tick < limit && slot_of(tick, 0) != 0; tick++)
        if (w->slot[slot_of(tick, 0)])
            break;
    return tick;
}

static uint32_t fire_slot(struct timer_wheel *w, uint32_t budget) {
    const uint32_t *first = &w->slot[slot_of(w->now_tick, 0)];
    uint32_t fired = 0;
    while (*first && fired < budget) {
        struct timer *t = timer_at(w, *first);
        assert(ticks_left(w, t) <= 0);
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
    if (w->slot[slot_of(w->now_tick, 0)])
        return w->now_tick * TIMER_TICK_NS;
    return next_stop(w, w->now_tick + TIMER_SLOTS) * TIMER_TICK_NS;
}

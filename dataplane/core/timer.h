/* Hierarchical timer wheel, 1 ms ticks, O(1) set and cancel. Single-threaded; the
 * time comes in with each call (monotonic ns). A timer fires at the first advance
 * at or after its deadline, never before it; one set farther off than
 * TIMER_SPAN_MAX_MS (24 days) fires then, and its owner looks again. The wheel itself is
 * 4 KiB, a timer 12 bytes. */
#ifndef TGW_CORE_TIMER_H
#define TGW_CORE_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#define TIMER_TICK_NS UINT64_C(1000000)

enum { TIMER_LEVELS = 4, TIMER_SLOTS = 256 };

#define TIMER_SPAN_MAX_MS UINT32_C(0x7fffffff)

/* Embedded in its owner, at an address that is a multiple of 8; zeroed means not set. */
struct timer {
    uint32_t next;          /* timer, in units of 8 bytes from the wheel's base, from 1 on */
    uint32_t prev;          /* the same, or a slot; 0: not set */
    uint32_t deadline_tick; /* the low half of a tick */
};

struct timer_wheel {
    uint64_t now_tick;
    uint8_t *base;
    uint32_t armed;
    uint32_t slot[TIMER_LEVELS * TIMER_SLOTS];
    void (*fire)(void *ctx, struct timer *t);
    void *ctx;
};

/* Every timer lies within 16 GiB from `base` on: in the pool that holds the owners.
 * `fire` is called from timer_wheel_advance(); it may set or cancel any timer, the one
 * that fires included. */
void timer_wheel_init(struct timer_wheel *w, uint64_t now_ns, void *base,
                      void (*fire)(void *ctx, struct timer *t), void *ctx);
/* Arm or re-arm; a deadline in the past fires at the next advance. */
void timer_set(struct timer_wheel *w, struct timer *t, uint64_t deadline_ns);
void timer_cancel(struct timer_wheel *w, struct timer *t);
static inline bool timer_is_set(const struct timer *t) {
    return t->prev != 0;
}
/* Fire all timers due at now_ns; at most `budget` of them (the rest at the next
 * call). Returns how many fired. */
uint32_t timer_wheel_advance(struct timer_wheel *w, uint64_t now_ns, uint32_t budget);
/* Earliest tick at which something may be due, in ns; UINT64_MAX when none is set.
 * May be early (a cascade), never late: a virtual clock can jump there. */
uint64_t timer_wheel_next(const struct timer_wheel *w);

#endif

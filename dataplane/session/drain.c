/* Draining: announced once, then the sessions that remain at the deadline are closed
 * evenly over TGW_DRAIN_SPREAD_MS, so that their clients do not come back as one. */
#include "session_priv.h"

enum { NOTICES_A_TURN = 64, SLOTS_A_TURN = 4096 };

static bool same_deadline(const struct drain *d, uint32_t deadline_ms, uint64_t deadline_ns) {
    const uint64_t tolerance_ns = UINT64_C(1000) * NS_A_MS;
    uint64_t apart =
        d->deadline_ns > deadline_ns ? d->deadline_ns - deadline_ns : deadline_ns - d->deadline_ns;
    return d->active && (d->asked_ms == deadline_ms || apart <= tolerance_ns);
}

/* Two senders may order the same drain, and repeat it: that changes nothing. */
void drain_command(struct session_table *t, bool draining, uint32_t deadline_ms) {
    struct drain *d = &t->drain;
    uint64_t deadline_ns = t->now_ns + (uint64_t)deadline_ms * NS_A_MS;
    if (!draining) {
        bool was = d->active;
        *d = (struct drain){.round = d->round, .state_owed = was};
        return;
    }
    if (same_deadline(d, deadline_ms, deadline_ns))
        return;
    uint8_t round = (uint8_t)(d->round + 1);
    *d = (struct drain){.active = true,
                        .state_owed = true,
                        .round = round ? round : 1, /* 0: has heard of none */
                        .asked_ms = deadline_ms,
                        .deadline_ns = deadline_ns};
}

bool drain_over(const struct session_table *t) {
    return t->drain.active && t->now_ns >= t->drain.deadline_ns;
}

void drain_greet(struct session *s) {
    const struct drain *d = &s->table->drain;
    if (!d->active || s->drain_round == d->round)
        return;
    s->drain_round = d->round;
    if (s->mode != TGW_MODE_CHANNEL)
        return;
    s->flags |= NOTICE_DRAIN_OWED;
    frames_flush(s, CLIENT);
    if (frames_need_poll(s))
        session_arm(s);
}

static void announce(struct session_table *t) {
    struct drain *d = &t->drain;
    for (uint32_t n = 0, slots = 0;
         d->notice_cursor < t->pool.touched && n < NOTICES_A_TURN && slots < SLOTS_A_TURN;
         slots++) {
        struct session *s = session_at(t, d->notice_cursor++);
        if (!s || s->state != SESSION_RELAY)
            continue;
        drain_greet(s);
        n++;
    }
}

/* How many should be closed by now. */
static uint32_t closed_due(const struct session_table *t) {
    const struct drain *d = &t->drain;
    const uint64_t spread_ns = (uint64_t)TGW_DRAIN_SPREAD_MS * NS_A_MS;
    uint64_t since_ns = t->now_ns - d->deadline_ns;
    if (since_ns >= spread_ns)
        return UINT32_MAX;
    return (uint32_t)((double)d->close_total * (double)since_ns / (double)spread_ns) + 1;
}

static void close_some(struct session_table *t) {
    struct drain *d = &t->drain;
    if (!d->closing) {
        d->closing = true;
        d->close_total = t->live;
    }
    uint32_t due = closed_due(t);
    for (uint32_t slots = 0; d->closed < due && slots < SLOTS_A_TURN; slots++) {
        if (d->close_cursor >= t->pool.touched)
            return;
        struct session *s = session_at(t, d->close_cursor++);
        if (!s || s->state != SESSION_RELAY)
            continue;
        d->closed++;
        close_begin(s, TGW_R_drain_timeout);
        close_settle(s);
    }
}

void drain_advance(struct session_table *t) {
    struct drain *d = &t->drain;
    if (d->state_owed)
        d->state_owed = !event_drain_state(t, false);
    if (!d->active)
        return;
    announce(t);
    if (drain_over(t))
        close_some(t);
    if (!d->finished && t->live + t->pending == 0)
        d->finished = event_drain_state(t, true);
}

uint64_t drain_next(const struct session_table *t) {
    const struct drain *d = &t->drain;
    bool nothing_left = t->live + t->pending == 0;
    if (d->state_owed)
        return t->now_ns;
    if (!d->active || d->finished)
        return UINT64_MAX;
    if (nothing_left || d->notice_cursor < t->pool.touched)
        return t->now_ns;
    if (t->now_ns < d->deadline_ns)
        return d->deadline_ns;
    if (d->closing && d->close_cursor >= t->pool.touched)
        return UINT64_MAX;
    return t->now_ns + NS_A_MS;
}

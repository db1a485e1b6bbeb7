/* When memory runs out it is those who do not read that hold it: each stalled session may
 * have a whole send queue. They go, one after the other, before the others starve. */
#include "session_priv.h"

enum { SHED_EVERY_MS = 10, SLOTS_A_TURN = 4096 };

static bool shed(struct session *s) {
    for (int side = CLIENT; side <= AGENT; side++)
        if (s->leg[side].flags & LEG_STALLED) {
            close_shed(s, side);
            return true;
        }
    return false;
}

void shed_advance(struct session_table *t) {
    if (t->stalled[CLIENT] + t->stalled[AGENT] == 0 || t->now_ns < t->shed_ns)
        return;
    t->shed_ns = t->now_ns + SHED_EVERY_MS * (uint64_t)NS_A_MS;
    if (!t->env.starving(t->env.ctx))
        return;
    for (uint32_t n = 0; n < SLOTS_A_TURN && n < t->pool.touched; n++) {
        t->shed_cursor = (t->shed_cursor + 1) % t->pool.touched;
        struct session *s = session_at(t, t->shed_cursor);
        if (s && s->state == SESSION_RELAY && shed(s))
            return;
    }
}

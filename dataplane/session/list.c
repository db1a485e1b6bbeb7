/* Lists of sessions, a slice a turn: a list of a hundred thousand must not hold up a
 * keystroke, nor overrun the event ring. */
#include "session_priv.h"

enum { EVENTS_A_TURN = 64, SLOTS_A_TURN = 4096 };

bool list_start(struct session_table *t, const struct tgw_cmd_list *cmd) {
    for (int i = 0; i < LISTS_MAX; i++) {
        if (t->list[i].active)
            continue;
        t->list[i] = (struct list){.seq = cmd->msg.seq,
                                   .cursor = cmd->first_index,
                                   .left = cmd->sessions_max ? cmd->sessions_max : UINT32_MAX,
                                   .active = true};
        return true;
    }
    return false;
}

/* False: no more this turn. */
static bool list_step(struct session_table *t, struct list *l) {
    struct session *s = session_at(t, l->cursor);
    if (s && (s->state == SESSION_RELAY || s->state == SESSION_CLOSING)) {
        if (!event_session(s, l->seq))
            return false;
        l->sent++;
        l->left--;
    }
    l->cursor++;
    return true;
}

static void list_walk(struct session_table *t, struct list *l) {
    uint32_t sent_max = l->sent + EVENTS_A_TURN;
    for (uint32_t slots = 0; slots < SLOTS_A_TURN && l->sent < sent_max; slots++) {
        if (l->left == 0 || l->cursor >= t->pool.touched) {
            l->active = !event_list_end(t, l);
            return;
        }
        if (!list_step(t, l))
            return;
    }
}

void list_advance(struct session_table *t) {
    for (int i = 0; i < LISTS_MAX; i++)
        if (t->list[i].active)
            list_walk(t, &t->list[i]);
}

bool list_pending(const struct session_table *t) {
    for (int i = 0; i < LISTS_MAX; i++)
        if (t->list[i].active)
            return true;
    return false;
}

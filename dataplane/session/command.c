/* Commands of the control process. It may be compromised or of another epoch: every
 * field is checked before it is used. */
#include "session_priv.h"

static void invalid(struct session_table *t, const union tgw_cmd *cmd) {
    tgw_count_reason(t->config.counters, TGW_R_cmd_invalid);
    if (cmd->msg.type != TGW_CMD_VERDICT)
        event_done(t, cmd->msg.seq, TGW_R_cmd_invalid);
}

/* The session that a handle names now; NULL: none, or one of another generation. */
static struct session *lookup(const struct session_table *t, tgw_handle h) {
    struct session *s = session_at(t, tgw_handle_index(h));
    return s && session_handle(s) == h ? s : NULL;
}

static bool live(const struct session *s) {
    return s && (s->state == SESSION_RELAY || s->state == SESSION_CLOSING);
}

/* Nothing behind its length is looked at. */
static bool verdict_valid(const struct session *s, const struct tgw_cmd_verdict *v) {
    const size_t grant_at = offsetof(struct tgw_cmd_verdict, grant);
    if (v->msg.len <= grant_at || v->msg.len > sizeof(*v) || !s || s->state != SESSION_AUTH ||
        !tgw_ident_valid(&v->ident))
        return false;
    if (v->reason != TGW_OK)
        return v->reason < TGW_REASON_COUNT && tgw_reason_info(v->reason)->kind == TGW_KIND_REFUSE;
    return v->agent.port != 0 && tgw_text_valid(v->grant, v->msg.len - grant_at) &&
           v->ident.session_id[0] && who_is_for(s, v->ident.allocation_id);
}

static void on_verdict(struct session_table *t, const union tgw_cmd *cmd) {
    struct session *s = lookup(t, cmd->verdict.handle);
    if (verdict_valid(s, &cmd->verdict))
        dial_verdict(s, &cmd->verdict);
    else
        invalid(t, cmd);
}

static void on_policy(struct session_table *t, const union tgw_cmd *cmd) {
    const struct tgw_cmd_policy *p = &cmd->policy;
    if (p->msg.len != sizeof(*p) || p->draining > 1 || p->refusals_as_close > 1 ||
        p->token_store_unavailable > 1) {
        invalid(t, cmd);
        return;
    }
    uint32_t most = t->config.sessions_max;
    t->sessions_max = p->sessions_max < most ? p->sessions_max : most;
    t->refusals_as_close = p->refusals_as_close;
    t->token_store_unavailable = p->token_store_unavailable;
    drain_command(t, p->draining, p->drain_deadline_ms);
    if (p->msg.seq)
        event_done(t, p->msg.seq, TGW_OK);
}

static void on_list(struct session_table *t, const union tgw_cmd *cmd) {
    if (cmd->msg.len != sizeof(cmd->list))
        invalid(t, cmd);
    else if (!list_start(t, &cmd->list))
        event_done(t, cmd->msg.seq, TGW_R_capacity);
}

static void on_show(struct session_table *t, const union tgw_cmd *cmd) {
    struct session *s = lookup(t, cmd->session.handle);
    if (cmd->msg.len != sizeof(cmd->session))
        invalid(t, cmd);
    else if (live(s))
        event_session(s, cmd->msg.seq);
    else
        event_done(t, cmd->msg.seq, TGW_R_not_found);
}

static void on_kill(struct session_table *t, const union tgw_cmd *cmd) {
    struct session *s = lookup(t, cmd->session.handle);
    if (cmd->msg.len != sizeof(cmd->session)) {
        invalid(t, cmd);
        return;
    }
    event_done(t, cmd->msg.seq, live(s) ? TGW_OK : TGW_R_not_found);
    if (live(s) && s->state == SESSION_RELAY) {
        close_begin(s, TGW_R_session_terminated);
        close_settle(s);
    }
}

bool session_legs(const struct session_table *t, tgw_handle h, struct tgw_leg_state out[2]) {
    struct session *s = lookup(t, h);
    if (!live(s))
        return false;
    event_legs(s, out);
    return true;
}

void session_command(struct session_table *t, const union tgw_cmd *cmd) {
    switch (cmd->msg.type) {
    case TGW_CMD_VERDICT:
        on_verdict(t, cmd);
        break;
    case TGW_CMD_POLICY:
        on_policy(t, cmd);
        break;
    case TGW_CMD_LIST:
        on_list(t, cmd);
        break;
    case TGW_CMD_SHOW:
        on_show(t, cmd);
        break;
    case TGW_CMD_KILL:
        on_kill(t, cmd);
        break;
    default:
        invalid(t, cmd);
    }
}

/* Who waits for a verdict of a control process that is gone waits for nothing. */
void session_control(struct session_table *t, bool up, uint64_t epoch) {
    bool lost = !up || epoch != t->epoch;
    t->control_up = up;
    t->epoch = epoch;
    for (uint32_t i = 0; lost && i < t->pool.touched; i++) {
        struct session *s = session_at(t, i);
        if (s && s->state == SESSION_AUTH)
            refuse(s, TGW_R_control_unavailable);
    }
}

/* From the verdict to the 101: dial the agent, upgrade it, then upgrade the client.
 * One deadline covers it all, so that an agent that hangs anywhere is a 504. */
#include "session_priv.h"

/* The verdict's ident counts; what it leaves open stays as the request had it. */
static bool adopt_ident(struct session *s, const struct tgw_ident *given) {
    if (given->allocation_id[0] && given->correlation_id[0] && given->trace_id[0])
        return who_set(s, given);
    struct tgw_ident own, ident = *given;
    who_complete(s, &own);
    if (!ident.allocation_id[0])
        memcpy(ident.allocation_id, own.allocation_id, sizeof(ident.allocation_id));
    if (!ident.correlation_id[0])
        memcpy(ident.correlation_id, own.correlation_id, sizeof(ident.correlation_id));
    if (!ident.trace_id[0])
        memcpy(ident.trace_id, own.trace_id, sizeof(ident.trace_id));
    return who_set(s, &ident);
}

static bool keep_grant(struct session *s, const char *grant) {
    size_t bytes = strlen(grant) + 1;
    s->setup->grant = blob_alloc(&s->table->blobs, bytes);
    if (s->setup->grant)
        memcpy(s->setup->grant, grant, bytes);
    return s->setup->grant != NULL;
}

static enum tgw_reason dial(struct session *s, const struct tgw_cmd_verdict *v) {
    struct session_table *t = s->table;
    if (drain_over(t))
        return TGW_R_draining;
    if (!keep_grant(s, v->grant))
        return TGW_R_internal_error;
    s->setup->session_ttl_s = v->session_ttl_s;
    s->idle_s = v->idle_timeout_s;
    s->who->agent = v->agent;
    session_deadline(s, TGW_AGENT_TIMEOUT_MS);
    *session_stream(s, AGENT) = t->env.dial(t->env.ctx, &v->agent, &session_agent_handler, s);
    return session_stream(s, AGENT)->impl ? TGW_OK : TGW_R_upstream_unavailable;
}

void dial_verdict(struct session *s, const struct tgw_cmd_verdict *v) {
    s->state = SESSION_DIAL;
    s->setup->verdict_ns = s->table->now_ns;
    enum tgw_reason reason = v->reason;
    if (!adopt_ident(s, &v->ident))
        reason = TGW_R_internal_error;
    if (reason == TGW_OK)
        reason = dial(s, v);
    if (reason != TGW_OK)
        refuse(s, reason);
}

void dial_connected(struct session *s) {
    struct session_table *t = s->table;
    const struct stream *agent = session_stream(s, AGENT);
    struct setup *setup = s->setup;
    struct tgw_ident ident;
    who_get(s, &ident);
    struct agent_request r = {.ident = &ident,
                              .grant = setup->grant,
                              .agent = s->who->agent,
                              .cols = setup->cols,
                              .rows = setup->rows,
                              .mode = s->mode};
    t->env.random(t->env.ctx, setup->agent_key, sizeof(setup->agent_key));
    t->env.random(t->env.ctx, r.span_id, sizeof(r.span_id));
    r.span_id[0] |= 1; /* all zero is not valid */
    memcpy(r.key, setup->agent_key, sizeof(r.key));
    struct text_out o = {.at = t->out, .size = sizeof(t->out)};
    agent_write_request(&o, &r);
    if (o.overflow)
        refuse(s, TGW_R_internal_error);
    else if (agent->ops->write(agent->impl, o.at, o.len) < o.len)
        refuse(s, TGW_R_upstream_unavailable);
}

/* Both upgrades are done: from here on it is a session. */
static void open_session(struct session *s) {
    struct session_table *t = s->table;
    const struct stream *c = session_stream(s, CLIENT);
    const struct text key = {s->setup->ws_key, sizeof(s->setup->ws_key) - 1};
    const struct text protocol = {s->setup->protocol, s->setup->protocol_len};
    struct text_out o = {.at = t->out, .size = sizeof(t->out)};
    struct tgw_ident ident;
    who_get(s, &ident);
    http1_write_101(&o, key, protocol, ident.correlation_id, ident.trace_id, ident.session_id);
    if (o.overflow || c->ops->room(c->impl) < o.len) {
        refuse(s, TGW_R_internal_error);
        return;
    }
    c->ops->write(c->impl, o.at, o.len);
    tgw_count(t->config.counters, TGW_C_relay_setup_ok, 1);
    tgw_count(t->config.counters, TGW_C_sessions_accepted, 1);
    event_open(s, &ident);
    session_left_pending(s);
    uint64_t ttl_ns = (uint64_t)s->setup->session_ttl_s * 1000 * NS_A_MS;
    s->deadline_ns = ttl_ns ? t->now_ns + ttl_ns : 0;
    setup_free(s);
    live_start(s);
}

void dial_readable(struct session *s) {
    struct session_table *t = s->table;
    const struct stream *agent = session_stream(s, AGENT);
    size_t head_bytes = 0;
    size_t len = agent->ops->copy(agent->impl, t->head, AGENT_ANSWER_BYTES_MAX);
    enum tgw_reason reason = agent_read_answer(t->head, len, s->setup->agent_key, &head_bytes);
    if (reason == TGW_OK && !head_bytes) {
        if (len < AGENT_ANSWER_BYTES_MAX && !agent->ops->at_eof(agent->impl))
            return;
        reason = TGW_R_upstream_unavailable;
    }
    if (reason == TGW_OK && drain_over(t))
        reason = TGW_R_draining;
    if (reason != TGW_OK) {
        refuse(s, reason);
        return;
    }
    agent->ops->consume(agent->impl, head_bytes);
    open_session(s);
}

void dial_closed(struct session *s, enum stream_end end) {
    refuse(s, end == STREAM_END_TIMEOUT ? TGW_R_upstream_timeout : TGW_R_upstream_unavailable);
}

#include "session_priv.h"
#include "web/digest.h"

static bool emit(struct session_table *t, struct tgw_msg *msg, enum tgw_event_type type, size_t len,
                 uint32_t seq) {
    *msg = (struct tgw_msg){.type = (uint16_t)type, .len = (uint16_t)len, .seq = seq};
    return t->env.emit(t->env.ctx, msg);
}

static uint64_t us_since(const struct session_table *t, uint64_t then_ns) {
    return (t->now_ns - then_ns) / 1000;
}

bool event_auth(struct session *s, const struct http1_request *r) {
    struct tgw_ev_auth e = {.handle = session_handle(s),
                            .remote = s->who->remote,
                            .has_origin = r->has_origin,
                            .mode = r->mode,
                            .cols = r->cols,
                            .rows = r->rows};
    if (!digest_sha256(r->token.at, r->token.len, e.token_hash))
        return false;
    memcpy(e.allocation_id, r->allocation_id, sizeof(e.allocation_id));
    memcpy(e.correlation_id, r->correlation_id, sizeof(e.correlation_id));
    memcpy(e.trace_id, r->trace_id, sizeof(e.trace_id));
    if (r->has_origin && r->origin.len < sizeof(e.origin))
        memcpy(e.origin, r->origin.at, r->origin.len);
    return emit(s->table, &e.msg, TGW_EV_AUTH, tgw_auth_bytes(&e), 0);
}

void event_auth_gone(struct session *s) {
    struct tgw_ev_auth_gone e = {.handle = session_handle(s)};
    emit(s->table, &e.msg, TGW_EV_AUTH_GONE, sizeof(e), 0);
}

void event_open(struct session *s, const struct tgw_ident *ident) {
    const struct session_table *t = s->table;
    struct tgw_ev_open e = {.handle = session_handle(s),
                            .remote = s->who->remote,
                            .agent = s->who->agent,
                            .setup_us = us_since(t, s->accepted_ns),
                            .dial_us = us_since(t, s->setup->verdict_ns),
                            .mode = s->mode,
                            .ident = *ident};
    emit(s->table, &e.msg, TGW_EV_OPEN, sizeof(e), 0);
}

void event_closed(struct session *s) {
    struct tgw_ev_closed e = {.handle = session_handle(s),
                              .reason = s->reason,
                              .close_code = s->close_code,
                              .remote = s->who->remote,
                              .agent = s->who->agent,
                              .duration_us = us_since(s->table, s->accepted_ns),
                              .bytes_to_agent = s->leg[CLIENT].in.bytes,
                              .bytes_to_client = s->leg[AGENT].in.bytes,
                              .frames_to_agent = s->leg[CLIENT].in.frames,
                              .frames_to_client = s->leg[AGENT].in.frames};
    who_get(s, &e.ident);
    emit(s->table, &e.msg, TGW_EV_CLOSED, sizeof(e), 0);
}

void event_refused(struct session *s, enum tgw_reason reason, const struct tgw_ident *ident,
                   bool as_close, bool asked) {
    struct tgw_ev_refused e = {.handle = session_handle(s),
                               .reason = (uint16_t)reason,
                               .http_status = tgw_reason_info(reason)->http_status,
                               .as_close = as_close,
                               .asked = asked,
                               .duration_us = us_since(s->table, s->accepted_ns),
                               .remote = s->who->remote,
                               .ident = *ident};
    emit(s->table, &e.msg, TGW_EV_REFUSED, sizeof(e), 0);
}

static void inspect(struct session *s, enum side side, struct tgw_leg_state *out) {
    const struct stream *stream = session_stream(s, side);
    if (stream->impl)
        stream->ops->inspect(stream->impl, out);
}

void event_legs(struct session *s, struct tgw_leg_state out[2]) {
    inspect(s, CLIENT, &out[0]);
    inspect(s, AGENT, &out[1]);
}

bool event_session(struct session *s, uint32_t seq) {
    struct tgw_ev_session e = {.handle = session_handle(s),
                               .age_us = us_since(s->table, s->accepted_ns),
                               .idle_us = us_since(s->table, s->data_ns),
                               .bytes_to_agent = s->leg[CLIENT].in.bytes,
                               .bytes_to_client = s->leg[AGENT].in.bytes,
                               .frames_to_agent = s->leg[CLIENT].in.frames,
                               .frames_to_client = s->leg[AGENT].in.frames,
                               .mode = s->mode};
    who_get(s, &e.ident);
    inspect(s, CLIENT, &e.client);
    inspect(s, AGENT, &e.agent);
    return emit(s->table, &e.msg, TGW_EV_SESSION, sizeof(e), seq);
}

bool event_list_end(struct session_table *t, const struct list *l) {
    struct tgw_ev_list_end e = {.core = t->config.core, .sessions = l->sent};
    return emit(t, &e.msg, TGW_EV_LIST_END, sizeof(e), l->seq);
}

void event_done(struct session_table *t, uint32_t seq, enum tgw_reason reason) {
    struct tgw_ev_done e = {.reason = (uint16_t)reason, .core = t->config.core};
    emit(t, &e.msg, TGW_EV_DONE, sizeof(e), seq);
}

bool event_drain_state(struct session_table *t, bool finished) {
    struct tgw_ev_drain_state e = {.core = t->config.core,
                                   .sessions_left = t->live + t->pending,
                                   .draining = t->drain.active,
                                   .finished = finished};
    return emit(t, &e.msg, TGW_EV_DRAIN_STATE, sizeof(e), 0);
}

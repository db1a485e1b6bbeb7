/* A request that does not become a session: the answer, the event, the counters. */
#include "session_priv.h"

enum { RETRY_AFTER_S = 5 };

void setup_free(struct session *s) {
    struct blobs *b = &s->table->blobs;
    if (s->setup)
        blob_free(b, s->setup->grant);
    blob_free(b, s->setup);
    s->setup = NULL;
}

/* A request that asked for no upgrade cannot be given one. */
static bool wants_close_frame(const struct session *s, enum tgw_reason reason) {
    if (reason == TGW_R_upgrade_required || reason == TGW_R_method_not_allowed)
        return false;
    return s->table->refusals_as_close && s->setup && s->setup->has_origin && s->setup->ws_key[0];
}

/* A page's script cannot see an HTTP refusal: upgrade, then close at once. */
static void write_as_close(struct session *s, enum tgw_reason reason, const struct tgw_ident *ident,
                           struct text_out *o) {
    const struct tgw_reason_info *info = tgw_reason_info(reason);
    const struct text key = {s->setup->ws_key, sizeof(s->setup->ws_key) - 1};
    const struct text protocol = {s->setup->protocol, s->setup->protocol_len};
    http1_write_101(o, key, protocol, ident->correlation_id, ident->trace_id, ident->session_id);
    char why[192];
    struct text_out text = {.at = why, .size = sizeof(why)};
    text_printf(&text, "%s %s", info->code, ident->correlation_id);
    text_putn(&text, "", 1);
    uint8_t frame[WS_HEADER_BYTES_MAX + TGW_WS_CONTROL_PAYLOAD_MAX];
    text_putn(o, (const char *)frame, ws_close(frame, info->close_code, why, NULL));
}

static void write_as_http(enum tgw_reason reason, const struct tgw_ident *ident,
                          struct text_out *o) {
    char resource_name[512];
    agent_resource_name(ident, resource_name);
    const struct http1_error e = {.reason = reason,
                                  .correlation_id = ident->correlation_id,
                                  .trace_id = ident->trace_id,
                                  .session_id = ident->session_id[0] ? ident->session_id : NULL,
                                  .resource_name = ident->tenant_id[0] ? resource_name : NULL,
                                  .retry_after_s = RETRY_AFTER_S};
    http1_write_error(o, &e);
}

static void write_answer(struct session *s, enum tgw_reason reason, const struct tgw_ident *ident,
                         bool as_close) {
    struct session_table *t = s->table;
    const struct stream *c = session_stream(s, CLIENT);
    struct text_out o = {.at = t->out, .size = sizeof(t->out)};
    if (as_close)
        write_as_close(s, reason, ident, &o);
    else
        write_as_http(reason, ident, &o);
    if (o.overflow || c->ops->write(c->impl, o.at, o.len) < o.len)
        tgw_count(t->config.counters, TGW_C_relay_write_errors_client, 1);
}

static bool agent_failed(enum tgw_reason reason) {
    return reason == TGW_R_upstream_unavailable || reason == TGW_R_upstream_timeout ||
           reason == TGW_R_allocation_not_found;
}

/* Undo what the state had begun. */
static void leave_state(struct session *s, enum tgw_reason reason) {
    struct session_table *t = s->table;
    struct stream *agent = session_stream(s, AGENT);
    if (s->state == SESSION_AUTH)
        event_auth_gone(s);
    if (s->state == SESSION_DIAL && agent_failed(reason))
        tgw_count(t->config.counters, TGW_C_relay_setup_failed, 1);
    if (agent->impl)
        agent->ops->abort(agent->impl);
    agent->impl = NULL;
    session_left_pending(s);
}

void refuse(struct session *s, enum tgw_reason reason) {
    struct session_table *t = s->table;
    struct stream *c = session_stream(s, CLIENT);
    struct tgw_ident ident;
    who_complete(s, &ident);
    bool answer = reason != TGW_R_client_gone && c->impl;
    bool as_close = answer && wants_close_frame(s, reason);
    bool asked = s->state != SESSION_HEAD;
    leave_state(s, reason);
    tgw_count_reason(t->config.counters, reason);
    event_refused(s, reason, &ident, as_close, asked);
    if (answer)
        write_answer(s, reason, &ident, as_close);
    setup_free(s);
    if (answer) {
        linger(s);
        return;
    }
    if (c->impl)
        c->ops->release(c->impl);
    c->impl = NULL;
    session_free(s);
}

void linger(struct session *s) {
    const struct stream *c = session_stream(s, CLIENT);
    s->state = SESSION_LINGER;
    s->table->lingering++;
    c->ops->shutdown(c->impl);
    session_deadline(s, TGW_CLOSE_TIMEOUT_MS);
    linger_readable(s);
}

/* Input after the answer is discarded: unread data at the close would turn into a
 * reset that may overtake the answer (RFC 9112 section 9.6). */
void linger_readable(struct session *s) {
    struct stream *c = session_stream(s, CLIENT);
    c->ops->consume(c->impl, c->ops->unread(c->impl));
    if (!c->ops->at_eof(c->impl))
        return;
    c->ops->release(c->impl);
    c->impl = NULL;
    session_free(s);
}

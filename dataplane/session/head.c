/* The request head: read, checked in the contract's order, handed to the control
 * process. The head stays in the stream's queue until it is whole: a connection that
 * dribbles it in costs no buffer here. */
#include "session_priv.h"

static void pending_put(struct session *s, struct text_out *o) {
    const struct stream *c = session_stream(s, CLIENT);
    if (o->overflow || c->ops->write(c->impl, o->at, o->len) < o->len)
        tgw_count(s->table->config.counters, TGW_C_relay_write_errors_client, 1);
}

/* By number, the request itself among them; and by what is actually left, as one who is
 * refused here keeps his token, and one whose agent cannot be dialled does not. */
static bool no_capacity(const struct session_table *t) {
    return t->live + t->pending > t->sessions_max || !blobs_room(&t->blobs) ||
           !t->env.room(t->env.ctx);
}

static void readyz_body(const struct session_table *t, struct text_out *o) {
    const struct {
        bool set;
        const char *label;
    } reasons[] = {{t->drain.active, "draining"},
                   {!t->control_up, "control_unavailable"},
                   {t->token_store_unavailable, "token_store_unavailable"},
                   {no_capacity(t), "no_capacity"}};
    const char *separator = "";
    text_put(o, "{\"status\":\"unavailable\",\"reasons\":[");
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (!reasons[i].set)
            continue;
        text_printf(o, "%s\"%s\"", separator, reasons[i].label);
        separator = ",";
    }
    text_putn(o, "]}", 3); /* the NUL too */
}

static void answer_health(struct session *s, enum http1_target target) {
    struct session_table *t = s->table;
    char body[160];
    struct text_out json = {.at = body, .size = sizeof(body)};
    struct text_out o = {.at = t->out, .size = sizeof(t->out)};
    bool ready =
        !t->drain.active && t->control_up && !t->token_store_unavailable && !no_capacity(t);
    if (target == HTTP1_HEALTHZ || ready) {
        http1_write_json(&o, 200, "{\"status\":\"ok\"}");
    } else {
        readyz_body(t, &json);
        http1_write_json(&o, 503, body);
    }
    pending_put(s, &o);
    session_left_pending(s);
    setup_free(s);
    linger(s);
}

/* What the 101 echoes: a token that could not be one is not repeated. */
static struct text protocol_of(const struct http1_request *r) {
    if (r->protocol_v1)
        return (struct text){"terminal.v1", sizeof("terminal.v1") - 1};
    if (!r->has_token || r->token.len > TGW_TOKEN_BYTES_MAX)
        return (struct text){0};
    for (size_t i = 0; i < r->token.len; i++)
        if (!http1_is_tchar(r->token.at[i]))
            return (struct text){0};
    return r->token;
}

/* Keep what the 101, the agent and the error envelope need of the request. */
static bool keep_request(struct session *s, const struct http1_request *r) {
    const struct text protocol = protocol_of(r);
    struct setup *setup = blob_alloc(&s->table->blobs, sizeof(*setup) + protocol.len);
    if (!setup)
        return false;
    *setup = (struct setup){.has_origin = r->has_origin, .cols = r->cols, .rows = r->rows};
    if (http1_key_is_valid(r->ws_key)) /* a parser that refused earlier has not looked at it */
        memcpy(setup->ws_key, r->ws_key.at, r->ws_key.len);
    setup->protocol_len = (uint16_t)protocol.len;
    if (protocol.len)
        memcpy(setup->protocol, protocol.at, protocol.len);
    s->setup = setup;
    s->mode = r->mode;
    struct tgw_ident ident = {0};
    memcpy(ident.allocation_id, r->allocation_id, sizeof(ident.allocation_id));
    memcpy(ident.correlation_id, r->correlation_id, sizeof(ident.correlation_id));
    memcpy(ident.trace_id, r->trace_id, sizeof(ident.trace_id));
    return who_set(s, &ident);
}

/* Checks that need no other process, then the question to the one that decides. */
static enum tgw_reason ask(struct session *s, const struct http1_request *r) {
    const struct session_table *t = s->table;
    if (t->drain.active)
        return TGW_R_draining;
    if (no_capacity(t))
        return TGW_R_capacity;
    if (!t->control_up)
        return TGW_R_control_unavailable;
    if (r->has_origin && r->origin.len > TGW_ORIGIN_MAX)
        return TGW_R_origin_not_allowed;
    if (!event_auth(s, r))
        return TGW_R_control_unavailable;
    s->state = SESSION_AUTH;
    session_deadline(s, TGW_AUTH_TIMEOUT_MS);
    return TGW_OK;
}

static void request(struct session *s, size_t head_bytes) {
    const struct stream *c = session_stream(s, CLIENT);
    struct http1_request r;
    enum tgw_reason reason = http1_request_parse(s->table->head, head_bytes, &r);
    c->ops->consume(c->impl, head_bytes);
    if (!keep_request(s, &r)) {
        refuse(s, TGW_R_internal_error);
        return;
    }
    if (reason == TGW_OK && (r.target == HTTP1_HEALTHZ || r.target == HTTP1_READYZ)) {
        answer_health(s, r.target);
        return;
    }
    if (reason == TGW_OK)
        reason = ask(s, &r);
    explicit_bzero(s->table->head, head_bytes);
    if (reason != TGW_OK)
        refuse(s, reason);
}

void head_readable(struct session *s) {
    struct session_table *t = s->table;
    const struct stream *c = session_stream(s, CLIENT);
    size_t len = c->ops->copy(c->impl, t->head, sizeof(t->head));
    size_t head_bytes = http1_head_bytes(t->head, len, s->head_seen);
    s->head_seen = (uint32_t)len;
    if (head_bytes)
        request(s, head_bytes);
    else if (len == sizeof(t->head))
        refuse(s, TGW_R_headers_too_large);
    else if (c->ops->at_eof(c->impl))
        refuse(s, TGW_R_client_gone);
}

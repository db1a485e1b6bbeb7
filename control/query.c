#include "query.h"
#include "log.h"
#include <stdio.h>
#include <stdlib.h>

static void finish(struct query *q, const char *code, const char *message) {
    query_done *done = q->done;
    void *ctx = q->ctx;
    cJSON *result = q->result;
    *q = (struct query){0};
    if (code) {
        cJSON_Delete(result);
        result = NULL;
    }
    done(ctx, result, code, message);
}

static void add_text(cJSON *o, const char *key, const char *text) {
    if (text[0])
        cJSON_AddStringToObject(o, key, text);
}

static void add_endpoint(cJSON *o, const char *key, const struct tgw_endpoint *e) {
    char text[64];
    cJSON_AddStringToObject(o, key, endpoint_text(e, text));
}

static void add_leg(cJSON *o, const char *key, const struct tgw_leg_state *l) {
    cJSON *leg = cJSON_AddObjectToObject(o, key);
    add_endpoint(leg, "local", &l->local);
    add_endpoint(leg, "peer", &l->peer);
    if (tgw_text_valid(l->state, sizeof(l->state)))
        add_text(leg, "state", l->state);
    cJSON_AddNumberToObject(leg, "cwnd_bytes", l->cwnd_bytes);
    cJSON_AddNumberToObject(leg, "ssthresh_bytes", l->ssthresh_bytes);
    cJSON_AddNumberToObject(leg, "mss", l->mss);
    cJSON_AddNumberToObject(leg, "srtt_us", l->srtt_us);
    cJSON_AddNumberToObject(leg, "rttvar_us", l->rttvar_us);
    cJSON_AddNumberToObject(leg, "rto_us", l->rto_us);
    cJSON_AddNumberToObject(leg, "snd_wnd", l->snd_wnd);
    cJSON_AddNumberToObject(leg, "rcv_wnd", l->rcv_wnd);
    cJSON_AddNumberToObject(leg, "unacked_bytes", l->unacked_bytes);
    cJSON_AddNumberToObject(leg, "queued_bytes", l->queued_bytes);
    cJSON_AddNumberToObject(leg, "unread_bytes", l->unread_bytes);
    cJSON_AddNumberToObject(leg, "retransmits", l->retransmits);
    cJSON_AddNumberToObject(leg, "bytes_in", (double)l->bytes_in);
    cJSON_AddNumberToObject(leg, "bytes_out", (double)l->bytes_out);
}

cJSON *query_session_json(const struct tgw_ev_session *e, bool legs) {
    char handle[20];
    cJSON *o = cJSON_CreateObject();
    snprintf(handle, sizeof(handle), "%016lx", e->handle);
    cJSON_AddStringToObject(o, "id", handle);
    add_text(o, "session_id", e->ident.session_id);
    add_text(o, "allocation_id", e->ident.allocation_id);
    add_text(o, "user_id", e->ident.user_id);
    add_text(o, "correlation_id", e->ident.correlation_id);
    add_text(o, "trace_id", e->ident.trace_id);
    add_endpoint(o, "remote", &e->client.peer);
    cJSON_AddStringToObject(o, "mode", e->mode == TGW_MODE_CHANNEL ? "channel" : "raw");
    cJSON_AddNumberToObject(o, "age_s", (double)(e->age_us / 1000000));
    cJSON_AddNumberToObject(o, "idle_s", (double)(e->idle_us / 1000000));
    cJSON_AddNumberToObject(o, "bytes_to_agent", (double)e->bytes_to_agent);
    cJSON_AddNumberToObject(o, "bytes_to_client", (double)e->bytes_to_client);
    cJSON_AddNumberToObject(o, "frames_to_agent", (double)e->frames_to_agent);
    cJSON_AddNumberToObject(o, "frames_to_client", (double)e->frames_to_client);
    if (legs) {
        add_leg(o, "client", &e->client);
        add_leg(o, "agent", &e->agent);
    }
    return o;
}

/* The form that lists show: 16 hex digits, its core known. */
static tgw_handle handle_parse(const struct bridge *b, const char *text) {
    char *end;
    if (strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16)
        return 0;
    tgw_handle h = strtoull(text, &end, 16);
    return tgw_handle_core(h) < b->cores ? h : 0;
}

/* Ask the session's own core, now that it is known. */
static bool ask_one(struct query *q, struct bridge *b) {
    const struct tgw_cmd_session cmd = {
        .msg = {.type = q->kind == QUERY_SHOW ? TGW_CMD_SHOW : TGW_CMD_KILL,
                .len = sizeof(cmd),
                .seq = q->seq},
        .handle = q->handle};
    return bridge_send(b, tgw_handle_core(q->handle), &cmd.msg);
}

/* Ask every core for its sessions. */
static bool ask_all(struct query *q, struct bridge *b) {
    for (uint32_t i = 0; i < b->cores; i++) {
        const struct tgw_cmd_list cmd = {
            .msg = {.type = TGW_CMD_LIST, .len = sizeof(cmd), .seq = q->seq},
            .sessions_max = q->kind == QUERY_LIST ? QUERY_SESSIONS_MAX + 1 : 0};
        if (!bridge_send(b, i, &cmd.msg))
            return false;
        q->cores_left++;
    }
    return true;
}

static const char *ask(struct query *q, struct bridge *b) {
    if (q->kind == QUERY_LIST)
        q->list = cJSON_AddArrayToObject(q->result, "sessions");
    else
        q->handle = handle_parse(b, q->session);
    if (!q->result)
        return "no memory";
    bool sent = q->handle ? ask_one(q, b) : ask_all(q, b);
    return sent ? NULL : "the command ring is full";
}

/* A free place with a new seq; NULL: told already why not. */
static struct query *begin(struct queries *all, const struct bridge *b, enum query_kind kind,
                           uint64_t deadline_ns, query_done *done, void *ctx) {
    struct query *q = all->at;
    while (q < all->at + QUERIES_MAX && q->done)
        q++;
    if (q == all->at + QUERIES_MAX || !b->shm) {
        done(ctx, NULL, "unavailable",
             b->shm ? "too many requests at once" : "the dataplane is not attached");
        return NULL;
    }
    all->seq += 1 + (all->seq + 1 == 0); /* 0 means unasked */
    *q = (struct query){.done = done,
                        .ctx = ctx,
                        .kind = kind,
                        .seq = all->seq,
                        .deadline_ns = deadline_ns,
                        .result = cJSON_CreateObject()};
    return q;
}

void query_start(struct queries *all, struct bridge *b, enum query_kind kind, const char *session,
                 uint64_t now_ns, query_done *done, void *ctx) {
    if (strlen(session) > TGW_SESSION_ID_MAX) {
        done(ctx, NULL, "unavailable", "not a session's id");
        return;
    }
    struct query *q = begin(all, b, kind, now_ns + QUERY_TIMEOUT_MS * UINT64_C(1000000), done, ctx);
    if (!q)
        return;
    strcpy(q->session, session);
    const char *wrong = ask(q, b);
    if (wrong)
        finish(q, "unavailable", wrong);
}

void query_probe(struct queries *all, struct bridge *b, uint32_t port, uint64_t now_ns,
                 query_done *done, void *ctx) {
    struct query *q =
        begin(all, b, QUERY_PROBE, now_ns + QUERY_PROBE_TIMEOUT_MS * UINT64_C(1000000), done, ctx);
    if (!q)
        return;
    q->port = port;
    const struct tgw_cmd_probe cmd = {
        .msg = {.type = TGW_CMD_PROBE, .len = sizeof(cmd), .seq = q->seq}, .port = port};
    if (!q->result || !bridge_send(b, 0, &cmd.msg))
        finish(q, "unavailable", "the command ring is full");
}

static void on_session(struct query *q, const struct tgw_ev_session *e) {
    if (!tgw_ident_valid(&e->ident))
        return; /* the dataplane's word is checked like anybody's */
    if (q->kind == QUERY_LIST) {
        q->truncated |= cJSON_GetArraySize(q->list) >= QUERY_SESSIONS_MAX;
        if (!q->truncated)
            cJSON_AddItemToArray(q->list, query_session_json(e, false));
    } else if (q->handle == e->handle) {
        cJSON_Delete(q->result);
        q->result = query_session_json(e, true);
        finish(q, NULL, NULL);
    } else if (strcmp(q->session, e->ident.session_id) == 0) {
        q->handle = e->handle;
    }
}

static void on_list_end(struct query *q, struct bridge *b) {
    if (q->cores_left == 0 || --q->cores_left > 0)
        return;
    if (q->kind == QUERY_LIST) {
        cJSON_AddBoolToObject(q->result, "truncated", q->truncated);
        finish(q, NULL, NULL);
    } else if (!q->handle) {
        finish(q, "not_found", "no such session");
    } else if (!ask_one(q, b)) {
        finish(q, "unavailable", "the command ring is full");
    }
}

static void add_check(cJSON *list, unsigned check, struct tgw_check_result r) {
    const struct tgw_check_info *info = tgw_check_info(check);
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "check", info->id);
    cJSON_AddStringToObject(o, "title", info->title);
    cJSON_AddStringToObject(o, "state", tgw_check_state_name(r.state));
    cJSON_AddNumberToObject(o, "value", r.value);
    if (r.state == TGW_CHECK_FAIL || r.state == TGW_CHECK_OFF)
        cJSON_AddStringToObject(o, "fix", info->fix);
    cJSON_AddItemToArray(list, o);
}

static void on_port(struct query *q, const struct tgw_ev_port *e) {
    static const uint8_t nobody[16];
    bool asked = memcmp(e->neighbour.addr, nobody, sizeof(nobody)) != 0;
    if (q->kind != QUERY_PROBE || e->port != q->port)
        return;
    if (asked)
        add_endpoint(q->result, "neighbour", &e->neighbour);
    cJSON *list = cJSON_AddArrayToObject(q->result, "checks");
    for (unsigned i = 0; i < TGW_CHECK_COUNT; i++)
        add_check(list, i, e->check[i]);
    finish(q, NULL, NULL);
}

static void on_done(struct query *q, const struct tgw_ev_done *e) {
    if (e->reason == TGW_OK)
        finish(q, NULL, NULL);
    else
        finish(q, e->reason == TGW_R_not_found ? "not_found" : "unavailable",
               e->reason == TGW_R_not_found ? "no such session"
                                            : tgw_reason_info(e->reason)->message);
}

void query_event(struct queries *all, struct bridge *b, const union tgw_event *e) {
    for (struct query *q = all->at; q < all->at + QUERIES_MAX; q++) {
        if (!q->done || q->seq != e->msg.seq)
            continue;
        if (e->msg.type == TGW_EV_SESSION)
            on_session(q, &e->session);
        else if (e->msg.type == TGW_EV_LIST_END)
            on_list_end(q, b);
        else if (e->msg.type == TGW_EV_PORT)
            on_port(q, &e->port);
        else if (e->msg.type == TGW_EV_DONE)
            on_done(q, &e->done);
        return;
    }
}

void query_advance(struct queries *all, const struct bridge *b, uint64_t now_ns) {
    for (struct query *q = all->at; q < all->at + QUERIES_MAX; q++) {
        if (q->done && !b->shm)
            finish(q, "unavailable", "the dataplane went away");
        else if (q->done && now_ns >= q->deadline_ns)
            finish(q, "unavailable", "the dataplane did not answer in time");
    }
}

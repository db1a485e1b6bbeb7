#include "command.h"

static void on_answer(void *ctx, cJSON *result, const char *code, const char *message) {
    struct request *r = ctx;
    if (code) {
        request_refuse(r, code, "%s", message);
    } else {
        cJSON_Delete(r->result);
        r->result = result;
    }
    request_finish(r);
}

static bool ask(struct request *r, enum query_kind kind) {
    struct gateway *g = r->gateway;
    char session[TGW_SESSION_ID_MAX + 1] = "";
    if (kind != QUERY_LIST && !request_text(r, "session", session, sizeof(session), NULL))
        return true;
    query_start(&g->queries, &g->bridge, kind, session, g->now_ns, on_answer, r);
    return false;
}

bool command_ports_probe(struct request *r) {
    struct gateway *g = r->gateway;
    uint32_t port;
    if (!request_number(r, "port", 0, 0, TGW_PORTS_MAX - 1, &port))
        return true;
    query_probe(&g->queries, &g->bridge, port, g->now_ns, on_answer, r);
    return false;
}

bool command_sessions_list(struct request *r) {
    return ask(r, QUERY_LIST);
}

bool command_sessions_show(struct request *r) {
    return ask(r, QUERY_SHOW);
}

bool command_sessions_kill(struct request *r) {
    return ask(r, QUERY_KILL);
}

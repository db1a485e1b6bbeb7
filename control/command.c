/* Commands of the control socket: {"id":N,"cmd":"NAME","args":{...}} in, one line out. */
#include "gateway.h"
#include "log.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { MINT_MAX = 10000, TTL_DEFAULT_S = 300, TTL_MAX_S = 86400 };

struct answer {
    cJSON *result; /* an object, filled in by the command */
    const char *code;
    char message[200];
};

__attribute__((format(printf, 3, 4))) static void refuse(struct answer *a, const char *code,
                                                         const char *format, ...) {
    va_list v;
    va_start(v, format);
    vsnprintf(a->message, sizeof(a->message), format, v);
    va_end(v);
    a->code = code;
}

/* An argument that is a whole number in min..max; false with the refusal written. */
static bool number(const cJSON *args, const char *key, uint32_t fallback, uint32_t min,
                   uint32_t max, uint32_t *out, struct answer *a) {
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(args, key);
    *out = fallback;
    if (!v || cJSON_IsNull(v))
        return true;
    if (cJSON_IsNumber(v) && v->valuedouble >= min && v->valuedouble <= max &&
        v->valuedouble == (double)(uint32_t)v->valuedouble) {
        *out = (uint32_t)v->valuedouble;
        return true;
    }
    refuse(a, "bad_request", "%s: expected a whole number %u..%u", key, min, max);
    return false;
}

/* A text argument into a claims field; absent leaves the fallback. */
static bool text(const cJSON *args, const char *key, char *out, size_t size, const char *fallback,
                 struct answer *a) {
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(args, key);
    const char *s = v ? cJSON_GetStringValue(v) : fallback;
    if (s && strlen(s) < size && tgw_text_valid(s, strlen(s) + 1)) {
        memcpy(out, s, strlen(s) + 1);
        return true;
    }
    refuse(a, "bad_request", "%s: expected a text of at most %zu plain characters", key, size - 1);
    return false;
}

static void status(struct gateway *g, const cJSON *args, struct answer *a) {
    (void)args;
    cJSON *o = a->result;
    cJSON_AddStringToObject(o, "version", TGW_VERSION);
    cJSON_AddNumberToObject(o, "uptime_s", (double)((g->now_ns - g->started_ns) / 1000000000));
    cJSON *d = cJSON_AddObjectToObject(o, "dataplane");
    cJSON_AddBoolToObject(d, "attached", g->bridge.shm != NULL);
    if (g->bridge.shm) {
        cJSON_AddNumberToObject(d, "pid", g->bridge.shm->dataplane_pid);
        cJSON_AddNumberToObject(d, "cores", g->bridge.cores);
        cJSON_AddNumberToObject(d, "sessions_max", g->bridge.shm->sessions_max);
    }
    cJSON_AddBoolToObject(o, "draining", g->draining);
    if (g->draining)
        cJSON_AddNumberToObject(o, "drain_deadline_s",
                                g->drain_deadline_ns > g->now_ns
                                    ? (double)((g->drain_deadline_ns - g->now_ns) / 1000000000)
                                    : 0);
    cJSON_AddNumberToObject(o, "admit_percent", g->state.admit_percent);
    cJSON_AddNumberToObject(o, "sessions", (double)bridge_counter(&g->bridge, TGW_C_sessions));
    cJSON_AddNumberToObject(o, "pending",
                            (double)bridge_counter(&g->bridge, TGW_C_sessions_pending));
    cJSON *t = cJSON_AddObjectToObject(o, "token_store");
    cJSON_AddStringToObject(t, "kind", g->config.token_store);
    cJSON_AddBoolToObject(t, "ok", true);
    cJSON *reasons = cJSON_AddArrayToObject(o, "reasons");
    cJSON_AddBoolToObject(o, "ready", gateway_ready(g, reasons));
}

static bool mint_one(struct gateway *g, const struct claims *c, cJSON *list) {
    char token[44];
    uint8_t hash[TGW_TOKEN_HASH_BYTES];
    if (!token_make(token, hash) || !memory_store_put(g->store, hash, c, g->now_s))
        return false;
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "allocation_id", c->ident.allocation_id);
    cJSON_AddStringToObject(o, "token", token);
    cJSON_AddNumberToObject(o, "expires_at", (double)c->exp_s);
    cJSON_AddItemToArray(list, o);
    return true;
}

static void mint(struct gateway *g, const cJSON *args, struct answer *a) {
    struct claims c = {0};
    struct tgw_ident *i = &c.ident;
    uint32_t count, ttl_s;
    char agent[64];
    if (!text(args, "allocation_id", i->allocation_id, sizeof(i->allocation_id), NULL, a) ||
        !text(args, "user_id", i->user_id, sizeof(i->user_id), "operator", a) ||
        !text(args, "region", i->region, sizeof(i->region), "lab", a) ||
        !text(args, "tenant_id", i->tenant_id, sizeof(i->tenant_id), "lab", a) ||
        !text(args, "project_id", i->project_id, sizeof(i->project_id), "lab", a) ||
        !text(args, "agent", agent, sizeof(agent), "", a) ||
        !number(args, "count", 1, 1, MINT_MAX, &count, a) ||
        !number(args, "ttl_s", TTL_DEFAULT_S, 1, TTL_MAX_S, &ttl_s, a) ||
        !number(args, "session_ttl_s", 0, 1, UINT32_MAX, &c.session_ttl_s, a) ||
        !number(args, "idle_timeout_s", 0, 1, UINT32_MAX, &c.idle_timeout_s, a))
        return;
    c.has_agent = agent[0] != 0;
    if (c.has_agent && !endpoint_parse(agent, &c.agent)) {
        refuse(a, "bad_request", "agent: expected ADDRESS:PORT");
        return;
    }
    c.exp_s = g->now_s + ttl_s;
    cJSON *list = cJSON_AddArrayToObject(a->result, "tokens");
    while (count-- > 0 && !a->code)
        if (!mint_one(g, &c, list))
            refuse(a, "capacity", "the token store is full");
    log_plain(LOG_INFO, "tokens_minted", "%d for allocation %s", cJSON_GetArraySize(list),
              i->allocation_id);
}

static bool hash_of(const cJSON *args, uint8_t hash[TGW_TOKEN_HASH_BYTES], struct answer *a) {
    const char *token = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(args, "token"));
    if (token && token_hash(token, hash))
        return true;
    refuse(a, "bad_request", "token: expected a text");
    return false;
}

static void inspect(struct gateway *g, const cJSON *args, struct answer *a) {
    static const char *const names[] = {"unknown", "valid", "used", "expired"};
    uint8_t hash[TGW_TOKEN_HASH_BYTES];
    struct claims c = {0};
    if (!hash_of(args, hash, a))
        return;
    enum token_state state = memory_store_inspect(g->store, hash, g->now_s, &c);
    cJSON_AddStringToObject(a->result, "state", names[state]);
    if (!c.exp_s)
        return;
    cJSON *o = cJSON_AddObjectToObject(a->result, "claims");
    cJSON_AddStringToObject(o, "allocation_id", c.ident.allocation_id);
    cJSON_AddStringToObject(o, "user_id", c.ident.user_id);
    cJSON_AddNumberToObject(o, "exp", (double)c.exp_s);
}

static void revoke(struct gateway *g, const cJSON *args, struct answer *a) {
    uint8_t hash[TGW_TOKEN_HASH_BYTES];
    if (!hash_of(args, hash, a))
        return;
    if (!memory_store_revoke(g->store, hash, g->now_s))
        refuse(a, "not_found", "no such token, or it was used already");
}

static void drain(struct gateway *g, const cJSON *args, struct answer *a) {
    uint32_t timeout_s;
    if (!number(args, "timeout_s", (uint32_t)g->config.drain_timeout_seconds, 0, 86400, &timeout_s,
                a))
        return;
    gateway_drain(g, timeout_s, false, "operator");
    cJSON_AddNumberToObject(a->result, "deadline_s", timeout_s);
    cJSON_AddNumberToObject(a->result, "sessions",
                            (double)bridge_counter(&g->bridge, TGW_C_sessions));
}

static void undrain(struct gateway *g, const cJSON *args, struct answer *a) {
    (void)args;
    if (g->exit_when_drained)
        refuse(a, "conflict", "the process is ending: start it again instead");
    else
        gateway_undrain(g);
}

static void admit(struct gateway *g, const cJSON *args, struct answer *a) {
    uint32_t percent;
    if (!cJSON_HasObjectItem(args, "percent"))
        refuse(a, "bad_request", "percent: missing");
    else if (number(args, "percent", 0, 0, 100, &percent, a))
        gateway_admit(g, percent);
}

static void ports(struct gateway *g, const cJSON *args, struct answer *a) {
    (void)args;
    cJSON *list = cJSON_AddArrayToObject(a->result, "ports");
    uint32_t count = g->bridge.shm ? g->bridge.shm->port_count : 0;
    for (uint32_t i = 0; i < count && i < TGW_PORTS_MAX; i++) {
        const struct tgw_port_stats *p = &g->bridge.shm->port[i];
        char name[sizeof(p->name)], driver[sizeof(p->driver)];
        snprintf(name, sizeof(name), "%.*s", (int)sizeof(name) - 1, p->name);
        snprintf(driver, sizeof(driver), "%.*s", (int)sizeof(driver) - 1, p->driver);
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "name", name);
        cJSON_AddStringToObject(o, "driver", driver);
        cJSON_AddBoolToObject(o, "link_up", atomic_load(&p->link_up) != 0);
        cJSON_AddNumberToObject(o, "mtu", (double)atomic_load(&p->mtu));
        cJSON_AddNumberToObject(o, "rx_packets", (double)atomic_load(&p->rx_packets));
        cJSON_AddNumberToObject(o, "tx_packets", (double)atomic_load(&p->tx_packets));
        cJSON_AddItemToArray(list, o);
    }
}

static void show_config(struct gateway *g, const cJSON *args, struct answer *a) {
    (void)args;
    char *json = config_json(&g->config);
    cJSON_Delete(a->result);
    a->result = json ? cJSON_Parse(json) : cJSON_CreateObject();
    free(json);
}

static const struct {
    const char *name;
    void (*run)(struct gateway *g, const cJSON *args, struct answer *a);
} commands[] = {
    {"status", status},       {"token.mint", mint}, {"token.inspect", inspect},
    {"token.revoke", revoke}, {"drain", drain},     {"undrain", undrain},
    {"admit", admit},         {"ports", ports},     {"config.show", show_config},
};

static void dispatch(struct gateway *g, const cJSON *request, struct answer *a) {
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(request, "cmd"));
    const cJSON *args = cJSON_GetObjectItemCaseSensitive(request, "args");
    if (!name) {
        refuse(a, "bad_request", "not a JSON object with a \"cmd\"");
        return;
    }
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(commands[i].name, name) == 0) {
            commands[i].run(g, args, a);
            return;
        }
    }
    refuse(a, "not_found", "no such command: %.60s", name);
}

char *command_run(struct gateway *g, const char *line, size_t len) {
    struct answer a = {.result = cJSON_CreateObject()};
    cJSON *request = cJSON_ParseWithLength(line, len);
    cJSON *reply = cJSON_CreateObject();
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(request, "id");
    dispatch(g, request, &a);
    if (cJSON_IsNumber(id))
        cJSON_AddNumberToObject(reply, "id", id->valuedouble);
    cJSON_AddBoolToObject(reply, "ok", a.code == NULL);
    if (!a.code) {
        cJSON_AddItemToObject(reply, "result", a.result);
    } else {
        cJSON_AddStringToObject(reply, "code", a.code);
        cJSON_AddStringToObject(reply, "message", a.message);
        cJSON_Delete(a.result);
    }
    char *out = cJSON_PrintUnformatted(reply);
    cJSON_Delete(reply);
    cJSON_Delete(request);
    return out;
}

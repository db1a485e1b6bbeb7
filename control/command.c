#include "command.h"
#include "audit.h"
#include "log.h"
#include "metrics.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void request_refuse(struct request *r, const char *code, const char *format, ...) {
    va_list v;
    va_start(v, format);
    vsnprintf(r->message, sizeof(r->message), format, v);
    va_end(v);
    r->code = code;
}

bool request_number(struct request *r, const char *key, uint32_t fallback, uint32_t min,
                    uint32_t max, uint32_t *out) {
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(r->args, key);
    *out = fallback;
    if (!v || cJSON_IsNull(v))
        return true;
    if (cJSON_IsNumber(v) && v->valuedouble >= min && v->valuedouble <= max &&
        v->valuedouble == (double)(uint32_t)v->valuedouble) {
        *out = (uint32_t)v->valuedouble;
        return true;
    }
    request_refuse(r, "bad_request", "%s: expected a whole number %u..%u", key, min, max);
    return false;
}

bool request_text(struct request *r, const char *key, char *out, size_t size,
                  const char *fallback) {
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(r->args, key);
    const char *s = v ? cJSON_GetStringValue(v) : fallback;
    if (s && strlen(s) < size && tgw_text_valid(s, strlen(s) + 1)) {
        memcpy(out, s, strlen(s) + 1);
        return true;
    }
    request_refuse(r, "bad_request", "%s: expected a text of at most %zu plain characters", key,
                   size - 1);
    return false;
}

/* Free text for the audit line: printable, or it could forge lines of its own. */
static bool audit_text(struct request *r, const char *key, const char **out) {
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(r->args, key);
    *out = cJSON_IsString(v) ? v->valuestring : "";
    bool good = (!v || cJSON_IsString(v)) && strlen(*out) <= AUDIT_TEXT_MAX;
    for (const unsigned char *p = (const unsigned char *)*out; good && *p; p++)
        good = *p >= 0x20 && *p != 0x7f;
    if (!good)
        request_refuse(r, "bad_request", "%s: expected a text of at most %d characters", key,
                       AUDIT_TEXT_MAX);
    return good;
}

/* The system's word first, then what the caller calls itself: behind sudo or a CI job the
 * one says who may, the other who did. */
bool request_order(struct request *r, struct change_order *o) {
    const char *says;
    if (!audit_text(r, "who", &says) || !audit_text(r, "why", &o->why))
        return false;
    size_t len = strlen(r->who);
    if (says[0] && !strstr(r->who, ", says "))
        snprintf(r->who + len, sizeof(r->who) - len, ", says %s", says);
    o->who = r->who;
    return true;
}

static bool status(struct request *r) {
    struct gateway *g = r->gateway;
    cJSON *o = r->result;
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
    cJSON_AddNumberToObject(o, "config_version", g->state.config_version);
    cJSON_AddBoolToObject(o, "config_frozen", g->state.frozen);
    cJSON_AddNumberToObject(o, "sessions", (double)bridge_counter(&g->bridge, TGW_C_sessions));
    cJSON_AddNumberToObject(o, "pending",
                            (double)bridge_counter(&g->bridge, TGW_C_sessions_pending));
    cJSON *t = cJSON_AddObjectToObject(o, "token_store");
    cJSON_AddStringToObject(t, "kind", g->config.token_store);
    cJSON_AddBoolToObject(t, "ok", g->store_up);
    cJSON *reasons = cJSON_AddArrayToObject(o, "reasons");
    cJSON_AddBoolToObject(o, "ready", gateway_ready(g, reasons));
    return true;
}

static bool drain(struct request *r) {
    struct gateway *g = r->gateway;
    struct change_order o;
    uint32_t timeout_s;
    if (!request_number(r, "timeout_s", (uint32_t)g->config.drain_timeout_seconds, 0, 86400,
                        &timeout_s) ||
        !request_order(r, &o))
        return true;
    gateway_drain(g, timeout_s, DRAIN_STAYS, &o);
    cJSON_AddNumberToObject(r->result, "deadline_s", timeout_s);
    cJSON_AddNumberToObject(r->result, "sessions",
                            (double)bridge_counter(&g->bridge, TGW_C_sessions));
    return true;
}

static bool undrain(struct request *r) {
    struct gateway *g = r->gateway;
    struct change_order o;
    if (request_order(r, &o) && !gateway_undrain(g, &o))
        request_refuse(r, "conflict", "the process is ending: start it again instead");
    return true;
}

static bool admit(struct request *r) {
    struct gateway *g = r->gateway;
    struct change_order o;
    uint32_t percent;
    if (!cJSON_HasObjectItem(r->args, "percent"))
        request_refuse(r, "bad_request", "percent: missing");
    else if (request_number(r, "percent", 0, 0, 100, &percent) && request_order(r, &o))
        gateway_admit(g, percent, &o);
    return true;
}

static bool ports(struct request *r) {
    struct gateway *g = r->gateway;
    cJSON *list = cJSON_AddArrayToObject(r->result, "ports");
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
    return true;
}

static bool metrics(struct request *r) {
    char *text = metrics_text(r->gateway);
    if (text)
        cJSON_AddStringToObject(r->result, "text", text);
    else
        request_refuse(r, "internal_error", "no memory");
    free(text);
    return true;
}

static const struct {
    const char *name;
    command_fn *run;
    bool reads; /* changes nothing and shows nothing that people type */
} commands[] = {
    {"status", status, true},
    {"sessions.list", command_sessions_list, true},
    {"sessions.show", command_sessions_show, true},
    {"sessions.kill", command_sessions_kill, false},
    {"token.mint", command_token_mint, false},
    {"token.inspect", command_token_inspect, true},
    {"token.revoke", command_token_revoke, false},
    {"drain", drain, false},
    {"undrain", undrain, false},
    {"admit", admit, false},
    {"ports", ports, true},
    {"ports.probe", command_ports_probe, false},
    {"capture.start", command_capture_start, false},
    {"capture.read", command_capture_read, false},
    {"capture.stop", command_capture_stop, false},
    {"config.show", command_config_show, true},
    {"config.check", command_config_check, true},
    {"config.apply", command_config_apply, false},
    {"config.rollback", command_config_rollback, false},
    {"config.freeze", command_config_freeze, false},
    {"config.unfreeze", command_config_unfreeze, false},
    {"metrics", metrics, true},
    {"evidence", command_evidence, true},
};

static bool dispatch(struct request *r) {
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(r->line, "cmd"));
    if (!name) {
        request_refuse(r, "bad_request", "not a JSON object with a \"cmd\"");
        return true;
    }
    size_t i = 0, count = sizeof(commands) / sizeof(commands[0]);
    while (i < count && strcmp(commands[i].name, name) != 0)
        i++;
    if (i < count && (commands[i].reads || !r->reads_only))
        return commands[i].run(r);
    if (i < count)
        request_refuse(r, "forbidden", "%s: %.100s may only read", name, r->who);
    else
        request_refuse(r, "not_found", "no such command: %.60s", name);
    return true;
}

void request_finish(struct request *r) {
    cJSON *reply = cJSON_CreateObject();
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(r->line, "id");
    if (cJSON_IsNumber(id))
        cJSON_AddNumberToObject(reply, "id", id->valuedouble);
    cJSON_AddBoolToObject(reply, "ok", r->code == NULL);
    if (!r->code) {
        cJSON_AddItemToObject(reply, "result", r->result);
    } else {
        cJSON_AddStringToObject(reply, "code", r->code);
        cJSON_AddStringToObject(reply, "message", r->message);
        cJSON_Delete(r->result);
    }
    r->answer(r->ctx, cJSON_PrintUnformatted(reply));
    cJSON_Delete(reply);
    cJSON_Delete(r->line);
    free(r);
}

void command_run(struct gateway *g, const struct caller *caller, const char *line, size_t len,
                 void (*answer)(void *ctx, char *text), void *ctx) {
    struct request *r = calloc(1, sizeof(*r));
    if (!r) {
        answer(ctx, NULL);
        return;
    }
    *r = (struct request){.gateway = g,
                          .line = cJSON_ParseWithLength(line, len),
                          .result = cJSON_CreateObject(),
                          .answer = answer,
                          .ctx = ctx};
    snprintf(r->who, sizeof(r->who), "%s", caller->who);
    r->reads_only = caller->reads_only;
    r->args = cJSON_GetObjectItemCaseSensitive(r->line, "args");
    if (dispatch(r))
        request_finish(r);
}

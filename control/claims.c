#include "claims.h"
#include "gateway.h"
#include "log.h"
#include <stdio.h>
#include <stdlib.h>

static const struct text_claim {
    const char *key;
    size_t offset, size;
} texts[] = {
#define TEXT(name)                                                                                 \
    { #name, offsetof(struct tgw_ident, name), sizeof(((struct tgw_ident *)0)->name) }
    TEXT(allocation_id), TEXT(session_id), TEXT(user_id),        TEXT(region),
    TEXT(tenant_id),     TEXT(project_id), TEXT(correlation_id),
#undef TEXT
};
enum { TEXTS = sizeof(texts) / sizeof(texts[0]), TRACEPARENT_BYTES = 55 };

static bool take_text(const cJSON *o, const struct text_claim *t, struct tgw_ident *i) {
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, t->key);
    const char *s = cJSON_GetStringValue(v);
    if (!v || cJSON_IsNull(v))
        return true;
    if (!s || strlen(s) >= t->size || !tgw_text_valid(s, strlen(s) + 1))
        return false;
    strcpy((char *)i + t->offset, s);
    return true;
}

static bool take_number(const cJSON *o, const char *key, uint64_t max, uint64_t *out) {
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    if (!v || cJSON_IsNull(v))
        return true;
    if (!cJSON_IsNumber(v) || v->valuedouble < 0 || v->valuedouble > (double)max)
        return false;
    *out = (uint64_t)v->valuedouble;
    return true;
}

/* The trace id of "00-<32 hex>-<16 hex>-<2 hex>" (W3C Trace Context); others are ignored. */
static void take_trace(const cJSON *o, struct tgw_ident *i) {
    static const char digits[] = "0123456789abcdef";
    const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "traceparent"));
    if (!s || strlen(s) < TRACEPARENT_BYTES || s[2] != '-' || s[3 + TGW_TRACE_ID_HEX] != '-' ||
        strspn(s + 3, digits) != TGW_TRACE_ID_HEX || strspn(s + 3, "0") >= TGW_TRACE_ID_HEX)
        return;
    memcpy(i->trace_id, s + 3, TGW_TRACE_ID_HEX);
}

static bool take_agent(const cJSON *o, struct claims *c) {
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, "agent");
    const char *s = cJSON_GetStringValue(v);
    if (!v || cJSON_IsNull(v))
        return true;
    c->has_agent = s && endpoint_parse(s, &c->agent);
    return c->has_agent;
}

static bool take(const cJSON *o, struct claims *c) {
    uint64_t ttl_s = 0, idle_s = 0;
    for (int i = 0; i < TEXTS; i++)
        if (!take_text(o, &texts[i], &c->ident))
            return false;
    if (!c->ident.allocation_id[0] || !take_agent(o, c) ||
        !take_number(o, "exp", UINT64_C(1) << 53, &c->exp_s) || !c->exp_s ||
        !take_number(o, "session_ttl_s", UINT32_MAX, &ttl_s) ||
        !take_number(o, "idle_timeout_s", UINT32_MAX, &idle_s))
        return false;
    c->session_ttl_s = (uint32_t)ttl_s;
    c->idle_timeout_s = (uint32_t)idle_s;
    take_trace(o, &c->ident);
    return true;
}

bool claims_parse(const char *json, size_t len, struct claims *out) {
    cJSON *o = cJSON_ParseWithLength(json, len);
    *out = (struct claims){0};
    bool good = cJSON_IsObject(o) && take(o, out);
    cJSON_Delete(o);
    return good;
}

char *claims_print(const struct claims *c) {
    char agent[64], trace[64];
    cJSON *o = cJSON_CreateObject();
    for (int i = 0; i < TEXTS; i++) {
        const char *s = (const char *)&c->ident + texts[i].offset;
        if (s[0])
            cJSON_AddStringToObject(o, texts[i].key, s);
    }
    if (c->has_agent)
        cJSON_AddStringToObject(o, "agent", endpoint_text(&c->agent, agent));
    cJSON_AddNumberToObject(o, "exp", (double)c->exp_s);
    if (c->ident.trace_id[0]) {
        snprintf(trace, sizeof(trace), "00-%s-0000000000000001-01", c->ident.trace_id);
        cJSON_AddStringToObject(o, "traceparent", trace);
    }
    if (c->session_ttl_s)
        cJSON_AddNumberToObject(o, "session_ttl_s", c->session_ttl_s);
    if (c->idle_timeout_s)
        cJSON_AddNumberToObject(o, "idle_timeout_s", c->idle_timeout_s);
    char *text = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    return text;
}

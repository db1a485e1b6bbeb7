#include "config_priv.h"
#include <arpa/inet.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A default is a text or a number; the macro need not know which. */
#define DEFAULT_TEXT(x) _Generic((x), char * : (x), default : NULL)
#define DEFAULT_NUM(x) _Generic((x), char * : 0, default : (x))

const struct key config_keys[] = {
#define TGW_KEY(type, key, default_value, min, max, live)                                          \
    {#key,                                                                                         \
     offsetof(struct config, key),                                                                 \
     DEFAULT_TEXT(default_value),                                                                  \
     (uint64_t)(uintptr_t)DEFAULT_NUM(default_value),                                              \
     min,                                                                                          \
     max,                                                                                          \
     KEY_##type,                                                                                   \
     live},
#include "config/config.def"
#undef TGW_KEY
};
const size_t config_key_count = sizeof(config_keys) / sizeof(config_keys[0]);

bool config_fail(struct config_error *e, const char *format, ...) {
    va_list v;
    va_start(v, format);
    vsnprintf(e->text, e->bytes, format, v);
    va_end(v);
    return false;
}

bool config_set_text(char *out, size_t bytes, const char *name, const cJSON *value,
                     struct config_error *e) {
    const char *s = cJSON_GetStringValue(value);
    if (!s)
        return config_fail(e, "%s: expected a text", name);
    if (strlen(s) >= bytes)
        return config_fail(e, "%s: longer than %zu characters", name, bytes - 1);
    for (const char *p = s; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return config_fail(e, "%s: holds a control character", name);
    memcpy(out, s, strlen(s) + 1);
    return true;
}

bool config_set_num(uint64_t *out, uint64_t min, uint64_t max, const char *name, const cJSON *value,
                    struct config_error *e) {
    double d = cJSON_IsNumber(value) ? value->valuedouble : -1;
    /* Beyond 2^53 a JSON number is not exact any more. */
    if (!(d >= (double)min && d <= (double)max && d <= 9007199254740992.0) || d != floor(d))
        return config_fail(e, "%s: expected a whole number %lu..%lu", name, min, max);
    *out = (uint64_t)d;
    return true;
}

static bool set_list(struct config_list *l, const struct key *k, const char *name,
                     const cJSON *value, struct config_error *e) {
    const cJSON *item;
    struct config_list fresh = {0};
    if (!cJSON_IsArray(value))
        return config_fail(e, "%s: expected a list of texts", name);
    cJSON_ArrayForEach(item, value) {
        char item_name[96];
        if (fresh.count >= k->max || fresh.count >= CONFIG_LIST_MAX)
            return config_fail(e, "%s: more than %lu entries", name, k->max);
        snprintf(item_name, sizeof(item_name), "%s[%u]", name, fresh.count);
        if (!config_set_text(fresh.item[fresh.count++], sizeof(config_text), item_name, item, e))
            return false;
    }
    *l = fresh;
    return true;
}

static bool set_bounded_text(char *at, size_t bytes, const struct key *k, const char *name,
                             const cJSON *value, struct config_error *e) {
    if (!config_set_text(at, k->max + 1 < bytes ? k->max + 1 : bytes, name, value, e))
        return false;
    if (strlen(at) < k->min)
        return config_fail(e, "%s: must not be empty", name);
    return true;
}

bool config_set(struct config *c, const struct key *k, const char *name, const cJSON *value,
                struct config_error *e) {
    void *at = (char *)c + k->offset;
    switch (k->type) {
    case KEY_text:
        return set_bounded_text(at, sizeof(config_text), k, name, value, e);
    case KEY_url:
        return set_bounded_text(at, CONFIG_URL_MAX + 1, k, name, value, e);
    case KEY_num:
        return config_set_num(at, k->min, k->max, name, value, e);
    case KEY_list:
        return set_list(at, k, name, value, e);
    case KEY_bool:
        if (!cJSON_IsBool(value))
            return config_fail(e, "%s: expected true or false", name);
        *(bool *)at = cJSON_IsTrue(value);
        return true;
    }
    return false;
}

static bool one_of(const char *name, const char *value, const char *const *allowed,
                   struct config_error *e) {
    for (const char *const *a = allowed; *a; a++)
        if (strcmp(*a, value) == 0)
            return true;
    return config_fail(e, "%s: \"%s\" is none of %s, %s%s%s%s%s", name, value, allowed[0],
                       allowed[1], allowed[2] ? ", " : "", allowed[2] ? allowed[2] : "",
                       allowed[2] && allowed[3] ? ", " : "",
                       allowed[2] && allowed[3] ? allowed[3] : "");
}

static bool is_network(const char *text) {
    char addr[64];
    unsigned char bytes[16];
    const char *slash = strchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : strlen(text);
    if (len >= sizeof(addr))
        return false;
    memcpy(addr, text, len);
    addr[len] = 0;
    bool v4 = inet_pton(AF_INET, addr, bytes) == 1;
    if (!v4 && inet_pton(AF_INET6, addr, bytes) != 1)
        return false;
    if (!slash)
        return true;
    char *end;
    unsigned long bits = strtoul(slash + 1, &end, 10);
    return slash[1] >= '0' && slash[1] <= '9' && !*end && bits <= (v4 ? 32 : 128);
}

/* "198.18.1.1:7681" or "[fd18::1]:7681". */
static bool is_endpoint(const char *text) {
    char host[64];
    const char *colon = strrchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof(host) || colon == text)
        return false;
    bool brackets = text[0] == '[' && colon[-1] == ']';
    size_t len = (size_t)(colon - text) - (brackets ? 2 : 0);
    memcpy(host, text + (brackets ? 1 : 0), len);
    host[len] = 0;
    char *end;
    unsigned long port = strtoul(colon + 1, &end, 10);
    bool numeric = colon[1] >= '0' && colon[1] <= '9' && !*end && port >= 1 && port <= 65535;
    return numeric && !strchr(host, '/') && is_network(host) && brackets == !!strchr(host, ':');
}

/* "CHAIN:KEY" or, where `ocsp`, "CHAIN:KEY:OCSP". */
static bool is_certificate(const char *text, bool ocsp) {
    size_t parts = 0;
    do {
        size_t len = strcspn(text, ":");
        if (len == 0)
            return false;
        parts++;
        text += len;
    } while (*text++ == ':');
    return parts == 2 || (ocsp && parts == 3);
}

static bool check_tls(const struct config *c, struct config_error *e) {
    for (uint32_t i = 0; i < c->tls_certificates.count; i++)
        if (!is_certificate(c->tls_certificates.item[i], true))
            return config_fail(e, "tls_certificates[%u]: expected CHAIN:KEY or CHAIN:KEY:OCSP", i);
    if (c->tls_certificates.count && c->tls_port == c->public_port)
        return config_fail(e, "tls_port: the same as public_port");
    if (c->tls_agent_certificate[0] && !is_certificate(c->tls_agent_certificate, false))
        return config_fail(e, "tls_agent_certificate: expected CHAIN:KEY");
    if (c->tls_agent_certificate[0] && !c->tls_agent_ca[0])
        return config_fail(e, "tls_agent_ca: needed with tls_agent_certificate");
    return true;
}

static bool check_remote(const struct config *c, struct config_error *e) {
    if (!c->remote_listen[0])
        return true;
    if (!is_endpoint(c->remote_listen))
        return config_fail(e, "remote_listen: expected ADDRESS:PORT, not \"%s\"", c->remote_listen);
    if (!is_certificate(c->remote_certificate, false))
        return config_fail(e, "remote_certificate: CHAIN:KEY is needed with remote_listen");
    if (!c->remote_ca[0])
        return config_fail(e, "remote_ca: needed with remote_listen: who signs its callers");
    return true;
}

/* A core that keeps its CPU while idle must not be one that nobody else may interrupt. */
static bool check_priority(const struct config *c, struct config_error *e) {
    bool keeps = strcmp(c->idle_mode, "spin") == 0 || strcmp(c->idle_mode, "pause") == 0;
    if (c->worker_priority && keeps)
        return config_fail(
            e,
            "worker_priority: with idle_mode \"%s\" nothing else would run on the "
            "cores' CPUs, and the kernel would stop the cores for 50 ms each second: "
            "\"sleep\" or \"interrupt\" on CPUs that are shared, 0 on isolated ones",
            c->idle_mode);
    return true;
}

bool config_check(const struct config *c, struct config_error *e) {
    static const char *const idle[] = {"spin", "pause", "sleep", "interrupt", NULL};
    static const char *const stores[] = {"memory", "redis", NULL};
    static const char *const refusals[] = {"http", "close", NULL};
    static const char *const levels[] = {"DEBUG", "INFO", "WARN", "ERROR", NULL};
    if (!one_of("idle_mode", c->idle_mode, idle, e) ||
        !one_of("token_store", c->token_store, stores, e) ||
        !one_of("browser_refusals", c->browser_refusals, refusals, e) ||
        !one_of("log_level", c->log_level, levels, e))
        return false;
    if (strcmp(c->token_store, "redis") == 0 && !c->redis_url[0])
        return config_fail(e, "redis_url: needed with token_store \"redis\"");
    if (c->agent_default[0] && !is_endpoint(c->agent_default))
        return config_fail(e, "agent_default: expected ADDRESS:PORT, not \"%s\"", c->agent_default);
    for (uint32_t i = 0; i < c->agent_networks.count; i++)
        if (!is_network(c->agent_networks.item[i]))
            return config_fail(e, "agent_networks[%u]: not a network: \"%s\"", i,
                               c->agent_networks.item[i]);
    return check_priority(c, e) && check_remote(c, e) && check_tls(c, e);
}

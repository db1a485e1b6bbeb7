#include "plan.h"
#include <stdio.h>
#include <stdlib.h>

const char *const scenario_names[] = {"echo", "flood", "paste", "churn", "idle", "mixed", NULL};
static const char *const play_names[] = {"both", "browsers", "agents", NULL};

struct key {
    const char *name;
    size_t offset;
    size_t text_bytes;        /* a text of at most so many bytes; 0: a number */
    const char *const *names; /* a number written as one of these */
    const char *text;         /* defaults */
    uint64_t num, min, max;
};

#define AT(field) offsetof(struct plan, field)
#define TEXT(field, standard)                                                                      \
    { #field, AT(field), sizeof(((struct plan *)0)->field), NULL, standard, 0, 0, 0 }
#define NUM(field, standard, min, max)                                                             \
    { #field, AT(field), 0, NULL, NULL, standard, min, max }
static const struct key keys[] = {
    TEXT(name, "run"),
    {"scenario", AT(scenario), 0, scenario_names, "echo", 0, 0, 0},
    {"play", AT(play), 0, play_names, "both", 0, 0, 0},
    TEXT(gateway, "198.18.0.2:80"),
    TEXT(clients, "10.64.0.0/16"),
    TEXT(agents, "198.18.1.128/26"),
    TEXT(tokens, ""),
    TEXT(tls_ca, ""),
    TEXT(region, ""),
    TEXT(report, ""),
    NUM(agent_port, 7681, 1, 65535),
    NUM(sessions, 100, 1, 4000000),
    NUM(typing_sessions, 0, 0, 4000000),
    NUM(ramp_per_s, 10000, 1, 10000000),
    NUM(opening_max, 256, 1, 100000),
    NUM(rate_per_s, 0, 0, 100000000),
    NUM(window, 1, 1, 1024),
    NUM(frame_bytes, 64, 1, 65536),
    NUM(output_bytes, 16384, 1, 65536),
    NUM(settle_ms, 500, 0, 600000),
    NUM(duration_ms, 5000, 100, 86400000),
};
#undef AT
#undef TEXT
#undef NUM
/* A session; a person types about as fast. */
enum { MIXED_KEYS_A_S = 5, KEYS = sizeof(keys) / sizeof(keys[0]) };

struct error {
    char *text;
    size_t bytes;
};

static bool fail(struct error *e, const char *key, const char *what) {
    snprintf(e->text, e->bytes, "%s: %s", key, what);
    return false;
}

static bool take_name(uint64_t *out, const char *const *names, const char *value) {
    for (uint64_t i = 0; value && names[i]; i++) {
        if (strcmp(names[i], value) != 0)
            continue;
        *out = i;
        return true;
    }
    return false;
}

static bool take_value(struct plan *p, const struct key *k, const cJSON *v, struct error *e) {
    void *at = (char *)p + k->offset;
    const char *text = cJSON_GetStringValue(v);
    if (k->names)
        return take_name(at, k->names, text) || fail(e, k->name, "no such value");
    if (k->text_bytes) {
        if (!text || strlen(text) >= k->text_bytes)
            return fail(e, k->name, "expected a text of moderate length");
        memcpy(at, text, strlen(text) + 1);
        return true;
    }
    double d = cJSON_IsNumber(v) ? v->valuedouble : -1;
    if (!(d >= (double)k->min && d <= (double)k->max)) {
        snprintf(e->text, e->bytes, "%s: expected %lu..%lu", k->name, k->min, k->max);
        return false;
    }
    *(uint64_t *)at = (uint64_t)d;
    return true;
}

/* The part that a rig has in common with a gateway is read by the gateway's own rules. */
static bool take_machine(struct plan *p, const cJSON *v, struct error *e) {
    static char *const no_environment[] = {NULL};
    char why[CONFIG_ERROR_BYTES];
    char *text = cJSON_PrintUnformatted(v);
    if (!text)
        return fail(e, "machine", "no memory");
    bool good = config_parse(&p->machine, text, strlen(text), no_environment, why, sizeof(why));
    free(text);
    if (!good)
        snprintf(e->text, e->bytes, "machine.%.200s", why);
    return good;
}

static void set_defaults(struct plan *p) {
    *p = (struct plan){0};
    for (size_t i = 0; i < KEYS; i++) {
        char *at = (char *)p + keys[i].offset;
        if (keys[i].text_bytes)
            memcpy(at, keys[i].text, strlen(keys[i].text) + 1);
        else if (!keys[i].names)
            *(uint64_t *)(void *)at = keys[i].num;
    }
}

static bool take_key(struct plan *p, const cJSON *v, struct error *e) {
    if (strcmp(v->string, "machine") == 0)
        return take_machine(p, v, e);
    if (strcmp(v->string, "note") == 0) /* for readers of the file */
        return true;
    if (strcmp(v->string, "verdicts") == 0) {
        p->verdicts = cJSON_IsTrue(v);
        return cJSON_IsBool(v) || fail(e, "verdicts", "expected true or false");
    }
    for (size_t i = 0; i < KEYS; i++)
        if (strcmp(v->string, keys[i].name) == 0)
            return take_value(p, &keys[i], v, e);
    return fail(e, v->string, "unknown key");
}

static bool check(const struct plan *p, struct error *e) {
    struct ip_prefix prefix;
    struct ip_addr addr;
    uint16_t port;
    if (p->machine.port_count == 0)
        return fail(e, "machine", "needs ports");
    if (!plan_endpoint(p->gateway, &addr, &port))
        return fail(e, "gateway", "expected ADDRESS:PORT");
    if (!ip_prefix_parse(p->clients, false, &prefix))
        return fail(e, "clients", "expected a network such as 10.64.0.0/16");
    if (!ip_prefix_parse(p->agents, false, &prefix))
        return fail(e, "agents", "expected a network such as 198.18.1.128/26");
    if (p->verdicts && !p->region[0])
        return fail(e, "verdicts", "needs region");
    if (!p->verdicts && !p->tokens[0] && p->play != PLAY_agents)
        return fail(e, "tokens", "needed unless verdicts are the rig's own");
    return true;
}

static char *read_file(const char *path) {
    FILE *f = fopen(path, "re");
    char *text = f ? calloc(1, 1 << 20) : NULL;
    if (text && fread(text, 1, (1 << 20) - 1, f) == 0) {
        free(text);
        text = NULL;
    }
    if (f)
        fclose(f);
    return text;
}

static bool take_all(struct plan *p, const cJSON *root, struct error *e) {
    const cJSON *v;
    set_defaults(p);
    cJSON_ArrayForEach(v, root) {
        if (!take_key(p, v, e))
            return false;
    }
    if (p->scenario == SCENARIO_mixed && !p->rate_per_s)
        p->rate_per_s = p->sessions * MIXED_KEYS_A_S;
    return check(p, e);
}

/* "sessions=1000": a JSON value, or a text without its quotes. */
static bool override(cJSON *root, const char *text, struct error *e) {
    char key[64];
    const char *equals = strchr(text, '=');
    if (!equals || (size_t)(equals - text) >= sizeof(key))
        return fail(e, text, "expected KEY=VALUE");
    snprintf(key, sizeof(key), "%.*s", (int)(equals - text), text);
    cJSON *value = cJSON_Parse(equals + 1);
    if (!value)
        value = cJSON_CreateString(equals + 1);
    cJSON_DeleteItemFromObjectCaseSensitive(root, key);
    return cJSON_AddItemToObject(root, key, value) || fail(e, key, "no memory");
}

bool plan_parse(struct plan *p, const char *text, char *const overrides[], cJSON **file, char *err,
                size_t err_bytes) {
    struct error e = {err, err_bytes};
    cJSON *root = cJSON_Parse(text);
    bool good = cJSON_IsObject(root) || fail(&e, "plan", "not a JSON object");
    for (; good && overrides && *overrides; overrides++)
        good = override(root, *overrides, &e);
    good = good && take_all(p, root, &e);
    if (good)
        *file = root;
    else
        cJSON_Delete(root);
    return good;
}

bool plan_load(struct plan *p, const char *path, char *const overrides[], cJSON **file, char *err,
               size_t err_bytes) {
    char *text = read_file(path);
    if (!text)
        snprintf(err, err_bytes, "%s: cannot be read", path);
    bool good = text && plan_parse(p, text, overrides, file, err, err_bytes);
    free(text);
    return good;
}

bool plan_endpoint(const char *text, struct ip_addr *addr, uint16_t *port) {
    char host[64];
    const char *colon = strrchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof(host))
        return false;
    bool brackets = text[0] == '[' && colon[-1] == ']';
    size_t len = (size_t)(colon - text) - (brackets ? 2 : 0);
    memcpy(host, text + (brackets ? 1 : 0), len);
    host[len] = 0;
    *port = (uint16_t)strtoul(colon + 1, NULL, 10);
    return *port && ip_addr_parse(host, addr);
}

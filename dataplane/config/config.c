#include "config/config.h"
#include "config_priv.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES_MAX = 1 << 20 };

static const char ENV_PREFIX[] = "TERMINAL_GATEWAY_";

static const struct key *find_key(const char *name) {
    for (size_t i = 0; i < config_key_count; i++)
        if (strcmp(config_keys[i].name, name) == 0)
            return &config_keys[i];
    return NULL;
}

static void set_defaults(struct config *c) {
    memset(c, 0, sizeof(*c));
    for (size_t i = 0; i < config_key_count; i++) {
        const struct key *k = &config_keys[i];
        void *at = (char *)c + k->offset;
        if (k->type == KEY_num)
            *(uint64_t *)at = k->num_default;
        else if (k->type == KEY_bool)
            *(bool *)at = k->num_default != 0;
        else if (k->type != KEY_list)
            memcpy(at, k->text_default, strlen(k->text_default) + 1);
    }
}

static bool apply(struct config *c, const char *key, const char *name, const cJSON *value,
                  struct config_error *e) {
    const struct key *k = find_key(key);
    if (k)
        return config_set(c, k, name, value, e);
    if (strcmp(key, "ports") == 0)
        return config_set_ports(c, name, value, e);
    return config_fail(e, "%s: unknown key", name);
}

static bool apply_object(struct config *c, const cJSON *root, struct config_error *e) {
    const cJSON *v;
    if (!cJSON_IsObject(root))
        return config_fail(e, "the configuration must be one JSON object");
    cJSON_ArrayForEach(v, root) {
        char name[80];
        snprintf(name, sizeof(name), "%.64s", v->string);
        for (const cJSON *w = root->child; w != v; w = w->next)
            if (strcmp(w->string, v->string) == 0)
                return config_fail(e, "%s: given twice", name);
        if (!apply(c, v->string, name, v, e))
            return false;
    }
    return true;
}

/* "a,b" as a JSON list; a text that begins with '[' is one already. */
static cJSON *list_value(const char *text) {
    if (text[0] == '[')
        return cJSON_ParseWithOpts(text, NULL, true);
    cJSON *list = cJSON_CreateArray();
    while (list && *text) {
        size_t len = strcspn(text, ",");
        char *item = strndup(text, len);
        if (item && len)
            cJSON_AddItemToArray(list, cJSON_CreateString(item));
        free(item);
        text += len + (text[len] == ',');
    }
    return list;
}

/* What an environment value means depends on the key's type. */
static cJSON *env_value(const char *key, const char *text) {
    const struct key *k = find_key(key);
    if (k && (k->type == KEY_text || k->type == KEY_url))
        return cJSON_CreateString(text);
    if (k && k->type == KEY_list)
        return list_value(text);
    return cJSON_ParseWithOpts(text, NULL, true);
}

static bool apply_env(struct config *c, const char *entry, struct config_error *e) {
    char name[80], key[64];
    size_t prefix = sizeof(ENV_PREFIX) - 1, len = strcspn(entry, "=");
    if (strncmp(entry, ENV_PREFIX, prefix) != 0 || entry[len] != '=')
        return true;
    snprintf(name, sizeof(name), "%.*s", (int)len, entry);
    size_t n = 0;
    for (const char *p = entry + prefix; *p != '=' && n + 1 < sizeof(key); p++)
        key[n++] = (char)tolower((unsigned char)*p);
    key[n] = 0;
    cJSON *value = env_value(key, entry + len + 1);
    bool good = value ? apply(c, key, name, value, e)
                      : config_fail(e, "%s: %s", name,
                                    find_key(key) || !strcmp(key, "ports") ? "not a valid value"
                                                                           : "unknown key");
    cJSON_Delete(value);
    return good;
}

bool config_parse(struct config *c, const char *json, size_t len, char *const envp[], char *err,
                  size_t err_bytes) {
    struct config_error e = {err, err_bytes};
    set_defaults(c);
    if (json) {
        const char *end = NULL;
        cJSON *root = cJSON_ParseWithLengthOpts(json, len, &end, false);
        size_t rest = root ? (size_t)(json + len - end) : 0;
        while (rest && isspace((unsigned char)*end))
            end++, rest--;
        bool good = root && rest == 0
                        ? apply_object(c, root, &e)
                        : config_fail(&e, "not JSON near byte %zu", (size_t)(end - json));
        cJSON_Delete(root);
        if (!good)
            return false;
    }
    for (; envp && *envp; envp++)
        if (!apply_env(c, *envp, &e))
            return false;
    return config_check(c, &e);
}

static char *read_file(const char *path, size_t *len, struct config_error *e) {
    FILE *f = fopen(path, "re");
    char *text = f ? malloc(FILE_BYTES_MAX) : NULL;
    *len = text ? fread(text, 1, FILE_BYTES_MAX, f) : 0;
    if (!text || ferror(f) || *len == FILE_BYTES_MAX) {
        config_fail(e, "%s: %s", path, text && !ferror(f) ? "larger than 1 MiB" : strerror(errno));
        free(text);
        text = NULL;
    }
    if (f)
        fclose(f);
    return text;
}

bool config_load(struct config *c, const char *path, char *const envp[], char *err,
                 size_t err_bytes) {
    struct config_error e = {err, err_bytes};
    size_t len = 0;
    char *text = NULL;
    if (path && !(text = read_file(path, &len, &e)))
        return false;
    bool good = config_parse(c, text, len, envp, err, err_bytes);
    free(text);
    return good;
}

/* "redis://user:***@host": everything between "//" and '@' but the user is secret. */
static void redact_url(const char *url, char out[CONFIG_URL_MAX + 8]) {
    const char *start = strstr(url, "//"), *at = strrchr(url, '@');
    if (!start || !at || at < start) {
        snprintf(out, CONFIG_URL_MAX + 8, "%s", url);
        return;
    }
    start += 2;
    size_t user = strcspn(start, ":@");
    snprintf(out, CONFIG_URL_MAX + 8, "%.*s%.*s:***%s", (int)(start - url), url, (int)user, start,
             at);
}

static cJSON *text_list(const struct config_list *l) {
    cJSON *list = cJSON_CreateArray();
    for (uint32_t i = 0; i < l->count; i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(l->item[i]));
    return list;
}

static cJSON *key_json(const struct config *c, const struct key *k) {
    const void *at = (const char *)c + k->offset;
    char url[CONFIG_URL_MAX + 8];
    switch (k->type) {
    case KEY_num:
        return cJSON_CreateNumber((double)*(const uint64_t *)at);
    case KEY_bool:
        return cJSON_CreateBool(*(const bool *)at);
    case KEY_list:
        return text_list(at);
    case KEY_url:
        redact_url(at, url);
        return cJSON_CreateString(url);
    case KEY_text:
        break;
    }
    return cJSON_CreateString(at);
}

static cJSON *port_json(const struct config_port *p) {
    cJSON *o = cJSON_CreateObject();
    cJSON *addr = cJSON_AddArrayToObject(o, "addresses");
    cJSON_AddStringToObject(o, "name", p->name);
    cJSON_AddStringToObject(o, "driver", p->driver);
    cJSON_AddStringToObject(o, "device", p->device);
    cJSON_AddNumberToObject(o, "mtu", p->mtu);
    if (p->vlan)
        cJSON_AddNumberToObject(o, "vlan", p->vlan);
    cJSON_AddBoolToObject(o, "listen", p->listen);
    for (uint32_t i = 0; i < p->addr_count; i++)
        cJSON_AddItemToArray(addr, cJSON_CreateString(p->addr[i]));
    if (p->gateway4[0])
        cJSON_AddStringToObject(o, "gateway4", p->gateway4);
    if (p->gateway6[0])
        cJSON_AddStringToObject(o, "gateway6", p->gateway6);
    return o;
}

char *config_json(const struct config *c) {
    cJSON *root = cJSON_CreateObject();
    for (size_t i = 0; i < config_key_count; i++)
        cJSON_AddItemToObject(root, config_keys[i].name, key_json(c, &config_keys[i]));
    cJSON *ports = cJSON_AddArrayToObject(root, "ports");
    for (uint32_t i = 0; i < c->port_count; i++)
        cJSON_AddItemToArray(ports, port_json(&c->ports[i]));
    char *text = cJSON_Print(root);
    cJSON_Delete(root);
    return text;
}

static bool same(const struct config *a, const struct config *b, const struct key *k) {
    const char *x = (const char *)a + k->offset, *y = (const char *)b + k->offset;
    switch (k->type) {
    case KEY_num:
        return *(const uint64_t *)(const void *)x == *(const uint64_t *)(const void *)y;
    case KEY_bool:
        return *(const bool *)x == *(const bool *)y;
    case KEY_list:
        return memcmp(x, y, sizeof(struct config_list)) == 0;
    default:
        return strcmp(x, y) == 0;
    }
}

size_t config_diff(const struct config *a, const struct config *b, struct config_change *out,
                   size_t max) {
    size_t n = 0;
    for (size_t i = 0; i < config_key_count; i++) {
        const struct key *k = &config_keys[i];
        if (same(a, b, k))
            continue;
        if (n < max)
            out[n] = (struct config_change){k->name, k->live};
        n++;
    }
    if (a->port_count != b->port_count || memcmp(a->ports, b->ports, sizeof(a->ports)) != 0) {
        if (n < max)
            out[n] = (struct config_change){"ports", false};
        n++;
    }
    return n;
}

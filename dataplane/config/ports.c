#include "config_priv.h"
#include <stdio.h>
#include <string.h>

struct port_text {
    const char *key;
    size_t offset, bytes;
};
struct port_num {
    const char *key;
    size_t offset;
    uint64_t max;
};

#define TEXT(key)                                                                                  \
    { #key, offsetof(struct config_port, key), sizeof(((struct config_port *)0)->key) }
static const struct port_text texts[] = {TEXT(name),    TEXT(driver),   TEXT(device),
                                         TEXT(options), TEXT(gateway4), TEXT(gateway6)};
#undef TEXT
static const struct port_num nums[] = {
    {"mtu", offsetof(struct config_port, mtu), 9000},
    {"vlan", offsetof(struct config_port, vlan), 4094},
    {"loss_pm", offsetof(struct config_port, loss_pm), 1000},
    {"reorder_pm", offsetof(struct config_port, reorder_pm), 1000},
    {"duplicate_pm", offsetof(struct config_port, duplicate_pm), 1000},
    {"corrupt_pm", offsetof(struct config_port, corrupt_pm), 1000},
};

static bool set_addresses(struct config_port *p, const char *name, const cJSON *value,
                          struct config_error *e) {
    const cJSON *item;
    if (!cJSON_IsArray(value))
        return config_fail(e, "%s: expected a list of addresses", name);
    cJSON_ArrayForEach(item, value) {
        if (p->addr_count == TGW_PORT_ADDRS_MAX)
            return config_fail(e, "%s: more than %d addresses", name, TGW_PORT_ADDRS_MAX);
        if (!config_set_text(p->addr[p->addr_count++], sizeof(p->addr[0]), name, item, e))
            return false;
    }
    return true;
}

static bool set_port_key(struct config_port *p, const char *name, const cJSON *v,
                         struct config_error *e) {
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (strcmp(v->string, texts[i].key) == 0)
            return config_set_text((char *)p + texts[i].offset, texts[i].bytes, name, v, e);
    for (size_t i = 0; i < sizeof(nums) / sizeof(nums[0]); i++) {
        uint64_t n;
        if (strcmp(v->string, nums[i].key) != 0)
            continue;
        if (!config_set_num(&n, 0, nums[i].max, name, v, e))
            return false;
        *(uint32_t *)((char *)p + nums[i].offset) = (uint32_t)n;
        return true;
    }
    if (strcmp(v->string, "fault_seed") == 0)
        return config_set_num(&p->fault_seed, 0, UINT64_C(1) << 53, name, v, e);
    if (strcmp(v->string, "addresses") == 0)
        return set_addresses(p, name, v, e);
    if (strcmp(v->string, "listen") != 0)
        return config_fail(e, "%s: unknown key", name);
    if (!cJSON_IsBool(v))
        return config_fail(e, "%s: expected true or false", name);
    p->listen = cJSON_IsTrue(v);
    return true;
}

static bool set_port(struct config_port *p, const char *name, const cJSON *value,
                     struct config_error *e) {
    const cJSON *v;
    if (!cJSON_IsObject(value))
        return config_fail(e, "%s: expected an object", name);
    cJSON_ArrayForEach(v, value) {
        char key[128];
        snprintf(key, sizeof(key), "%s.%.60s", name, v->string);
        if (!set_port_key(p, key, v, e))
            return false;
    }
    if (!p->driver[0])
        return config_fail(e, "%s.driver: missing", name);
    if (p->mtu && p->mtu < 576)
        return config_fail(e, "%s.mtu: expected 0 or 576..9000", name);
    if (!p->name[0])
        memcpy(p->name, p->device, sizeof(p->name) - 1);
    return true;
}

bool config_set_ports(struct config *c, const char *name, const cJSON *value,
                      struct config_error *e) {
    const cJSON *item;
    if (!cJSON_IsArray(value))
        return config_fail(e, "%s: expected a list of objects", name);
    memset(c->ports, 0, sizeof(c->ports));
    c->port_count = 0;
    cJSON_ArrayForEach(item, value) {
        char item_name[64];
        if (c->port_count == TGW_PORTS_MAX)
            return config_fail(e, "%s: more than %d ports", name, TGW_PORTS_MAX);
        snprintf(item_name, sizeof(item_name), "%s[%u]", name, c->port_count);
        if (!set_port(&c->ports[c->port_count++], item_name, item, e))
            return false;
    }
    return true;
}

#include "command.h"
#include "versions.h"
#include <stdlib.h>

bool command_config_show(struct request *r) {
    char *json = config_json(&r->gateway->config);
    cJSON_Delete(r->result);
    r->result = json ? cJSON_Parse(json) : cJSON_CreateObject();
    free(json);
    return true;
}

static bool config_text_of(struct request *r, const char **text) {
    *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(r->args, "config"));
    if (!*text)
        request_refuse(r, "bad_request", "config: expected the configuration's text");
    return *text != NULL;
}

static void tell(struct request *r, bool good, const struct change_result *c) {
    if (!good) {
        request_refuse(r, r->gateway->state.frozen ? "frozen" : "config_invalid", "%.180s",
                       c->error);
        return;
    }
    cJSON_AddNumberToObject(r->result, "version", c->version);
    cJSON *list = cJSON_AddArrayToObject(r->result, "changes");
    for (size_t i = 0; i < c->changes; i++) {
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "key", c->change[i].key);
        cJSON_AddBoolToObject(o, "live", c->change[i].live);
        cJSON_AddItemToArray(list, o);
    }
}

bool command_config_check(struct request *r) {
    const char *text;
    struct change_result c;
    if (config_text_of(r, &text))
        tell(r, versions_check(r->gateway, text, strlen(text), &c), &c);
    return true;
}

bool command_config_apply(struct request *r) {
    const char *text;
    struct change_order o;
    struct change_result c;
    if (config_text_of(r, &text) && request_order(r, &o))
        tell(r, versions_apply(r->gateway, text, strlen(text), &o, &c), &c);
    return true;
}

bool command_config_rollback(struct request *r) {
    struct change_order o;
    struct change_result c;
    uint32_t version;
    if (request_number(r, "version", 0, 1, UINT32_MAX, &version) && request_order(r, &o))
        tell(r, versions_rollback(r->gateway, version, &o, &c), &c);
    return true;
}

static bool freeze(struct request *r, bool frozen) {
    struct change_order o;
    if (request_order(r, &o) && !versions_freeze(r->gateway, frozen, &o))
        request_refuse(r, "conflict", "the configuration is %s already",
                       frozen ? "frozen" : "not frozen");
    return true;
}

bool command_config_freeze(struct request *r) {
    return freeze(r, true);
}

bool command_config_unfreeze(struct request *r) {
    return freeze(r, false);
}

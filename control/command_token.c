#include "command.h"
#include "log.h"

enum { MINT_MAX = 10000, TTL_DEFAULT_S = 300, TTL_MAX_S = 86400 };

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

bool command_token_mint(struct request *r) {
    struct gateway *g = r->gateway;
    struct claims c = {0};
    struct tgw_ident *i = &c.ident;
    uint32_t count, ttl_s;
    char agent[64];
    if (!request_text(r, "allocation_id", i->allocation_id, sizeof(i->allocation_id), NULL) ||
        !request_text(r, "user_id", i->user_id, sizeof(i->user_id), "operator") ||
        !request_text(r, "region", i->region, sizeof(i->region), "lab") ||
        !request_text(r, "tenant_id", i->tenant_id, sizeof(i->tenant_id), "lab") ||
        !request_text(r, "project_id", i->project_id, sizeof(i->project_id), "lab") ||
        !request_text(r, "agent", agent, sizeof(agent), "") ||
        !request_number(r, "count", 1, 1, MINT_MAX, &count) ||
        !request_number(r, "ttl_s", TTL_DEFAULT_S, 1, TTL_MAX_S, &ttl_s) ||
        !request_number(r, "session_ttl_s", 0, 1, UINT32_MAX, &c.session_ttl_s) ||
        !request_number(r, "idle_timeout_s", 0, 1, UINT32_MAX, &c.idle_timeout_s))
        return true;
    c.has_agent = agent[0] != 0;
    if (c.has_agent && !endpoint_parse(agent, &c.agent)) {
        request_refuse(r, "bad_request", "agent: expected ADDRESS:PORT");
        return true;
    }
    c.exp_s = g->now_s + ttl_s;
    cJSON *list = cJSON_AddArrayToObject(r->result, "tokens");
    while (count-- > 0 && !r->code)
        if (!mint_one(g, &c, list))
            request_refuse(r, "capacity", "the token store is full");
    log_plain(LOG_INFO, "tokens_minted", "%d for allocation %s", cJSON_GetArraySize(list),
              i->allocation_id);
    return true;
}

static bool hash_of(struct request *r, uint8_t hash[TGW_TOKEN_HASH_BYTES]) {
    const char *token = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(r->args, "token"));
    if (token && token_hash(token, hash))
        return true;
    request_refuse(r, "bad_request", "token: expected a text");
    return false;
}

bool command_token_inspect(struct request *r) {
    struct gateway *g = r->gateway;
    static const char *const names[] = {"unknown", "valid", "used", "expired"};
    uint8_t hash[TGW_TOKEN_HASH_BYTES];
    struct claims c = {0};
    if (!hash_of(r, hash))
        return true;
    enum token_state state = memory_store_inspect(g->store, hash, g->now_s, &c);
    cJSON_AddStringToObject(r->result, "state", names[state]);
    if (!c.exp_s)
        return true;
    cJSON *o = cJSON_AddObjectToObject(r->result, "claims");
    cJSON_AddStringToObject(o, "allocation_id", c.ident.allocation_id);
    cJSON_AddStringToObject(o, "user_id", c.ident.user_id);
    cJSON_AddNumberToObject(o, "exp", (double)c.exp_s);
    return true;
}

bool command_token_revoke(struct request *r) {
    struct gateway *g = r->gateway;
    uint8_t hash[TGW_TOKEN_HASH_BYTES];
    if (!hash_of(r, hash))
        return true;
    if (!memory_store_revoke(g->store, hash, g->now_s))
        request_refuse(r, "not_found", "no such token, or it was used already");
    return true;
}

#include "command.h"
#include "log.h"
#include <stdlib.h>

enum { MINT_MAX = 10000, TTL_DEFAULT_S = 300, TTL_MAX_S = 86400, PUTS_AT_ONCE = 256 };

/* Tokens being minted: so many puts are under way at once. */
struct minting {
    struct request *request;
    struct claims claims;
    uint32_t left, under_way;
    bool busy; /* in the loop of mint_more: an answer at once does not start another */
    cJSON *list;
};

struct minted {
    struct minting *minting;
    char token[44];
};

static void mint_more(struct minting *m);

static void on_put(void *ctx, enum token_state state, const struct claims *claims) {
    struct minted *t = ctx;
    struct minting *m = t->minting;
    (void)claims;
    if (state == TOKEN_VALID) {
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "allocation_id", m->claims.ident.allocation_id);
        cJSON_AddStringToObject(o, "token", t->token);
        cJSON_AddNumberToObject(o, "expires_at", (double)m->claims.exp_s);
        cJSON_AddItemToArray(m->list, o);
    } else {
        m->left = 0;
        request_refuse(m->request, state == TOKEN_FULL ? "capacity" : "unavailable",
                       state == TOKEN_FULL ? "the token store is full"
                                           : "the token store does not answer");
    }
    explicit_bzero(t, sizeof(*t));
    free(t);
    m->under_way--;
    mint_more(m);
}

static void mint_one(struct minting *m) {
    struct gateway *g = m->request->gateway;
    uint8_t hash[TGW_TOKEN_HASH_BYTES];
    struct minted *t = calloc(1, sizeof(*t));
    m->left--;
    if (!t || !token_make(t->token, hash)) {
        free(t);
        m->left = 0;
        request_refuse(m->request, "internal_error", "no memory or no randomness");
        return;
    }
    t->minting = m;
    m->under_way++;
    g->store.ops->put(g->store.impl, hash, &m->claims, g->now_s, on_put, t);
}

static void mint_more(struct minting *m) {
    if (m->busy)
        return;
    m->busy = true;
    while (m->left > 0 && m->under_way < PUTS_AT_ONCE)
        mint_one(m);
    m->busy = false;
    if (m->under_way > 0)
        return;
    log_plain(LOG_INFO, "tokens_minted", "%d for allocation %s by %s", cJSON_GetArraySize(m->list),
              m->claims.ident.allocation_id, m->request->who);
    request_finish(m->request);
    free(m);
}

static bool start_minting(struct request *r, const struct claims *c, uint32_t count) {
    struct minting *m = calloc(1, sizeof(*m));
    if (!m) {
        request_refuse(r, "internal_error", "no memory");
        return true;
    }
    *m = (struct minting){.request = r,
                          .claims = *c,
                          .left = count,
                          .list = cJSON_AddArrayToObject(r->result, "tokens")};
    mint_more(m);
    return false;
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
    return start_minting(r, &c, count);
}

static bool hash_of(struct request *r, uint8_t hash[TGW_TOKEN_HASH_BYTES]) {
    const char *token = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(r->args, "token"));
    if (token && token_hash(token, hash))
        return true;
    request_refuse(r, "bad_request", "token: expected a text");
    return false;
}

static void on_inspected(void *ctx, enum token_state state, const struct claims *c) {
    static const char *const names[] = {"unknown", "valid", "used", "expired"};
    struct request *r = ctx;
    if (state > TOKEN_EXPIRED)
        request_refuse(r, "unavailable", "the token store does not answer");
    else
        cJSON_AddStringToObject(r->result, "state", names[state]);
    if (c) {
        cJSON *o = cJSON_AddObjectToObject(r->result, "claims");
        cJSON_AddStringToObject(o, "allocation_id", c->ident.allocation_id);
        cJSON_AddStringToObject(o, "user_id", c->ident.user_id);
        cJSON_AddNumberToObject(o, "exp", (double)c->exp_s);
    }
    request_finish(r);
}

bool command_token_inspect(struct request *r) {
    struct gateway *g = r->gateway;
    uint8_t hash[TGW_TOKEN_HASH_BYTES];
    if (!hash_of(r, hash))
        return true;
    g->store.ops->inspect(g->store.impl, hash, g->now_s, on_inspected, r);
    return false;
}

static void on_revoked(void *ctx, enum token_state state, const struct claims *c) {
    struct request *r = ctx;
    (void)c;
    if (state == TOKEN_VALID)
        log_plain(LOG_INFO, "token_revoked", "by %s", r->who);
    else if (state == TOKEN_UNKNOWN)
        request_refuse(r, "not_found", "no such token, or it was used already");
    else
        request_refuse(r, "unavailable", "the token store does not answer");
    request_finish(r);
}

bool command_token_revoke(struct request *r) {
    struct gateway *g = r->gateway;
    uint8_t hash[TGW_TOKEN_HASH_BYTES];
    if (!hash_of(r, hash))
        return true;
    g->store.ops->revoke(g->store.impl, hash, g->now_s, on_revoked, r);
    return false;
}

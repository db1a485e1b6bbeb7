/* Who may in: admission share, origin, limits, then the token (contract section 1: the
 * order, so that a refusal never burns a token). What a user may have is known only from the
 * token: with such limits it is looked at first, then consumed. */
#include "gateway.h"
#include "log.h"
#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

bool token_hash(const char *token, uint8_t hash[TGW_TOKEN_HASH_BYTES]) {
    unsigned len = 0;
    return EVP_Digest(token, strlen(token), hash, &len, EVP_sha256(), NULL) == 1;
}

bool token_make(char out[44], uint8_t hash[TGW_TOKEN_HASH_BYTES]) {
    unsigned char raw[32];
    char text[48];
    if (RAND_bytes(raw, sizeof(raw)) != 1)
        return false;
    EVP_EncodeBlock((unsigned char *)text, raw, sizeof(raw));
    for (int i = 0; i < 43; i++)
        out[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i];
    out[43] = 0;
    return token_hash(out, hash);
}

/* Fetched by the kilobyte: a call costs as much as hundreds of bytes. What is handed out is
 * wiped here. */
static void random_id(struct random *r, char out[TGW_TRACE_ID_HEX + 1]) {
    uint8_t bits[TGW_TRACE_ID_HEX / 2];
    if (r->left < sizeof(bits)) {
        if (RAND_bytes(r->bytes, sizeof(r->bytes)) != 1)
            abort(); /* ids that can be guessed are worse than none */
        r->left = sizeof(r->bytes);
    }
    r->left -= sizeof(bits);
    memcpy(bits, r->bytes + r->left, sizeof(bits));
    explicit_bzero(r->bytes + r->left, sizeof(bits));
    tgw_id_text(bits, out);
}

static void copy_text(char *out, size_t size, const char *in) {
    snprintf(out, size, "%s", in);
}

bool endpoint_parse(const char *text, struct tgw_endpoint *out) {
    char host[64];
    const char *colon = strrchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof(host))
        return false;
    bool brackets = text[0] == '[' && colon[-1] == ']';
    size_t len = (size_t)(colon - text) - (brackets ? 2 : 0);
    memcpy(host, text + (brackets ? 1 : 0), len);
    host[len] = 0;
    char *end;
    unsigned long port = strtoul(colon + 1, &end, 10);
    *out = (struct tgw_endpoint){.port = (uint16_t)port};
    if (*end || colon[1] < '0' || colon[1] > '9' || port == 0 || port > 65535)
        return false;
    if (brackets)
        return inet_pton(AF_INET6, host, out->addr) == 1;
    out->addr[10] = out->addr[11] = 0xff;
    return inet_pton(AF_INET, host, out->addr + 12) == 1;
}

static bool network_has(const char *network, const uint8_t addr[16]) {
    char host[64];
    uint8_t base[16] = {[10] = 0xff, [11] = 0xff};
    const char *slash = strchr(network, '/');
    size_t len = slash ? (size_t)(slash - network) : strlen(network);
    memcpy(host, network, len < 63 ? len : 63);
    host[len < 63 ? len : 63] = 0;
    unsigned offset = 96;
    if (inet_pton(AF_INET, host, base + 12) != 1) {
        offset = 0;
        if (inet_pton(AF_INET6, host, base) != 1)
            return false;
    }
    unsigned bits = slash ? offset + (unsigned)strtoul(slash + 1, NULL, 10) : 128;
    for (unsigned i = 0; i < bits; i++)
        if ((base[i / 8] ^ addr[i / 8]) >> (7 - i % 8) & 1)
            return false;
    return true;
}

/* Only agents in the configured networks: a token must not aim the gateway elsewhere. */
static bool agent_is_allowed(const struct gateway *g, const struct tgw_endpoint *agent) {
    for (uint32_t i = 0; i < g->config.agent_networks.count; i++)
        if (network_has(g->config.agent_networks.item[i], agent->addr))
            return true;
    return false;
}

static bool origin_is_allowed(const struct gateway *g, const struct tgw_ev_auth *e) {
    if (!e->has_origin)
        return g->config.allow_missing_origin;
    for (uint32_t i = 0; i < g->config.allowed_origins.count; i++) {
        const char *allowed = g->config.allowed_origins.item[i];
        if (strcmp(allowed, "*") == 0 || strcmp(allowed, e->origin) == 0)
            return true;
    }
    return false;
}

/* A stable share: the same allocation is always in or always out (FNV-1a). */
static bool is_admitted(const struct gateway *g, const char *allocation_id) {
    uint32_t h = 2166136261u;
    for (const char *p = allocation_id; *p; p++)
        h = (h ^ (unsigned char)*p) * 16777619u;
    return (h >> 8) % 100 < g->state.admit_percent;
}

static enum tgw_reason choose_agent(const struct gateway *g, const struct claims *c,
                                    struct tgw_endpoint *out) {
    *out = c->agent;
    if (!c->has_agent && !endpoint_parse(g->config.agent_default, out)) {
        log_plain(LOG_ERROR, "agent_missing", "token names no agent and agent_default is empty");
        return TGW_R_upstream_unavailable;
    }
    if (agent_is_allowed(g, out))
        return TGW_OK;
    log_plain(LOG_ERROR, "agent_not_allowed", "agent lies outside agent_networks");
    return TGW_R_upstream_unavailable;
}

/* Request's id first, then the token's, then a new one. */
static void fill_ident(struct gateway *g, struct tgw_ident *i, const struct tgw_ev_auth *e) {
    copy_text(i->allocation_id, sizeof(i->allocation_id), e->allocation_id);
    if (e->correlation_id[0])
        copy_text(i->correlation_id, sizeof(i->correlation_id), e->correlation_id);
    else if (!i->correlation_id[0])
        random_id(&g->random, i->correlation_id);
    if (e->trace_id[0])
        copy_text(i->trace_id, sizeof(i->trace_id), e->trace_id);
    else if (!i->trace_id[0])
        random_id(&g->random, i->trace_id);
    if (!i->session_id[0])
        random_id(&g->random, i->session_id);
}

static uint32_t at_most(uint64_t n) {
    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

/* A request whose token the store looks at. */
struct auth {
    struct gateway *gateway;
    uint32_t core;
    uint64_t epoch; /* of the attachment that it came by */
    uint64_t asked_ns;
    struct tgw_ev_auth event;
};

static enum tgw_reason source_limits(struct gateway *g, const struct tgw_ev_auth *e) {
    const struct config *c = &g->config;
    if (c->sessions_per_source && live_count_source(&g->live, &e->remote) >= c->sessions_per_source)
        return TGW_R_rate_limited;
    if (c->rate_per_source && !limit_take(&g->source_rate, live_source_key(&g->live, &e->remote),
                                          c->rate_per_source, c->rate_burst, g->now_ns))
        return TGW_R_rate_limited;
    return TGW_OK;
}

static enum tgw_reason user_limits(struct gateway *g, const char *user_id) {
    const struct config *c = &g->config;
    if (!user_id[0])
        return TGW_OK;
    if (c->sessions_per_user && live_count_user(&g->live, user_id) >= c->sessions_per_user)
        return TGW_R_rate_limited;
    if (c->rate_per_user && !limit_take(&g->user_rate, live_user_key(&g->live, user_id),
                                        c->rate_per_user, c->rate_burst, g->now_ns))
        return TGW_R_rate_limited;
    return TGW_OK;
}

/* What needs no token. */
static enum tgw_reason judge_request(struct gateway *g, const struct tgw_ev_auth *e) {
    if (!is_admitted(g, e->allocation_id))
        return TGW_R_not_admitted;
    if (!origin_is_allowed(g, e))
        return TGW_R_origin_not_allowed;
    return source_limits(g, e);
}

/* The rest of the verdict from a token's claims. */
static enum tgw_reason accept_claims(struct gateway *g, const struct tgw_ev_auth *e,
                                     const struct claims *c, struct tgw_cmd_verdict *v) {
    v->ident = c->ident;
    v->session_ttl_s = c->session_ttl_s ? c->session_ttl_s : at_most(g->config.session_ttl_seconds);
    v->idle_timeout_s =
        c->idle_timeout_s ? c->idle_timeout_s : at_most(g->config.idle_timeout_seconds);
    fill_ident(g, &v->ident, e);
    enum tgw_reason r = choose_agent(g, c, &v->agent);
    if (r == TGW_OK && !grant_make(&v->ident, &g->grant_key, g->now_s, v->grant))
        r = TGW_R_internal_error;
    return r;
}

/* `claims` NULL: the reason says why there is no session. */
static void answer(struct gateway *g, uint32_t core, const struct tgw_ev_auth *e,
                   enum tgw_reason reason, const struct claims *claims) {
    union tgw_cmd cmd = {0};
    struct tgw_cmd_verdict *v = &cmd.verdict;
    v->handle = e->handle;
    if (claims)
        reason = accept_claims(g, e, claims, v);
    v->reason = (uint16_t)reason;
    if (reason == TGW_OK)
        live_open(&g->live, e->handle, v->ident.user_id, &e->remote);
    else
        live_close(&g->live, e->handle);
    fill_ident(g, &v->ident, e);
    const struct log_about about = {.ident = &v->ident, .remote = &e->remote};
    log_event(LOG_INFO, "session_requested", &about, "terminal requested");
    v->msg = (struct tgw_msg){.type = TGW_CMD_VERDICT, .len = tgw_verdict_bytes(v)};
    if (!bridge_send(&g->bridge, core, &v->msg)) {
        live_close(&g->live, e->handle);
        log_plain(LOG_ERROR, "command_ring_full", "verdict for core %u lost", core);
    }
    /* The grant is a secret: it does not stay on this stack. */
    explicit_bzero(&cmd, sizeof(cmd));
}

/* Nobody waits any more when the client has left, or the dataplane is another one. */
static void conclude(struct auth *a, enum tgw_reason reason, const struct claims *claims) {
    struct gateway *g = a->gateway;
    struct map_entry *waiting = map_find(&g->waiting, a->event.handle);
    bool mine = waiting && waiting->a == (uintptr_t)a;
    if (mine)
        map_remove(&g->waiting, waiting);
    if (mine && a->epoch == g->bridge.epoch)
        answer(g, a->core, &a->event, reason, claims);
    free(a);
}

static void on_consumed(void *ctx, enum token_state state, const struct claims *claims) {
    struct auth *a = ctx;
    struct gateway *g = a->gateway;
    enum tgw_reason r = token_reason(state);
    uint64_t now_ns = g->clock_ns ? g->clock_ns() : g->now_ns;
    histogram_add(&g->consume_time, (now_ns - a->asked_ns) / 1000);
    g->consumed[r]++;
    conclude(a, r, r == TGW_OK ? claims : NULL);
}

static void consume(struct auth *a) {
    struct gateway *g = a->gateway;
    g->store.ops->consume(g->store.impl, a->event.token_hash, a->event.allocation_id, g->now_s,
                          on_consumed, a);
}

static void on_inspected(void *ctx, enum token_state state, const struct claims *claims) {
    struct auth *a = ctx;
    struct gateway *g = a->gateway;
    enum tgw_reason r = TGW_OK;
    if (state == TOKEN_NO_STORE)
        r = TGW_R_token_store_unavailable;
    else if (state == TOKEN_VALID)
        r = user_limits(g, claims->ident.user_id);
    if (r != TGW_OK) {
        g->consumed[r] += r == TGW_R_token_store_unavailable;
        conclude(a, r, NULL);
        return;
    }
    /* Held from here on: two requests at once do not both find room. */
    if (state == TOKEN_VALID)
        live_open(&g->live, a->event.handle, claims->ident.user_id, &a->event.remote);
    consume(a); /* what is not valid gets its exact reason there */
}

static bool wait_for_store(struct gateway *g, struct auth *a) {
    struct map_entry *e = map_add(&g->waiting, a->event.handle);
    if (e)
        e->a = (uintptr_t)a; /* a predecessor of that handle is forgotten */
    return e != NULL;
}

static void look_at_token(struct gateway *g, uint32_t core, const struct tgw_ev_auth *e) {
    struct auth *a = malloc(sizeof(*a));
    if (!a)
        return; /* the dataplane's deadline refuses it */
    *a = (struct auth){.gateway = g,
                       .core = core,
                       .epoch = g->bridge.epoch,
                       .asked_ns = g->clock_ns ? g->clock_ns() : g->now_ns,
                       .event = *e};
    if (!e->handle || !wait_for_store(g, a)) {
        free(a);
        return;
    }
    live_open(&g->live, e->handle, NULL, &e->remote);
    if (g->config.sessions_per_user || g->config.rate_per_user)
        g->store.ops->inspect(g->store.impl, e->token_hash, g->now_s, on_inspected, a);
    else
        consume(a);
}

void auth_gone(struct gateway *g, const struct tgw_ev_auth_gone *e) {
    struct map_entry *waiting = map_find(&g->waiting, e->handle);
    if (waiting)
        map_remove(&g->waiting, waiting);
    live_close(&g->live, e->handle);
}

/* The other side may be compromised: every text is checked before it is used. */
static bool is_valid(const struct tgw_ev_auth *e) {
    return e->msg.len > offsetof(struct tgw_ev_auth, origin) && e->msg.len <= sizeof(*e) &&
           tgw_text_valid(e->allocation_id, sizeof(e->allocation_id)) &&
           tgw_text_valid(e->correlation_id, sizeof(e->correlation_id)) &&
           tgw_text_valid(e->trace_id, sizeof(e->trace_id)) &&
           memchr(e->origin, 0, sizeof(e->origin)) && e->allocation_id[0];
}

void auth_request(struct gateway *g, uint32_t core, const struct tgw_ev_auth *e) {
    if (!is_valid(e)) {
        log_plain(LOG_ERROR, "event_invalid", "authorisation request of core %u", core);
        return;
    }
    enum tgw_reason r = judge_request(g, e);
    if (r != TGW_OK)
        answer(g, core, e, r, NULL);
    else
        look_at_token(g, core, e);
}

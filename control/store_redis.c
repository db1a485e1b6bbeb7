#include "store_redis.h"
#include "claims.h"
#include "control/tls/pipe.h"
#include "log.h"
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

/* ARGV: allocation, seconds of the replay window, now. One declared key, so that a cluster
 * that is moving the slot can still say where it is; the marker lies in the same slot. It is
 * written before the token goes: should the first be refused, nothing has happened. */
static const char consume_script[] =
    "local v = redis.call('GET', KEYS[1]) "
    "local used = KEYS[1] .. ':used' "
    "if not v then "
    "  if redis.call('EXISTS', used) == 1 then return {'used'} end "
    "  return {'unknown'} "
    "end "
    "local ok, c = pcall(cjson.decode, v) "
    "if not ok or type(c) ~= 'table' then return {'unknown'} end "
    "if type(c.exp) == 'number' and c.exp <= tonumber(ARGV[3]) then return {'expired'} end "
    "if c.allocation_id ~= ARGV[1] then return {'mismatch'} end "
    "redis.call('SET', used, '1', 'EX', ARGV[2]) "
    "redis.call('DEL', KEYS[1]) "
    "return {'valid', v}";
static const char inspect_script[] =
    "local v = redis.call('GET', KEYS[1]) "
    "if v then return {'valid', v} end "
    "if redis.call('EXISTS', KEYS[1] .. ':used') == 1 then return {'used'} end "
    "return {'unknown'}";

enum {
    KEY_BYTES = 96,
    SHA1_HEX = 40,
    EXPIRED_KEPT_S = 3600, /* behind `exp`, so that an expired token is told from an unknown */
};

struct script {
    const char *text;
    char sha1[SHA1_HEX + 1];
};

struct redis_store {
    struct redis_url url;
    SSL_CTX *tls;
    struct redis_client *client;
    uint64_t replay_window_s;
    struct script consume, inspect;
};

/* A question on its way: kept whole, as a server may not know the script yet. */
struct question {
    struct redis_store *store;
    const struct script *script;
    store_done *done;
    void *ctx;
    uint64_t now_s;
    char key[KEY_BYTES], allocation_id[TGW_ALLOCATION_ID_MAX + 1], window[24], now[24];
    bool whole; /* the text of the script was sent */
};

static void make_key(const uint8_t hash[TGW_TOKEN_HASH_BYTES], char key[KEY_BYTES]) {
    size_t n = (size_t)snprintf(key, KEY_BYTES, "terminal:token:{");
    for (int i = 0; i < TGW_TOKEN_HASH_BYTES; i++)
        n += (size_t)snprintf(key + n, KEY_BYTES - n, "%02x", hash[i]);
    snprintf(key + n, KEY_BYTES - n, "}");
}

static bool is_word(const redisReply *r, const char *word) {
    return r->type == REDIS_REPLY_STRING && strcmp(r->str, word) == 0;
}

static enum token_state state_of(const redisReply *r, uint64_t now_s, struct claims *c) {
    static const struct {
        const char *word;
        enum token_state state;
    } words[] = {{"unknown", TOKEN_UNKNOWN},
                 {"used", TOKEN_USED},
                 {"mismatch", TOKEN_MISMATCH},
                 {"expired", TOKEN_EXPIRED}};
    if (!r || r->type != REDIS_REPLY_ARRAY || r->elements == 0)
        return TOKEN_NO_STORE;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (is_word(r->element[0], words[i].word))
            return words[i].state;
    if (r->elements != 2 || !is_word(r->element[0], "valid") ||
        r->element[1]->type != REDIS_REPLY_STRING)
        return TOKEN_NO_STORE;
    if (!claims_parse(r->element[1]->str, (size_t)r->element[1]->len, c))
        return TOKEN_UNKNOWN; /* not a token of ours, whatever it is */
    return c->exp_s > now_s ? TOKEN_VALID : TOKEN_EXPIRED;
}

static void ask(struct question *q);

static void on_answer(void *ctx, const redisReply *r) {
    struct question *q = ctx;
    struct claims c = {0};
    if (r && r->type == REDIS_REPLY_ERROR && strncmp(r->str, "NOSCRIPT", 8) == 0 && !q->whole) {
        q->whole = true;
        ask(q);
        return;
    }
    if (r && r->type == REDIS_REPLY_ERROR)
        log_plain(LOG_ERROR, "token_store_error", "the server answers %.*s",
                  (int)strcspn(r->str, " "), r->str);
    enum token_state state = state_of(r, q->now_s, &c);
    bool known = state == TOKEN_VALID || (state == TOKEN_EXPIRED && c.exp_s);
    q->done(q->ctx, state, known ? &c : NULL);
    free(q);
}

static void ask(struct question *q) {
    const char *word[] = {q->whole ? "EVAL" : "EVALSHA",
                          q->whole ? q->script->text : q->script->sha1,
                          "1",
                          q->key,
                          q->allocation_id,
                          q->window,
                          q->now};
    int words = q->script == &q->store->consume ? 7 : 4;
    redis_client_ask(q->store->client, q->key, words, word, NULL, on_answer, q);
}

static struct question *question(struct redis_store *s, const uint8_t *hash, uint64_t now_s,
                                 store_done *done, void *ctx) {
    struct question *q = calloc(1, sizeof(*q));
    if (!q) {
        done(ctx, TOKEN_NO_STORE, NULL);
        return NULL;
    }
    q->store = s;
    q->done = done;
    q->ctx = ctx;
    q->now_s = now_s;
    make_key(hash, q->key);
    return q;
}

static void op_consume(void *impl, const uint8_t hash[TGW_TOKEN_HASH_BYTES],
                       const char *allocation_id, uint64_t now_s, store_done *done, void *ctx) {
    struct redis_store *s = impl;
    struct question *q = question(s, hash, now_s, done, ctx);
    if (!q)
        return;
    q->script = &s->consume;
    snprintf(q->allocation_id, sizeof(q->allocation_id), "%s", allocation_id);
    snprintf(q->window, sizeof(q->window), "%lu", s->replay_window_s);
    snprintf(q->now, sizeof(q->now), "%lu", now_s);
    ask(q);
}

static void op_inspect(void *impl, const uint8_t hash[TGW_TOKEN_HASH_BYTES], uint64_t now_s,
                       store_done *done, void *ctx) {
    struct redis_store *s = impl;
    struct question *q = question(s, hash, now_s, done, ctx);
    if (!q)
        return;
    q->script = &s->inspect;
    ask(q);
}

static void on_put(void *ctx, const redisReply *r) {
    struct question *q = ctx;
    enum token_state state = TOKEN_NO_STORE;
    if (r && r->type == REDIS_REPLY_STATUS)
        state = TOKEN_VALID;
    else if (r && (r->type == REDIS_REPLY_NIL || strncmp(r->str ? r->str : "", "OOM", 3) == 0))
        state = TOKEN_FULL;
    q->done(q->ctx, state, NULL);
    free(q);
}

static void op_put(void *impl, const uint8_t hash[TGW_TOKEN_HASH_BYTES], const struct claims *c,
                   uint64_t now_s, store_done *done, void *ctx) {
    struct redis_store *s = impl;
    struct question *q = question(s, hash, now_s, done, ctx);
    if (!q)
        return;
    char *value = claims_print(c), ttl[24];
    snprintf(ttl, sizeof(ttl), "%lu", c->exp_s - now_s + EXPIRED_KEPT_S);
    const char *word[] = {"SET", q->key, value, "EX", ttl, "NX"};
    if (value)
        redis_client_ask(s->client, q->key, 6, word, NULL, on_put, q);
    else
        on_put(q, NULL);
    free(value);
}

static void on_revoked(void *ctx, const redisReply *r) {
    struct question *q = ctx;
    bool answered = r && r->type == REDIS_REPLY_INTEGER;
    q->done(q->ctx, !answered ? TOKEN_NO_STORE : r->integer ? TOKEN_VALID : TOKEN_UNKNOWN, NULL);
    free(q);
}

static void op_revoke(void *impl, const uint8_t hash[TGW_TOKEN_HASH_BYTES], uint64_t now_s,
                      store_done *done, void *ctx) {
    struct redis_store *s = impl;
    struct question *q = question(s, hash, now_s, done, ctx);
    const char *word[] = {"DEL", q ? q->key : ""};
    if (q)
        redis_client_ask(s->client, q->key, 2, word, NULL, on_revoked, q);
}

static bool op_is_up(const void *impl) {
    const struct redis_store *s = impl;
    return redis_client_is_up(s->client);
}

static void op_set_replay_window(void *impl, uint64_t seconds) {
    struct redis_store *s = impl;
    s->replay_window_s = seconds;
}

/* SSL sessions hold the context on their own. */
static void op_close(void *impl) {
    struct redis_store *s = impl;
    redis_client_close(s->client);
    SSL_CTX_free(s->tls);
    explicit_bzero(&s->url, sizeof(s->url));
    free(s);
}

const struct store_ops redis_store_ops = {
    .consume = op_consume,
    .inspect = op_inspect,
    .put = op_put,
    .revoke = op_revoke,
    .is_up = op_is_up,
    .set_replay_window = op_set_replay_window,
    .close = op_close,
};

static void note(void *ctx, const char *event, const char *text) {
    (void)ctx;
    log_plain(strcmp(event, "token_store_lost") == 0 ? LOG_WARN : LOG_INFO, event, "%s", text);
}

static bool name_script(struct script *s, const char *text) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    s->text = text;
    if (EVP_Digest(text, strlen(text), digest, NULL, EVP_sha1(), NULL) != 1)
        return false;
    for (int i = 0; i < SHA1_HEX / 2; i++)
        snprintf(s->sha1 + 2 * i, 3, "%02x", digest[i]);
    return true;
}

/* TLS 1.2 or later, the server verified against `ca_file` ("": the system's). `certificate`
 * ("CHAIN:KEY", "" none) is shown to a server that asks. NULL with one line in err. */
static SSL_CTX *make_tls(const char *ca_file, const char *certificate, char *err,
                         size_t err_bytes) {
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    const char *wrong = NULL;
    if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1)
        wrong = "redis_url: no TLS";
    else if ((ca_file[0] ? SSL_CTX_load_verify_locations(ctx, ca_file, NULL)
                         : SSL_CTX_set_default_verify_paths(ctx)) != 1)
        wrong = "redis_ca: not a readable file of certificates";
    else if (certificate[0] && !tls_use_certificate(ctx, certificate))
        wrong = "redis_certificate: not a readable CHAIN:KEY that belong together";
    ERR_clear_error();
    if (wrong) {
        snprintf(err, err_bytes, "%s", wrong);
        SSL_CTX_free(ctx);
        return NULL;
    }
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(ctx, SSL_MODE_AUTO_RETRY);
    return ctx;
}

static bool connect_client(struct redis_store *s, uv_loop_t *loop, const struct config *c,
                           char *err, size_t err_bytes) {
    struct redis_client_config client = {
        .url = &s->url, .timeout_ms = (uint32_t)c->redis_timeout_ms, .note = note};
    if (s->url.tls && !(s->tls = make_tls(c->redis_ca, c->redis_certificate, err, err_bytes)))
        return false;
    client.tls = s->tls;
    if (RAND_bytes((unsigned char *)&client.seed, sizeof(client.seed)) == 1 &&
        name_script(&s->consume, consume_script) && name_script(&s->inspect, inspect_script))
        s->client = redis_client_open(loop, &client);
    if (!s->client)
        snprintf(err, err_bytes, "token_store: no memory");
    return s->client != NULL;
}

void *redis_store_open(uv_loop_t *loop, const struct config *config, char *err, size_t err_bytes) {
    struct redis_store *s = calloc(1, sizeof(*s));
    const char *wrong = s ? redis_url_parse(config->redis_url, &s->url) : "no memory";
    if (wrong) {
        snprintf(err, err_bytes, "redis_url: %s", wrong);
        free(s);
        return NULL;
    }
    s->replay_window_s = config->replay_window_seconds;
    if (connect_client(s, loop, config, err, err_bytes))
        return s;
    SSL_CTX_free(s->tls);
    free(s);
    return NULL;
}

void redis_store_usage(const void *impl, struct redis_client_usage *out) {
    const struct redis_store *s = impl;
    redis_client_usage(s->client, out);
}

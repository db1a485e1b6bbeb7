/* Tokens: minted by the API service or `tgwctl token mint`, consumed exactly once. A
 * store never sees a token, only its SHA-256. Times are unix seconds and come in. */
#ifndef TGW_CONTROL_STORE_H
#define TGW_CONTROL_STORE_H

#include "contract/cmd.h"

struct claims {
    struct tgw_ident ident; /* correlation_id, trace_id "" where the token has none */
    struct tgw_endpoint agent;
    bool has_agent;
    uint64_t exp_s;
    uint32_t session_ttl_s, idle_timeout_s; /* 0: the configuration's */
};

/* What a store answers. */
enum token_state {
    TOKEN_UNKNOWN,
    TOKEN_VALID, /* of a consumption: it was, and is used now */
    TOKEN_USED,
    TOKEN_EXPIRED,
    TOKEN_MISMATCH, /* for another allocation; left as it was */
    TOKEN_FULL,     /* of a put: no room, or there is such a token already */
    TOKEN_NO_STORE, /* no answer: a consumption may have happened all the same */
};

/* TGW_OK for VALID. */
enum tgw_reason token_reason(enum token_state s);

/* `claims` with VALID (and EXPIRED, where they are still known), else NULL; borrowed. */
typedef void store_done(void *ctx, enum token_state state, const struct claims *claims);

/* `done` is called exactly once: before the call returns, or later from the loop. */
struct store_ops {
    void (*consume)(void *impl, const uint8_t hash[TGW_TOKEN_HASH_BYTES], const char *allocation_id,
                    uint64_t now_s, store_done *done, void *ctx);
    void (*inspect)(void *impl, const uint8_t hash[TGW_TOKEN_HASH_BYTES], uint64_t now_s,
                    store_done *done, void *ctx);
    /* VALID, FULL or NO_STORE. */
    void (*put)(void *impl, const uint8_t hash[TGW_TOKEN_HASH_BYTES], const struct claims *c,
                uint64_t now_s, store_done *done, void *ctx);
    /* VALID: revoked; UNKNOWN: there was none to revoke; NO_STORE. */
    void (*revoke)(void *impl, const uint8_t hash[TGW_TOKEN_HASH_BYTES], uint64_t now_s,
                   store_done *done, void *ctx);
    bool (*is_up)(const void *impl);
    void (*set_replay_window)(void *impl, uint64_t seconds);
    /* Whoever waits is answered NO_STORE. */
    void (*close)(void *impl);
};

struct token_store {
    const struct store_ops *ops; /* NULL: none */
    void *impl;
};

/* The embedded store. */
struct memory_store;
extern const struct store_ops memory_store_ops;

/* Room for `tokens_max` live tokens and as many used ones. NULL: no memory. */
struct memory_store *memory_store_create(uint32_t tokens_max, uint64_t replay_window_s);
void memory_store_destroy(struct memory_store *s);
/* False: full, or there is such a token already. */
bool memory_store_put(struct memory_store *s, const uint8_t hash[TGW_TOKEN_HASH_BYTES],
                      const struct claims *c, uint64_t now_s);
/* TGW_OK with *out filled in, once for each token; else why not. A token for another
 * allocation is not consumed. */
enum tgw_reason memory_store_consume(struct memory_store *s,
                                     const uint8_t hash[TGW_TOKEN_HASH_BYTES],
                                     const char *allocation_id, uint64_t now_s, struct claims *out);
enum token_state memory_store_inspect(const struct memory_store *s,
                                      const uint8_t hash[TGW_TOKEN_HASH_BYTES], uint64_t now_s,
                                      struct claims *out);
/* False: there was none to revoke. */
bool memory_store_revoke(struct memory_store *s, const uint8_t hash[TGW_TOKEN_HASH_BYTES],
                         uint64_t now_s);

#endif

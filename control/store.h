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

enum token_state { TOKEN_UNKNOWN, TOKEN_VALID, TOKEN_USED, TOKEN_EXPIRED };

struct memory_store;

/* Room for `tokens_max` live tokens and as many used ones. NULL: no memory. */
struct memory_store *memory_store_create(uint32_t tokens_max, uint64_t replay_window_s);
void memory_store_destroy(struct memory_store *s);
/* False: full. */
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

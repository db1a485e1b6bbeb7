/* The embedded store: an open-addressed table of token hashes. A used token stays for the
 * replay window, so that a replay is told from an unknown token. */
#include "store.h"
#include <stdlib.h>

struct entry {
    uint8_t hash[TGW_TOKEN_HASH_BYTES];
    uint8_t state; /* enum token_state; VALID and USED only */
    bool taken;
    uint64_t until_s; /* VALID: exp; USED: end of the replay window */
    struct claims *claims;
};

struct memory_store {
    struct entry *entry;
    uint32_t mask, used;
    uint64_t replay_window_s;
};

struct memory_store *memory_store_create(uint32_t tokens_max, uint64_t replay_window_s) {
    struct memory_store *s = calloc(1, sizeof(*s));
    uint32_t size = 64;
    while (size < tokens_max * 4)
        size *= 2;
    if (s)
        s->entry = calloc(size, sizeof(*s->entry));
    if (!s || !s->entry) {
        free(s);
        return NULL;
    }
    s->mask = size - 1;
    s->replay_window_s = replay_window_s;
    return s;
}

void memory_store_destroy(struct memory_store *s) {
    for (uint32_t i = 0; s && i <= s->mask; i++)
        free(s->entry[i].claims);
    if (s)
        free(s->entry);
    free(s);
}

/* A hash of a secret is uniform already: its first bytes are the slot. */
static uint32_t home(const struct memory_store *s, const uint8_t *hash) {
    uint32_t h;
    memcpy(&h, hash, sizeof(h));
    return h & s->mask;
}

static struct entry *find(const struct memory_store *s, const uint8_t *hash) {
    for (uint32_t i = home(s, hash);; i = (i + 1) & s->mask) {
        struct entry *e = &s->entry[i];
        if (!e->taken)
            return NULL;
        if (memcmp(e->hash, hash, TGW_TOKEN_HASH_BYTES) == 0)
            return e;
    }
}

/* Take an entry out and close the gap (linear probing). */
static void erase(struct memory_store *s, struct entry *e) {
    uint32_t gap = (uint32_t)(e - s->entry);
    free(e->claims);
    for (uint32_t i = (gap + 1) & s->mask; s->entry[i].taken; i = (i + 1) & s->mask) {
        uint32_t want = home(s, s->entry[i].hash);
        if (((i - want) & s->mask) < ((i - gap) & s->mask))
            continue;
        s->entry[gap] = s->entry[i];
        gap = i;
    }
    s->entry[gap] = (struct entry){0};
    s->used--;
}

static void sweep(struct memory_store *s, uint64_t now_s) {
    for (uint32_t i = 0; i <= s->mask;) {
        struct entry *e = &s->entry[i];
        if (e->taken && e->until_s + s->replay_window_s < now_s)
            erase(s, e); /* another may have moved here: look again */
        else
            i++;
    }
}

bool memory_store_put(struct memory_store *s, const uint8_t hash[TGW_TOKEN_HASH_BYTES],
                      const struct claims *c, uint64_t now_s) {
    if (find(s, hash))
        return false;
    if (s->used > s->mask / 2)
        sweep(s, now_s);
    struct claims *copy = s->used <= s->mask / 2 ? malloc(sizeof(*copy)) : NULL;
    if (!copy)
        return false;
    *copy = *c;
    uint32_t i = home(s, hash);
    while (s->entry[i].taken)
        i = (i + 1) & s->mask;
    s->entry[i] =
        (struct entry){.state = TOKEN_VALID, .taken = true, .until_s = c->exp_s, .claims = copy};
    memcpy(s->entry[i].hash, hash, TGW_TOKEN_HASH_BYTES);
    s->used++;
    return true;
}

static enum token_state state_of(const struct entry *e, uint64_t now_s) {
    if (!e || (e->state == TOKEN_USED && e->until_s <= now_s))
        return TOKEN_UNKNOWN;
    if (e->state == TOKEN_VALID && e->until_s <= now_s)
        return TOKEN_EXPIRED;
    return e->state;
}

static void spend(struct memory_store *s, struct entry *e, uint64_t now_s) {
    free(e->claims);
    e->claims = NULL;
    e->state = TOKEN_USED;
    e->until_s = now_s + s->replay_window_s;
}

enum tgw_reason memory_store_consume(struct memory_store *s,
                                     const uint8_t hash[TGW_TOKEN_HASH_BYTES],
                                     const char *allocation_id, uint64_t now_s,
                                     struct claims *out) {
    struct entry *e = find(s, hash);
    enum token_state state = state_of(e, now_s);
    if (state != TOKEN_VALID)
        return token_reason(state);
    if (strcmp(e->claims->ident.allocation_id, allocation_id) != 0)
        return TGW_R_token_allocation_mismatch;
    *out = *e->claims;
    spend(s, e, now_s);
    return TGW_OK;
}

enum token_state memory_store_inspect(const struct memory_store *s,
                                      const uint8_t hash[TGW_TOKEN_HASH_BYTES], uint64_t now_s,
                                      struct claims *out) {
    const struct entry *e = find(s, hash);
    enum token_state state = state_of(e, now_s);
    if (e && e->claims && (state == TOKEN_VALID || state == TOKEN_EXPIRED))
        *out = *e->claims;
    return state;
}

bool memory_store_revoke(struct memory_store *s, const uint8_t hash[TGW_TOKEN_HASH_BYTES],
                         uint64_t now_s) {
    struct entry *e = find(s, hash);
    if (state_of(e, now_s) != TOKEN_VALID)
        return false;
    erase(s, e);
    return true;
}

static void tell(store_done *done, void *ctx, enum token_state state, const struct claims *c) {
    bool known = state == TOKEN_VALID || (state == TOKEN_EXPIRED && c->exp_s);
    done(ctx, state, known ? c : NULL);
}

static void op_consume(void *impl, const uint8_t hash[TGW_TOKEN_HASH_BYTES],
                       const char *allocation_id, uint64_t now_s, store_done *done, void *ctx) {
    struct claims c = {0};
    enum token_state state = TOKEN_UNKNOWN;
    switch (memory_store_consume(impl, hash, allocation_id, now_s, &c)) {
    case TGW_OK:
        state = TOKEN_VALID;
        break;
    case TGW_R_token_expired:
        state = TOKEN_EXPIRED;
        break;
    case TGW_R_token_replayed:
        state = TOKEN_USED;
        break;
    case TGW_R_token_allocation_mismatch:
        state = TOKEN_MISMATCH;
        break;
    default:
        break;
    }
    tell(done, ctx, state, &c);
}

static void op_inspect(void *impl, const uint8_t hash[TGW_TOKEN_HASH_BYTES], uint64_t now_s,
                       store_done *done, void *ctx) {
    struct claims c = {0};
    enum token_state state = memory_store_inspect(impl, hash, now_s, &c);
    tell(done, ctx, state, &c);
}

static void op_put(void *impl, const uint8_t hash[TGW_TOKEN_HASH_BYTES], const struct claims *c,
                   uint64_t now_s, store_done *done, void *ctx) {
    done(ctx, memory_store_put(impl, hash, c, now_s) ? TOKEN_VALID : TOKEN_FULL, NULL);
}

static void op_revoke(void *impl, const uint8_t hash[TGW_TOKEN_HASH_BYTES], uint64_t now_s,
                      store_done *done, void *ctx) {
    done(ctx, memory_store_revoke(impl, hash, now_s) ? TOKEN_VALID : TOKEN_UNKNOWN, NULL);
}

static bool op_is_up(const void *impl) {
    (void)impl;
    return true;
}

static void op_set_replay_window(void *impl, uint64_t seconds) {
    struct memory_store *s = impl;
    s->replay_window_s = seconds;
}

static void op_close(void *impl) {
    memory_store_destroy(impl);
}

const struct store_ops memory_store_ops = {
    .consume = op_consume,
    .inspect = op_inspect,
    .put = op_put,
    .revoke = op_revoke,
    .is_up = op_is_up,
    .set_replay_window = op_set_replay_window,
    .close = op_close,
};

enum tgw_reason token_reason(enum token_state s) {
    switch (s) {
    case TOKEN_VALID:
        return TGW_OK;
    case TOKEN_UNKNOWN:
        return TGW_R_token_invalid;
    case TOKEN_USED:
        return TGW_R_token_replayed;
    case TOKEN_EXPIRED:
        return TGW_R_token_expired;
    case TOKEN_MISMATCH:
        return TGW_R_token_allocation_mismatch;
    case TOKEN_FULL:
    case TOKEN_NO_STORE:
        break;
    }
    return TGW_R_token_store_unavailable;
}

/* The core's TLS as a whole: creation, connections and their parts, the list of those
 * that tls_flush() owes a look. */
#include "conn.h"
#include "core/lines.h"
#include <assert.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    TIMERS_A_TURN = 256,
    /* Blocks hold what waits in mid-record or unread: address space for many, memory for few. */
    SMALL_BLOCKS_MIN = 1024,
    LARGE_BLOCKS_A_CONNECTION = 2,
    LARGE_BLOCKS_MIN = 1024,
};

void tls_config_defaults(struct tls_config *c) {
    *c = (struct tls_config){.connections_max = 12000,
                             .handshakes_max = 1024,
                             .queue_max = 256,
                             .cipher_contexts = 4096,
                             .handshake_timeout_ms = 5000,
                             .records_per_key = UINT64_C(1) << 24};
}

static bool init_pools(struct tls_core *t) {
    const struct tls_config *c = &t->config;
    const uint32_t n = c->connections_max;
    if (!pool_init(&t->conns, sizeof(struct tls_conn), n, c->huge_pages) ||
        !pool_init(&t->secrets, 2 * tls_secret_bytes(TLS_AES_128_GCM_SHA256), n, c->huge_pages) ||
        !pool_init(&t->secrets_long, 2 * TLS_SECRET_BYTES_MAX, n, c->huge_pages) ||
        !pool_init(&t->extras, sizeof(struct tls_extra), n, c->huge_pages) ||
        !pool_init(&t->handshakes, sizeof(struct tls_hs), n, c->huge_pages) ||
        !pool_init(&t->jobs, sizeof(struct tls_job), c->handshakes_max, c->huge_pages) ||
        !pool_init(&t->buffer_pool, sizeof(struct tls_buffers), 1, false))
        return false;
    t->buffers = pool_alloc(&t->buffer_pool);
    return bq_pools_init(&t->blocks, n / 8 + SMALL_BLOCKS_MIN,
                         n * LARGE_BLOCKS_A_CONNECTION + LARGE_BLOCKS_MIN, c->huge_pages);
}

static bool init_links(struct tls_core *t) {
    t->links = tls_workers_count(t->workers);
    t->link = lines_zalloc(t->links, sizeof(*t->link));
    for (uint32_t i = 0; t->link && i < t->links; i++)
        tls_workers_link(t->workers, i, t->config.core, &t->link[i]);
    return t->link != NULL;
}

struct tls_core *tls_create(const struct tls_config *c, const struct tls_env *env,
                            struct tls_workers *w, uint64_t now_ns) {
    struct tls_core *t = lines_zalloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->config = *c;
    t->env = *env;
    t->workers = w;
    t->now_ns = now_ns;
    t->due_first = t->due_last = TLS_NONE;
    if (tls_crypto_init(&t->crypto) && init_pools(t) && init_links(t) &&
        tls_cache_init(&t->cache, c->cipher_contexts)) {
        timer_wheel_init(&t->wheel, now_ns, t->handshakes.base, handshake_timer, t);
        return t;
    }
    tls_destroy(t);
    return NULL;
}

/* One job back from a thread. False: it had none. */
static bool collect_job(struct tls_core *t, uint32_t i) {
    if (!t->link[i].load)
        return false;
    struct tls_job *job = tls_link_pop(&t->link[i]);
    if (job)
        handshake_answer(t, job);
    else if (tls_workers_threaded(t->workers))
        usleep(100);
    else
        tls_workers_turn(t->workers, i);
    return true;
}

/* Have every job back: what they hold is freed by the threads. An answer may send its job
 * to another thread again, so none is done with before all are. */
static void collect_jobs(struct tls_core *t) {
    for (bool any = t->link != NULL; any;) {
        any = false;
        for (uint32_t i = 0; i < t->links; i++)
            any |= collect_job(t, i);
    }
    assert(!t->jobs.base || t->jobs.used == 0);
}

static void abort_all(struct tls_core *t) {
    for (uint32_t i = 0; i < t->conns.touched; i++) {
        struct tls_conn *c = pool_at(&t->conns, i);
        if (c->state == TLS_FREE)
            continue;
        if (c->state == TLS_HANDSHAKING)
            handshake_cancel(c);
        if (c->lower)
            t->lower_ops->abort(c->lower);
        c->lower = NULL;
        c->flags &= (uint8_t)~TLS_F_DUE;
        conn_retire(c);
    }
}

void tls_destroy(struct tls_core *t) {
    if (t->buffers) {
        abort_all(t);
        collect_jobs(t);
        OPENSSL_cleanse(t->buffers, sizeof(*t->buffers));
    }
    struct pool *const pools[] = {&t->conns,      &t->secrets, &t->secrets_long, &t->extras,
                                  &t->handshakes, &t->jobs,    &t->buffer_pool};
    for (size_t i = 0; i < sizeof(pools) / sizeof(pools[0]); i++)
        pool_fini(pools[i]);
    if (t->blocks.small.base)
        bq_pools_fini(&t->blocks);
    tls_cache_fini(&t->cache);
    tls_crypto_fini(&t->crypto);
    free(t->link);
    free(t);
}

uint32_t conn_index(const struct tls_conn *c) {
    return pool_index(&c->core->conns, c);
}

struct tls_conn *conn_alloc(struct tls_core *t, void *lower) {
    struct tls_conn *c = pool_alloc(&t->conns);
    if (c)
        *c = (struct tls_conn){.core = t,
                               .lower = lower,
                               .state = TLS_HANDSHAKING,
                               .slot = TLS_NONE,
                               .extra = TLS_NONE,
                               .due_next = TLS_NONE};
    return c;
}

/* pool.h leaves the first bytes of a free object to the pool: `core` may be anything, the
 * rest is zero and so is the state. */
static void conn_free(struct tls_conn *c) {
    struct tls_core *t = c->core;
    assert(!c->lower && !(c->flags & TLS_F_DUE));
    if (t->live == c)
        t->live = NULL, t->live_len = 0;
    if (t->staged == c)
        t->staged = NULL, t->staged_len = 0;
    if (c->slot != TLS_NONE) {
        struct pool *secrets = secrets_pool(t, c->suite);
        OPENSSL_cleanse(pool_at(secrets, c->slot), secrets->object_bytes);
        pool_free(secrets, pool_at(secrets, c->slot));
        tls_cache_drop(&t->cache, conn_index(c) * 2 + TLS_READ);
        tls_cache_drop(&t->cache, conn_index(c) * 2 + TLS_WRITE);
    }
    struct tls_extra *x = conn_extra(c);
    if (x) {
        bq_clear(&x->in, &t->blocks);
        bq_clear(&x->partial, &t->blocks);
        bq_clear(&x->spill, &t->blocks);
        x->message_len = 0;
        x->message_skip = 0;
        legacy_free(c);
        conn_extra_trim(c);
    }
    OPENSSL_cleanse(c, sizeof(*c));
    pool_free(&t->conns, c);
}

void conn_retire(struct tls_conn *c) {
    c->state = TLS_RETIRED;
    if (!c->lower && !(c->flags & TLS_F_DUE))
        conn_free(c);
}

void conn_due(struct tls_conn *c) {
    struct tls_core *t = c->core;
    if (c->flags & TLS_F_DUE)
        return;
    c->flags |= TLS_F_DUE;
    c->due_next = TLS_NONE;
    if (t->due_last == TLS_NONE)
        t->due_first = conn_index(c);
    else
        ((struct tls_conn *)pool_at(&t->conns, t->due_last))->due_next = conn_index(c);
    t->due_last = conn_index(c);
}

void conn_end(struct tls_conn *c, enum stream_end end) {
    struct tls_core *t = c->core;
    if (t->staged == c)
        t->staged = NULL, t->staged_len = 0;
    if (c->lower)
        t->lower_ops->release(c->lower);
    c->lower = NULL;
    c->state = TLS_ENDED;
    c->end = (uint8_t)end;
    conn_due(c);
}

void conn_fail(struct tls_conn *c, enum tgw_reason reason, int alert, enum stream_end end) {
    struct tls_core *t = c->core;
    if (c->state != TLS_OPEN && c->state != TLS_LEGACY)
        return;
    tgw_count_reason(t->config.counters, reason);
    if (t->staged == c)
        t->staged = NULL, t->staged_len = 0;
    uint8_t state = c->state;
    c->state = TLS_ENDED; /* a failure while the alert is sent is not another one */
    if (alert >= 0 && state == TLS_OPEN && c->lower && !(c->flags & TLS_F_SHUT))
        output_alert(c, 2, (enum tls_alert)alert);
    conn_end(c, end);
}

struct pool *secrets_pool(struct tls_core *t, uint8_t suite) {
    return tls_secret_bytes(suite) == TLS_SECRET_BYTES_MAX ? &t->secrets_long : &t->secrets;
}

uint8_t *conn_secret(const struct tls_conn *c, int direction) {
    uint8_t *both = pool_at(secrets_pool(c->core, c->suite), c->slot);
    return both + (direction == TLS_READ ? 0 : tls_secret_bytes(c->suite));
}

const struct tls_key *conn_key(struct tls_conn *c, int direction) {
    struct tls_core *t = c->core;
    bool fresh;
    uint32_t id = conn_index(c) * 2 + (uint32_t)direction;
    struct tls_key *key = tls_cache_get(&t->cache, id, &fresh);
    if (!key || !fresh)
        return key;
    tgw_count(t->config.counters, TGW_C_tls_keys_derived, 1);
    if (tls_key_set(&t->crypto, c->suite, conn_secret(c, direction), direction == TLS_WRITE, key))
        return key;
    tls_cache_drop(&t->cache, id);
    return NULL;
}

void conn_next_key(struct tls_conn *c, int direction) {
    struct tls_core *t = c->core;
    tls_cache_drop(&t->cache, conn_index(c) * 2 + (uint32_t)direction);
    c->seq[direction] = 0;
    if (!tls_next_secret(&t->crypto, c->suite, conn_secret(c, direction)))
        conn_fail(c, TGW_R_tls_no_memory, -1, STREAM_END_ERROR);
}

struct tls_extra *conn_extra(const struct tls_conn *c) {
    return c->extra == TLS_NONE ? NULL : pool_at(&c->core->extras, c->extra);
}

struct tls_extra *conn_extra_make(struct tls_conn *c) {
    struct tls_extra *x = conn_extra(c);
    if (x)
        return x;
    x = pool_alloc(&c->core->extras);
    if (x) {
        *x = (struct tls_extra){0};
        c->extra = pool_index(&c->core->extras, x);
    }
    return x;
}

void conn_extra_trim(struct tls_conn *c) {
    struct tls_extra *x = conn_extra(c);
    if (!x || x->in.bytes || x->partial.bytes || x->spill.bytes || x->message_len ||
        x->message_skip || x->ssl)
        return;
    pool_free(&c->core->extras, x);
    c->extra = TLS_NONE;
}

void tls_begin(struct tls_core *t, uint64_t now_ns) {
    t->now_ns = now_ns;
}

uint32_t tls_poll(struct tls_core *t) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->links; i++) {
        struct tls_job *job;
        while ((job = tls_link_pop(&t->link[i]))) {
            handshake_answer(t, job);
            n++;
        }
    }
    return n;
}

uint32_t tls_advance(struct tls_core *t, uint64_t now_ns) {
    t->now_ns = now_ns;
    return timer_wheel_advance(&t->wheel, now_ns, TIMERS_A_TURN);
}

uint64_t tls_next_timer(const struct tls_core *t) {
    return timer_wheel_next(&t->wheel);
}

/* The end comes after the last byte, if the end was in order. */
static void tell_end(struct tls_conn *c) {
    if (c->end == STREAM_END_OK && input_unread(c))
        return;
    c->state = TLS_RETIRED;
    c->handler->closed(c->user, c->end);
    conn_free(c);
}

static void look_at(struct tls_conn *c) {
    c->flags &= (uint8_t)~TLS_F_DUE;
    if (c->state == TLS_RETIRED)
        conn_retire(c);
    else if (c->state == TLS_ENDED)
        tell_end(c);
    else if (c->state != TLS_HANDSHAKING)
        input_deliver(c);
}

void tls_flush(struct tls_core *t) {
    uint32_t last = t->due_last;
    output_flush(t);
    while (t->due_first != TLS_NONE) {
        uint32_t index = t->due_first;
        struct tls_conn *c = pool_at(&t->conns, index);
        t->due_first = c->due_next;
        if (t->due_first == TLS_NONE)
            t->due_last = TLS_NONE;
        look_at(c);
        if (index == last) /* what is due since then can wait a turn */
            break;
    }
    output_flush(t);
}

void tls_usage(const struct tls_core *t, struct tls_usage *out) {
    *out = (struct tls_usage){
        .connections = t->conns.used, .handshakes = t->handshakes.used, .legacy = t->legacy};
    for (uint32_t i = 0; i < t->links; i++)
        out->queued += t->link[i].load;
}

size_t tls_connection_bytes(void) {
    return sizeof(struct tls_conn) + 2 * tls_secret_bytes(TLS_AES_128_GCM_SHA256);
}

static void check_one(const struct tls_core *t, const struct tls_conn *c) {
    const struct tls_extra *x = conn_extra(c);
    assert(c->core == t);
    assert(c->state != TLS_OPEN || (c->lower && c->slot != TLS_NONE));
    assert(c->state != TLS_LEGACY || (c->lower && x && x->ssl));
    assert(c->state != TLS_ENDED || !c->lower);
    assert(c->state != TLS_RETIRED || c->lower || (c->flags & TLS_F_DUE));
    assert(!x || x->in.bytes || x->partial.bytes || x->spill.bytes || x->message_len ||
           x->message_skip || x->ssl);
    (void)x;
}

void tls_check(const struct tls_core *t) {
    uint32_t used = 0, extras = 0, legacy = 0;
    for (uint32_t i = 0; i < t->conns.touched; i++) {
        const struct tls_conn *c = pool_at(&t->conns, i);
        if (c->state == TLS_FREE)
            continue;
        check_one(t, c);
        used++;
        extras += c->extra != TLS_NONE;
        legacy += c->state == TLS_LEGACY;
    }
    assert(used == t->conns.used && extras == t->extras.used && legacy <= t->legacy);
    assert(used || (t->secrets.used == 0 && t->secrets_long.used == 0));
    assert(used || (t->blocks.small.used == 0 && t->blocks.large.used == 0));
}

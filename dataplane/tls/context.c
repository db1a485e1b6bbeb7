#include "context_priv.h"
#include "provider.h"
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

bool tls_certificate_parse(const char *text, struct tls_certificate *out) {
    char *const part[] = {out->chain, out->key, out->ocsp};
    size_t n = 0;
    *out = (struct tls_certificate){0};
    for (;;) {
        size_t len = strcspn(text, ":");
        if (n == 3 || len == 0 || len >= TLS_PATH_BYTES)
            return false;
        memcpy(part[n++], text, len);
        if (!text[len])
            return n >= 2;
        text += len + 1;
    }
}

static uint64_t mix(uint64_t h, uint64_t v) {
    return (h ^ v) * UINT64_C(0x100000001b3);
}

static uint64_t stamp_file(uint64_t h, const char *path) {
    struct stat st;
    if (!path[0])
        return h;
    if (stat(path, &st) != 0)
        return mix(h, 1);
    h = mix(h, (uint64_t)st.st_mtim.tv_sec);
    h = mix(h, (uint64_t)st.st_mtim.tv_nsec);
    return mix(mix(h, (uint64_t)st.st_size), (uint64_t)st.st_ino);
}

static uint64_t stamp_certificate(uint64_t h, const struct tls_certificate *c) {
    return stamp_file(stamp_file(stamp_file(h, c->chain), c->key), c->ocsp);
}

static uint64_t stamp(const struct tls_context_config *c) {
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (uint32_t i = 0; i < c->certificates; i++)
        h = stamp_certificate(h, &c->certificate[i]);
    h = stamp_file(h, c->ticket_file);
    h = stamp_file(h, c->agent_ca);
    return stamp_certificate(h, &c->agent);
}

bool tls_context_changed(const struct tls_context *x) {
    return stamp(&x->config) != x->stamp;
}

struct tls_context *tls_context_create(const struct tls_context_config *c, uint64_t unix_s,
                                       char *err, size_t err_bytes) {
    struct tls_context *x = OPENSSL_zalloc(sizeof(*x));
    if (!x || !tls_provider_install() || RAND_bytes(x->own_secret, sizeof(x->own_secret)) != 1) {
        snprintf(err, err_bytes, "no memory for TLS");
        OPENSSL_free(x);
        return NULL;
    }
    x->config = *c;
    atomic_init(&x->unix_s, unix_s);
    pthread_mutex_init(&x->lock, NULL);
    if (tls_context_load(x, err, err_bytes))
        return x;
    tls_context_destroy(x);
    return NULL;
}

void tls_context_destroy(struct tls_context *x) {
    if (!x)
        return;
    if (x->set)
        tls_set_release(x->set);
    SSL_SESSION_free(x->resume);
    pthread_mutex_destroy(&x->lock);
    OPENSSL_clear_free(x, sizeof(*x));
}

static void exchange(struct tls_context *x, struct tls_set *fresh) {
    atomic_store(&x->tls12_max, x->config.tls12_max);
    pthread_mutex_lock(&x->lock);
    struct tls_set *old = x->set;
    x->set = fresh;
    pthread_mutex_unlock(&x->lock);
    if (old)
        tls_set_release(old);
}

bool tls_context_configure(struct tls_context *x, const struct tls_context_config *c, char *err,
                           size_t err_bytes) {
    struct tls_context_config *next = OPENSSL_memdup(c, sizeof(*c));
    struct tls_set *fresh = NULL;
    if (!next) {
        snprintf(err, err_bytes, "no memory for TLS");
    } else if (!next->certificates != !x->config.certificates) {
        snprintf(err, err_bytes, "tls_certificates: from none to some, or back, takes a restart");
    } else {
        memcpy(next->agent_ca, x->config.agent_ca, sizeof(next->agent_ca));
        uint64_t now = stamp(next); /* before reading: a change meanwhile is seen next time */
        fresh = tls_set_load(x, next, err, err_bytes);
        if (fresh) {
            x->stamp = now;
            x->config = *next;
            exchange(x, fresh);
        }
    }
    OPENSSL_free(next);
    return fresh != NULL;
}

bool tls_context_load(struct tls_context *x, char *err, size_t err_bytes) {
    uint64_t now = stamp(&x->config);
    bool loaded = tls_context_configure(x, &x->config, err, err_bytes);
    if (!loaded)
        x->stamp = now; /* said once */
    return loaded;
}

void tls_context_tick(struct tls_context *x, uint64_t unix_s) {
    atomic_store_explicit(&x->unix_s, unix_s, memory_order_relaxed);
}

uint64_t tls_context_not_after_s(const struct tls_context *x) {
    return x->set->not_after_s;
}

struct tls_set *tls_context_acquire(struct tls_context *x) {
    pthread_mutex_lock(&x->lock);
    struct tls_set *s = x->set;
    atomic_fetch_add(&s->refs, 1);
    pthread_mutex_unlock(&x->lock);
    return s;
}

void tls_set_release(struct tls_set *s) {
    if (atomic_fetch_sub(&s->refs, 1) == 1)
        tls_set_free(s);
}

void tls_context_resume(struct tls_context *x, SSL_SESSION *session) {
    SSL_SESSION *copy = SSL_SESSION_dup(session);
    pthread_mutex_lock(&x->lock);
    SSL_SESSION *old = x->resume;
    x->resume = copy;
    pthread_mutex_unlock(&x->lock);
    SSL_SESSION_free(old);
}

/* A copy each: OpenSSL marks a session as spent when its SSL object goes. */
static void resume(struct tls_context *x, SSL *ssl) {
    pthread_mutex_lock(&x->lock);
    SSL_SESSION *copy = x->resume ? SSL_SESSION_dup(x->resume) : NULL;
    pthread_mutex_unlock(&x->lock);
    if (copy)
        SSL_set_session(ssl, copy);
    SSL_SESSION_free(copy);
}

SSL *tls_set_ssl(struct tls_set *s, bool client) {
    SSL_CTX *ctx = client ? s->client : s->count ? s->server[0] : NULL;
    SSL *ssl = ctx ? SSL_new(ctx) : NULL;
    if (ssl && client) {
        SSL_set_connect_state(ssl);
        resume(s->context, ssl);
    } else if (ssl) {
        SSL_set_accept_state(ssl);
        /* With all places taken TLS 1.2 is told to the peer as a version not spoken. */
        if (atomic_load(&s->context->tls12) >= s->config.tls12_max)
            SSL_set_min_proto_version(ssl, TLS1_3_VERSION);
    }
    return ssl;
}

bool tls_context_take12(struct tls_context *x) {
    uint32_t have = atomic_load(&x->tls12);
    while (have < atomic_load(&x->tls12_max))
        if (atomic_compare_exchange_weak(&x->tls12, &have, have + 1))
            return true;
    return false;
}

void tls_context_give12(struct tls_context *x) {
    atomic_fetch_sub(&x->tls12, 1);
}

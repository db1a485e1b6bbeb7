/* Its state is the process's: the library calls an entry point that has no argument to hang
 * it on. Contexts are kept and used again; a handshake takes one some forty times. */
#include "provider.h"
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <pthread.h>
#include <string.h>
#include <strings.h>

enum { HASHES = 2 };

static const char provider_name[] = "tgw";
const char tls_provider_query[] = "?provider=tgw";

struct kdf {
    struct kdf *next; /* while idle */
    EVP_MD_CTX *scratch;
};

static struct {
    pthread_mutex_t lock; /* of idle, loaded */
    struct kdf *idle;
    OSSL_PROVIDER *loaded; /* NULL: not yet */
    struct tls_hash hash[HASHES];
} provider = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local struct tls_secrets *watcher;

static struct kdf *take_idle(void) {
    pthread_mutex_lock(&provider.lock);
    struct kdf *k = provider.idle;
    if (k)
        provider.idle = k->next;
    pthread_mutex_unlock(&provider.lock);
    return k;
}

static void *kdf_new(void *unused) {
    struct kdf *k = take_idle();
    (void)unused;
    if (k)
        return k;
    k = OPENSSL_zalloc(sizeof(*k));
    if (k && !(k->scratch = EVP_MD_CTX_new())) {
        OPENSSL_free(k);
        return NULL;
    }
    return k;
}

static void kdf_free(void *kdf) {
    struct kdf *k = kdf;
    if (!k)
        return;
    pthread_mutex_lock(&provider.lock);
    k->next = provider.idle;
    provider.idle = k;
    pthread_mutex_unlock(&provider.lock);
}

/* What libssl asks for. */
struct request {
    int mode;
    const struct tls_hash *hash;
    struct tls_bytes key, salt;
    struct tls_label label;
};

static const struct tls_hash *hash_named(const char *name) {
    static const char *const names[HASHES][2] = {{"SHA2-256", "SHA256"}, {"SHA2-384", "SHA384"}};
    for (size_t i = 0; name && i < HASHES; i++)
        for (size_t k = 0; k < 2; k++)
            if (strcasecmp(name, names[i][k]) == 0)
                return &provider.hash[i];
    return NULL;
}

static bool read_param(struct request *r, const OSSL_PARAM *p) {
    const struct {
        const char *key;
        struct tls_bytes *to;
    } bytes[] = {{OSSL_KDF_PARAM_KEY, &r->key},
                 {OSSL_KDF_PARAM_SALT, &r->salt},
                 {OSSL_KDF_PARAM_PREFIX, &r->label.prefix},
                 {OSSL_KDF_PARAM_LABEL, &r->label.label},
                 {OSSL_KDF_PARAM_DATA, &r->label.context}};
    for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++)
        if (strcmp(p->key, bytes[i].key) == 0) {
            *bytes[i].to = (struct tls_bytes){p->data, p->data_size};
            return p->data_type == OSSL_PARAM_OCTET_STRING;
        }
    if (strcmp(p->key, OSSL_KDF_PARAM_MODE) == 0)
        return OSSL_PARAM_get_int(p, &r->mode) == 1;
    if (strcmp(p->key, OSSL_KDF_PARAM_DIGEST) == 0)
        r->hash = p->data_type == OSSL_PARAM_UTF8_STRING ? hash_named(p->data) : NULL;
    return true;
}

static void watch(const struct tls_label *l, const uint8_t *secret, size_t len) {
    static const char *const labels[2] = {"c ap traffic", "s ap traffic"};
    for (int side = 0; watcher && side < 2; side++) {
        if (l->label.len != strlen(labels[side]) ||
            memcmp(l->label.at, labels[side], l->label.len) != 0)
            continue;
        memcpy(watcher->secret[side], secret, len);
        watcher->seen |= side == 0 ? TLS_CLIENT_SEEN : TLS_SERVER_SEEN;
    }
}

static bool expand(const struct kdf *k, const struct request *r, uint8_t *out, size_t len) {
    if (!tls_hkdf_expand_label(k->scratch, r->hash, r->key, &r->label, out, len))
        return false;
    watch(&r->label, out, len);
    return true;
}

/* The next of early, handshake and main secret (RFC 8446 section 7.1): `salt` is the one
 * before, none for the first; without a key there are zeros. */
static bool extract(const struct kdf *k, const struct request *r, uint8_t *out, size_t len) {
    static const uint8_t zeros[TLS_HASH_BYTES_MAX];
    uint8_t salt[TLS_HASH_BYTES_MAX], of_nothing[TLS_HASH_BYTES_MAX];
    const struct tls_hash *h = r->hash;
    struct tls_bytes key = r->key.at ? r->key : (struct tls_bytes){zeros, h->bytes};
    struct tls_label derived = r->label;
    bool good = len == h->bytes;
    if (good && r->salt.at) {
        derived.context = (struct tls_bytes){of_nothing, h->bytes};
        good = EVP_DigestInit_ex2(k->scratch, h->md, NULL) == 1 &&
               EVP_DigestFinal_ex(k->scratch, of_nothing, NULL) == 1 &&
               tls_hkdf_expand_label(k->scratch, h, r->salt, &derived, salt, h->bytes);
    }
    good = good && tls_hkdf_extract(k->scratch, h,
                                    (struct tls_bytes){salt, r->salt.at ? h->bytes : 0}, key, out);
    OPENSSL_cleanse(salt, sizeof(salt));
    return good;
}

static int kdf_derive(void *kdf, unsigned char *out, size_t len, const OSSL_PARAM params[]) {
    struct request r = {.mode = -1};
    for (const OSSL_PARAM *p = params; p && p->key; p++)
        if (!read_param(&r, p))
            return 0;
    if (!r.hash)
        return 0;
    if (r.mode == EVP_KDF_HKDF_MODE_EXTRACT_ONLY)
        return extract(kdf, &r, out, len);
    return r.mode == EVP_KDF_HKDF_MODE_EXPAND_ONLY && expand(kdf, &r, out, len);
}

static const OSSL_ALGORITHM *query(void *unused, int operation, int *no_cache) {
    static const OSSL_DISPATCH functions[] = {
        {OSSL_FUNC_KDF_NEWCTX, (void (*)(void))kdf_new},
        {OSSL_FUNC_KDF_FREECTX, (void (*)(void))kdf_free},
        {OSSL_FUNC_KDF_DERIVE, (void (*)(void))kdf_derive},
        {0, NULL},
    };
    static const OSSL_ALGORITHM kdfs[] = {
        {OSSL_KDF_NAME_TLS1_3_KDF, "provider=tgw", functions, NULL},
        {NULL, NULL, NULL, NULL},
    };
    (void)unused;
    *no_cache = 0;
    return operation == OSSL_OP_KDF ? kdfs : NULL;
}

static int provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
                         const OSSL_DISPATCH **out, void **context) {
    static const OSSL_DISPATCH functions[] = {
        {OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query},
        {0, NULL},
    };
    (void)handle, (void)in;
    *out = functions;
    *context = &provider;
    return 1;
}

/* Now, not in the first handshake: a library that runs out of memory while it lists what
 * providers have lacks the rest from then on. */
static bool is_chosen(void) {
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_TLS1_3_KDF, tls_provider_query);
    bool ours =
        kdf && strcmp(OSSL_PROVIDER_get0_name(EVP_KDF_get0_provider(kdf)), provider_name) == 0;
    EVP_KDF_free(kdf);
    return ours;
}

/* The default provider stays, for all the rest. */
static bool install(void) {
    enum { RETAIN_FALLBACKS = 1 };
    if (!tls_hash_fetch(&provider.hash[0], "SHA256") ||
        !tls_hash_fetch(&provider.hash[1], "SHA384") ||
        OSSL_PROVIDER_add_builtin(NULL, provider_name, provider_init) != 1)
        return false;
    provider.loaded = OSSL_PROVIDER_try_load(NULL, provider_name, RETAIN_FALLBACKS);
    if (provider.loaded && !is_chosen()) {
        OSSL_PROVIDER_unload(provider.loaded);
        provider.loaded = NULL;
    }
    return provider.loaded != NULL;
}

bool tls_provider_install(void) {
    pthread_mutex_lock(&provider.lock);
    bool good = provider.loaded || install();
    pthread_mutex_unlock(&provider.lock);
    return good;
}

void tls_provider_watch(struct tls_secrets *out) {
    watcher = out;
}

/* The provider's key schedule against RFC 8448 section 3, from the first zeros to the PSK
 * that a ticket stands for, and against the library's own over what libssl may ask. */
#include "tests/lib/suite.h"
#include "tls/provider.h"
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What libssl passes, as it passes it. */
struct ask {
    int mode;
    const char *digest;
    struct tls_bytes key, salt, context;
    const char *label;
};

static uint64_t fail_at, allocations; /* the first: from which on there is no memory; 0: never */

static void *test_malloc(size_t len, const char *file, int line) {
    (void)file, (void)line;
    return ++allocations >= fail_at && fail_at ? NULL : malloc(len);
}

static void *test_realloc(void *at, size_t len, const char *file, int line) {
    (void)file, (void)line;
    return ++allocations >= fail_at && fail_at ? NULL : realloc(at, len);
}

static void test_free(void *at, const char *file, int line) {
    (void)file, (void)line;
    free(at);
}

static size_t unhex(const char *hex, uint8_t *out) {
    size_t n = strlen(hex) / 2;
    for (size_t i = 0; i < n; i++)
        sscanf(hex + 2 * i, "%2hhx", &out[i]);
    return n;
}

static OSSL_PARAM bytes_param(const char *name, struct tls_bytes b) {
    return OSSL_PARAM_construct_octet_string(name, (void *)(uintptr_t)b.at, b.len);
}

static int derive_by(const char *query, const struct ask *a, uint8_t *out, size_t len) {
    static uint8_t prefix[] = {'t', 'l', 's', '1', '3', ' '};
    OSSL_PARAM params[8], *p = params;
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "TLS13-KDF", query);
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
    int mode = a->mode;
    EVP_KDF_free(kdf);
    *p++ = OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode);
    *p++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)(uintptr_t)a->digest, 0);
    if (a->key.at)
        *p++ = bytes_param(OSSL_KDF_PARAM_KEY, a->key);
    if (a->salt.at)
        *p++ = bytes_param(OSSL_KDF_PARAM_SALT, a->salt);
    *p++ = bytes_param(OSSL_KDF_PARAM_PREFIX, (struct tls_bytes){prefix, sizeof(prefix)});
    *p++ = bytes_param(OSSL_KDF_PARAM_LABEL,
                       (struct tls_bytes){(const uint8_t *)a->label, strlen(a->label)});
    if (a->context.at)
        *p++ = bytes_param(OSSL_KDF_PARAM_DATA, a->context);
    *p = OSSL_PARAM_construct_end();
    int result = EVP_KDF_derive(ctx, out, len, params);
    EVP_KDF_CTX_free(ctx);
    return result;
}

/* secret becomes what comes behind it; `hex` is what the trace has. */
static void extract(uint8_t secret[32], bool first, const char *key_hex, const char *hex) {
    uint8_t key[32], expected[32], next[32];
    struct ask a = {.mode = EVP_KDF_HKDF_MODE_EXTRACT_ONLY, .digest = "SHA2-256"};
    a.label = "derived";
    if (key_hex)
        a.key = (struct tls_bytes){key, unhex(key_hex, key)};
    if (!first)
        a.salt = (struct tls_bytes){secret, 32};
    unhex(hex, expected);
    CU_ASSERT_EQUAL(derive_by("provider=tgw", &a, next, 32), 1);
    CU_ASSERT(memcmp(next, expected, 32) == 0);
    memcpy(secret, next, 32);
}

static void expand(const uint8_t secret[32], const char *label, const char *context_hex,
                   const char *hex, uint8_t out[32]) {
    uint8_t context[32], expected[32];
    struct ask a = {.mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY, .digest = "SHA2-256", .label = label};
    a.key = (struct tls_bytes){secret, 32};
    a.context = (struct tls_bytes){context, unhex(context_hex, context)};
    unhex(hex, expected);
    CU_ASSERT_EQUAL(derive_by("provider=tgw", &a, out, 32), 1);
    CU_ASSERT(memcmp(out, expected, 32) == 0);
}

static void schedule_follows_the_trace(void) {
    static const char hello[] = "860c06edc07858ee8e78f0e7428c58edd6b43f2ca3e6e95f02ed063cf0e1cad8";
    static const char server_finished[] =
        "9608102a0f1ccc6db6250b7b7e417b1a000eaada3daae4777a7686c9ff83df13";
    static const char client_finished[] =
        "209145a96ee8e2a122ff810047cc952684658d6049e86429426db87c54ad143d";
    static const char client[] = "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5";
    static const char server[] = "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643";
    uint8_t secret[32], out[32], expected[32];
    struct tls_secrets seen = {0};
    tls_provider_watch(&seen);
    extract(secret, true, NULL, "33ad0a1c607ec03b09e6cd9893680ce210adf300aa1f2660e1b22e10f170f92a");
    extract(secret, false, "8bd4054fb55b9d63fdfbacf9f04b9f0d35e6d63f537563efd46272900f89492d",
            "1dc826e93606aa6fdc0aadc12f741b01046aa6b99f691ed221a9f0ca043fbeac");
    expand(secret, "c hs traffic", hello,
           "b3eddb126e067f35a780b3abf45e2d8f3b1a950738f52e9600746a0e27a55a21", out);
    expand(secret, "s hs traffic", hello,
           "b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38", out);
    extract(secret, false, NULL,
            "18df06843d13a08bf2a449844c5f8a478001bc4d4c627984d5a41da8d0402919");
    CU_ASSERT_EQUAL(seen.seen, 0);
    expand(secret, "c ap traffic", server_finished, client, out);
    CU_ASSERT_EQUAL(seen.seen, TLS_CLIENT_SEEN);
    tls_provider_watch(NULL);
    expand(secret, "s ap traffic", server_finished, server, out);
    CU_ASSERT_EQUAL(seen.seen, TLS_CLIENT_SEEN);
    tls_provider_watch(&seen);
    expand(secret, "s ap traffic", server_finished, server, out);
    CU_ASSERT_EQUAL(seen.seen, TLS_CLIENT_SEEN | TLS_SERVER_SEEN);
    unhex(client, expected);
    CU_ASSERT(memcmp(seen.secret[0], expected, 32) == 0);
    unhex(server, expected);
    CU_ASSERT(memcmp(seen.secret[1], expected, 32) == 0);
    expand(secret, "exp master", server_finished,
           "fe22f881176eda18eb8f44529e6792c50c9a3f89452f68d8ae311b4309d3cf50", out);
    expand(secret, "res master", client_finished,
           "7df235f2031d2a051287d02b0241b0bfdaf86cc856231f2d5aba46c434ec196c", out);
    expand(out, "resumption", "0000",
           "4ecd0eb6ec3b4d87f5d6028f922ca4c5851a277fd41311c9e62d2c9492e1c4f3", expected);
    tls_provider_watch(NULL);
}

static void compare(const struct ask *a, size_t len) {
    uint8_t ours[64] = {0}, theirs[64] = {0};
    CU_ASSERT_EQUAL(derive_by("provider=default", a, theirs, len), 1);
    CU_ASSERT_EQUAL(derive_by("provider=tgw", a, ours, len), 1);
    CU_ASSERT(memcmp(ours, theirs, sizeof(ours)) == 0);
}

static void both_providers_agree(void) {
    static const char *const digests[] = {"SHA2-256", "SHA256", "SHA2-384", "SHA384"};
    static const char *const labels[] = {"key", "iv", "finished", "traffic upd", "c e traffic"};
    uint8_t random[3][66];
    for (int round = 0; round < 200; round++) {
        size_t hash = round % 4 < 2 ? 32 : 48;
        RAND_bytes(random[0], sizeof(random));
        struct ask a = {.mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY,
                        .digest = digests[round % 4],
                        .key = {random[0], hash},
                        .label = labels[round % 5]};
        if (round % 3)
            a.context = (struct tls_bytes){random[1], round % 3 == 1 ? hash : 2};
        compare(&a, 1 + (size_t)round % hash);
        a.mode = EVP_KDF_HKDF_MODE_EXTRACT_ONLY;
        a.label = "derived";
        a.context = (struct tls_bytes){0};
        /* A shared secret of P-521 is the longest; P-256, X25519, a PSK, none. */
        a.key = (struct tls_bytes){round % 5 ? random[0] : NULL, round % 2 ? 66 : hash};
        a.salt = (struct tls_bytes){round % 7 ? random[2] : NULL, hash};
        compare(&a, hash);
    }
}

static void what_it_cannot_do_is_refused(void) {
    uint8_t key[48] = {1}, context[200] = {0}, out[64];
    struct ask a = {.mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY,
                    .digest = "SHA2-256",
                    .key = {key, 32},
                    .label = "key"};
    CU_ASSERT_EQUAL(derive_by("provider=tgw", &a, out, 32), 1);
    CU_ASSERT(derive_by("provider=tgw", &a, out, 33) <= 0);
    a.context = (struct tls_bytes){context, sizeof(context)};
    CU_ASSERT(derive_by("provider=tgw", &a, out, 32) <= 0);
    a.context.len = 32;
    a.digest = "SHA2-512";
    CU_ASSERT(derive_by("provider=tgw", &a, out, 32) <= 0);
    a.digest = "SHA2-256";
    a.mode = EVP_KDF_HKDF_MODE_EXTRACT_AND_EXPAND;
    CU_ASSERT(derive_by("provider=tgw", &a, out, 32) <= 0);
    a.mode = EVP_KDF_HKDF_MODE_EXTRACT_ONLY;
    CU_ASSERT(derive_by("provider=tgw", &a, out, 31) <= 0);
    CU_ASSERT_EQUAL(derive_by("provider=tgw", &a, out, 32), 1);
}

/* The first of all, when no context is kept yet. */
static void short_memory_is_survived(void) {
    static const uint8_t key[32] = {1};
    const struct ask a = {.mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY,
                          .digest = "SHA2-256",
                          .key = {key, sizeof(key)},
                          .label = "key"};
    uint8_t out[32];
    uint32_t failures = 0;
    for (uint64_t n = 1;; n++, failures++) {
        allocations = 0;
        fail_at = n;
        bool good = derive_by("provider=tgw", &a, out, 32) == 1;
        fail_at = 0;
        if (good)
            break;
    }
    CU_ASSERT(failures >= 4);
    compare(&a, 32);
}

static void the_rest_is_the_librarys(void) {
    EVP_MD *md = EVP_MD_fetch(NULL, "SHA256", tls_provider_query);
    EVP_KDF *hkdf = EVP_KDF_fetch(NULL, "HKDF", tls_provider_query);
    CU_ASSERT_PTR_NOT_NULL(md);
    CU_ASSERT_PTR_NOT_NULL(hkdf);
    EVP_MD_free(md);
    EVP_KDF_free(hkdf);
    CU_ASSERT(tls_provider_install()); /* again */
}

int main(void) {
    static const struct suite_case cases[] = {
        {"short memory is survived", short_memory_is_survived},
        {"the schedule follows the trace", schedule_follows_the_trace},
        {"both providers agree", both_providers_agree},
        {"what it cannot do is refused", what_it_cannot_do_is_refused},
        {"the rest is the library's", the_rest_is_the_librarys},
    };
    if (CRYPTO_set_mem_functions(test_malloc, test_realloc, test_free) != 1 ||
        !tls_provider_install())
        return 1;
    return suite_run("tls/provider", cases, sizeof(cases) / sizeof(cases[0]));
}

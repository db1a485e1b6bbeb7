/* Where secrets lie in memory: nowhere that goes into a core dump (VmFlags dd). The whole
 * process is searched, OpenSSL's memory and a handshake thread's stack included. */
#include "rig.h"
#include "tls/context_priv.h"
#include "tls/heap.h"
#include <fcntl.h>
#include <openssl/core_names.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NEEDLE_BYTES = 16, NEEDLES = 16, PAGE = 4096, MASK = 0x5a };

/* Masked, so that the list itself is not found. */
struct needle {
    const char *name;
    uint8_t masked[NEEDLE_BYTES];
};
static struct needle needle[NEEDLES];
static int needles;

static void look_for(const char *name, const uint8_t *secret) {
    struct needle *n = &needle[needles++];
    n->name = name;
    for (int i = 0; i < NEEDLE_BYTES; i++)
        n->masked[i] = secret[i] ^ MASK;
}

__attribute__((no_sanitize("address"))) static bool is_here(const struct needle *n,
                                                            const uint8_t *at) {
    for (int i = 0; i < NEEDLE_BYTES; i++)
        if ((at[i] ^ MASK) != n->masked[i])
            return false;
    return true;
}

/* Pages that were never touched are not read: that would make them. */
static size_t present_bytes(int pagemap, uintptr_t from, uintptr_t to) {
    uint64_t entry;
    uintptr_t at = from;
    while (at < to && pread(pagemap, &entry, 8, (off_t)(at / PAGE * 8)) == 8 && entry >> 63)
        at += PAGE;
    return at - from;
}

/* Searched are writable mappings that a dump would hold. */
__attribute__((no_sanitize("address"))) static uint32_t search_mapping(int pagemap, uintptr_t from,
                                                                       uintptr_t to) {
    uint32_t found = 0;
    for (uintptr_t at = from; at < to; at += PAGE) {
        size_t len = present_bytes(pagemap, at, to);
        const uint8_t *bytes = (const uint8_t *)at;
        for (size_t i = 0; len && i + NEEDLE_BYTES <= len; i++)
            for (int k = 0; k < needles; k++)
                if ((bytes[i] ^ MASK) == needle[k].masked[0] && is_here(&needle[k], bytes + i)) {
                    printf("# %s lies at %p\n", needle[k].name, (const void *)(bytes + i));
                    found++;
                }
        at += len;
    }
    return found;
}

/* Copied at once: reading it line by line would change what it tells of. */
static char *mappings(void) {
    static char text[1 << 20];
    int fd = open("/proc/self/smaps", O_RDONLY);
    size_t len = 0;
    ssize_t n;
    while ((n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
        len += (size_t)n;
    text[len] = 0;
    close(fd);
    return text;
}

static uint32_t search(void) {
    int pagemap = open("/proc/self/pagemap", O_RDONLY);
    uint32_t found = 0;
    unsigned long from = 0, to = 0, rss_kb = 0;
    char mode[5] = "", *rest = mappings();
    for (char *line; (line = strsep(&rest, "\n")) && rest;) {
        unsigned long a, b;
        char m[5];
        if (sscanf(line, "%lx-%lx %4s", &a, &b, m) == 3) {
            from = a;
            to = b;
            memcpy(mode, m, sizeof(mode));
        }
        sscanf(line, "Rss: %lu", &rss_kb);
        if (strncmp(line, "VmFlags:", 8) == 0 && mode[1] == 'w' && rss_kb && !strstr(line, " dd"))
            found += search_mapping(pagemap, from, to);
    }
    close(pagemap);
    return found;
}

static struct rig rig;

static void look_for_connection(const struct peer *p) {
    static const char *const names[] = {"client's traffic secret", "server's traffic secret"};
    static const char *const keys[] = {"client's key", "server's key"};
    for (int side = 0; side < 2; side++) {
        const uint8_t *secret = conn_secret(p->conn, side);
        uint8_t *key = OPENSSL_malloc(32);
        look_for(names[side], secret);
        CU_ASSERT(tls_expand_label(&rig.core->crypto, p->conn->suite, secret, "key", key, 16));
        look_for(keys[side], key);
        OPENSSL_clear_free(key, 32);
    }
}

static void look_for_private_key(struct tls_set *set) {
    EVP_PKEY *key = SSL_CTX_get0_privatekey(set->server[0]);
    BIGNUM *d = NULL;
    uint8_t *bytes = OPENSSL_zalloc(64);
    CU_ASSERT(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &d) == 1);
    BN_bn2binpad(d, bytes, 32);
    look_for("private key", bytes + 8); /* big-endian and as the words of a number */
    BN_bn2lebinpad(d, bytes, 32);
    look_for("private key, words", bytes + 8);
    BN_clear_free(d);
    OPENSSL_clear_free(bytes, 64);
}

static void no_secret_is_left_where_a_dump_would_take_it(void) {
    static uint8_t data[64];
    rig_defaults(&rig);
    rig.threads = 1;
    rig_start(&rig);
    SSL_CTX *ctx = rig_client_ctx();
    struct peer *p[3];
    needles = 0;
    for (int i = 0; i < 3; i++) {
        p[i] = peer_open(&rig, ctx);
        p[i]->echo = true;
        SSL_key_update(p[i]->ssl, i ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
        CU_ASSERT(peer_write(p[i], "whoami", 6));
        peer_run(p[i]);
        CU_ASSERT_EQUAL(peer_read(p[i], data, sizeof(data)), 6);
        look_for_connection(p[i]);
        if (i == 0)
            CU_ASSERT_EQUAL(search(), 0);
        needles = 0;
    }
    look_for_connection(p[2]);
    look_for("ticket secret", rig.context->own_secret);
    look_for_private_key(rig.context->set);
    CU_ASSERT_EQUAL(search(), 0);
    peer_free(p[2]);
    CU_ASSERT_EQUAL(search(), 0);
    rig_stop(&rig);
    SSL_CTX_free(ctx);
}

/* The search can fail. */
static void a_secret_in_plain_memory_is_found(void) {
    uint8_t secret[NEEDLE_BYTES];
    uint8_t *plain = malloc(3 * NEEDLE_BYTES);
    for (int i = 0; i < NEEDLE_BYTES; i++)
        secret[i] = (uint8_t)(0x80 + 7 * i);
    needles = 0;
    look_for("a test's", secret);
    memcpy(plain + 5, secret, NEEDLE_BYTES);
    CU_ASSERT(search() >= 1);
    OPENSSL_cleanse(plain, 3 * NEEDLE_BYTES);
    free(plain);
    uint8_t *hidden = OPENSSL_malloc(NEEDLE_BYTES);
    memcpy(hidden, secret, NEEDLE_BYTES);
    OPENSSL_cleanse(secret, sizeof(secret));
    CU_ASSERT_EQUAL(search(), 0);
    OPENSSL_free(hidden);
}

static void the_heap_gives_what_is_asked_for(void) {
    static const size_t sizes[] = {1, 15, 48, 49, 100, 4000, 65536, 1 << 20, 3 << 20};
    uint8_t *at[64] = {0};
    size_t len[64] = {0};
    uint64_t random = 9;
    for (int round = 0; round < 4000; round++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        int i = (int)(random >> 58);
        size_t want =
            sizes[(random >> 40) % (sizeof(sizes) / sizeof(sizes[0]) - (round % 50 != 0))];
        for (size_t k = 0; k < len[i]; k += 31)
            CU_ASSERT_FATAL(at[i][k] == (uint8_t)i);
        uint8_t *grown = OPENSSL_realloc(at[i], want);
        CU_ASSERT_FATAL(grown != NULL && (uintptr_t)grown % 16 == 0);
        for (size_t k = 0; k < (want < len[i] ? want : len[i]); k += 31)
            CU_ASSERT_FATAL(grown[k] == (uint8_t)i);
        memset(grown, i, want);
        at[i] = grown;
        len[i] = want;
        if (random >> 33 & 1) {
            OPENSSL_free(at[i]);
            at[i] = NULL;
            len[i] = 0;
        }
    }
    for (int i = 0; i < 64; i++)
        OPENSSL_free(at[i]);
}

int main(void) {
    static const struct suite_case cases[] = {
        {"a secret in plain memory is found", a_secret_in_plain_memory_is_found},
        {"no secret is left where a dump would take it",
         no_secret_is_left_where_a_dump_would_take_it},
        {"the heap gives what is asked for", the_heap_gives_what_is_asked_for},
    };
    if (!tls_heap_install())
        return 1;
    tls_heap_hide_stack();
    return suite_run("tls/hide", cases, sizeof(cases) / sizeof(cases[0]));
}

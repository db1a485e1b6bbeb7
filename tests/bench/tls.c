/* What TLS costs a core, in one thread: records sealed and opened, keys derived, and the
 * gateway's share of handshakes (the client's share is not timed).
 *
 *   bench-tls [HANDSHAKES [full|resumed]]     full, resumed: only those, for a profile */
#include "tests/dataplane/tls/rig.h"
#include "tests/lib/real_time.h"
#include "tls/heap.h"
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 40, RECORDS_A_ROUND = 4000, KEYS_MAX = 4096, HANDSHAKES = 400 };

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, size_t n) {
    qsort(v, n, sizeof(*v), by_value);
    return v[n / 2];
}

/* Neighbours on the machine make the median wander; the tenth does less. */
struct figure {
    double tenth, median;
};

static struct figure figure_of(double *v, size_t n) {
    double middle = median(v, n); /* has sorted them */
    return (struct figure){v[n / 10], middle};
}

struct bench {
    struct tls_crypto crypto;
    struct tls_key key[2][KEYS_MAX]; /* to seal, to open */
    uint8_t plain[TLS_CIPHER_BYTES_MAX], record[TLS_RECORD_BYTES_MAX];
    uint8_t sealed[KEYS_MAX][128];
};
static struct bench bench;

static void seal_one(struct bench *b, uint32_t key, uint64_t seq, size_t len) {
    tls_record_seal(&b->key[0][key], seq, TLS_APPLICATION_DATA, b->plain, len, b->record);
}

static void open_one(struct bench *b, uint32_t key, uint64_t seq, size_t len) {
    struct tls_plain p;
    enum tls_alert alert;
    (void)seq, (void)len;
    if (!tls_record_open(&b->key[1][key], 0, b->sealed[key], b->plain, &p, &alert))
        abort();
}

static struct figure time_records(struct bench *b, uint32_t keys, size_t len,
                                  void (*one)(struct bench *, uint32_t, uint64_t, size_t)) {
    double v[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t from = real_ns();
        for (uint32_t i = 0; i < RECORDS_A_ROUND; i++)
            one(b, i % keys, i, len);
        v[round] = (double)(real_ns() - from) / RECORDS_A_ROUND;
    }
    return figure_of(v, ROUNDS);
}

static void records(struct bench *b, enum tls_suite suite, const char *name) {
    static const uint32_t keys[] = {1, 200, KEYS_MAX};
    for (uint32_t i = 0; i < KEYS_MAX; i++) {
        uint8_t secret[TLS_SECRET_BYTES_MAX] = {(uint8_t)i, (uint8_t)(i >> 8)};
        for (int side = 0; side < 2; side++)
            if (!tls_key_set(&b->crypto, suite, secret, side == 0, &b->key[side][i]))
                abort();
        tls_record_seal(&b->key[0][i], 0, TLS_APPLICATION_DATA, b->plain, 64, b->sealed[i]);
    }
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct figure seal = time_records(b, keys[i], 64, seal_one);
        struct figure open = time_records(b, keys[i], 64, open_one);
        printf("%-24s 64 bytes, %4u keys in turn: p10 / median: seal %4.0f / %4.0f ns, "
               "open %4.0f / %4.0f ns\n",
               name, keys[i], seal.tenth, seal.median, open.tenth, open.median);
    }
    struct figure bulk = time_records(b, 1, 16384, seal_one);
    printf("%-24s 16 KiB: seal %4.0f / %4.0f ns\n", name, bulk.tenth, bulk.median);
    for (uint32_t i = 0; i < KEYS_MAX; i++)
        for (int side = 0; side < 2; side++)
            tls_key_clear(&b->key[side][i]);
}

static void derivation(struct bench *b) {
    uint8_t secret[TLS_SECRET_BYTES_MAX] = {1};
    struct tls_key key = {0};
    double v[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t from = real_ns();
        for (int i = 0; i < 200; i++)
            tls_key_set(&b->crypto, TLS_AES_128_GCM_SHA256, secret, true, &key);
        v[round] = (double)(real_ns() - from) / 200;
    }
    tls_key_clear(&key);
    struct figure f = figure_of(v, ROUNDS);
    printf("a key derived anew from its secret: %.0f / %.0f ns\n", f.tenth, f.median);
}

/* Nanoseconds that one handshake took of the handshake thread and of the core. */
struct shares {
    double thread, core;
};

static SSL_SESSION *kept;

static bool flows(struct peer *p, struct shares *s) {
    static uint8_t wire[RIG_WIRE_BYTES];
    struct rig *r = p->rig;
    ERR_clear_error();
    if (!SSL_is_init_finished(p->ssl))
        SSL_do_handshake(p->ssl);
    size_t n = peer_take_wire(p, wire, sizeof(wire));
    uint64_t a = real_ns();
    if (n)
        peer_inject(p, wire, n);
    uint64_t b = real_ns();
    uint32_t jobs = tls_workers_turn(r->workers, 0);
    uint64_t c = real_ns();
    tls_poll(r->core);
    tls_flush(r->core);
    uint64_t d = real_ns();
    s->core += (double)(b - a + d - c);
    s->thread += (double)(c - b);
    n = fake_stream_drain(&p->lower, wire, sizeof(wire));
    if (n)
        BIO_write(SSL_get_rbio(p->ssl), wire, (int)n);
    return n || jobs;
}

static void shake_hands(struct rig *r, SSL_CTX *ctx, struct shares *s, bool resume) {
    uint8_t byte;
    *s = (struct shares){0};
    uint64_t from = real_ns();
    struct peer *p = peer_connect(r, ctx);
    s->core = (double)(real_ns() - from);
    if (resume && kept)
        SSL_set_session(p->ssl, kept);
    while (flows(p, s))
        ;
    if (!p->up.impl || (resume && kept && !SSL_session_reused(p->ssl)))
        abort();
    SSL_read(p->ssl, &byte, 1); /* the tickets */
    SSL_SESSION_free(kept);
    kept = SSL_SESSION_dup(SSL_get0_session(p->ssl));
    peer_free(p);
}

static void handshakes(const char *certificate, const char *type, bool resume, int count) {
    static struct rig rig;
    double *thread = calloc((size_t)count, sizeof(double));
    double *core = calloc((size_t)count, sizeof(double));
    rig_defaults(&rig);
    rig_certificate(certificate, type, "gateway.test", 30);
    rig_use(&rig, 0, certificate, false);
    rig_start(&rig);
    SSL_CTX *ctx = rig_client_ctx();
    for (int i = -5; i < count; i++) {
        struct shares s;
        shake_hands(&rig, ctx, &s, resume);
        if (i >= 0) {
            thread[i] = s.thread;
            core[i] = s.core;
        }
    }
    struct figure t = figure_of(thread, (size_t)count);
    double c = median(core, (size_t)count);
    printf("%-10s %-7s handshake: thread p10 %6.1f median %6.1f us, %6.0f and %6.0f a second and "
           "core; polling core %5.1f us\n",
           resume ? "resumed," : "full,", type, t.tenth / 1000, t.median / 1000, 1e9 / t.tenth,
           1e9 / t.median, c / 1000);
    SSL_SESSION_free(kept);
    kept = NULL;
    SSL_CTX_free(ctx);
    free(thread);
    free(core);
}

int main(int argc, char **argv) {
    int count = argc > 1 ? atoi(argv[1]) : HANDSHAKES;
    if (!tls_heap_install() || !tls_crypto_init(&bench.crypto) || count < 1) /* as the gateway */
        return 2;
    if (argc > 2) {
        handshakes("ec", "EC", strcmp(argv[2], "resumed") == 0, count);
        return 0;
    }
    records(&bench, TLS_AES_128_GCM_SHA256, "TLS_AES_128_GCM_SHA256");
    records(&bench, TLS_AES_256_GCM_SHA384, "TLS_AES_256_GCM_SHA384");
    records(&bench, TLS_CHACHA20_POLY1305_SHA256, "TLS_CHACHA20_POLY1305");
    derivation(&bench);
    handshakes("ec", "EC", false, count);
    handshakes("ec", "EC", true, count);
    handshakes("rsa", "RSA", false, count / 2 + 1);
    printf("state of an idle TLS 1.3 connection: %zu bytes\n", tls_connection_bytes());
    tls_crypto_fini(&bench.crypto);
    return 0;
}

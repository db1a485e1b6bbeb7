/* Records of a client that may do anything but guess keys, read by our record layer and by
 * OpenSSL with the same secrets: what comes out and how it ends must be the same.
 *
 * Input: suite, size of the pieces in which bytes arrive, then operations of a kind, an
 * argument and, for records, content. */
#include "tests/lib/fake_stream.h"
#include "tls/conn.h"
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { WIRE_BYTES = 1 << 19, OPERATIONS_MAX = 28, PADDING_MAX = 300 };

enum operation { OP_DATA, OP_BULK, OP_RECORD, OP_HANDSHAKE, OP_KEY_UPDATE, OP_FLIP, OP_RAW, OPS };
enum outcome { ALIVE, AT_EOF, FAILED };

struct fuzz {
    SSL_CTX *server, *client;
    struct tls_context *context;
    struct tls_workers *workers;
    struct tls_core *core;
    struct tgw_counters counters;
    struct tls_secrets secrets; /* as OpenSSL itself derives them */
    SSL *oracle;
    struct fake_stream lower;
    struct tls_conn *conn;
    uint8_t secret[TLS_SECRET_BYTES_MAX]; /* the client's */
    uint64_t seq;
    uint8_t wire[WIRE_BYTES];
    size_t wire_len;
    uint8_t out[2][WIRE_BYTES];
    size_t out_len[2];
    bool closed;
};
static struct fuzz fuzz;

static void check(bool holds) {
    if (!holds)
        abort();
}

/* "LABEL CLIENT_RANDOM SECRET", the format of NSS key logs. */
static void on_keylog(const SSL *ssl, const char *line) {
    static const char *const label[2] = {"CLIENT_TRAFFIC_SECRET_0 ", "SERVER_TRAFFIC_SECRET_0 "};
    const char *hex = strrchr(line, ' ') + 1;
    (void)ssl;
    for (int side = 0; side < 2; side++)
        for (size_t i = 0; strncmp(line, label[side], strlen(label[side])) == 0 && hex[2 * i]; i++)
            sscanf(hex + 2 * i, "%2hhx", &fuzz.secrets.secret[side][i]);
}

static SSL_CTX *server_ctx(void) {
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_gmtime_adj(X509_getm_notBefore(cert), 0);
    X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
    X509_set_pubkey(cert, key);
    X509_sign(cert, key, EVP_sha256());
    check(SSL_CTX_use_cert_and_key(ctx, cert, key, NULL, 1) == 1);
    SSL_CTX_set_num_tickets(ctx, 0);
    SSL_CTX_set_keylog_callback(ctx, on_keylog);
    X509_free(cert);
    EVP_PKEY_free(key);
    return ctx;
}

static void set_up(struct fuzz *f) {
    static struct tls_context_config files;
    static const struct tls_env env;
    char err[200];
    struct tls_config c;
    f->server = server_ctx();
    f->client = SSL_CTX_new(TLS_client_method());
    tls_config_defaults(&c);
    c.connections_max = 4;
    c.counters = &f->counters;
    c.records_per_key = 9;
    f->context = tls_context_create(&files, 1700000000, err, sizeof(err));
    f->workers = tls_workers_create(f->context, 1, 1, c.handshakes_max, false);
    f->core = tls_create(&c, &env, f->workers, 1);
    check(f->core != NULL);
}

static void pass(SSL *from, SSL *to) {
    char *at;
    long n = BIO_get_mem_data(SSL_get_wbio(from), &at);
    if (n > 0)
        BIO_write(SSL_get_rbio(to), at, (int)n);
    (void)BIO_reset(SSL_get_wbio(from));
}

static void shake_hands(struct fuzz *f, enum tls_suite suite) {
    static const char *const names[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                        "TLS_CHACHA20_POLY1305_SHA256"};
    SSL *client = SSL_new(f->client);
    f->oracle = SSL_new(f->server);
    SSL_set_ciphersuites(client, names[suite]);
    SSL_set_bio(client, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_bio(f->oracle, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(client);
    SSL_set_accept_state(f->oracle);
    for (int i = 0; i < 3; i++) {
        SSL_do_handshake(client);
        pass(client, f->oracle);
        SSL_do_handshake(f->oracle);
        pass(f->oracle, client);
    }
    check(SSL_is_init_finished(f->oracle));
    SSL_free(client);
}

static void on_bytes(void *user) {
    struct fuzz *f = user;
    const uint8_t *data;
    size_t n;
    while ((n = tls_stream_ops.peek(f->conn, &data))) {
        memcpy(f->out[0] + f->out_len[0], data, n);
        f->out_len[0] += n;
        tls_stream_ops.consume(f->conn, n);
    }
}

static void on_closed(void *user, enum stream_end end) {
    struct fuzz *f = user;
    (void)end;
    f->closed = true;
    f->conn = NULL;
}

static const struct stream_handler owner = {NULL, on_bytes, on_bytes, on_closed};

/* A connection as the hand-over leaves it. */
static void adopt(struct fuzz *f, enum tls_suite suite) {
    struct tls_core *t = f->core;
    const size_t bytes = tls_secret_bytes(suite);
    struct tls_conn *c = conn_alloc(t, &f->lower);
    uint8_t *both = pool_alloc(secrets_pool(t, (uint8_t)suite));
    memcpy(both, f->secrets.secret[0], bytes);
    memcpy(both + bytes, f->secrets.secret[1], bytes);
    t->lower_ops = fake_stream(&f->lower).ops;
    c->suite = (uint8_t)suite;
    c->slot = pool_index(secrets_pool(t, (uint8_t)suite), both);
    c->state = TLS_OPEN;
    c->handler = &owner;
    c->user = f;
    f->conn = c;
    memcpy(f->secret, f->secrets.secret[0], bytes);
}

/* One record under the client's key, behind what is on the wire. */
static void seal(struct fuzz *f, enum tls_suite suite, uint8_t type, const uint8_t *data,
                 size_t len, size_t padding) {
    static uint8_t plain[TLS_CIPHER_BYTES_MAX + PADDING_MAX];
    struct tls_key key = {0};
    if (f->wire_len + TLS_RECORD_BYTES_MAX > WIRE_BYTES)
        return;
    memcpy(plain, data, len);
    plain[len] = type;
    memset(plain + len + 1, 0, padding);
    size_t inner = len + padding; /* its last byte stands where a type does */
    check(tls_key_set(&f->core->crypto, suite, f->secret, true, &key));
    check(tls_record_seal(&key, f->seq++, padding ? 0 : (enum tls_content)type, plain,
                          inner < TLS_PLAIN_BYTES_MAX ? inner : TLS_PLAIN_BYTES_MAX,
                          f->wire + f->wire_len));
    tls_key_clear(&key);
    f->wire_len += (inner < TLS_PLAIN_BYTES_MAX ? inner : TLS_PLAIN_BYTES_MAX) + TLS_OVERHEAD_BYTES;
}

struct input {
    const uint8_t *at;
    size_t left;
};

static uint8_t byte_of(struct input *in) {
    return in->left ? (in->left--, *in->at++) : 0;
}

static void operate(struct fuzz *f, enum tls_suite suite, struct input *in) {
    static const uint8_t bulk[TLS_PLAIN_BYTES_MAX] = {1};
    const uint8_t kind = byte_of(in) % OPS, argument = byte_of(in);
    uint8_t update[5] = {24, 0, 0, 1, argument & 1}, type = byte_of(in);
    size_t len = argument < in->left ? argument : in->left;
    if (kind == OP_DATA || kind == OP_RECORD || kind == OP_HANDSHAKE) {
        type = kind == OP_DATA ? TLS_APPLICATION_DATA : kind == OP_HANDSHAKE ? TLS_HANDSHAKE : type;
        seal(f, suite, type, in->at, len, type && argument % 3 == 0 ? argument : 0);
        in->at += len;
        in->left -= len;
    } else if (kind == OP_BULK) {
        seal(f, suite, TLS_APPLICATION_DATA, bulk, (size_t)argument * 65 % TLS_PLAIN_BYTES_MAX,
             type % 2 ? PADDING_MAX : 0);
    } else if (kind == OP_KEY_UPDATE) {
        seal(f, suite, TLS_HANDSHAKE, update, sizeof(update), 0);
        check(tls_next_secret(&f->core->crypto, suite, f->secret));
        f->seq = 0;
    } else if (kind == OP_FLIP && f->wire_len) {
        f->wire[((size_t)argument << 8 | type) % f->wire_len] ^= (uint8_t)(1 << argument % 8);
    } else if (kind == OP_RAW && f->wire_len + len < WIRE_BYTES) {
        memcpy(f->wire + f->wire_len, in->at, len);
        f->wire_len += len;
        in->at += len;
        in->left -= len;
    }
}

static enum outcome read_oracle(struct fuzz *f) {
    int n;
    BIO_write(SSL_get_rbio(f->oracle), f->wire, (int)f->wire_len);
    do {
        ERR_clear_error();
        n = SSL_read(f->oracle, f->out[1] + f->out_len[1], (int)(WIRE_BYTES - f->out_len[1]));
        f->out_len[1] += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    int why = SSL_get_error(f->oracle, n);
    return why == SSL_ERROR_WANT_READ ? ALIVE : why == SSL_ERROR_ZERO_RETURN ? AT_EOF : FAILED;
}

static enum outcome read_ours(struct fuzz *f, size_t piece) {
    for (size_t at = 0; at < f->wire_len && f->conn && f->conn->lower; at += piece) {
        size_t n = piece < f->wire_len - at ? piece : f->wire_len - at;
        fake_stream_feed(&f->lower, f->wire + at, n);
        tls_lower_handler.readable(f->conn);
    }
    for (int i = 0; i < 3; i++)
        tls_flush(f->core);
    if (!f->conn)
        return FAILED;
    return tls_stream_ops.at_eof(f->conn) ? AT_EOF : ALIVE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz *f = &fuzz;
    struct input in = {data, size};
    const enum tls_suite suite = byte_of(&in) % TLS_SUITES;
    const size_t piece = 1 + (size_t)byte_of(&in) * 67;
    if (!f->core)
        set_up(f);
    f->wire_len = f->out_len[0] = f->out_len[1] = 0;
    f->seq = 0;
    f->closed = false;
    shake_hands(f, suite);
    check(fake_stream_init(&f->lower, WIRE_BYTES, WIRE_BYTES));
    adopt(f, suite);
    for (int i = 0; i < OPERATIONS_MAX && in.left; i++)
        operate(f, suite, &in);
    seal(f, suite, TLS_APPLICATION_DATA, data, size < 50 ? size : 50,
         0); /* ends what is half done */
    enum outcome theirs = read_oracle(f), ours = read_ours(f, piece);
    tls_check(f->core);
    check(ours == theirs);
    check(f->out_len[0] == f->out_len[1] && memcmp(f->out[0], f->out[1], f->out_len[0]) == 0);
    if (f->conn)
        tls_stream_ops.abort(f->conn);
    tls_flush(f->core);
    check(f->core->conns.used == 0 && f->core->extras.used == 0);
    fake_stream_fini(&f->lower);
    SSL_free(f->oracle);
    return 0;
}

#include "rig.h"
#include <assert.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char dir[64];

static void remove_dir(void) {
    char command[96];
    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    if (system(command) != 0)
        perror(command);
}

const char *rig_dir(void) {
    if (!dir[0]) {
        snprintf(dir, sizeof(dir), "/tmp/tgw-tls-test-XXXXXX");
        if (!mkdtemp(dir))
            abort();
        atexit(remove_dir);
    }
    return dir;
}

const char *rig_path(const char *name) {
    static char path[8][TLS_PATH_BYTES];
    static unsigned next;
    char *out = path[next++ % 8];
    snprintf(out, TLS_PATH_BYTES, "%s/%s", rig_dir(), name);
    return out;
}

static void write_pem(const char *name, const char *suffix, X509 *cert, EVP_PKEY *key) {
    char file[64];
    snprintf(file, sizeof(file), "%s.%s", name, suffix);
    FILE *f = fopen(rig_path(file), "w");
    if (!f)
        abort();
    if (cert)
        PEM_write_X509(f, cert);
    else
        PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
    fclose(f);
}

static void add_extension(X509 *cert, int nid, const char *value) {
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    X509_add_ext(cert, e, -1);
    X509_EXTENSION_free(e);
}

void rig_certificate(const char *name, const char *type, const char *host, int days) {
    char alt[128];
    EVP_PKEY *key = strcmp(type, "EC") == 0 ? EVP_EC_gen("P-256") : EVP_RSA_gen(2048);
    X509 *cert = X509_new();
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), (long)(days + 7 * (long)strlen(name)));
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600L * 24 * 30);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600L * 24 * days);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(cert));
    snprintf(alt, sizeof(alt), "DNS:%s,IP:198.18.1.1", host);
    add_extension(cert, NID_subject_alt_name, alt);
    add_extension(cert, NID_basic_constraints, "critical,CA:TRUE");
    X509_set_pubkey(cert, key);
    X509_sign(cert, key, EVP_sha256());
    write_pem(name, "pem", cert, NULL);
    write_pem(name, "key", NULL, key);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void use_certificate(struct tls_certificate *c, const char *name) {
    char text[2 * TLS_PATH_BYTES + 16];
    snprintf(text, sizeof(text), "%s/%s.pem:%s/%s.key", rig_dir(), name, rig_dir(), name);
    assert(tls_certificate_parse(text, c));
}

void rig_use(struct rig *r, uint32_t i, const char *name, bool ocsp) {
    struct tls_certificate *c = &r->files.certificate[i];
    use_certificate(c, name);
    if (ocsp)
        snprintf(c->ocsp, sizeof(c->ocsp), "%s/%s.ocsp", rig_dir(), name);
    if (r->files.certificates <= i)
        r->files.certificates = i + 1;
}

void rig_defaults(struct rig *r) {
    static bool made;
    if (!made)
        rig_certificate("ec", "EC", "gateway.test", 30);
    made = true;
    *r = (struct rig){
        .now_ns = 1000000, .unix_s = (uint64_t)time(NULL), .random = 88172645463325252u};
    r->files.certificates = 1;
    r->files.tls12_max = 4;
    r->files.ticket_period_s = 3600;
    use_certificate(&r->files.certificate[0], "ec");
    tls_config_defaults(&r->config);
    r->config.connections_max = 128;
    r->config.handshakes_max = 64;
    r->config.cipher_contexts = 8;
    r->config.counters = &r->counters;
}

static void on_connected(void *user) {
    ((struct peer *)user)->connected++;
}

static void read_up(struct peer *p) {
    const struct stream_ops *ops = p->up.ops;
    const uint8_t *data;
    size_t n;
    while (!p->idle && (n = ops->peek(p->up.impl, &data))) {
        if (p->echo)
            n = ops->write(p->up.impl, data, n);
        if (n == 0)
            break;
        assert(p->got_len + n <= sizeof(p->got));
        memcpy(p->got + p->got_len, data, n);
        p->got_len += n;
        ops->consume(p->up.impl, n);
    }
}

static void on_readable(void *user) {
    struct peer *p = user;
    p->readable++;
    read_up(p);
}

static void on_writable(void *user) {
    struct peer *p = user;
    p->writable++;
    if (p->echo)
        read_up(p);
}

static void on_closed(void *user, enum stream_end end) {
    struct peer *p = user;
    read_up(p);
    p->closed = true;
    p->end = end;
    p->up.impl = NULL;
    p->conn = NULL;
}

static const struct stream_handler owner = {on_connected, on_readable, on_writable, on_closed};

static void *on_accepted(void *ctx, struct stream s, const struct tgw_endpoint *local,
                         const struct tgw_endpoint *remote) {
    struct rig *r = ctx;
    struct peer *p = r->peer[remote->port];
    assert(local->port == 443 && p);
    if (r->refuse)
        return NULL;
    p->up = s;
    return p;
}

static void on_refused(void *ctx, enum tgw_reason reason, const struct tgw_endpoint *remote,
                       uint64_t since_ns) {
    struct rig *r = ctx;
    r->refusals++;
    r->refusal = reason;
    r->refused_port = remote->port;
    r->refused_after_ms = (r->now_ns - since_ns) / 1000000;
}

static struct stream on_dial(void *ctx, const struct tgw_endpoint *remote,
                             const struct stream_handler *handler, void *user) {
    struct rig *r = ctx;
    (void)remote;
    assert(handler == &tls_lower_handler);
    if (!r->dialled)
        return (struct stream){0};
    r->dialled->conn = user;
    return fake_stream(&r->dialled->lower);
}

void rig_start(struct rig *r) {
    char err[256] = "";
    const struct tls_env env = {.accepted = on_accepted,
                                .handler = &owner,
                                .dial = on_dial,
                                .refused = on_refused,
                                .ctx = r};
    r->context = tls_context_create(&r->files, r->unix_s, err, sizeof(err));
    if (!r->context) {
        printf("# %s\n", err);
        exit(1);
    }
    r->workers = tls_workers_create(r->context, r->threads ? r->threads : 1, 1,
                                    r->config.handshakes_max, r->threads != 0);
    r->core = tls_create(&r->config, &env, r->workers, r->now_ns);
    assert(r->workers && r->core);
}

static void stop(struct rig *r) {
    tls_destroy(r->core);
    tls_workers_destroy(r->workers);
    tls_context_destroy(r->context);
}

void rig_restart(struct rig *r) {
    stop(r);
    rig_start(r);
}

void rig_stop(struct rig *r) {
    for (uint32_t i = 0; i < RIG_PEERS; i++)
        if (r->peer[i])
            peer_free(r->peer[i]);
    rig_wait(r, 0);
    tls_check(r->core);
    CU_ASSERT_EQUAL(r->core->conns.used, 0);
    CU_ASSERT_EQUAL(r->core->handshakes.used, 0);
    CU_ASSERT_EQUAL(r->core->extras.used, 0);
    stop(r);
}

uint64_t rig_random(struct rig *r) {
    r->random ^= r->random << 13;
    r->random ^= r->random >> 7;
    r->random ^= r->random << 17;
    return r->random;
}

uint64_t rig_counter(const struct rig *r, enum tgw_counter c) {
    return tgw_counter_get(&r->counters, c);
}

uint64_t rig_reason(const struct rig *r, enum tgw_reason reason) {
    return r->counters.reason[reason];
}

/* Let handshakes go on; returns how many did, as far as is known. */
static uint32_t work(struct rig *r) {
    struct tls_usage usage;
    if (!r->threads)
        return tls_workers_turn(r->workers, 0);
    tls_usage(r->core, &usage);
    if (usage.queued)
        usleep(200);
    return usage.queued;
}

void rig_wait(struct rig *r, uint64_t ms) {
    r->now_ns += ms * 1000000;
    tls_begin(r->core, r->now_ns);
    work(r);
    tls_poll(r->core);
    tls_advance(r->core, r->now_ns);
    tls_flush(r->core);
    work(r);
    tls_poll(r->core);
}

SSL_CTX *rig_client_ctx(void) {
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
    return ctx;
}

static struct peer *peer_make(struct rig *r, SSL *ssl) {
    struct peer *p = calloc(1, sizeof(*p));
    assert(p && ssl);
    p->rig = r;
    p->ssl = ssl;
    for (p->port = 0; r->peer[p->port]; p->port++)
        assert(p->port + 1 < RIG_PEERS);
    r->peer[p->port] = p;
    SSL_set_bio(p->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    assert(fake_stream_init(&p->lower, 1 << 18, 1 << 18));
    return p;
}

struct peer *peer_connect(struct rig *r, SSL_CTX *client) {
    struct peer *p = peer_make(r, SSL_new(client));
    const struct tgw_endpoint local = {.port = 443}, remote = {.port = p->port};
    SSL_set_connect_state(p->ssl);
    p->conn = tls_accept(r->core, fake_stream(&p->lower), &local, &remote);
    if (p->conn)
        return p;
    peer_free(p);
    return NULL;
}

struct peer *peer_dial(struct rig *r, SSL_CTX *server, uint8_t host) {
    struct peer *p = peer_make(r, SSL_new(server));
    const struct tgw_endpoint agent = {
        .addr = {[10] = 0xff, [11] = 0xff, [12] = 198, [13] = 18, [14] = 1, [15] = host},
        .port = 7681};
    SSL_set_accept_state(p->ssl);
    r->dialled = p;
    p->up = tls_connect(r->core, &agent, &owner, p);
    r->dialled = NULL;
    if (p->up.impl) {
        tls_lower_handler.connected(p->conn);
        return p;
    }
    p->conn = NULL;
    peer_free(p);
    return NULL;
}

void peer_free(struct peer *p) {
    struct rig *r = p->rig;
    if (p->up.impl)
        p->up.ops->abort(p->up.impl);
    else if (p->conn && !p->lower.released && !p->lower.aborted)
        tls_lower_handler.closed(p->conn, STREAM_END_RESET);
    if (p->closed == false && !p->up.impl)
        rig_wait(r, 0);
    SSL_free(p->ssl);
    fake_stream_fini(&p->lower);
    r->peer[p->port] = NULL;
    free(p);
}

static bool lower_lives(const struct peer *p) {
    return p->conn && !p->lower.released && !p->lower.aborted;
}

size_t peer_take_wire(struct peer *p, uint8_t *out, size_t size) {
    int n = BIO_read(SSL_get_wbio(p->ssl), out, (int)size);
    return n > 0 ? (size_t)n : 0;
}

void peer_inject(struct peer *p, const uint8_t *data, size_t len) {
    size_t fed = fake_stream_feed(&p->lower, data, len);
    assert(fed == len);
    if (lower_lives(p))
        tls_lower_handler.readable(p->conn);
}

void peer_inject_fin(struct peer *p) {
    fake_stream_feed_fin(&p->lower);
    if (lower_lives(p))
        tls_lower_handler.readable(p->conn);
}

static bool to_us(struct peer *p) {
    static uint8_t wire[RIG_WIRE_BYTES];
    size_t space = p->lower.in.size - p->lower.in.len;
    size_t most = p->piece && p->piece < space ? p->piece : space;
    size_t n = most && lower_lives(p) ? peer_take_wire(p, wire, most) : 0;
    if (n)
        peer_inject(p, wire, n);
    return n != 0;
}

static bool to_peer(struct peer *p) {
    static uint8_t wire[RIG_WIRE_BYTES];
    size_t n = fake_stream_drain(&p->lower, wire, p->piece ? p->piece : sizeof(wire));
    if (n)
        BIO_write(SSL_get_rbio(p->ssl), wire, (int)n);
    if (lower_lives(p) && fake_stream_take_writable(&p->lower))
        tls_lower_handler.writable(p->conn);
    return n != 0;
}

bool peer_turn(struct peer *p) {
    struct rig *r = p->rig;
    ERR_clear_error();
    if (!SSL_is_init_finished(p->ssl))
        SSL_do_handshake(p->ssl);
    bool moved = to_us(p);
    uint32_t jobs = work(r);
    tls_poll(r->core);
    tls_flush(r->core);
    moved |= to_peer(p);
    ERR_clear_error();
    return moved || jobs;
}

void peer_run(struct peer *p) {
    while (peer_turn(p))
        continue;
}

struct peer *peer_open(struct rig *r, SSL_CTX *client) {
    struct peer *p = peer_connect(r, client);
    CU_ASSERT_FATAL(p != NULL);
    peer_run(p);
    CU_ASSERT_FATAL(SSL_is_init_finished(p->ssl));
    CU_ASSERT_FATAL(p->up.impl != NULL);
    return p;
}

size_t peer_read(struct peer *p, uint8_t *out, size_t size) {
    size_t len = 0;
    int n;
    ERR_clear_error();
    while (len < size && (n = SSL_read(p->ssl, out + len, (int)(size - len))) > 0)
        len += (size_t)n;
    return len;
}

bool peer_write(struct peer *p, const void *data, size_t len) {
    ERR_clear_error();
    return SSL_write(p->ssl, data, (int)len) == (int)len;
}

size_t up_write(struct peer *p, const void *data, size_t len) {
    return p->up.ops->write(p->up.impl, data, len);
}

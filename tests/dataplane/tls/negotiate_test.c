/* What is agreed on in a handshake: certificate, name, protocol, version; tickets; what is
 * refused, and by which name. */
#include "rig.h"
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct rig rig;
static SSL_CTX *ctx;
static uint8_t buffer[RIG_WIRE_BYTES];

static void begin(void) {
    rig_start(&rig);
    ctx = rig_client_ctx();
}

static void end(void) {
    rig_stop(&rig);
    SSL_CTX_free(ctx);
}

static void check_echo(struct peer *p) {
    p->echo = true;
    CU_ASSERT(peer_write(p, "keystroke", 9));
    peer_run(p);
    CU_ASSERT_EQUAL(peer_read(p, buffer, sizeof(buffer)), 9);
}

/* The handshake is tried and comes to nothing; frees the peer. */
static void check_refused(struct peer *p, enum tgw_reason reason, uint64_t times) {
    peer_run(p);
    CU_ASSERT(!SSL_is_init_finished(p->ssl) || !p->up.impl);
    CU_ASSERT(p->lower.released || p->lower.aborted);
    CU_ASSERT_EQUAL(rig_reason(&rig, reason), times);
    p->conn = NULL;
    peer_free(p);
}

static struct peer *open_named(const char *name) {
    struct peer *p = peer_connect(&rig, ctx);
    if (name)
        SSL_set_tlsext_host_name(p->ssl, name);
    peer_run(p);
    CU_ASSERT_FATAL(p->up.impl != NULL);
    return p;
}

static bool shown(const struct peer *p, const char *name) {
    X509 *cert = SSL_get0_peer_certificate(p->ssl);
    char subject[64] = "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, subject,
                              sizeof(subject));
    return strcmp(subject, name) == 0;
}

static void the_certificate_follows_the_name(void) {
    static const struct {
        const char *asked, *shown;
    } cases[] = {
        {"gateway.test", "ec"},  {"other.test", "other"},
        {"a.wild.test", "wild"}, {"A.Wild.Test", "wild"},
        {"a.b.wild.test", "ec"}, {"wild.test", "ec"},
        {"nobody.test", "ec"},   {NULL, "ec"},
    };
    rig_defaults(&rig);
    rig_certificate("other", "EC", "other.test", 30);
    rig_certificate("wild", "EC", "*.wild.test", 30);
    rig_use(&rig, 1, "other", false);
    rig_use(&rig, 2, "wild", false);
    begin();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct peer *p = open_named(cases[i].asked);
        CU_ASSERT(shown(p, cases[i].shown));
        check_echo(p);
        peer_free(p);
    }
    end();
}

static void a_name_may_have_a_key_of_either_kind(void) {
    static const struct {
        const char *algorithms, *shown;
    } cases[] = {{"ecdsa_secp256r1_sha256:rsa_pss_rsae_sha256", "ec"},
                 {"rsa_pss_rsae_sha256:rsa_pkcs1_sha256", "rsa"},
                 {"ecdsa_secp256r1_sha256", "ec"}};
    rig_defaults(&rig);
    rig_certificate("rsa", "RSA", "gateway.test", 30);
    rig_use(&rig, 1, "rsa", false);
    begin();
    for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
        SSL_CTX_set_max_proto_version(ctx, i % 2 ? TLS1_2_VERSION : TLS1_3_VERSION);
        SSL_CTX_set1_sigalgs_list(ctx, cases[i / 2].algorithms);
        struct peer *p = open_named("gateway.test");
        CU_ASSERT(shown(p, cases[i / 2].shown));
        check_echo(p);
        peer_free(p);
    }
    end();
}

static void http_is_what_is_spoken(void) {
    const unsigned char *chosen;
    unsigned len;
    rig_defaults(&rig);
    begin();
    SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)"\x02h2\x08http/1.1", 12);
    struct peer *p = open_named(NULL);
    SSL_get0_alpn_selected(p->ssl, &chosen, &len);
    CU_ASSERT(len == 8 && memcmp(chosen, "http/1.1", 8) == 0);
    peer_free(p);
    SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)"\x02h2", 3);
    check_refused(peer_connect(&rig, ctx), TGW_R_tls_handshake_failed, 1);
    end();
}

static void a_group_that_was_not_guessed_takes_another_round(void) {
    rig_defaults(&rig);
    begin();
    SSL_CTX_set1_groups_list(ctx, "P-521:P-256"); /* the key share is for the first */
    struct peer *p = open_named(NULL);
    CU_ASSERT_EQUAL(SSL_get_negotiated_group(p->ssl), NID_X9_62_prime256v1);
    check_echo(p);
    peer_free(p);
    SSL_CTX_set1_groups_list(ctx, "P-521:P-384");
    check_refused(peer_connect(&rig, ctx), TGW_R_tls_handshake_failed, 1);
    end();
}

static void tls12_has_a_quota(void) {
    struct peer *p[4];
    rig_defaults(&rig);
    begin();
    SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
    for (int i = 0; i < 4; i++) {
        p[i] = open_named(NULL);
        CU_ASSERT_EQUAL(p[i]->conn->state, TLS_LEGACY);
        check_echo(p[i]);
    }
    check_refused(peer_connect(&rig, ctx), TGW_R_tls_version_refused, 1);
    peer_free(p[2]);
    rig_wait(&rig, 0);
    p[2] = open_named(NULL);
    check_echo(p[2]);
    /* The end in order, either way round. */
    SSL_shutdown(p[0]->ssl);
    peer_run(p[0]);
    CU_ASSERT(p[0]->up.ops->at_eof(p[0]->up.impl));
    p[1]->up.ops->shutdown(p[1]->up.impl);
    peer_run(p[1]);
    CU_ASSERT_EQUAL(peer_read(p[1], buffer, sizeof(buffer)), 0);
    CU_ASSERT(SSL_get_shutdown(p[1]->ssl) & SSL_RECEIVED_SHUTDOWN);
    end();
}

/* RFC 8446 section 4.2.1 leaves nothing to renegotiate; in TLS 1.2 it is refused. */
static void renegotiation_is_refused(void) {
    rig_defaults(&rig);
    begin();
    SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
    struct peer *p = open_named(NULL);
    CU_ASSERT(SSL_renegotiate(p->ssl) == 1);
    CU_ASSERT(SSL_do_handshake(p->ssl) != 1); /* a ClientHello */
    peer_turn(p);
    CU_ASSERT(SSL_do_handshake(p->ssl) != 1);
    CU_ASSERT_EQUAL(ERR_GET_REASON(ERR_peek_error()), SSL_R_NO_RENEGOTIATION);
    peer_free(p);
    end();
}

static void old_versions_and_ciphers_are_refused(void) {
    rig_defaults(&rig);
    rig.files.tls12_max = 0;
    begin();
    SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
    check_refused(peer_connect(&rig, ctx), TGW_R_tls_version_refused, 1);
    end();
    rig_defaults(&rig);
    begin();
    SSL_CTX_set_security_level(ctx, 0);
    SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(ctx, TLS1_1_VERSION);
    check_refused(peer_connect(&rig, ctx), TGW_R_tls_version_refused, 1);
    SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(ctx, "AES128-GCM-SHA256:ECDHE-ECDSA-AES128-SHA256:AES128-SHA");
    check_refused(peer_connect(&rig, ctx), TGW_R_tls_handshake_failed, 1);
    CU_ASSERT_EQUAL(rig_counter(&rig, TGW_C_tls_handshakes_failed), 2);
    end();
}

static SSL_SESSION *kept;

/* The newest ticket; a copy, since the library gives the original up when its connection
 * ends without a goodbye. */
static void keep_session(const struct peer *p) {
    SSL_SESSION_free(kept);
    kept = SSL_SESSION_dup(SSL_get0_session(p->ssl));
}

static void drop_session(void) {
    SSL_SESSION_free(kept);
    kept = NULL;
}

/* A connection with the kept ticket: whether it was taken. A new one may be kept. */
static bool resumes(void) {
    struct peer *p = peer_connect(&rig, ctx);
    SSL_SESSION *copy = SSL_SESSION_dup(kept);
    SSL_set_session(p->ssl, copy);
    SSL_SESSION_free(copy);
    peer_run(p);
    CU_ASSERT_FATAL(p->up.impl != NULL);
    check_echo(p);
    keep_session(p);
    bool taken = SSL_session_reused(p->ssl);
    peer_free(p);
    return taken;
}

static void get_ticket(void) {
    struct peer *p = open_named(NULL);
    check_echo(p); /* tickets are read with the data */
    keep_session(p);
    peer_free(p);
}

static void tickets_are_taken_for_two_periods(void) {
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        rig_defaults(&rig);
        rig.unix_s -= rig.unix_s % 3600; /* a period begins */
        begin();
        SSL_CTX_set_max_proto_version(ctx, version);
        get_ticket();
        SSL_SESSION *first = SSL_SESSION_dup(kept);
        CU_ASSERT(resumes());
        tls_context_tick(rig.context, rig.unix_s + 3600);
        CU_ASSERT(resumes()); /* the key before; the answer is a ticket of the new one */
        tls_context_tick(rig.context, rig.unix_s + 7200);
        CU_ASSERT(resumes());
        drop_session();
        kept = first;
        CU_ASSERT(!resumes());
        CU_ASSERT_EQUAL(rig_counter(&rig, TGW_C_tls_resumptions), 3);
        drop_session();
        end();
    }
}

static void write_file(const char *name, const void *data, size_t len) {
    int fd = open(rig_path(name), O_CREAT | O_TRUNC | O_WRONLY, 0600);
    CU_ASSERT_FATAL(fd >= 0 && write(fd, data, len) == (ssize_t)len);
    close(fd);
}

static void gateways_with_one_secret_take_each_others_tickets(void) {
    uint8_t secret[48] = {7};
    char err[256];
    write_file("tickets", secret, sizeof(secret));
    rig_defaults(&rig);
    snprintf(rig.files.ticket_file, TLS_PATH_BYTES, "%s/tickets", rig_dir());
    begin();
    get_ticket();
    rig_restart(&rig); /* as good as another gateway: nothing of the first one is left */
    CU_ASSERT(resumes());
    secret[0]++;
    write_file("tickets", secret, sizeof(secret));
    CU_ASSERT(tls_context_changed(rig.context));
    CU_ASSERT(tls_context_load(rig.context, err, sizeof(err)));
    CU_ASSERT(!resumes());
    CU_ASSERT(resumes());
    write_file("tickets", secret, 16); /* too short to be a secret */
    CU_ASSERT(!tls_context_load(rig.context, err, sizeof(err)));
    CU_ASSERT(resumes());
    rig.files.ticket_file[0] = 0;
    rig_restart(&rig);
    CU_ASSERT(!resumes()); /* each its own */
    drop_session();
    end();
}

static void a_resumed_connection_gets_another_ticket(void) {
    const unsigned char *first, *second;
    size_t first_len, second_len;
    rig_defaults(&rig);
    begin();
    get_ticket();
    SSL_SESSION *before = SSL_SESSION_dup(kept);
    CU_ASSERT(resumes());
    SSL_SESSION_get0_ticket(before, &first, &first_len);
    SSL_SESSION_get0_ticket(kept, &second, &second_len);
    CU_ASSERT(first_len != second_len || memcmp(first, second, first_len) != 0);
    SSL_SESSION_free(before);
    drop_session();
    end();
}

static void without_tickets_nothing_resumes(void) {
    rig_defaults(&rig);
    rig.files.ticket_period_s = 0;
    begin();
    struct peer *p = open_named(NULL);
    check_echo(p);
    CU_ASSERT(!SSL_SESSION_has_ticket(SSL_get0_session(p->ssl)));
    peer_free(p);
    end();
}

static void early_data_is_not_taken(void) {
    static const char early[] = "rm -rf /";
    size_t n;
    rig_defaults(&rig);
    begin();
    get_ticket();
    CU_ASSERT_EQUAL(SSL_SESSION_get_max_early_data(kept), 0); /* none is offered */
    SSL_SESSION_set_max_early_data(kept, 1000);               /* ... a client insists */
    struct peer *p = peer_connect(&rig, ctx);
    SSL_set_session(p->ssl, kept);
    CU_ASSERT_EQUAL(SSL_write_early_data(p->ssl, early, sizeof(early), &n), 1);
    peer_run(p);
    CU_ASSERT_EQUAL(SSL_get_early_data_status(p->ssl), SSL_EARLY_DATA_REJECTED);
    CU_ASSERT_EQUAL(p->got_len, 0);
    check_echo(p);
    peer_free(p);
    drop_session();
    end();
}

/* A response about ec's certificate, signed with its own key, good for `days`. */
static void make_ocsp(const char *about, const char *file, int days) {
    char path[64];
    snprintf(path, sizeof(path), "%s.pem", about);
    FILE *f = fopen(rig_path(path), "r");
    X509 *cert = PEM_read_X509(f, NULL, NULL, NULL);
    fclose(f);
    snprintf(path, sizeof(path), "%s.key", about);
    f = fopen(rig_path(path), "r");
    EVP_PKEY *key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
    fclose(f);
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), cert, cert);
    ASN1_TIME *from = X509_gmtime_adj(NULL, -86400 * 5), *to = X509_gmtime_adj(NULL, 86400 * days);
    OCSP_basic_add1_status(basic, id, V_OCSP_CERTSTATUS_GOOD, 0, NULL, from, to);
    OCSP_basic_sign(basic, cert, key, EVP_sha256(), NULL, 0);
    OCSP_RESPONSE *r = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    unsigned char *der = NULL;
    int len = i2d_OCSP_RESPONSE(r, &der);
    write_file(file, der, (size_t)len);
    OPENSSL_free(der);
    OCSP_RESPONSE_free(r);
    OCSP_BASICRESP_free(basic);
    OCSP_CERTID_free(id);
    ASN1_TIME_free(from);
    ASN1_TIME_free(to);
    X509_free(cert);
    EVP_PKEY_free(key);
}

/* Bytes of the staple; 0: none. */
static long staple(void) {
    const unsigned char *at = NULL;
    struct peer *p = peer_connect(&rig, ctx);
    SSL_set_tlsext_status_type(p->ssl, TLSEXT_STATUSTYPE_ocsp);
    peer_run(p);
    CU_ASSERT_FATAL(p->up.impl != NULL);
    long len = SSL_get_tlsext_status_ocsp_resp(p->ssl, &at);
    OCSP_RESPONSE *r = len > 0 ? d2i_OCSP_RESPONSE(NULL, &at, len) : NULL;
    CU_ASSERT(len <= 0 || r != NULL);
    OCSP_RESPONSE_free(r);
    peer_free(p);
    return len > 0 ? len : 0;
}

static void an_ocsp_response_is_stapled_while_it_is_good(void) {
    char err[256];
    rig_defaults(&rig);
    rig_certificate("other", "EC", "other.test", 30);
    make_ocsp("ec", "ec.ocsp", 3);
    rig_use(&rig, 0, "ec", true);
    begin();
    CU_ASSERT(staple() > 0);
    tls_context_tick(rig.context, rig.unix_s + 4 * 86400);
    CU_ASSERT_EQUAL(staple(), 0);
    tls_context_tick(rig.context, rig.unix_s);
    make_ocsp("other", "ec.ocsp", 3);
    CU_ASSERT(!tls_context_load(rig.context, err, sizeof(err)));
    CU_ASSERT(strstr(err, "ec.ocsp") != NULL);
    write_file("ec.ocsp", "x", 1);
    CU_ASSERT(!tls_context_load(rig.context, err, sizeof(err)));
    CU_ASSERT(staple() > 0); /* the old set stays whole */
    unlink(rig_path("ec.ocsp"));
    end();
}

static void certificates_are_exchanged_under_running_connections(void) {
    char err[256] = "";
    rig_defaults(&rig);
    rig_certificate("live", "EC", "gateway.test", 20);
    rig_use(&rig, 0, "live", false);
    begin();
    struct peer *p = open_named(NULL);
    uint64_t first_s = tls_context_not_after_s(rig.context);
    CU_ASSERT(first_s > rig.unix_s + 19 * 86400 && first_s < rig.unix_s + 21 * 86400);
    CU_ASSERT(!tls_context_changed(rig.context));
    rig_certificate("live", "EC", "gateway.test", 40);
    CU_ASSERT(tls_context_changed(rig.context));
    CU_ASSERT(tls_context_load(rig.context, err, sizeof(err)));
    CU_ASSERT(tls_context_not_after_s(rig.context) > first_s);
    check_echo(p);
    struct peer *q = open_named(NULL);
    const ASN1_TIME *until = X509_get0_notAfter(SSL_get0_peer_certificate(q->ssl));
    CU_ASSERT(X509_cmp_time(until, &(time_t){(time_t)rig.unix_s + 30 * 86400}) > 0);
    end();
}

/* Each time the certificate shown stays the old one. */
static void bad_pairs_are_refused_and_the_old_one_kept(void) {
    char err[256];
    static const char *const text[] = {"is not there", "no PEM", "another's key", "expired",
                                       "not the key's chain"};
    rig_defaults(&rig);
    rig_certificate("live", "EC", "gateway.test", 20);
    rig_certificate("second", "EC", "gateway.test", 20);
    rig_use(&rig, 0, "live", false);
    begin();
    uint64_t until_s = tls_context_not_after_s(rig.context);
    for (int i = 0; i < 5; i++) {
        rig_certificate("live", "EC", "gateway.test", i == 3 ? -1 : 25);
        if (i == 0)
            unlink(rig_path("live.pem"));
        if (i == 1)
            write_file("live.pem", "hello", 5);
        if (i == 2)
            rename(rig_path("second.key"), rig_path("live.key"));
        if (i == 4)
            write_file("live.key", "", 0);
        CU_ASSERT(tls_context_changed(rig.context));
        bool loaded = tls_context_load(rig.context, err, sizeof(err));
        if (loaded)
            printf("# loaded although it %s\n", text[i]);
        CU_ASSERT(!loaded && strstr(err, "live.") != NULL && !strchr(err, '\n'));
        CU_ASSERT(!tls_context_changed(rig.context)); /* said once, not each second */
        CU_ASSERT_EQUAL(tls_context_not_after_s(rig.context), until_s);
        struct peer *p = open_named(NULL);
        CU_ASSERT(shown(p, "live"));
        peer_free(p);
    }
    end();
}

static void another_configuration_is_taken_as_a_whole(void) {
    char err[256] = "";
    static struct tls_context_config other;
    rig_defaults(&rig);
    rig_certificate("live", "EC", "gateway.test", 20);
    rig_certificate("second", "EC", "second.test", 20);
    rig_use(&rig, 0, "live", false);
    begin();
    struct peer *p = open_named(NULL);
    other = rig.files;
    rig_use(&rig, 1, "second", false);
    other.certificate[1] = rig.files.certificate[1];
    other.certificates = 2;
    other.tls12_max = 0;
    CU_ASSERT(tls_context_configure(rig.context, &other, err, sizeof(err)));
    check_echo(p);
    struct peer *q = open_named("second.test");
    CU_ASSERT(shown(q, "second"));
    snprintf(other.certificate[0].key, TLS_PATH_BYTES, "%s/second.key", rig_dir());
    CU_ASSERT(!tls_context_configure(rig.context, &other, err, sizeof(err)));
    CU_ASSERT(!tls_context_changed(rig.context)); /* what is in use is what is watched */
    other.certificates = 0;
    CU_ASSERT(!tls_context_configure(rig.context, &other, err, sizeof(err)));
    q = open_named("gateway.test");
    CU_ASSERT(shown(q, "live"));
    SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
    check_refused(peer_connect(&rig, ctx), TGW_R_tls_version_refused, 1);
    end();
}

static void an_overload_is_refused_early(void) {
    struct peer *p[8], *late;
    rig_defaults(&rig);
    rig.config.queue_max = 4;
    begin();
    for (int i = 0; i < 8; i++) {
        p[i] = peer_connect(&rig, ctx); /* all accepted: the queue is empty */
        CU_ASSERT_FATAL(p[i] != NULL);
    }
    for (int i = 0; i < 8; i++) {
        SSL_do_handshake(p[i]->ssl);
        size_t n = peer_take_wire(p[i], buffer, sizeof(buffer));
        peer_inject(p[i], buffer, n); /* no thread takes one */
        CU_ASSERT_EQUAL(p[i]->lower.released, i >= 4);
    }
    CU_ASSERT_EQUAL(rig_reason(&rig, TGW_R_tls_overloaded), 4);
    CU_ASSERT(peer_connect(&rig, ctx) == NULL); /* not even accepted */
    CU_ASSERT_EQUAL(rig_reason(&rig, TGW_R_tls_overloaded), 5);
    CU_ASSERT_EQUAL(rig.refusals, 5);
    CU_ASSERT_EQUAL(rig.refusal, TGW_R_tls_overloaded);
    CU_ASSERT_EQUAL(rig.refused_port, 8); /* the ninth peer's */
    for (int i = 0; i < 4; i++) {
        peer_run(p[i]);
        CU_ASSERT(p[i]->up.impl != NULL);
        p[4 + i]->conn = NULL;
    }
    late = open_named(NULL);
    check_echo(late);
    end();
}

static void a_handshake_has_a_deadline(void) {
    rig_defaults(&rig);
    begin();
    struct peer *silent = peer_connect(&rig, ctx), *slow = peer_connect(&rig, ctx);
    SSL_do_handshake(slow->ssl);
    size_t n = peer_take_wire(slow, buffer, sizeof(buffer));
    for (size_t i = 0; i < 10; i++) {
        peer_inject(slow, buffer + i * n / 20, (i + 1) * n / 20 - i * n / 20);
        rig_wait(&rig, 600);
    }
    CU_ASSERT(silent->lower.released && slow->lower.released);
    CU_ASSERT_EQUAL(rig_reason(&rig, TGW_R_tls_handshake_timeout), 2);
    CU_ASSERT_EQUAL(rig.core->jobs.used, 0);
    silent->conn = slow->conn = NULL;
    end();
}

static void what_is_not_tls_is_refused(void) {
    static const char *const texts[] = {"GET / HTTP/1.1\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n",
                                        "\x16\x03\x01\xff\xff", "\x15\x03\x01\x00\x02\x02\x28"};
    rig_defaults(&rig);
    begin();
    for (size_t i = 0; i < 4; i++) {
        struct peer *p = peer_connect(&rig, ctx);
        peer_inject(p, (const uint8_t *)texts[i], i < 2 ? strlen(texts[i]) : 5 + 2 * (i == 3));
        rig_wait(&rig, 0);
        rig_wait(&rig, 0);
        CU_ASSERT(p->lower.released);
        p->conn = NULL;
    }
    CU_ASSERT_EQUAL(rig_counter(&rig, TGW_C_tls_handshakes_failed), 4);
    end();
}

static void the_peers_key_is_exchanged_after_its_records(void) {
    rig_defaults(&rig);
    rig.config.records_per_key = 7;
    begin();
    struct peer *p = open_named(NULL);
    p->echo = true;
    for (int i = 0; i < 40; i++)
        check_echo(p);
    CU_ASSERT(rig_counter(&rig, TGW_C_tls_key_updates_in) >= 5); /* OpenSSL answers */
    CU_ASSERT(p->conn->seq[TLS_READ] < 7 && p->conn->seq[TLS_WRITE] <= 7);
    end();
}

int main(void) {
    static const struct suite_case cases[] = {
        {"the certificate follows the name", the_certificate_follows_the_name},
        {"a name may have a key of either kind", a_name_may_have_a_key_of_either_kind},
        {"http/1.1 is what is spoken", http_is_what_is_spoken},
        {"a group that was not guessed takes another round",
         a_group_that_was_not_guessed_takes_another_round},
        {"TLS 1.2 has a quota", tls12_has_a_quota},
        {"renegotiation is refused", renegotiation_is_refused},
        {"old versions and ciphers are refused", old_versions_and_ciphers_are_refused},
        {"tickets are taken for two periods", tickets_are_taken_for_two_periods},
        {"a resumed connection gets another ticket", a_resumed_connection_gets_another_ticket},
        {"gateways with one secret take each other's tickets",
         gateways_with_one_secret_take_each_others_tickets},
        {"without tickets nothing resumes", without_tickets_nothing_resumes},
        {"early data is not taken", early_data_is_not_taken},
        {"an OCSP response is stapled while it is good",
         an_ocsp_response_is_stapled_while_it_is_good},
        {"certificates are exchanged under running connections",
         certificates_are_exchanged_under_running_connections},
        {"bad pairs are refused and the old one kept", bad_pairs_are_refused_and_the_old_one_kept},
        {"another configuration is taken as a whole", another_configuration_is_taken_as_a_whole},
        {"an overload is refused early", an_overload_is_refused_early},
        {"a handshake has a deadline", a_handshake_has_a_deadline},
        {"what is not TLS is refused", what_is_not_tls_is_refused},
        {"the peer's key is exchanged after its records",
         the_peers_key_is_exchanged_after_its_records},
    };
    return suite_run("tls/negotiate", cases, sizeof(cases) / sizeof(cases[0]));
}

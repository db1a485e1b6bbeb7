/* An open connection as a stream: bulk in all piece sizes, KeyUpdate, the ends, damage,
 * little room, little memory. */
#include "rig.h"
#include <openssl/err.h>
#include <string.h>

static struct rig rig;
static SSL_CTX *ctx;
static uint8_t sent[1 << 19], got[RIG_WIRE_BYTES];

static void begin(void) {
    rig_defaults(&rig);
    rig_start(&rig);
    ctx = rig_client_ctx();
    for (size_t i = 0; i < sizeof(sent); i++)
        sent[i] = (uint8_t)rig_random(&rig);
}

static void end(void) {
    rig_stop(&rig);
    SSL_CTX_free(ctx);
}

static void check_echo(struct peer *p, const void *data, size_t len) {
    p->echo = true;
    CU_ASSERT(peer_write(p, data, len));
    peer_run(p);
    CU_ASSERT_EQUAL(peer_read(p, got, sizeof(got)), len);
    CU_ASSERT(memcmp(got, data, len) == 0);
}

/* 200 KB through the echo in writes, pieces, spans and room of many sizes. */
static void bulk(size_t write, size_t piece, size_t span, size_t room, size_t lower_write) {
    struct peer *p = peer_open(&rig, ctx);
    const size_t total = 200000;
    size_t back = 0;
    p->echo = true;
    p->piece = piece;
    p->lower.span_bytes = span;
    p->lower.out.size = room;
    p->lower.write_bytes = lower_write;
    for (size_t at = 0; at < total; at += write)
        CU_ASSERT(peer_write(p, sent + at, write < total - at ? write : total - at));
    while (peer_turn(p))
        back += peer_read(p, got + back, sizeof(got) - back);
    CU_ASSERT_EQUAL(back, total);
    CU_ASSERT(memcmp(got, sent, total) == 0);
    tls_check(rig.core);
    peer_free(p);
}

static void bulk_arrives_whole(void) {
    begin();
    bulk(16384, 0, 0, 1 << 18, 0);
    bulk(100, 0, 0, 1 << 18, 0);
    bulk(16384, 1460, 1460, 1 << 18, 0);
    bulk(5000, 1460, 700, 4096, 0);
    bulk(16384, 4096, 2032, 64, 0);
    bulk(333, 97, 13, 200, 50);
    for (int i = 0; i < 12; i++)
        bulk(1 + rig_random(&rig) % 16384, 50 + rig_random(&rig) % 20000, rig_random(&rig) % 3000,
             40 + rig_random(&rig) % 30000, rig_random(&rig) % 2 * 100);
    end();
}

static void many_connections_share_a_core(void) {
    enum { N = 40 };
    struct peer *p[N];
    begin(); /* eight keys are held: most must be derived anew */
    for (int i = 0; i < N; i++)
        p[i] = peer_open(&rig, ctx);
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < N; i++) {
            p[i]->echo = true;
            CU_ASSERT(peer_write(p[i], sent + i, 20));
        }
        for (int i = 0; i < N; i++)
            peer_turn(p[i]);
        for (int i = 0; i < N; i++) {
            peer_run(p[i]);
            CU_ASSERT_EQUAL(peer_read(p[i], got, sizeof(got)), 20);
            CU_ASSERT(memcmp(got, sent + i, 20) == 0);
        }
    }
    CU_ASSERT(rig_counter(&rig, TGW_C_tls_keys_derived) > 2 * N);
    CU_ASSERT_EQUAL(rig.core->extras.used, 0); /* idle: nothing but the 128 bytes */
    end();
}

static void what_the_owner_leaves_is_kept(void) {
    begin();
    struct peer *a = peer_open(&rig, ctx), *b = peer_open(&rig, ctx);
    const uint8_t *data;
    a->idle = true;
    CU_ASSERT(peer_write(a, "one", 3));
    peer_run(a);
    CU_ASSERT(peer_write(a, "two", 3));
    peer_run(a);
    check_echo(b, "other", 5); /* takes the core's buffer */
    const struct stream_ops *ops = a->up.ops;
    CU_ASSERT_EQUAL(ops->copy(a->up.impl, got, 100), 6);
    CU_ASSERT(memcmp(got, "onetwo", 6) == 0);
    ops->consume(a->up.impl, 4);
    CU_ASSERT_EQUAL(ops->unread(a->up.impl), 2);
    CU_ASSERT_EQUAL(ops->copy(a->up.impl, got, 1), 1);
    CU_ASSERT_EQUAL(got[0], 'w');
    CU_ASSERT(ops->peek(a->up.impl, &data) >= 1 && data[0] == 'w');
    ops->consume(a->up.impl, 2);
    CU_ASSERT_EQUAL(ops->peek(a->up.impl, &data), 0);
    CU_ASSERT(!ops->at_eof(a->up.impl));
    end();
}

static void writes_of_a_turn_share_a_record(void) {
    begin();
    struct peer *p = peer_open(&rig, ctx);
    uint64_t before = rig_counter(&rig, TGW_C_tls_records_out);
    for (int i = 0; i < 10; i++)
        CU_ASSERT_EQUAL(up_write(p, sent + 8 * i, 8), 8);
    peer_run(p);
    CU_ASSERT_EQUAL(rig_counter(&rig, TGW_C_tls_records_out), before + 1);
    CU_ASSERT_EQUAL(peer_read(p, got, sizeof(got)), 80);
    /* Bulk: small until there is a queue below, whole 16 KiB from then on. */
    before = rig_counter(&rig, TGW_C_tls_records_out);
    CU_ASSERT_EQUAL(up_write(p, sent, 100000), 100000);
    tls_flush(rig.core);
    uint64_t first = rig_counter(&rig, TGW_C_tls_records_out) - before;
    CU_ASSERT_EQUAL(first, 25);
    CU_ASSERT_EQUAL(up_write(p, sent, 65536), 65536);
    tls_flush(rig.core);
    CU_ASSERT_EQUAL(rig_counter(&rig, TGW_C_tls_records_out) - before, first + 4);
    end();
}

static void key_updates_both_ways(void) {
    static const char *const suites[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                         "TLS_CHACHA20_POLY1305_SHA256"};
    for (int i = 0; i < 3; i++) {
        begin();
        SSL_CTX_set_ciphersuites(ctx, suites[i]);
        struct peer *p = peer_open(&rig, ctx);
        for (int round = 0; round < 5; round++) {
            CU_ASSERT(SSL_key_update(p->ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1);
            check_echo(p, "theirs", 6);
            CU_ASSERT(SSL_key_update(p->ssl, SSL_KEY_UPDATE_REQUESTED) == 1);
            check_echo(p, "both", 4);
        }
        CU_ASSERT_EQUAL(rig_counter(&rig, TGW_C_tls_key_updates_in), 10);
        CU_ASSERT_EQUAL(rig_counter(&rig, TGW_C_tls_key_updates_out), 5);
        CU_ASSERT_EQUAL(rig.core->extras.used, 0);
        end();
    }
}

/* All in one go, so that no later event tells of what is left. */
static void data_behind_key_updates_is_delivered(void) {
    begin();
    struct peer *p = peer_open(&rig, ctx);
    p->echo = true;
    CU_ASSERT(peer_write(p, "before", 6));
    for (int i = 0; i < 8; i++) {
        CU_ASSERT(SSL_key_update(p->ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1);
        SSL_do_handshake(p->ssl);
    }
    CU_ASSERT(peer_write(p, "behind", 6));
    peer_run(p);
    CU_ASSERT_EQUAL(peer_read(p, got, sizeof(got)), 12);
    CU_ASSERT(memcmp(got, "beforebehind", 12) == 0);
    end();
}

static void our_key_is_updated_after_its_records(void) {
    rig_defaults(&rig);
    rig.config.records_per_key = 5;
    rig_start(&rig);
    ctx = rig_client_ctx();
    struct peer *p = peer_open(&rig, ctx);
    for (int i = 0; i < 40; i++)
        check_echo(p, "again", 5);
    CU_ASSERT(rig_counter(&rig, TGW_C_tls_key_updates_out) >= 8);
    CU_ASSERT(p->conn->seq[TLS_WRITE] <= 5);
    end();
}

static void key_update_requests_without_room_get_one_answer(void) {
    begin();
    struct peer *p = peer_open(&rig, ctx);
    p->lower.out.size = p->lower.out.len + 40; /* next to no room */
    CU_ASSERT_EQUAL(up_write(p, sent, 30), 30);
    tls_flush(rig.core);
    for (int i = 0; i < 20; i++) {
        CU_ASSERT(SSL_key_update(p->ssl, SSL_KEY_UPDATE_REQUESTED) == 1);
        SSL_do_handshake(p->ssl);
        size_t n = peer_take_wire(p, got, sizeof(got));
        peer_inject(p, got, n);
    }
    CU_ASSERT_EQUAL(rig_counter(&rig, TGW_C_tls_key_updates_in), 20);
    CU_ASSERT_EQUAL(rig_counter(&rig, TGW_C_tls_key_updates_out), 0);
    p->lower.out.size = 1 << 18;
    peer_run(p);
    CU_ASSERT_EQUAL(rig_counter(&rig, TGW_C_tls_key_updates_out), 1);
    CU_ASSERT_EQUAL(peer_read(p, got, sizeof(got)), 30);
    check_echo(p, "still", 5);
    /* ... and 33 of them without a byte of data are too many. */
    for (int i = 0; i < 40 && !p->closed; i++) {
        SSL_key_update(p->ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
        SSL_do_handshake(p->ssl);
        peer_run(p);
    }
    CU_ASSERT(p->closed);
    end();
}

static void close_notify_from_the_peer(void) {
    begin();
    struct peer *p = peer_open(&rig, ctx);
    CU_ASSERT(peer_write(p, "last words", 10));
    SSL_shutdown(p->ssl);
    peer_run(p);
    CU_ASSERT_EQUAL(p->got_len, 10);
    CU_ASSERT(p->up.ops->at_eof(p->up.impl));
    CU_ASSERT(!p->closed);
    /* The other direction goes on (RFC 8446 section 6.1). */
    CU_ASSERT_EQUAL(up_write(p, "answer", 6), 6);
    p->up.ops->shutdown(p->up.impl);
    CU_ASSERT(p->lower.fin_out);
    CU_ASSERT_EQUAL(up_write(p, "more", 4), 0);
    peer_run(p);
    CU_ASSERT_EQUAL(peer_read(p, got, sizeof(got)), 6);
    CU_ASSERT(SSL_get_shutdown(p->ssl) & SSL_RECEIVED_SHUTDOWN);
    peer_inject_fin(p);
    tls_lower_handler.closed(p->conn, STREAM_END_OK);
    rig_wait(&rig, 0);
    CU_ASSERT(p->closed && p->end == STREAM_END_OK);
    CU_ASSERT_EQUAL(rig_reason(&rig, TGW_R_tls_truncated), 0);
    end();
}

static void release_sends_close_notify_behind_the_data(void) {
    begin();
    struct peer *p = peer_open(&rig, ctx);
    CU_ASSERT_EQUAL(up_write(p, "bye", 3), 3);
    p->up.ops->release(p->up.impl);
    p->up.impl = NULL;
    CU_ASSERT(p->lower.released);
    peer_run(p);
    CU_ASSERT_EQUAL(peer_read(p, got, sizeof(got)), 3);
    CU_ASSERT(SSL_get_shutdown(p->ssl) & SSL_RECEIVED_SHUTDOWN);
    rig_wait(&rig, 0);
    CU_ASSERT_EQUAL(rig.core->conns.used, 0);
    CU_ASSERT_EQUAL(rig.core->secrets.used, 0);
    p->conn = NULL;
    /* With no room below, the connection stays until its last byte is out. */
    p = peer_open(&rig, ctx);
    p->lower.out.size = p->lower.out.len + 20;
    CU_ASSERT_EQUAL(up_write(p, "farewell", 8), 8);
    p->up.ops->release(p->up.impl);
    p->up.impl = NULL;
    CU_ASSERT(!p->lower.released);
    p->lower.out.size = 1 << 18;
    peer_run(p);
    CU_ASSERT(p->lower.released);
    CU_ASSERT_EQUAL(peer_read(p, got, sizeof(got)), 8);
    CU_ASSERT(SSL_get_shutdown(p->ssl) & SSL_RECEIVED_SHUTDOWN);
    p->conn = NULL;
    end();
}

static void truncation_is_seen(void) {
    begin();
    struct peer *p = peer_open(&rig, ctx);
    CU_ASSERT(peer_write(p, "part", 4));
    peer_run(p);
    peer_inject_fin(p); /* no close_notify */
    rig_wait(&rig, 0);
    CU_ASSERT(p->closed && p->end == STREAM_END_RESET && p->got_len == 4);
    CU_ASSERT_EQUAL(rig_reason(&rig, TGW_R_tls_truncated), 1);
    p = peer_open(&rig, ctx);
    CU_ASSERT(peer_write(p, "in the middle", 13));
    size_t n = peer_take_wire(p, got, sizeof(got));
    for (size_t i = 0; i < n - 1; i++)
        peer_inject(p, got + i, 1);
    CU_ASSERT_EQUAL(p->readable, 0);
    peer_inject_fin(p);
    rig_wait(&rig, 0);
    CU_ASSERT(p->closed && p->end == STREAM_END_RESET && p->got_len == 0);
    CU_ASSERT_EQUAL(rig_reason(&rig, TGW_R_tls_truncated), 2);
    end();
}

static void a_damaged_record_ends_it_with_an_alert(void) {
    begin();
    for (size_t at = 0; at < 30; at += 3) {
        struct peer *p = peer_open(&rig, ctx);
        CU_ASSERT(peer_write(p, "damaged", 7));
        size_t n = peer_take_wire(p, got, sizeof(got));
        if (at < n)
            got[at] ^= 0x40;
        else
            got[3] = 0x7f;
        peer_inject(p, got, n);
        peer_run(p);
        if (at == 3) { /* a longer record is announced: it never comes whole */
            peer_inject_fin(p);
            peer_run(p);
        }
        CU_ASSERT(p->closed && p->end != STREAM_END_OK && p->got_len == 0);
        CU_ASSERT_EQUAL(peer_read(p, got, sizeof(got)), 0);
        CU_ASSERT(at == 3 || SSL_get_error(p->ssl, -1) == SSL_ERROR_SSL);
    }
    CU_ASSERT(rig_reason(&rig, TGW_R_tls_record_invalid) >= 8);
    end();
}

static void an_alert_from_the_peer_ends_it(void) {
    begin();
    struct peer *p = peer_open(&rig, ctx);
    CU_ASSERT_EQUAL(up_write(p, "x", 1), 1);
    tls_flush(rig.core);
    p->lower.out.data[p->lower.out.len - 1] ^= 1; /* what we sent is damaged on its way */
    peer_run(p);
    CU_ASSERT_EQUAL(peer_read(p, got, sizeof(got)), 0);
    peer_run(p);
    CU_ASSERT(p->closed && p->end == STREAM_END_RESET);
    end();
}

/* Messages that a client has no business to send, sealed with its own key. */
static void inject_sealed(struct peer *p, enum tls_content type, const uint8_t *data, size_t len) {
    uint8_t plain[64], record[128];
    struct tls_key key = {0};
    memcpy(plain, data, len);
    CU_ASSERT(
        tls_key_set(&rig.core->crypto, p->conn->suite, conn_secret(p->conn, TLS_READ), true, &key));
    CU_ASSERT(tls_record_seal(&key, p->conn->seq[TLS_READ], type, plain, len, record));
    tls_key_clear(&key);
    peer_inject(p, record, len + TLS_OVERHEAD_BYTES);
}

static void messages_out_of_place_are_refused(void) {
    static const struct {
        uint8_t type, len, data[12];
    } cases[] = {
        {TLS_HANDSHAKE, 4, {1, 0, 0, 0}},             /* ClientHello: renegotiation */
        {TLS_HANDSHAKE, 5, {24, 0, 0, 1, 2}},         /* neither 0 nor 1 */
        {TLS_HANDSHAKE, 6, {24, 0, 0, 2, 0, 0}},      /* too long */
        {TLS_HANDSHAKE, 6, {24, 0, 0, 1, 0, 24}},     /* not at the end of its record */
        {TLS_HANDSHAKE, 8, {4, 0, 0, 4, 0, 0, 0, 0}}, /* a ticket from a client */
        {TLS_ALERT, 1, {1}},
        {TLS_ALERT, 2, {2, 40}},
        {TLS_CHANGE_CIPHER_SPEC, 1, {1}},
        {99, 1, {1}},
    };
    begin();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct peer *p = peer_open(&rig, ctx);
        inject_sealed(p, cases[i].type, cases[i].data, cases[i].len);
        peer_run(p);
        CU_ASSERT(p->closed && p->end != STREAM_END_OK);
    }
    CU_ASSERT_EQUAL(rig_reason(&rig, TGW_R_tls_record_invalid), sizeof(cases) / sizeof(cases[0]));
    end();
}

static void a_key_update_may_come_in_parts(void) {
    static const uint8_t update[] = {24, 0, 0, 1, 0}, canceled[] = {1, TLS_USER_CANCELED};
    begin();
    struct peer *p = peer_open(&rig, ctx);
    inject_sealed(p, TLS_ALERT, canceled, 2); /* means nothing by itself */
    for (size_t i = 0; i < sizeof(update); i++)
        inject_sealed(p, TLS_HANDSHAKE, update + i, 1);
    CU_ASSERT_EQUAL(rig_counter(&rig, TGW_C_tls_key_updates_in), 1);
    inject_sealed(p, TLS_APPLICATION_DATA, (const uint8_t *)"new key", 7);
    CU_ASSERT_EQUAL(p->got_len, 7);
    inject_sealed(p, TLS_HANDSHAKE, update, 3); /* but nothing may come in between */
    inject_sealed(p, TLS_APPLICATION_DATA, (const uint8_t *)"data", 4);
    peer_run(p);
    CU_ASSERT(p->closed && p->got_len == 7);
    end();
}

static void little_memory_ends_connections_in_order(void) {
    begin();
    for (uint32_t n = 1; n < 20; n++) {
        struct peer *p = peer_connect(&rig, ctx);
        struct pool *const pools[] = {&rig.core->secrets, &rig.core->extras, &rig.core->jobs,
                                      &rig.core->blocks.large, &rig.core->blocks.small};
        pools[n % 5]->fail_at = 1 + n / 5;
        p->echo = true;
        p->piece = 50;
        p->lower.out.size = 300;
        peer_run(p);
        if (SSL_is_init_finished(p->ssl) && peer_write(p, sent, 5000))
            peer_run(p);
        tls_check(rig.core);
        pools[n % 5]->fail_at = 0;
        peer_free(p);
    }
    CU_ASSERT(rig_reason(&rig, TGW_R_tls_no_memory) > 0);
    end();
}

static void secrets_are_wiped(void) {
    begin();
    struct peer *p = peer_open(&rig, ctx);
    check_echo(p, "x", 1);
    uint8_t *secret = conn_secret(p->conn, TLS_READ), zero[2 * TLS_SECRET_BYTES_MAX] = {0};
    peer_free(p);
    CU_ASSERT(memcmp(secret + 4, zero + 4, 60) == 0); /* the pool's link stands in front */
    for (uint32_t i = 0; i < rig.core->jobs.touched; i++) {
        const struct tls_job *job = pool_at(&rig.core->jobs, i);
        CU_ASSERT(memcmp(job->secrets.secret, zero, sizeof(job->secrets.secret)) == 0);
    }
    end();
}

int main(void) {
    static const struct suite_case cases[] = {
        {"bulk arrives whole", bulk_arrives_whole},
        {"many connections share a core", many_connections_share_a_core},
        {"what the owner leaves is kept", what_the_owner_leaves_is_kept},
        {"writes of a turn share a record", writes_of_a_turn_share_a_record},
        {"key updates both ways", key_updates_both_ways},
        {"data behind key updates is delivered", data_behind_key_updates_is_delivered},
        {"our key is updated after its records", our_key_is_updated_after_its_records},
        {"key update requests without room get one answer",
         key_update_requests_without_room_get_one_answer},
        {"close_notify from the peer", close_notify_from_the_peer},
        {"release sends close_notify behind the data", release_sends_close_notify_behind_the_data},
        {"truncation is seen", truncation_is_seen},
        {"a damaged record ends it with an alert", a_damaged_record_ends_it_with_an_alert},
        {"an alert from the peer ends it", an_alert_from_the_peer_ends_it},
        {"messages out of place are refused", messages_out_of_place_are_refused},
        {"a key update may come in parts", a_key_update_may_come_in_parts},
        {"little memory ends connections in order", little_memory_ends_connections_in_order},
        {"secrets are wiped", secrets_are_wiped},
    };
    return suite_run("tls/stream", cases, sizeof(cases) / sizeof(cases[0]));
}

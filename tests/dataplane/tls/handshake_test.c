/* Handshakes with OpenSSL on the other side, and the moment of the hand-over. */
#include "rig.h"
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

static struct rig rig;
static uint8_t buffer[RIG_WIRE_BYTES];

static void check_echo(struct peer *p, const char *text) {
    size_t len = strlen(text);
    p->echo = true;
    CU_ASSERT(peer_write(p, text, len));
    peer_run(p);
    CU_ASSERT_EQUAL(peer_read(p, buffer, sizeof(buffer)), len);
    CU_ASSERT(memcmp(buffer, text, len) == 0);
}

static void every_suite_group_and_key(void) {
    static const char *const suites[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                         "TLS_CHACHA20_POLY1305_SHA256"};
    static const char *const groups[] = {"X25519", "P-256"};
    static const char *const keys[] = {"ec", "rsa"};
    rig_certificate("rsa", "RSA", "gateway.test", 30);
    for (int key = 0; key < 2; key++) {
        rig_defaults(&rig);
        snprintf(rig.files.certificate[0].chain, TLS_PATH_BYTES, "%s/%s.pem", rig_dir(), keys[key]);
        snprintf(rig.files.certificate[0].key, TLS_PATH_BYTES, "%s/%s.key", rig_dir(), keys[key]);
        rig_start(&rig);
        for (int suite = 0; suite < 3; suite++) {
            for (int group = 0; group < 2; group++) {
                SSL_CTX *ctx = rig_client_ctx();
                SSL_CTX_set_ciphersuites(ctx, suites[suite]);
                SSL_CTX_set1_groups_list(ctx, groups[group]);
                struct peer *p = peer_open(&rig, ctx);
                CU_ASSERT_STRING_EQUAL(SSL_get_cipher_name(p->ssl), suites[suite]);
                CU_ASSERT_EQUAL(p->conn->state, TLS_OPEN);
                check_echo(p, "keystroke");
                tls_check(rig.core);
                peer_free(p);
                SSL_CTX_free(ctx);
            }
        }
        CU_ASSERT_EQUAL(rig_counter(&rig, TGW_C_tls_handshakes_13), 6);
        rig_stop(&rig);
    }
}

/* Run until the client has something to say that ends with its Finished; its first data
 * stands right behind. Returns the bytes of that flight. */
static size_t last_flight(struct peer *p, uint8_t *out) {
    peer_turn(p); /* ClientHello; to the thread and back; ServerHello */
    ERR_clear_error();
    CU_ASSERT_FATAL(SSL_do_handshake(p->ssl) == 1);
    CU_ASSERT(peer_write(p, "first", 5));
    CU_ASSERT(peer_write(p, "second", 6));
    return peer_take_wire(p, out, RIG_WIRE_BYTES);
}

static void the_hand_over_at_every_split(void) {
    static uint8_t flight[4096];
    SSL_CTX *ctx = rig_client_ctx();
    size_t len = 1;
    rig_defaults(&rig);
    rig_start(&rig);
    for (size_t split = 0; split <= len; split++) {
        struct peer *p = peer_connect(&rig, ctx);
        len = last_flight(p, flight);
        CU_ASSERT_FATAL(len < sizeof(flight));
        p->echo = true;
        if (split)
            peer_inject(p, flight, split);
        if (split % 2) /* the thread may answer before the rest comes, or after */
            peer_turn(p);
        if (split < len)
            peer_inject(p, flight + split, len - split);
        peer_run(p);
        CU_ASSERT_EQUAL(p->got_len, 11);
        CU_ASSERT(memcmp(p->got, "firstsecond", 11) == 0);
        CU_ASSERT_EQUAL(peer_read(p, buffer, sizeof(buffer)), 11);
        check_echo(p, "and on");
        peer_free(p);
    }
    CU_ASSERT(len > 100);
    rig_stop(&rig);
    SSL_CTX_free(ctx);
}

static void the_hello_at_every_split(void) {
    static uint8_t hello[4096];
    SSL_CTX *ctx = rig_client_ctx();
    size_t len = 1;
    rig_defaults(&rig);
    rig_start(&rig);
    for (size_t split = 0; split <= len; split += 7) {
        struct peer *p = peer_connect(&rig, ctx);
        SSL_do_handshake(p->ssl);
        len = peer_take_wire(p, hello, sizeof(hello));
        peer_inject(p, hello, split);
        tls_workers_turn(rig.workers, 0);
        tls_poll(rig.core);
        peer_inject(p, hello + split, len - split);
        peer_run(p);
        check_echo(p, "hello");
        peer_free(p);
    }
    rig_stop(&rig);
    SSL_CTX_free(ctx);
}

static void byte_by_byte(void) {
    SSL_CTX *ctx = rig_client_ctx();
    rig_defaults(&rig);
    rig_start(&rig);
    struct peer *p = peer_connect(&rig, ctx);
    p->piece = 1;
    peer_run(p);
    CU_ASSERT_FATAL(p->up.impl != NULL);
    check_echo(p, "one at a time");
    peer_free(p);
    rig_stop(&rig);
    SSL_CTX_free(ctx);
}

int main(void) {
    static const struct suite_case cases[] = {
        {"every suite, group and key", every_suite_group_and_key},
        {"the hand-over at every split", the_hand_over_at_every_split},
        {"the hello at every split", the_hello_at_every_split},
        {"byte by byte", byte_by_byte},
    };
    return suite_run("tls/handshake", cases, sizeof(cases) / sizeof(cases[0]));
}

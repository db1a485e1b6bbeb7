/* Our role as the client, towards a node agent: verification both ways, messages that a
 * server sends after the handshake, the hand-over. */
#include "rig.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

static struct rig rig;
static SSL_CTX *agent;
static uint8_t buffer[RIG_WIRE_BYTES];

/* An agent that shows NAME.pem. */
static SSL_CTX *agent_ctx(const char *name) {
    char file[64];
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    snprintf(file, sizeof(file), "%s.pem", name);
    SSL_CTX_use_certificate_chain_file(ctx, rig_path(file));
    snprintf(file, sizeof(file), "%s.key", name);
    SSL_CTX_use_PrivateKey_file(ctx, rig_path(file), SSL_FILETYPE_PEM);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
    return ctx;
}

/* We trust `ca` and show `own`, NULL: nothing. */
static void begin(const char *ca, const char *own) {
    char file[64];
    rig_defaults(&rig);
    rig_certificate("gateway", "EC", "gateway.test", 30);
    snprintf(file, sizeof(file), "%s.pem", ca);
    snprintf(rig.files.agent_ca, TLS_PATH_BYTES, "%s", rig_path(file));
    if (own) {
        rig_use(&rig, 1, own, false);
        rig.files.agent = rig.files.certificate[1];
        rig.files.certificates = 1;
    }
    rig_start(&rig);
    agent = agent_ctx("ec");
}

static void end(void) {
    rig_stop(&rig);
    SSL_CTX_free(agent);
}

static void check_echo(struct peer *p) {
    p->echo = true;
    CU_ASSERT(peer_write(p, "output", 6));
    peer_run(p);
    CU_ASSERT_EQUAL(peer_read(p, buffer, sizeof(buffer)), 6);
}

static struct peer *dial(void) {
    struct peer *p = peer_dial(&rig, agent, 1);
    CU_ASSERT_FATAL(p != NULL);
    peer_run(p);
    return p;
}

static void an_agent_is_verified_by_its_address(void) {
    begin("ec", NULL);
    struct peer *p = dial();
    CU_ASSERT_EQUAL(p->connected, 1);
    check_echo(p);
    tls_check(rig.core);
    p = peer_dial(&rig, agent, 2); /* the certificate names 198.18.1.1 */
    peer_run(p);
    CU_ASSERT(p->closed && p->end == STREAM_END_ERROR && p->connected == 0);
    CU_ASSERT_EQUAL(rig_reason(&rig, TGW_R_tls_handshake_failed), 1);
    end();
}

/* A session with `agent`, as a load generator comes by one. */
static SSL_SESSION *session_of_agent(void) {
    SSL_CTX *ctx = rig_client_ctx();
    SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256"); /* its hash is what we ask for first */
    SSL *client = SSL_new(ctx), *server = SSL_new(agent);
    BIO *there, *back;
    uint8_t byte;
    BIO_new_bio_pair(&there, 0, &back, 0);
    SSL_set_bio(client, there, there);
    SSL_set_bio(server, back, back);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    for (int i = 0; i < 4; i++) {
        SSL_do_handshake(client);
        SSL_do_handshake(server);
    }
    SSL_read(client, &byte, 1); /* the tickets */
    SSL_SESSION *session = SSL_SESSION_dup(SSL_get0_session(client));
    SSL_free(client);
    SSL_free(server);
    SSL_CTX_free(ctx);
    ERR_clear_error();
    return session;
}

static void a_session_given_is_resumed_again_and_again(void) {
    begin("ec", NULL);
    SSL_SESSION *session = session_of_agent();
    CU_ASSERT_EQUAL(rig_counter(&rig, TGW_C_tls_resumptions), 0);
    tls_context_resume(rig.context, session);
    SSL_SESSION_free(session);
    for (uint64_t i = 1; i <= 3; i++) {
        struct peer *p = dial();
        check_echo(p);
        CU_ASSERT_EQUAL(rig_counter(&rig, TGW_C_tls_resumptions), i);
    }
    end();
}

static void an_unknown_ca_is_refused(void) {
    begin("gateway", NULL);
    struct peer *p = dial();
    CU_ASSERT(p->closed && p->end == STREAM_END_ERROR && p->connected == 0);
    end();
}

static void an_agent_may_ask_for_our_certificate(void) {
    begin("ec", "gateway");
    SSL_CTX_load_verify_file(agent, rig_path("gateway.pem"));
    SSL_CTX_set_verify(agent, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    struct peer *p = dial();
    CU_ASSERT_EQUAL(p->connected, 1);
    CU_ASSERT(SSL_get0_peer_certificate(p->ssl) != NULL);
    check_echo(p);
    end();
    begin("ec", NULL); /* in TLS 1.3 the refusal comes behind our own Finished */
    SSL_CTX_load_verify_file(agent, rig_path("gateway.pem"));
    SSL_CTX_set_verify(agent, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    p = dial();
    CU_ASSERT(p->closed && p->end == STREAM_END_RESET && p->got_len == 0);
    end();
}

static void an_agent_without_tls_is_refused(void) {
    begin("ec", NULL);
    struct peer *p = peer_dial(&rig, agent, 1);
    rig_wait(&rig, 0);
    peer_inject(p, (const uint8_t *)"HTTP/1.1 400 Bad Request\r\n\r\n", 28);
    rig_wait(&rig, 0);
    rig_wait(&rig, 0);
    CU_ASSERT(p->closed && p->end == STREAM_END_ERROR);
    end();
    begin("ec", NULL);
    SSL_CTX_set_max_proto_version(agent, TLS1_2_VERSION);
    p = dial();
    CU_ASSERT(p->closed && p->connected == 0);
    CU_ASSERT_EQUAL(rig_reason(&rig, TGW_R_tls_version_refused), 1);
    end();
}

static void tickets_and_key_updates_of_a_server(void) {
    begin("ec", NULL);
    SSL_CTX_set_num_tickets(agent, 7);
    struct peer *p = dial();
    check_echo(p);
    for (int i = 0; i < 3; i++) {
        CU_ASSERT(SSL_new_session_ticket(p->ssl) == 1);
        check_echo(p);
        CU_ASSERT(SSL_key_update(p->ssl, SSL_KEY_UPDATE_REQUESTED) == 1);
        check_echo(p);
    }
    CU_ASSERT_EQUAL(rig_counter(&rig, TGW_C_tls_key_updates_out), 3);
    CU_ASSERT_EQUAL(rig.core->extras.used, 0);
    end();
}

/* A flight of several times what goes to a thread at once. */
static void a_long_chain_comes_in_parts(void) {
    begin("ec", NULL);
    for (int i = 0; i < 30; i++) {
        FILE *f = fopen(rig_path("gateway.pem"), "r");
        SSL_CTX_add_extra_chain_cert(agent, PEM_read_X509(f, NULL, NULL, NULL));
        fclose(f);
    }
    struct peer *p = dial();
    CU_ASSERT_EQUAL(p->connected, 1);
    check_echo(p);
    end();
}

static void the_hand_over_at_every_split(void) {
    static uint8_t flight[8192];
    size_t len = 1, n;
    begin("ec", NULL);
    for (size_t split = 0; split <= len; split++) {
        struct peer *p = peer_dial(&rig, agent, 1);
        rig_wait(&rig, 0); /* our hello */
        n = fake_stream_drain(&p->lower, buffer, sizeof(buffer));
        BIO_write(SSL_get_rbio(p->ssl), buffer, (int)n);
        /* A server may speak before we finish. */
        CU_ASSERT(SSL_read_early_data(p->ssl, buffer, 1, &n) == SSL_READ_EARLY_DATA_FINISH);
        CU_ASSERT(SSL_write_early_data(p->ssl, "early output", 12, &n) == 1);
        len = peer_take_wire(p, flight, sizeof(flight));
        CU_ASSERT_FATAL(len < sizeof(flight));
        size_t first = split < len ? split : len; /* signatures differ in length */
        if (first)
            peer_inject(p, flight, first);
        if (split % 2)
            rig_wait(&rig, 0);
        if (first < len)
            peer_inject(p, flight + first, len - first);
        peer_run(p);
        CU_ASSERT(p->connected == 1 && p->got_len == 12);
        check_echo(p);
        peer_free(p);
    }
    CU_ASSERT(len > 500);
    end();
}

static void a_dial_that_fails_is_told(void) {
    begin("ec", NULL);
    struct peer *p = peer_dial(&rig, agent, 1);
    tls_lower_handler.closed(p->conn, STREAM_END_REFUSED);
    rig_wait(&rig, 0);
    CU_ASSERT(p->closed && p->end == STREAM_END_REFUSED);
    p = peer_dial(&rig, agent, 1);
    rig_wait(&rig, 6000); /* nobody answers */
    rig_wait(&rig, 0);
    CU_ASSERT(p->closed && p->end == STREAM_END_TIMEOUT);
    p = peer_dial(&rig, agent, 1);
    p->up.ops->abort(p->up.impl); /* the owner changes its mind */
    p->up.impl = NULL;
    p->conn = NULL;
    CU_ASSERT(p->lower.aborted);
    rig.core->conns.fail_at = 1;
    CU_ASSERT(peer_dial(&rig, agent, 1) == NULL);
    rig.core->handshakes.fail_at = 1;
    CU_ASSERT(peer_dial(&rig, agent, 1) == NULL);
    end();
}

int main(void) {
    static const struct suite_case cases[] = {
        {"an agent is verified by its address", an_agent_is_verified_by_its_address},
        {"a session given is resumed again and again", a_session_given_is_resumed_again_and_again},
        {"an unknown CA is refused", an_unknown_ca_is_refused},
        {"an agent may ask for our certificate", an_agent_may_ask_for_our_certificate},
        {"an agent without TLS is refused", an_agent_without_tls_is_refused},
        {"tickets and key updates of a server", tickets_and_key_updates_of_a_server},
        {"a long chain comes in parts", a_long_chain_comes_in_parts},
        {"the hand-over at every split", the_hand_over_at_every_split},
        {"a dial that fails is told", a_dial_that_fails_is_told},
    };
    return suite_run("tls/client", cases, sizeof(cases) / sizeof(cases[0]));
}

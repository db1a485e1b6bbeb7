/* Handshakes on threads of their own, as in the dataplane: for ThreadSanitizer above all. */
#include "rig.h"
#include <sched.h>
#include <string.h>

enum { PEERS = 24, ROUNDS = 4 };

static bool all_open(struct peer **p) {
    for (uint32_t i = 0; i < PEERS; i++)
        if (!SSL_is_init_finished(p[i]->ssl) || !p[i]->up.impl)
            return false;
    return true;
}

static void turn_all(struct peer **p) {
    for (uint32_t i = 0; i < PEERS; i++)
        peer_turn(p[i]);
    sched_yield();
}

static void echo_all(struct peer **p) {
    char text[16], got[16];
    for (uint32_t i = 0; i < PEERS; i++) {
        snprintf(text, sizeof(text), "hello %u", i);
        p[i]->echo = true;
        CU_ASSERT_TRUE(peer_write(p[i], text, sizeof(text)));
        peer_run(p[i]);
        CU_ASSERT_EQUAL(peer_read(p[i], (uint8_t *)got, sizeof(got)), sizeof(text));
        CU_ASSERT_STRING_EQUAL(got, text);
    }
}

/* Certificates are loaded anew, and time goes on, while handshakes are under way. */
static void handshakes_on_threads(void) {
    static struct rig r;
    struct peer *p[PEERS];
    char err[256];
    rig_defaults(&r);
    r.threads = 2;
    rig_start(&r);
    SSL_CTX *client = rig_client_ctx();
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < PEERS; i++) {
            p[i] = peer_connect(&r, client);
            CU_ASSERT_PTR_NOT_NULL_FATAL(p[i]);
        }
        turn_all(p);
        CU_ASSERT_TRUE(tls_context_load(r.context, err, sizeof(err)));
        tls_context_tick(r.context, 1700000000 + round);
        while (!all_open(p))
            turn_all(p);
        echo_all(p);
        for (uint32_t i = 0; i < PEERS; i++)
            peer_free(p[i]);
    }
    SSL_CTX_free(client);
    rig_stop(&r);
}

/* Peers leave in the middle and the core ends while the threads hold their jobs. */
static void jobs_come_back_to_a_core_that_ends(void) {
    static struct rig r;
    struct peer *p[PEERS];
    SSL_CTX *client = rig_client_ctx();
    for (uint32_t round = 0; round < 16; round++) {
        rig_defaults(&r);
        r.threads = 3;
        rig_start(&r);
        for (uint32_t i = 0; i < PEERS; i++) {
            p[i] = peer_connect(&r, client);
            peer_turn(p[i]);
        }
        for (uint32_t i = 0; i < PEERS; i++)
            peer_free(p[i]);
        while (r.core->handshakes.used || r.core->conns.used)
            rig_wait(&r, 1);
        rig_stop(&r);
    }
    SSL_CTX_free(client);
}

int main(void) {
    static const struct suite_case cases[] = {
        {"handshakes on threads", handshakes_on_threads},
        {"jobs come back to a core that ends", jobs_come_back_to_a_core_that_ends},
    };
    return suite_run("tls/threads", cases, sizeof(cases) / sizeof(cases[0]));
}

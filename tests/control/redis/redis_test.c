/* What a client of Redis knows without a server: addresses, slots, redirections; and a link
 * to a server that breaks every rule. Real servers: tests/e2e/redis_test.py. */
#include "control/redis/client.h"
#include "control/redis/slots.h"
#include "tests/lib/suite.h"
#include <stdlib.h>
#include <string.h>

static void urls_say_what_is_meant(void) {
    struct redis_url u;
    CU_ASSERT_PTR_NULL(redis_url_parse("redis://localhost", &u));
    CU_ASSERT_TRUE(u.mode == REDIS_SINGLE && !u.tls && u.hosts == 1 && u.host[0].port == 6379);
    CU_ASSERT_STRING_EQUAL(u.host[0].host, "localhost");
    CU_ASSERT_PTR_NULL(redis_url_parse("rediss://gw:p%40ss%2F%3a@[fd00::1]:7000/3", &u));
    CU_ASSERT_TRUE(u.tls && u.database == 3 && u.host[0].port == 7000);
    CU_ASSERT_STRING_EQUAL(u.user, "gw");
    CU_ASSERT_STRING_EQUAL(u.password, "p@ss/:");
    CU_ASSERT_STRING_EQUAL(u.host[0].host, "fd00::1");
    CU_ASSERT_PTR_NULL(redis_url_parse("redis-sentinel://:pw@a,b:5,c/main/1", &u));
    CU_ASSERT_TRUE(u.mode == REDIS_SENTINEL && u.hosts == 3 && u.database == 1);
    CU_ASSERT_TRUE(u.host[0].port == 26379 && u.host[1].port == 5);
    CU_ASSERT_STRING_EQUAL(u.master, "main");
    CU_ASSERT_TRUE(u.user[0] == 0 && strcmp(u.password, "pw") == 0);
    CU_ASSERT_PTR_NULL(redis_url_parse("rediss-cluster://a,b/", &u));
    CU_ASSERT_TRUE(u.mode == REDIS_CLUSTER && u.tls && u.hosts == 2);
}

static void other_texts_are_refused(void) {
    static const char *const bad[] = {
        "",
        "http://a",
        "redis:/a",
        "redis://",
        "redis://:1",
        "redis://a:0",
        "redis://a:65536",
        "redis://a:x",
        "redis://a,b",
        "redis://user@a",
        "redis://user:@a",
        "redis://u:%4@a",
        "redis://u:%00x@a",
        "redis://[fd00::1",
        "redis://[fd00::1]x",
        "redis://a/x",
        "redis://a/1/2",
        "redis://a?tls=1",
        "redis-sentinel://a",
        "redis-sentinel://a/",
        "redis-cluster://a/1",
        "redis-cluster://a,,b",
        "redis-cluster://1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17",
    };
    struct redis_url u;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CU_ASSERT_PTR_NOT_NULL(redis_url_parse(bad[i], &u));
}

/* The values of Redis' own CLUSTER KEYSLOT. */
static void keys_lie_in_their_slots(void) {
    static const struct {
        const char *key;
        uint16_t slot;
    } known[] = {{"", 0},
                 {"foo", 12182},
                 {"123456789", 12739},
                 {"{foo}:used", 12182},
                 {"a{foo}b{c}", 12182},
                 {"{}foo", 9500},
                 {"{foo", 13308}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        CU_ASSERT_EQUAL(redis_slot(known[i].key, strlen(known[i].key)), known[i].slot);
    CU_ASSERT_EQUAL(redis_slot("terminal:token:{ab}", 19), redis_slot("{ab}:used", 9));
}

static void redirections_are_read(void) {
    struct redis_address a;
    uint16_t slot;
    CU_ASSERT_EQUAL(redis_redirect_parse("MOVED 3999 127.0.0.1:6381", &slot, &a), REDIS_MOVED);
    CU_ASSERT_TRUE(slot == 3999 && a.port == 6381 && strcmp(a.host, "127.0.0.1") == 0);
    CU_ASSERT_EQUAL(redis_redirect_parse("ASK 0 fd00::1:7000", &slot, &a), REDIS_ASK);
    CU_ASSERT_TRUE(slot == 0 && a.port == 7000 && strcmp(a.host, "fd00::1") == 0);
    CU_ASSERT_EQUAL(redis_redirect_parse("MOVED 5 :7000", &slot, &a), REDIS_MOVED);
    CU_ASSERT_EQUAL(a.host[0], 0);
    static const char *const others[] = {"MOVED",           "MOVED 1",         "MOVED 16384 a:1",
                                         "MOVED -1 a:1",    "ASK 5 a:0",       "ASK 5 a:65536",
                                         "ASK 5 nowhere",   "MOVED x a:1",     "ERR unknown",
                                         "MOVED 99999 a:1", "TRYAGAIN Multip", ""};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        CU_ASSERT_EQUAL(redis_redirect_parse(others[i], &slot, &a), REDIS_STAY);
}

/* A server that answers each connection with one text, whatever it is asked. */
struct fake {
    uv_tcp_t listener, peer;
    const char *says;
    uint16_t port;
    unsigned accepted;
};

static struct {
    uv_loop_t loop;
    struct fake fake;
    unsigned answers, nothing;
    char note[400];
} t;

static void on_accepted(uv_stream_t *s, int status) {
    struct fake *f = s->data;
    CU_ASSERT_EQUAL(status, 0);
    if (f->accepted++)
        uv_close((uv_handle_t *)&f->peer, NULL), uv_run(s->loop, UV_RUN_NOWAIT);
    uv_tcp_init(s->loop, &f->peer);
    CU_ASSERT_EQUAL(uv_accept(s, (uv_stream_t *)&f->peer), 0);
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)f->says, (unsigned)strlen(f->says));
    uv_try_write((uv_stream_t *)&f->peer, &buf, 1);
}

static void start_fake(const char *says) {
    struct sockaddr_in at;
    int len = sizeof(at);
    memset(&t, 0, sizeof(t));
    uv_loop_init(&t.loop);
    t.fake.says = says;
    t.fake.listener.data = &t.fake;
    uv_tcp_init(&t.loop, &t.fake.listener);
    uv_ip4_addr("127.0.0.1", 0, &at);
    uv_tcp_bind(&t.fake.listener, (struct sockaddr *)&at, 0);
    CU_ASSERT_EQUAL_FATAL(uv_listen((uv_stream_t *)&t.fake.listener, 8, on_accepted), 0);
    uv_tcp_getsockname(&t.fake.listener, (struct sockaddr *)&at, &len);
    t.fake.port = ntohs(at.sin_port);
}

static void on_note(void *ctx, const char *event, const char *text) {
    (void)ctx;
    snprintf(t.note, sizeof(t.note), "%s %s", event, text);
}

static void on_answer(void *ctx, const redisReply *r) {
    (void)ctx;
    t.answers++;
    t.nothing += r == NULL;
}

static void run_for(uint64_t ms) {
    uint64_t end_ms = uv_hrtime() / 1000000 + ms;
    while (uv_hrtime() / 1000000 < end_ms) {
        uv_run(&t.loop, UV_RUN_NOWAIT);
        uv_sleep(1);
    }
}

static void close_handle(uv_handle_t *h, void *ctx) {
    (void)ctx;
    if (!uv_is_closing(h))
        uv_close(h, NULL);
}

/* What a bad server says, and what of that is told. */
static void bad_servers_are_given_up(void) {
    static const struct {
        const char *says, *told;
    } bad[] = {{"HTTP/1.1 400 Bad Request\r\n\r\n", "not Redis'"},
               {"+PONG\r\n+PONG\r\n", "nobody asked for"},
               {"-NOAUTH Authentication required.\r\n", "not ready: NOAUTH"},
               {"-LOADING secret\r\n", "not ready: LOADING"},
               {"", "does not answer"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct redis_url u = {.hosts = 1};
        const struct redis_client_config c = {
            .url = &u, .timeout_ms = 100, .seed = 1, .note = on_note};
        start_fake(bad[i].says);
        strcpy(u.host[0].host, "127.0.0.1");
        u.host[0].port = t.fake.port;
        struct redis_client *client = redis_client_open(&t.loop, &c);
        run_for(20);
        redis_client_ask(client, "k", 1, (const char *[]){"PING"}, NULL, on_answer, NULL);
        run_for(250);
        CU_ASSERT_FALSE(redis_client_is_up(client));
        CU_ASSERT_PTR_NOT_NULL(strstr(t.note, bad[i].told));
        CU_ASSERT_PTR_NULL(strstr(t.note, "secret"));
        CU_ASSERT_TRUE(t.answers == 1 && t.nothing == 1);
        redis_client_close(client);
        uv_walk(&t.loop, close_handle, NULL);
        uv_run(&t.loop, UV_RUN_DEFAULT);
        CU_ASSERT_EQUAL(uv_loop_close(&t.loop), 0);
    }
}

/* Closed in the middle of whatever: who waits is told, nothing is left. */
static void a_client_can_be_closed_at_any_time(void) {
    for (uint64_t ms = 0; ms < 60; ms += 4) {
        struct redis_url u = {.hosts = 1};
        const struct redis_client_config c = {.url = &u, .timeout_ms = 30, .seed = 1};
        start_fake("+PONG\r\n");
        strcpy(u.host[0].host, "127.0.0.1");
        u.host[0].port = t.fake.port;
        struct redis_client *client = redis_client_open(&t.loop, &c);
        for (unsigned n = 0; n < 3; n++) {
            redis_client_ask(client, "k", 1, (const char *[]){"PING"}, NULL, on_answer, NULL);
            run_for(ms / 3);
        }
        redis_client_close(client);
        CU_ASSERT_TRUE(t.answers == 3 && t.nothing == 3);
        uv_walk(&t.loop, close_handle, NULL);
        uv_run(&t.loop, UV_RUN_DEFAULT);
        CU_ASSERT_EQUAL(uv_loop_close(&t.loop), 0);
    }
}

int main(void) {
    static const struct suite_case cases[] = {
        {"URLs say what is meant", urls_say_what_is_meant},
        {"other texts are refused", other_texts_are_refused},
        {"keys lie in their slots", keys_lie_in_their_slots},
        {"redirections are read", redirections_are_read},
        {"bad servers are given up", bad_servers_are_given_up},
        {"a client can be closed at any time", a_client_can_be_closed_at_any_time},
    };
    return suite_run("control/redis", cases, sizeof(cases) / sizeof(cases[0]));
}

/* What an idle session costs: docs/decisions/memory.md. By its parts, and by opening ten
 * thousand over in-memory ports, browsers and agents on one stack of their own. */
#include "drivers/sim.h"
#include "session/session.h"
#include "tcp/tcp.h"
#include "tests/lib/eal_init.h"
#include "tests/lib/suite.h"
#include "tls/tls.h"
#include "web/ws.h"
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PLAIN_BUDGET = 1024,
    TLS_BUDGET = 1126, /* 1.1 KiB */
    SESSIONS = 10000,
    BURST = 128,
    OPENING_MAX = 64,
    AGENT_PORT = 7681,
    AGENTS_MAX = 2 * SESSIONS,
};

/* As an API service would name things: UUIDs and short words. */
static const struct tgw_ident typical = {.allocation_id = "alloc-7f3c9a52-1b0e",
                                         .session_id = "3b241101-e2bb-4255-8caf-4136c566a962",
                                         .user_id = "ada.lovelace",
                                         .region = "eu-north-1",
                                         .tenant_id = "tenant-0042",
                                         .project_id = "project-000137",
                                         .correlation_id = "0af7651916cd43dd8448eb211c80319c",
                                         .trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"};

static struct rte_mempool *mbufs;

struct side {
    struct port *port;
    struct net *net;
    struct tcp_stack *tcp;
    struct tgw_counters *counters;
};

struct world {
    struct side gateway, outside;
    struct session_table *sessions;
    uint64_t now_ns, random;
    struct {
        tgw_handle asked[BURST];
        unsigned count;
    } auth;
    unsigned opening, open, ended;
    struct browser *browser; /* [SESSIONS] */
    struct agent *agent;     /* [AGENTS_MAX] */
    unsigned agents;
};

/* A browser, or an agent's end: what it has read decides what it does next. */
struct browser {
    struct world *w;
    struct stream s;
    bool open;
};

struct agent {
    struct world *w;
    struct stream s;
};

static size_t take(const struct stream *s, char *to, size_t size) {
    size_t n = s->ops->copy(s->impl, to, size - 1);
    to[n] = 0;
    return n;
}

static void browser_connected(void *user) {
    static const char head[] =
        "GET /ws/terminal/alloc-7f3c9a52-1b0e HTTP/1.1\r\nHost: gateway\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Protocol: terminal.v1, a-token-of-sixteen-or-more\r\n\r\n";
    struct browser *b = user;
    CU_ASSERT_EQUAL(b->s.ops->write(b->s.impl, head, sizeof(head) - 1), sizeof(head) - 1);
}

static void browser_readable(void *user) {
    struct browser *b = user;
    char text[2048];
    size_t n = take(&b->s, text, sizeof(text));
    if (b->open || !strstr(text, "\r\n\r\n"))
        return;
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "HTTP/1.1 101 "));
    b->s.ops->consume(b->s.impl, n);
    b->open = true;
    b->w->open++;
    b->w->opening--;
}

static void agent_readable(void *user) {
    static const char field[] = "Sec-WebSocket-Key: ";
    struct agent *a = user;
    char text[4096], accept[29], answer[256];
    size_t n = take(&a->s, text, sizeof(text));
    const char *key = strstr(text, field);
    if (!key || !strstr(text, "\r\n\r\n"))
        return;
    a->s.ops->consume(a->s.impl, n);
    ws_accept(key + sizeof(field) - 1, 24, accept);
    int len = snprintf(answer, sizeof(answer),
                       "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                       "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                       accept);
    a->s.ops->write(a->s.impl, answer, (size_t)len);
}

static void nothing(void *user) {
    (void)user;
}

static void browser_closed(void *user, enum stream_end why) {
    (void)why;
    ((struct browser *)user)->w->ended++;
}

static void agent_closed(void *user, enum stream_end why) {
    (void)why;
    ((struct agent *)user)->w->ended++;
}

static const struct stream_handler browser_handler = {browser_connected, browser_readable, nothing,
                                                      browser_closed};
static const struct stream_handler agent_handler = {nothing, agent_readable, nothing, agent_closed};

static void *agent_accepted(void *ctx, struct stream s, const struct tgw_endpoint *local,
                            const struct tgw_endpoint *remote) {
    struct world *w = ctx;
    struct agent *a = w->agents < AGENTS_MAX ? &w->agent[w->agents++] : NULL;
    (void)local;
    (void)remote;
    if (a)
        *a = (struct agent){w, s};
    return a;
}

static void *gateway_accepted(void *ctx, struct stream s, const struct tgw_endpoint *local,
                              const struct tgw_endpoint *remote) {
    (void)local;
    return session_accept(((struct world *)ctx)->sessions, s, remote);
}

static struct stream dial(void *ctx, const struct tgw_endpoint *to,
                          const struct stream_handler *handler, void *user) {
    struct world *w = ctx;
    return tcp_connect(w->gateway.tcp, w->now_ns, to, handler, user, NULL, NULL);
}

static void set_owner(void *ctx, struct stream s, const struct stream_handler *handler,
                      void *user) {
    (void)ctx;
    tcp_set_owner(s, handler, user);
}

static bool emit(void *ctx, const struct tgw_msg *event) {
    struct world *w = ctx;
    if (event->type != TGW_EV_AUTH)
        return true;
    if (w->auth.count == BURST)
        return false;
    w->auth.asked[w->auth.count++] = ((const struct tgw_ev_auth *)event)->handle;
    return true;
}

static void random_bytes(void *ctx, void *out, size_t bytes) {
    struct world *w = ctx;
    for (size_t i = 0; i < bytes; i++) {
        w->random = w->random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        ((uint8_t *)out)[i] = (uint8_t)(w->random >> 56);
    }
}

static bool has_room(void *ctx) {
    (void)ctx;
    return true;
}

static bool is_starving(void *ctx) {
    (void)ctx;
    return false;
}

static struct tgw_endpoint endpoint(const char *text, uint16_t port) {
    struct tgw_endpoint e = {.port = port};
    struct ip_addr a;
    ip_addr_parse(text, &a);
    memcpy(e.addr, a.b, sizeof(e.addr));
    return e;
}

static void open_side(struct world *w, struct side *s, const char *addr, uint32_t connections) {
    static const struct net_ops up = {tcp_input, tcp_icmp_error, tcp_input_burst};
    size_t bytes = (sizeof(*s->counters) + 63) / 64 * 64;
    struct tcp_config tc;
    s->counters = aligned_alloc(64, bytes);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s->counters);
    memset(s->counters, 0, bytes);
    struct net_config nc = {.iface_count = 1, .pool = mbufs, .counters = s->counters};
    nc.iface[0] = (struct net_iface_config){.port = s->port, .addr_count = 1};
    ip_prefix_parse(addr, true, &nc.iface[0].addr[0]);
    s->net = net_create(&nc, &up, NULL, w->now_ns);
    tcp_config_defaults(&tc);
    tc.connections_max = connections;
    tc.counters = s->counters;
    memset(tc.secret, (int)connections, sizeof(tc.secret));
    s->tcp = s->net ? tcp_create(&tc, s->net, w->now_ns) : NULL;
    CU_ASSERT_PTR_NOT_NULL_FATAL(s->tcp);
    net_bind(s->net, s->tcp);
}

static void open_world(struct world *w) {
    const struct session_env env = {.dial = dial,
                                    .set_owner = set_owner,
                                    .emit = emit,
                                    .room = has_room,
                                    .starving = is_starving,
                                    .random = random_bytes,
                                    .ctx = w};
    struct port *pair[2];
    *w = (struct world){.now_ns = UINT64_C(5000000000)};
    CU_ASSERT_TRUE_FATAL(port_sim_pair(pair, 1500, 4096));
    w->gateway.port = pair[0];
    w->outside.port = pair[1];
    open_side(w, &w->gateway, "198.18.0.2/24", 2 * SESSIONS);
    open_side(w, &w->outside, "198.18.0.1/24", 2 * SESSIONS);
    const struct session_config sc = {
        .sessions_max = SESSIONS, .relay_buffer_bytes = 262144, .counters = w->gateway.counters};
    w->sessions = session_table_create(&sc, &env, w->now_ns);
    w->browser = calloc(SESSIONS, sizeof(*w->browser));
    w->agent = calloc(AGENTS_MAX, sizeof(*w->agent));
    CU_ASSERT_FATAL(w->sessions && w->browser && w->agent);
    session_control(w->sessions, true, 1);
    const struct tcp_listener front = {gateway_accepted, w, &session_client_handler};
    const struct tcp_listener back = {agent_accepted, w, &agent_handler};
    CU_ASSERT_TRUE(tcp_listen(w->gateway.tcp, 80, &front));
    CU_ASSERT_TRUE(tcp_listen(w->outside.tcp, AGENT_PORT, &back));
}

static void answer_auth(struct world *w) {
    for (unsigned i = 0; i < w->auth.count; i++) {
        const union tgw_cmd cmd = {.verdict = {.msg = {TGW_CMD_VERDICT, sizeof(cmd.verdict), 0},
                                               .handle = w->auth.asked[i],
                                               .reason = TGW_OK,
                                               .agent = endpoint("198.18.0.1", AGENT_PORT),
                                               .ident = typical,
                                               .grant = "head.body.signature"}};
        session_command(w->sessions, &cmd);
    }
    w->auth.count = 0;
}

static void turn_side(struct side *s, uint64_t now_ns) {
    struct rte_mbuf *m[BURST];
    tcp_begin(s->tcp, now_ns);
    uint16_t n = port_rx(s->port, 0, m, BURST);
    if (n)
        net_input(s->net, now_ns, 0, m, n);
    tcp_advance(s->tcp, now_ns);
    net_tick(s->net, now_ns);
}

static void flush_side(struct side *s) {
    tcp_flush(s->tcp);
    net_flush(s->net);
}

static void turn(struct world *w) {
    turn_side(&w->outside, w->now_ns);
    flush_side(&w->outside);
    session_begin(w->sessions, w->now_ns);
    turn_side(&w->gateway, w->now_ns);
    answer_auth(w);
    session_advance(w->sessions, w->now_ns);
    flush_side(&w->gateway);
}

static void run(struct world *w, uint32_t ms) {
    for (uint32_t i = 0; i < ms; i++) {
        w->now_ns += 1000000;
        turn(w);
    }
}

static void open_sessions(struct world *w, uint32_t count) {
    const struct tgw_endpoint to = endpoint("198.18.0.2", 80);
    uint32_t started = 0;
    for (uint32_t turns = 0; w->open < count && turns < 1000000; turns++) {
        for (; started < count && w->opening < OPENING_MAX; started++, w->opening++) {
            struct browser *b = &w->browser[started];
            b->w = w;
            b->s = tcp_connect(w->outside.tcp, w->now_ns, &to, &browser_handler, b, NULL, NULL);
            CU_ASSERT_PTR_NOT_NULL_FATAL(b->s.impl);
        }
        w->now_ns += 100000;
        turn(w);
    }
    CU_ASSERT_EQUAL(w->open, count);
}

static void close_world(struct world *w) {
    session_table_destroy(w->sessions);
    tcp_destroy(w->outside.tcp);
    tcp_destroy(w->gateway.tcp);
    net_destroy(w->outside.net);
    net_destroy(w->gateway.net);
    w->outside.port->ops->close(w->outside.port);
    w->gateway.port->ops->close(w->gateway.port);
    free(w->outside.counters);
    free(w->gateway.counters);
    free(w->browser);
    free(w->agent);
    CU_ASSERT_EQUAL(rte_mempool_in_use_count(mbufs), 0);
}

static void the_parts_of_an_idle_session_fit(void) {
    /* 64 bytes a bucket, half full at worst: FLOW_LOAD entries down to half of it. */
    const size_t table = 2 * 64 / 5 * 2;
    size_t plain = 2 * tcp_connection_bytes() + session_bytes() + session_ident_bytes(&typical);
    printf("# two connections %zu, session %zu, ident %zu, table at most %zu, TLS %zu\n",
           2 * tcp_connection_bytes(), session_bytes(), session_ident_bytes(&typical), table,
           tls_connection_bytes());
    CU_ASSERT_EQUAL(tcp_connection_bytes(), 192);
    CU_ASSERT_EQUAL(tls_connection_bytes(), 128);
    CU_ASSERT_TRUE(plain + table <= PLAIN_BUDGET);
    CU_ASSERT_TRUE(plain + table + tls_connection_bytes() <= TLS_BUDGET);
}

static void ten_thousand_idle_sessions_fit(void) {
    static struct world w;
    struct tcp_usage tcp;
    struct session_usage session;
    open_world(&w);
    open_sessions(&w, SESSIONS);
    run(&w, 3000); /* the last ACKs are through, the flights have gone back */
    tcp_usage(w.gateway.tcp, &tcp);
    session_usage(w.sessions, &session);
    CU_ASSERT_EQUAL(session.live, SESSIONS);
    CU_ASSERT_EQUAL(tcp.connections, 2 * SESSIONS);
    CU_ASSERT_EQUAL(tcp.flights, 0);
    CU_ASSERT_EQUAL(tcp.small_blocks + tcp.large_blocks, 0);
    CU_ASSERT_EQUAL(w.ended, 0);
    uint64_t each = (tcp.bytes + session.bytes) / SESSIONS;
    printf("# %lu bytes a session: TCP and its table %lu, sessions and idents %lu\n", each,
           tcp.bytes / SESSIONS, session.bytes / SESSIONS);
    CU_ASSERT_TRUE(each <= PLAIN_BUDGET);
    tcp_check(w.gateway.tcp);
    session_check(w.sessions);
    close_world(&w);
}

/* A small session takes what it takes again after a busy life, no more. */
static void a_busy_session_returns_what_it_took(void) {
    static const uint8_t masked_hello[] = {0x82, 0x85, 0, 0, 0, 0, 'h', 'e', 'l', 'l', 'o'};
    static struct world w;
    struct tcp_usage before, busy, after;
    struct session_usage session, again;
    open_world(&w);
    open_sessions(&w, 100);
    run(&w, 3000);
    tcp_usage(w.gateway.tcp, &before);
    session_usage(w.sessions, &session);
    for (int i = 0; i < 100; i++)
        w.browser[i].s.ops->write(w.browser[i].s.impl, masked_hello, sizeof(masked_hello));
    w.now_ns += 1000000;
    turn(&w);
    tcp_usage(w.gateway.tcp, &busy);
    run(&w, 3000);
    tcp_usage(w.gateway.tcp, &after);
    session_usage(w.sessions, &again);
    CU_ASSERT_EQUAL(busy.flights, 100);
    CU_ASSERT_TRUE(busy.bytes > before.bytes);
    CU_ASSERT_EQUAL(after.bytes, before.bytes);
    CU_ASSERT_EQUAL(again.bytes, session.bytes);
    close_world(&w);
}

int main(void) {
    static const struct suite_case cases[] = {
        {"the parts of an idle session fit", the_parts_of_an_idle_session_fit},
        {"ten thousand idle sessions fit", ten_thousand_idle_sessions_fit},
        {"a busy session returns what it took", a_busy_session_returns_what_it_took},
    };
    mbufs = test_eal_init(8191);
    return suite_run("memory", cases, sizeof(cases) / sizeof(cases[0]));
}

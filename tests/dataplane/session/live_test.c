/* The relay, its control frames and every end of an accepted session. */
#include "rig.h"
#include "session/session_priv.h"
#include <stdio.h>
#include <stdlib.h>

static void expect_gone(struct rig *r, const struct pair *p, enum tgw_reason reason,
                        unsigned code) {
    const union tgw_event *e = rig_event(r, TGW_EV_CLOSED);
    CU_ASSERT_PTR_NOT_NULL_FATAL(e);
    CU_ASSERT_EQUAL(e->closed.handle, p->handle);
    CU_ASSERT_EQUAL(e->closed.reason, reason);
    CU_ASSERT_EQUAL(e->closed.close_code, code);
    CU_ASSERT_EQUAL(rig_reason(r, reason), 1);
    CU_ASSERT_TRUE(p->client->dead && p->agent->dead);
    CU_ASSERT_EQUAL(rig_usage(r).live, 0);
    CU_ASSERT_EQUAL(rig_counter(r, TGW_C_sessions), 0);
    CU_ASSERT_EQUAL(rig_counter(r, TGW_C_stalled_by_client), 0);
    CU_ASSERT_EQUAL(rig_counter(r, TGW_C_stalled_by_agent), 0);
    CU_ASSERT_STRING_EQUAL(e->closed.ident.correlation_id, "correlation-1");
}

static bool next_is(struct rig *r, struct fake *f, uint8_t opcode, const char *payload) {
    struct ws_frame head;
    uint8_t got[4096];
    return fake_next(r, f, &head, got, sizeof(got)) && head.opcode == opcode &&
           head.payload_bytes == strlen(payload) && memcmp(got, payload, strlen(payload)) == 0;
}

static void close_payload(char out[64], unsigned code, const char *text) {
    out[0] = (char)(code >> 8);
    out[1] = (char)code;
    strcpy(out + 2, text);
}

static void send_close(struct rig *r, struct fake *f, unsigned code, const char *text, bool mask) {
    char payload[64];
    close_payload(payload, code, text);
    fake_frame(r, f, WS_CLOSE, payload, 2 + strlen(text), mask);
}

static void a_session_opens(void) {
    struct rig r;
    rig_init(&r, 4);
    struct pair p = rig_open(&r, "?mode=channel&cols=100&rows=30", 60, 0);
    const union tgw_event *e = rig_event(&r, TGW_EV_OPEN);
    CU_ASSERT_PTR_NOT_NULL_FATAL(e);
    CU_ASSERT_EQUAL(e->open.handle, p.handle);
    CU_ASSERT_EQUAL(e->open.mode, TGW_MODE_CHANNEL);
    CU_ASSERT_STRING_EQUAL(e->open.ident.session_id, "session-1");
    CU_ASSERT_TRUE(fake_wrote(p.client, "Sec-WebSocket-Protocol: token-of-sixteen-or-more"));
    CU_ASSERT_TRUE(fake_wrote(p.client, "X-Session-ID: session-1"));
    CU_ASSERT_TRUE(
        fake_wrote(p.agent, "GET /v1/terminal/alloc-1?mode=channel&cols=100&rows=30 HTTP/1.1"));
    CU_ASSERT_EQUAL(rig_usage(&r).live, 1);
    CU_ASSERT_EQUAL(rig_usage(&r).pending, 0);
    CU_ASSERT_EQUAL(rig_counter(&r, TGW_C_sessions_accepted), 1);
    CU_ASSERT_EQUAL(rig_counter(&r, TGW_C_relay_setup_ok), 1);
    rig_fini(&r);
}

static void early_bytes_are_kept(void) {
    struct rig r;
    rig_init(&r, 4);
    struct fake *c = rig_connect(&r);
    rig_request(&r, c, "/ws/terminal/alloc-1",
                "Sec-WebSocket-Protocol: token-of-sixteen-or-more\r\n");
    fake_frame(&r, c, WS_TEXT, "early", 5, true); /* before its 101 */
    rig_verdict(&r, rig_event(&r, TGW_EV_AUTH)->auth.handle, TGW_OK, 0, 0);
    struct fake *agent = r.agent;
    /* The agent's first frame is there in the turn of its 101. */
    agent->handler->connected(agent->user);
    const char *key = memmem(agent->out, agent->out_len, "Key: ", 5);
    char accept[29], answer[512];
    ws_accept(key + 5, 24, accept);
    int n = snprintf(answer, sizeof(answer),
                     "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Accept: %s\r\n\r\n\x82\x03$ !",
                     accept);
    agent->out_off = agent->out_len;
    fake_send(&r, agent, answer, (size_t)n);
    CU_ASSERT_TRUE(next_is(&r, agent, WS_TEXT, "early"));
    CU_ASSERT_TRUE(c->out_len > 5 && memcmp(c->out + c->out_len - 5, "\x82\x03$ !", 5) == 0);
    rig_fini(&r);
}

/* One direction's frames as bytes, with pings in between that the relay must take out. */
struct script {
    uint8_t *sent, *expected;
    size_t sent_len, expected_len;
};

static void script_frame(struct rig *r, struct script *s, bool mask) {
    static const size_t bounds[] = {1, 10, 126, 1000, 70000};
    uint8_t key[4] = {9, 8, 7, (uint8_t)rig_random(r)}, header[WS_HEADER_BYTES_MAX];
    size_t len = rig_random(r) % bounds[rig_random(r) % 5];
    size_t n = ws_header(header, rig_random(r) & 1 ? WS_TEXT : WS_BINARY, len, mask ? key : NULL);
    memcpy(s->sent + s->sent_len, header, n);
    for (size_t i = 0; i < len; i++)
        s->sent[s->sent_len + n + i] = (uint8_t)rig_random(r);
    memcpy(s->expected + s->expected_len, s->sent + s->sent_len, n + len);
    s->sent_len += n + len;
    s->expected_len += n + len;
    if (rig_random(r) % 4 == 0)
        s->sent_len += ws_control(s->sent + s->sent_len, WS_PONG, "x", 1, mask ? key : NULL);
}

static struct script script_make(struct rig *r, int frames, bool mask) {
    struct script s = {malloc((size_t)frames * 70200), malloc((size_t)frames * 70200), 0, 0};
    for (int i = 0; i < frames; i++)
        script_frame(r, &s, mask);
    return s;
}

/* Feed both directions in random pieces with small queues; all comes out byte for byte. */
static void relay_random(uint64_t seed) {
    struct rig r;
    rig_init(&r, 4);
    r.random ^= seed * 0x2545f4914f6cdd1d;
    struct pair p = rig_open(&r, "", 0, 0);
    struct fake *end[2] = {p.client, p.agent};
    struct script s[2] = {script_make(&r, 20, true), script_make(&r, 20, false)};
    uint8_t *got[2] = {malloc(s[1].expected_len + 1), malloc(s[0].expected_len + 1)};
    size_t fed[2] = {0}, taken[2] = {0}, want[2] = {s[1].expected_len, s[0].expected_len};
    for (int i = 0; i < 2; i++) {
        end[i]->span = 1 + rig_random(&r) % 3000;
        end[i]->queue = 20 + rig_random(&r) % 5000;
    }
    for (int turn = 0; turn < 200000 && (taken[0] < want[0] || taken[1] < want[1]); turn++) {
        int i = rig_random(&r) & 1;
        size_t n = rig_random(&r) % 4000, left = s[i].sent_len - fed[i];
        if (rig_random(&r) & 1) {
            n = n < left ? n : left;
            if (n && end[i]->in_len - end[i]->in_off < 8192) {
                fake_send(&r, end[i], s[i].sent + fed[i], n);
                fed[i] += n;
            }
        } else {
            n = n < want[i] - taken[i] ? n : want[i] - taken[i];
            taken[i] += fake_read(&r, end[i], got[i] + taken[i], n);
        }
    }
    CU_ASSERT_EQUAL(taken[0], want[0]);
    CU_ASSERT_EQUAL(taken[1], want[1]);
    CU_ASSERT_TRUE(memcmp(got[0], s[1].expected, want[0]) == 0);
    CU_ASSERT_TRUE(memcmp(got[1], s[0].expected, want[1]) == 0);
    CU_ASSERT_EQUAL(rig_counter(&r, TGW_C_relay_frames_to_agent), 20);
    CU_ASSERT_EQUAL(rig_counter(&r, TGW_C_relay_frames_to_client), 20);
    for (int i = 0; i < 2; i++) {
        free(s[i].sent);
        free(s[i].expected);
        free(got[i]);
    }
    rig_fini(&r);
}

static void relay_is_byte_exact(void) {
    for (uint64_t seed = 1; seed <= 20; seed++)
        relay_random(seed);
}

static void pings_are_answered_here(void) {
    struct rig r;
    rig_init(&r, 4);
    struct pair p = rig_open(&r, "", 0, 0);
    fake_frame(&r, p.client, WS_PING, "one", 3, true);
    CU_ASSERT_TRUE(next_is(&r, p.client, WS_PONG, "one"));
    fake_frame(&r, p.agent, WS_PING, "two", 3, false);
    CU_ASSERT_TRUE(next_is(&r, p.agent, WS_PONG, "two"));
    CU_ASSERT_EQUAL(p.agent->out_off, p.agent->out_len);
    /* In mid-frame the answer waits; of two pings the newer one counts. */
    fake_send(&r, p.agent,
              "\x82\x04"
              "ab",
              4);
    fake_frame(&r, p.client, WS_PING, "old", 3, true);
    fake_frame(&r, p.client, WS_PING, "new", 3, true);
    fake_send(&r, p.agent,
              "cd\x82\x01"
              "e",
              5);
    CU_ASSERT_TRUE(next_is(&r, p.client, WS_BINARY, "abcd"));
    CU_ASSERT_TRUE(next_is(&r, p.client, WS_PONG, "new"));
    CU_ASSERT_TRUE(next_is(&r, p.client, WS_BINARY, "e"));
    rig_fini(&r);
}

static void the_browser_closes(void) {
    struct rig r;
    rig_init(&r, 4);
    struct pair p = rig_open(&r, "", 0, 0);
    fake_frame(&r, p.client, WS_TEXT, "exit", 4, true);
    send_close(&r, p.client, 1000, "bye", true);
    CU_ASSERT_TRUE(fake_closed_with(&r, p.client, 1000, ""));
    CU_ASSERT_TRUE(next_is(&r, p.agent, WS_TEXT, "exit"));
    CU_ASSERT_TRUE(fake_closed_with(&r, p.agent, 1000, "bye"));
    CU_ASSERT_EQUAL(rig_usage(&r).live, 1);
    /* Our FIN does not wait for anybody: a server closes first. */
    CU_ASSERT_TRUE(p.client->released && !p.agent->released);
    fake_frame(&r, p.agent, WS_TEXT, "logout", 6, false); /* goes nowhere */
    CU_ASSERT_EQUAL(rig_counter(&r, TGW_C_relay_dropped_bytes), 6);
    send_close(&r, p.agent, 1000, "bye", false);
    expect_gone(&r, &p, TGW_R_client_closed, 1000);
    CU_ASSERT_EQUAL(rig_event(&r, TGW_EV_CLOSED)->closed.bytes_to_agent, 4);
    rig_fini(&r);
}

static void an_empty_close_stays_empty(void) {
    struct rig r;
    rig_init(&r, 4);
    struct pair p = rig_open(&r, "", 0, 0);
    fake_frame(&r, p.client, WS_CLOSE, "", 0, true);
    CU_ASSERT_TRUE(fake_closed_with(&r, p.client, 0, ""));
    CU_ASSERT_TRUE(fake_closed_with(&r, p.agent, 0, ""));
    fake_fin(&r, p.agent);
    expect_gone(&r, &p, TGW_R_client_closed, 1005);
    rig_fini(&r);
}

/* Everything the agent wrote before its Close reaches a slow browser first. */
static void the_agent_closes(void) {
    struct rig r;
    struct ws_frame head;
    static uint8_t output[3000], got[3000];
    rig_init(&r, 4);
    struct pair p = rig_open(&r, "?mode=channel", 0, 0);
    p.client->queue = 500;
    fake_frame(&r, p.agent, WS_BINARY, output, sizeof(output), false);
    CU_ASSERT_EQUAL(rig_counter(&r, TGW_C_stalled_by_client), 1);
    send_close(&r, p.agent, 1000, "done", false);
    fake_fin(&r, p.agent);
    CU_ASSERT_EQUAL(rig_usage(&r).live, 1);
    size_t n = 0;
    static uint8_t all[4096];
    while (n < sizeof(output) + 4)
        n += fake_read(&r, p.client, all + n, 100);
    CU_ASSERT_TRUE(memcmp(all + 4, output, sizeof(output)) == 0);
    n -= sizeof(output) + 4;
    n += fake_read(&r, p.client, all + sizeof(output) + 4 + n, 100);
    CU_ASSERT_EQUAL(n, 8);
    CU_ASSERT_TRUE(memcmp(all + sizeof(output) + 4,
                          "\x88\x06\x03\xe8"
                          "done",
                          8) == 0);
    send_close(&r, p.client, 1000, "", true);
    expect_gone(&r, &p, TGW_R_agent_closed, 1000);
    (void)head;
    (void)got;
    rig_fini(&r);
}

/* To the agent the gateway is a client: its FIN comes after the agent's, or with the end. */
static void the_agents_fin_is_awaited(void) {
    struct rig r;
    rig_init(&r, 4);
    struct pair p = rig_open(&r, "", 0, 0);
    send_close(&r, p.agent, 1000, "", false);
    CU_ASSERT_TRUE(!p.client->released && !p.agent->released);
    fake_fin(&r, p.agent);
    CU_ASSERT_TRUE(!p.client->released && p.agent->released);
    CU_ASSERT_EQUAL(rig_usage(&r).live, 1);
    send_close(&r, p.client, 1000, "", true);
    expect_gone(&r, &p, TGW_R_agent_closed, 1000);
    rig_fini(&r);
}

static void closing_is_bounded(void) {
    struct rig r;
    rig_init(&r, 4);
    struct pair p = rig_open(&r, "", 0, 0);
    send_close(&r, p.agent, 1001, "", false);
    rig_wait(&r, TGW_CLOSE_TIMEOUT_MS - 10);
    CU_ASSERT_EQUAL(rig_usage(&r).live, 1);
    rig_wait(&r, 20);
    expect_gone(&r, &p, TGW_R_agent_closed, 1001);
    rig_fini(&r);
}

static void a_close_waits_for_its_place(void) {
    struct rig r;
    rig_init(&r, 4);
    struct pair p = rig_open(&r, "", 0, 0);
    fake_send(&r, p.agent,
              "\x82\x04"
              "ab",
              4);
    send_close(&r, p.client, 1000, "", true);
    CU_ASSERT_EQUAL(p.client->out_len - p.client->out_off, 4);
    fake_send(&r, p.agent,
              "cd\x82\x01"
              "e",
              5);
    CU_ASSERT_TRUE(next_is(&r, p.client, WS_BINARY, "abcd"));
    CU_ASSERT_TRUE(fake_closed_with(&r, p.client, 1000, "")); /* "e" is not sent any more */
    CU_ASSERT_EQUAL(rig_counter(&r, TGW_C_relay_dropped_bytes), 1);
    CU_ASSERT_TRUE(fake_closed_with(&r, p.agent, 1000, ""));
    send_close(&r, p.agent, 1000, "", false);
    expect_gone(&r, &p, TGW_R_client_closed, 1000);
    /* And one that never finds it ends with the deadline. */
    p = rig_open(&r, "", 0, 0);
    fake_send(&r, p.agent,
              "\x82\x04"
              "ab",
              4);
    send_close(&r, p.client, 1000, "", true);
    rig_wait(&r, TGW_CLOSE_TIMEOUT_MS + 10);
    CU_ASSERT_EQUAL(rig_usage(&r).live, 0);
    CU_ASSERT_EQUAL(p.client->out_len - p.client->out_off, 4);
    rig_fini(&r);
}

static void the_browser_is_lost(void) {
    for (int reset = 0; reset < 2; reset++) {
        struct rig r;
        rig_init(&r, 4);
        struct pair p = rig_open(&r, "", 0, 0);
        if (reset)
            fake_end(&r, p.client, STREAM_END_RESET);
        else
            fake_fin(&r, p.client);
        CU_ASSERT_TRUE(fake_closed_with(&r, p.agent, 1001, "client_lost"));
        CU_ASSERT_TRUE(p.agent->released);
        expect_gone(&r, &p, TGW_R_client_lost, 0);
        rig_fini(&r);
    }
}

static void the_browser_is_lost_in_a_frame(void) {
    struct rig r;
    rig_init(&r, 4);
    struct pair p = rig_open(&r, "", 0, 0);
    fake_send(&r, p.client, "\x82\x84\1\2\3\4ab", 8);
    fake_fin(&r, p.client);
    CU_ASSERT_EQUAL(p.agent->out_len - p.agent->out_off, 8); /* no Close behind half a frame */
    expect_gone(&r, &p, TGW_R_client_lost, 0);
    rig_fini(&r);
}

static void the_browser_is_lost_in_a_header(void) {
    struct rig r;
    rig_init(&r, 4);
    struct pair p = rig_open(&r, "", 0, 0);
    fake_send(&r, p.client, "\x82\x84\1", 3);
    fake_fin(&r, p.client);
    CU_ASSERT_TRUE(fake_closed_with(&r, p.agent, 1001, "client_lost"));
    expect_gone(&r, &p, TGW_R_client_lost, 0);
    rig_fini(&r);
}

static void the_agent_is_lost(void) {
    for (int reset = 0; reset < 2; reset++) {
        struct rig r;
        rig_init(&r, 4);
        struct pair p = rig_open(&r, "", 0, 0);
        p.agent->in_fin = reset == 0;
        fake_frame(&r, p.agent, WS_BINARY, "last words", 10, false);
        if (reset)
            fake_end(&r, p.agent, STREAM_END_RESET);
        CU_ASSERT_TRUE(next_is(&r, p.client, WS_BINARY, "last words"));
        CU_ASSERT_TRUE(fake_closed_with(&r, p.client, 1011, "upstream_lost"));
        CU_ASSERT_EQUAL(rig_usage(&r).live, 1);
        send_close(&r, p.client, 1011, "", true);
        expect_gone(&r, &p, TGW_R_upstream_lost, 1011);
        rig_fini(&r);
    }
}

static void unread_output_outlives_the_agent(void) {
    struct rig r;
    static uint8_t output[2000], all[2100];
    rig_init(&r, 4);
    struct pair p = rig_open(&r, "", 0, 0);
    p.client->queue = 300;
    fake_frame(&r, p.agent, WS_BINARY, output, sizeof(output), false);
    fake_fin(&r, p.agent);
    size_t n = 0;
    for (int i = 0; i < 100; i++)
        n += fake_read(&r, p.client, all + n, 50);
    CU_ASSERT_EQUAL(n, 4 + sizeof(output) + 17);
    CU_ASSERT_TRUE(memcmp(all + 4 + sizeof(output), "\x88\x0f\x03\xf3upstream_lost", 17) == 0);
    fake_end(&r, p.client, STREAM_END_OK);
    expect_gone(&r, &p, TGW_R_upstream_lost, 1011);
    rig_fini(&r);
}

static void framing_errors_end_it(void) {
    struct rig r;
    rig_init(&r, 4);
    struct pair p = rig_open(&r, "", 0, 0);
    fake_send(&r, p.client, "\x82\x01x", 3); /* not masked */
    CU_ASSERT_TRUE(fake_closed_with(&r, p.client, 1002, "protocol_error"));
    CU_ASSERT_TRUE(fake_closed_with(&r, p.agent, 1001, "protocol_error"));
    fake_fin(&r, p.agent);
    expect_gone(&r, &p, TGW_R_protocol_error, 1002);
    p = rig_open(&r, "", 0, 0);
    fake_send(&r, p.client,
              "\x82\xff\0\0\0\0\x01\0\0\x01"
              "abcd",
              14);
    CU_ASSERT_TRUE(fake_closed_with(&r, p.client, 1009, "message_too_big"));
    fake_fin(&r, p.agent);
    expect_gone(&r, &p, TGW_R_message_too_big, 1009);
    p = rig_open(&r, "", 0, 0);
    fake_send(&r, p.agent,
              "\x82\x81"
              "abcdx",
              7); /* a server does not mask */
    CU_ASSERT_TRUE(fake_closed_with(&r, p.client, 1011, "upstream_lost"));
    CU_ASSERT_TRUE(fake_closed_with(&r, p.agent, 1002, "protocol_error"));
    fake_fin(&r, p.client);
    expect_gone(&r, &p, TGW_R_upstream_lost, 1011);
    p = rig_open(&r, "", 0, 0);
    fake_frame(&r, p.client, WS_CLOSE, "\x03\xee", 2, true); /* 1006 never goes on the wire */
    CU_ASSERT_TRUE(fake_closed_with(&r, p.client, 1002, "protocol_error"));
    rig_fini(&r);
}

/* Any bytes from either side, any splits, random ends: nothing leaks, nothing asserts. */
static void garbage_ends_in_order(void) {
    struct rig r;
    uint8_t bytes[64];
    rig_init(&r, 8);
    for (int round = 0; round < 400; round++) {
        struct pair p = rig_open(&r, rig_random(&r) & 1 ? "?mode=channel" : "", 0, 0);
        p.client->queue = p.agent->queue = 16 + rig_random(&r) % 300;
        for (int i = 0; i < 30; i++) {
            struct fake *f = rig_random(&r) & 1 ? p.client : p.agent;
            uint64_t what = rig_random(&r) % 16;
            size_t n = rig_random(&r) % sizeof(bytes);
            for (size_t k = 0; k < n; k++)
                bytes[k] = (uint8_t)rig_random(&r);
            if (what == 0)
                fake_fin(&r, f);
            else if (what == 1)
                fake_end(&r, f, STREAM_END_RESET);
            else if (what == 2)
                fake_send(&r, f, bytes, n);
            else if (what < 6)
                fake_read(&r, f, bytes, n);
            else if (what == 6)
                rig_wait(&r, rig_random(&r) % 9000);
            else if (!f->in_fin)
                fake_frame(&r, f, what < 12 ? WS_BINARY : WS_PING, bytes, n, f == p.client);
        }
        fake_end(&r, p.client, STREAM_END_RESET);
        rig_wait(&r, 6000);
        CU_ASSERT_EQUAL(rig_usage(&r).live, 0);
        r.events = 0;
        if (r.fakes > RIG_FAKES - 8)
            break;
    }
    CU_ASSERT_EQUAL(rig_counter(&r, TGW_C_stalled_by_client), 0);
    CU_ASSERT_EQUAL(rig_counter(&r, TGW_C_stalled_by_agent), 0);
    rig_fini(&r);
}

/* Who does not read is let go when memory is short; the others stay. */
static void the_stalled_go_when_memory_is_short(void) {
    struct rig r;
    static uint8_t output[3000];
    rig_init(&r, 8);
    struct pair p[4];
    for (int i = 0; i < 4; i++)
        p[i] = rig_open(&r, "", 0, 0);
    p[1].client->queue = 500;
    p[3].agent->queue = 500;
    fake_frame(&r, p[1].agent, WS_BINARY, output, sizeof(output), false);
    fake_frame(&r, p[3].client, WS_BINARY, output, sizeof(output), true);
    rig_wait(&r, 1000);
    CU_ASSERT_EQUAL(rig_usage(&r).live, 4);
    r.starving = true;
    rig_wait(&r, 1000);
    CU_ASSERT_EQUAL(rig_reason(&r, TGW_R_overloaded), 0); /* their Closes are under way */
    CU_ASSERT_TRUE(p[1].client->aborted && p[3].agent->aborted);
    CU_ASSERT_TRUE(fake_closed_with(&r, p[1].agent, 1013, "overloaded"));
    CU_ASSERT_TRUE(fake_closed_with(&r, p[3].client, 1013, "overloaded"));
    rig_wait(&r, 6000);
    CU_ASSERT_EQUAL(rig_reason(&r, TGW_R_overloaded), 2);
    CU_ASSERT_EQUAL(rig_usage(&r).live, 2);
    CU_ASSERT_EQUAL(rig_counter(&r, TGW_C_stalled_by_client), 0);
    fake_frame(&r, p[0].client, WS_BINARY, "x", 1, true);
    CU_ASSERT_FALSE(p[0].client->dead || p[2].agent->dead);
    rig_fini(&r);
}

/* A whole life with the nth allocation of one size failing. */
static uint64_t live_without(int size, uint32_t nth) {
    struct rig r;
    rig_init(&r, 4);
    struct pool *pool = size < BLOB_CLASSES ? &r.table->blobs.size[size] : &r.table->pool;
    pool->fail_at = nth;
    struct fake *c = rig_connect(&r);
    rig_request(&r, c, "/ws/terminal/alloc-1",
                "Sec-WebSocket-Protocol: token-of-sixteen-or-more\r\n");
    if (rig_event(&r, TGW_EV_AUTH))
        rig_verdict(&r, rig_event(&r, TGW_EV_AUTH)->auth.handle, TGW_OK, 0, 0);
    if (r.agent && !r.agent->dead) {
        rig_agent_accepts(&r, r.agent);
        fake_frame(&r, c, WS_PING, "p", 1, true);
        send_close(&r, c, 1000, "", true);
        send_close(&r, r.agent, 1000, "", false);
    }
    rig_wait(&r, 12000);
    CU_ASSERT_TRUE(c->dead);
    CU_ASSERT_EQUAL(rig_usage(&r).live + rig_usage(&r).pending, 0);
    uint64_t told = rig_reason(&r, TGW_R_internal_error);
    rig_fini(&r);
    return told;
}

static void every_allocation_may_fail(void) {
    uint64_t told = 0;
    for (int size = 0; size <= BLOB_CLASSES; size++)
        for (uint32_t nth = 1; nth <= 6; nth++)
            told += live_without(size, nth);
    CU_ASSERT_TRUE(told > 0); /* refused as internal_error */
}

int main(void) {
    static const struct suite_case cases[] = {
        {"a session opens", a_session_opens},
        {"early bytes are kept", early_bytes_are_kept},
        {"relay is byte-exact over random splits", relay_is_byte_exact},
        {"pings are answered here", pings_are_answered_here},
        {"the browser closes", the_browser_closes},
        {"an empty close stays empty", an_empty_close_stays_empty},
        {"the agent closes after its output", the_agent_closes},
        {"the agent's FIN is awaited", the_agents_fin_is_awaited},
        {"closing is bounded", closing_is_bounded},
        {"a close waits for its place", a_close_waits_for_its_place},
        {"the browser is lost", the_browser_is_lost},
        {"the browser is lost in mid-frame", the_browser_is_lost_in_a_frame},
        {"the browser is lost in a header", the_browser_is_lost_in_a_header},
        {"the agent is lost", the_agent_is_lost},
        {"unread output outlives the agent", unread_output_outlives_the_agent},
        {"framing errors end the session", framing_errors_end_it},
        {"garbage ends in order", garbage_ends_in_order},
        {"the stalled go when memory is short", the_stalled_go_when_memory_is_short},
        {"every allocation may fail", every_allocation_may_fail},
    };
    return suite_run("session/live", cases, sizeof(cases) / sizeof(cases[0]));
}

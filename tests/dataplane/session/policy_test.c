/* Time limits, draining, and what the control process may ask. */
#include "rig.h"

static bool notice_is(struct rig *r, struct fake *f, const char *json) {
    struct ws_frame head;
    uint8_t got[4096];
    return fake_next(r, f, &head, got, sizeof(got)) && head.opcode == WS_BINARY && got[0] == 7 &&
           !head.masked && head.payload_bytes == strlen(json) + 1 &&
           memcmp(got + 1, json, strlen(json)) == 0;
}

static bool ping_next(struct rig *r, struct fake *f) {
    struct ws_frame head;
    uint8_t got[4096];
    return fake_next(r, f, &head, got, sizeof(got)) && head.opcode == WS_PING;
}

static void chat(struct rig *r, struct pair *p) {
    fake_frame(r, p->client, WS_TEXT, "x", 1, true);
    fake_frame(r, p->agent, WS_BINARY, "x", 1, false);
    p->client->out_off = p->client->out_len;
    p->agent->out_off = p->agent->out_len;
}

static void ttl_ends_it(void) {
    struct rig r;
    rig_init(&r, 4);
    struct pair p = rig_open(&r, "", 100, 0);
    for (int i = 0; i < 9; i++) {
        rig_wait(&r, 10999);
        chat(&r, &p);
    }
    rig_wait(&r, 1000);
    CU_ASSERT_EQUAL(rig_count(&r, TGW_EV_CLOSED), 0);
    rig_wait(&r, 20);
    CU_ASSERT_TRUE(fake_closed_with(&r, p.client, 4401, "session_ttl"));
    CU_ASSERT_TRUE(fake_closed_with(&r, p.agent, 4401, "session_ttl"));
    fake_fin(&r, p.client);
    fake_fin(&r, p.agent);
    CU_ASSERT_EQUAL(rig_event(&r, TGW_EV_CLOSED)->closed.reason, TGW_R_session_ttl);
    rig_fini(&r);
}

/* Pongs keep the legs alive but are no activity. */
static void pong_for(struct rig *r, struct fake *f, bool mask) {
    fake_frame(r, f, WS_PONG, "", 0, mask);
}

static void idleness_ends_it(void) {
    struct rig r;
    rig_init(&r, 4);
    struct pair p = rig_open(&r, "?mode=channel", 0, 90);
    rig_wait(&r, 10000);
    chat(&r, &p);
    for (int i = 0; i < 2; i++) {
        rig_wait(&r, 14990);
        pong_for(&r, p.client, true);
        pong_for(&r, p.agent, false);
    }
    CU_ASSERT_EQUAL(p.client->out_off, p.client->out_len);
    rig_wait(&r, 40);
    CU_ASSERT_TRUE(notice_is(&r, p.client, "{\"notice\":\"idle\",\"closes_in_s\":60}"));
    CU_ASSERT_EQUAL(rig_counter(&r, TGW_C_notices_sent), 1);
    for (int i = 0; i < 6; i++) {
        rig_wait(&r, 9990);
        pong_for(&r, p.client, true);
        pong_for(&r, p.agent, false);
    }
    CU_ASSERT_EQUAL(rig_count(&r, TGW_EV_CLOSED), 0);
    rig_wait(&r, 100);
    CU_ASSERT_TRUE(fake_closed_with(&r, p.client, 4408, "idle_timeout"));
    rig_fini(&r);
}

static void activity_puts_idleness_off(void) {
    struct rig r;
    rig_init(&r, 4);
    struct pair p = rig_open(&r, "", 0, 30); /* too short for a notice */
    for (int i = 0; i < 20; i++) {
        rig_wait(&r, 29000);
        fake_frame(&r, p.agent, WS_BINARY, "x", 1, false);
        pong_for(&r, p.client, true);
    }
    CU_ASSERT_EQUAL(rig_usage(&r).live, 1);
    CU_ASSERT_EQUAL(rig_counter(&r, TGW_C_notices_sent), 0);
    rig_wait(&r, 30010);
    CU_ASSERT_EQUAL(rig_reason(&r, TGW_R_idle_timeout), 0); /* waits for the Close of both */
    rig_wait(&r, TGW_CLOSE_TIMEOUT_MS);
    CU_ASSERT_EQUAL(rig_reason(&r, TGW_R_idle_timeout), 1);
    rig_fini(&r);
}

static void silence_is_pinged_then_lost(void) {
    struct rig r;
    rig_init(&r, 4);
    struct pair p = rig_open(&r, "", 0, 0);
    rig_wait(&r, TGW_PING_SILENCE_MS - 10);
    CU_ASSERT_EQUAL(p.client->out_off, p.client->out_len);
    rig_wait(&r, 20);
    CU_ASSERT_TRUE(ping_next(&r, p.client) && ping_next(&r, p.agent));
    pong_for(&r, p.agent, false);
    rig_wait(&r, TGW_PING_SILENCE_MS);
    CU_ASSERT_TRUE(ping_next(&r, p.client) && ping_next(&r, p.agent));
    CU_ASSERT_EQUAL(rig_counter(&r, TGW_C_pings_sent), 4);
    pong_for(&r, p.agent, false);
    rig_wait(&r, TGW_PONG_LOST_MS - 2 * TGW_PING_SILENCE_MS);
    CU_ASSERT_EQUAL(rig_event(&r, TGW_EV_CLOSED)->closed.reason, TGW_R_client_lost);
    CU_ASSERT_TRUE(fake_closed_with(&r, p.agent, 1001, "client_lost"));
    p = rig_open(&r, "", 0, 0);
    for (int i = 0; i < 5; i++) {
        rig_wait(&r, 9000);
        pong_for(&r, p.client, true);
    }
    rig_wait(&r, 100);
    CU_ASSERT_TRUE(ping_next(&r, p.agent) && ping_next(&r, p.agent));
    CU_ASSERT_TRUE(fake_closed_with(&r, p.client, 1011, "upstream_lost"));
    rig_fini(&r);
}

/* A browser that does not read holds up its agent's output: neither is lost by that. */
static void backpressure_is_no_silence(void) {
    struct rig r;
    static uint8_t output[4000];
    rig_init(&r, 4);
    struct pair p = rig_open(&r, "", 0, 0);
    p.client->queue = 100;
    fake_frame(&r, p.agent, WS_BINARY, output, sizeof(output), false);
    CU_ASSERT_EQUAL(rig_counter(&r, TGW_C_stalled_by_client), 1);
    rig_wait(&r, 600000);
    CU_ASSERT_EQUAL(rig_usage(&r).live, 1);
    p.client->queue = 1 << 16;
    fake_read(&r, p.client, output, 100);
    CU_ASSERT_EQUAL(rig_counter(&r, TGW_C_stalled_by_client), 0);
    rig_wait(&r, TGW_PONG_LOST_MS - 10);
    CU_ASSERT_EQUAL(rig_usage(&r).live, 1);
    rig_wait(&r, 6000);
    CU_ASSERT_EQUAL(rig_usage(&r).live, 0);
    rig_fini(&r);
}

static void a_notice_waits_for_the_message(void) {
    struct rig r;
    struct ws_frame head;
    uint8_t got[64];
    rig_init(&r, 4);
    struct pair p = rig_open(&r, "?mode=channel", 0, 0);
    fake_frame(&r, p.agent, WS_BINARY | 0x40, "one", 3, false); /* to be continued */
    rig_policy(&r, true, 30000, 4, false);
    rig_wait(&r, 100);
    CU_ASSERT_TRUE(fake_next(&r, p.client, &head, got, sizeof(got)));
    CU_ASSERT_EQUAL(p.client->out_off, p.client->out_len);
    fake_frame(&r, p.agent, WS_CONTINUATION, "two", 3, false);
    CU_ASSERT_TRUE(fake_next(&r, p.client, &head, got, sizeof(got)));
    CU_ASSERT_EQUAL(head.opcode, WS_CONTINUATION);
    CU_ASSERT_TRUE(notice_is(&r, p.client, "{\"notice\":\"draining\",\"deadline_s\":30}"));
    rig_fini(&r);
}

static void draining_spreads_the_end(void) {
    enum { N = 50 };
    struct rig r;
    struct pair p[N];
    rig_init(&r, N);
    for (int i = 0; i < N; i++)
        p[i] = rig_open(&r, i & 1 ? "?mode=channel" : "", 0, 0);
    rig_policy(&r, true, 10000, N, false);
    rig_wait(&r, 5);
    for (int i = 0; i < N; i++)
        CU_ASSERT_TRUE(!(i & 1) ||
                       notice_is(&r, p[i].client, "{\"notice\":\"draining\",\"deadline_s\":10}"));
    CU_ASSERT_EQUAL(rig_event(&r, TGW_EV_DRAIN_STATE)->drain_state.sessions_left, N);
    rig_wait(&r, 2000);
    rig_policy(&r, true, 10000, N, false); /* repeated as it was ... */
    rig_policy(&r, true, 7990, N, false);  /* ... or with the time that is left */
    rig_wait(&r, 7900);
    CU_ASSERT_EQUAL(rig_counter(&r, TGW_C_notices_sent), N / 2);
    CU_ASSERT_EQUAL(rig_count(&r, TGW_EV_DRAIN_STATE), 1);
    unsigned closed_before = 0;
    rig_wait(&r, 100);
    for (int step = 0; step < 10; step++) {
        unsigned closed = 0;
        rig_wait(&r, TGW_DRAIN_SPREAD_MS / 10);
        for (int i = 0; i < N; i++) {
            if (!p[i].client->dead && p[i].client->out_off < p[i].client->out_len &&
                fake_closed_with(&r, p[i].client, 1012, "drain_timeout")) {
                fake_fin(&r, p[i].client);
                fake_fin(&r, p[i].agent);
            }
            closed += p[i].client->dead;
        }
        CU_ASSERT_TRUE(closed - closed_before >= 4 && closed - closed_before <= 6);
        closed_before = closed;
    }
    rig_wait(&r, 10);
    CU_ASSERT_EQUAL(rig_reason(&r, TGW_R_drain_timeout), N);
    CU_ASSERT_TRUE(rig_usage(&r).drained);
    CU_ASSERT_TRUE(rig_event(&r, TGW_EV_DRAIN_STATE)->drain_state.finished);
    CU_ASSERT_EQUAL(rig_count(&r, TGW_EV_DRAIN_STATE), 2);
    rig_fini(&r);
}

static void draining_can_be_taken_back(void) {
    struct rig r;
    rig_init(&r, 4);
    struct pair p = rig_open(&r, "?mode=channel", 0, 0);
    r.events_room = r.events;
    rig_policy(&r, true, 10000, 4, false);
    rig_wait(&r, 100);
    CU_ASSERT_EQUAL(rig_count(&r, TGW_EV_DRAIN_STATE), 0);
    r.events_room = RIG_EVENTS; /* told as soon as there is room */
    rig_wait(&r, 10);
    CU_ASSERT_EQUAL(rig_count(&r, TGW_EV_DRAIN_STATE), 1);
    rig_policy(&r, true, 3000, 4, false); /* sooner: told anew */
    rig_wait(&r, 10);
    CU_ASSERT_EQUAL(rig_counter(&r, TGW_C_notices_sent), 2);
    rig_policy(&r, false, 0, 4, false);
    rig_wait(&r, 12000);
    CU_ASSERT_EQUAL(rig_usage(&r).live, 1);
    CU_ASSERT_FALSE(rig_usage(&r).draining);
    CU_ASSERT_EQUAL(rig_event(&r, TGW_EV_DRAIN_STATE)->drain_state.draining, 0);
    struct pair q = rig_open(&r, "", 0, 0);
    CU_ASSERT_FALSE(q.client->fin || p.client->fin);
    rig_fini(&r);
}

/* Accepted by the control process, but the deadline passed before the agent answered. */
static void no_session_opens_after_the_deadline(void) {
    struct rig r;
    rig_init(&r, 4);
    struct fake *c = rig_connect(&r);
    rig_request(&r, c, "/ws/terminal/alloc-1",
                "Sec-WebSocket-Protocol: token-of-sixteen-or-more\r\n");
    rig_verdict(&r, rig_event(&r, TGW_EV_AUTH)->auth.handle, TGW_OK, 0, 0);
    rig_policy(&r, true, 1000, 4, false);
    rig_wait(&r, 1500);
    rig_agent_accepts(&r, r.agent);
    CU_ASSERT_TRUE(fake_wrote(c, "terminal gateway draining"));
    rig_wait(&r, 10);
    CU_ASSERT_TRUE(rig_usage(&r).drained);
    rig_fini(&r);
}

static void command_session(struct rig *r, unsigned type, tgw_handle h, uint32_t seq) {
    union tgw_cmd cmd = {
        .session = {.msg = {(uint16_t)type, sizeof(cmd.session), seq}, .handle = h}};
    session_command(r->table, &cmd);
    session_check(r->table);
}

static void kill_and_show(void) {
    struct rig r;
    rig_init(&r, 4);
    struct pair p = rig_open(&r, "", 0, 0);
    command_session(&r, TGW_CMD_SHOW, p.handle, 5);
    const union tgw_event *e = rig_event(&r, TGW_EV_SESSION);
    CU_ASSERT_PTR_NOT_NULL_FATAL(e);
    CU_ASSERT_TRUE(e->msg.seq == 5 && !strcmp(e->session.client.state, "ESTABLISHED"));
    command_session(&r, TGW_CMD_KILL, p.handle + 1, 6);
    CU_ASSERT_EQUAL(rig_event(&r, TGW_EV_DONE)->done.reason, TGW_R_not_found);
    command_session(&r, TGW_CMD_KILL, p.handle, 7);
    CU_ASSERT_EQUAL(rig_event(&r, TGW_EV_DONE)->done.reason, TGW_OK);
    CU_ASSERT_TRUE(fake_closed_with(&r, p.client, 1008, "session_terminated"));
    CU_ASSERT_TRUE(fake_closed_with(&r, p.agent, 1008, "session_terminated"));
    fake_end(&r, p.client, STREAM_END_RESET);
    fake_fin(&r, p.agent);
    CU_ASSERT_EQUAL(rig_event(&r, TGW_EV_CLOSED)->closed.reason, TGW_R_session_terminated);
    command_session(&r, TGW_CMD_KILL, p.handle, 8);
    CU_ASSERT_EQUAL(rig_event(&r, TGW_EV_DONE)->done.reason, TGW_R_not_found);
    struct pair q = rig_open(&r, "", 0, 0);
    CU_ASSERT_NOT_EQUAL(q.handle, p.handle); /* same slot, next generation */
    rig_fini(&r);
}

/* A thousand sessions over a ring that takes a few events a turn, sometimes none. */
static void a_long_list_is_whole(void) {
    enum { N = 1000 };
    static struct rig r;
    static bool seen[N * 2];
    uint32_t sessions = 0, ends = 0;
    rig_init(&r, N);
    for (int i = 0; i < N; i++) {
        rig_open(&r, "", 0, 0);
        r.events = 0;
    }
    union tgw_cmd cmd = {.list = {.msg = {TGW_CMD_LIST, sizeof(cmd.list), 42}}};
    session_command(r.table, &cmd);
    for (int turn = 0; turn < 5000 && !ends; turn++) {
        r.events = 0;
        r.events_room = rig_random(&r) % 8;
        CU_ASSERT_TRUE(session_next_timer(r.table) <= r.now_ns);
        session_advance(r.table, r.now_ns);
        for (uint32_t i = 0; i < r.events; i++) {
            const union tgw_event *e = &r.event[i];
            CU_ASSERT_EQUAL(e->msg.seq, 42);
            if (e->msg.type == TGW_EV_LIST_END) {
                CU_ASSERT_EQUAL(e->list_end.sessions, N);
                ends++;
                continue;
            }
            CU_ASSERT_FALSE(seen[tgw_handle_index(e->session.handle)]);
            seen[tgw_handle_index(e->session.handle)] = true;
            sessions++;
        }
    }
    CU_ASSERT_EQUAL(sessions, N);
    CU_ASSERT_EQUAL(ends, 1);
    cmd.list = (struct tgw_cmd_list){
        .msg = {TGW_CMD_LIST, sizeof(cmd.list), 43}, .first_index = 10, .sessions_max = 5};
    r.events_room = RIG_EVENTS;
    r.events = 0;
    session_command(r.table, &cmd);
    session_advance(r.table, r.now_ns);
    session_advance(r.table, r.now_ns);
    CU_ASSERT_EQUAL(rig_count(&r, TGW_EV_SESSION), 5);
    CU_ASSERT_EQUAL(rig_event(&r, TGW_EV_LIST_END)->list_end.sessions, 5);
    rig_fini(&r);
}

int main(void) {
    static const struct suite_case cases[] = {
        {"the TTL ends it", ttl_ends_it},
        {"idleness is announced and ends it", idleness_ends_it},
        {"activity puts idleness off", activity_puts_idleness_off},
        {"silence is pinged, then lost", silence_is_pinged_then_lost},
        {"back-pressure is no silence", backpressure_is_no_silence},
        {"a notice waits for the end of a message", a_notice_waits_for_the_message},
        {"draining spreads the end", draining_spreads_the_end},
        {"draining can be taken back", draining_can_be_taken_back},
        {"no session opens after the deadline", no_session_opens_after_the_deadline},
        {"kill and show", kill_and_show},
        {"a long list is whole", a_long_list_is_whole},
    };
    return suite_run("session/policy", cases, sizeof(cases) / sizeof(cases[0]));
}

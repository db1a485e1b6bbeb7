/* From the accepted stream to the 101, and every way not to get there. */
#include "rig.h"
#include <stdio.h>

static const char TOKEN[] = "Sec-WebSocket-Protocol: token-of-sixteen-or-more\r\n";

/* Answered as `reason`, counted, told, lingering, and gone once the peer closes. */
static void expect_refused(struct rig *r, struct fake *c, enum tgw_reason reason) {
    char status[32];
    snprintf(status, sizeof(status), "HTTP/1.1 %u ", tgw_reason_info(reason)->http_status);
    CU_ASSERT_TRUE(fake_wrote(c, status));
    CU_ASSERT_TRUE(fake_wrote(c, tgw_reason_info(reason)->label));
    CU_ASSERT_TRUE(c->fin && !c->released);
    CU_ASSERT_EQUAL(rig_reason(r, reason), 1);
    const union tgw_event *e = rig_event(r, TGW_EV_REFUSED);
    CU_ASSERT_PTR_NOT_NULL_FATAL(e);
    CU_ASSERT_EQUAL(e->refused.reason, reason);
    CU_ASSERT_EQUAL(e->refused.http_status, tgw_reason_info(reason)->http_status);
    CU_ASSERT_TRUE(strlen(e->refused.ident.correlation_id) >= TGW_CORRELATION_ID_MIN);
    CU_ASSERT_EQUAL(strlen(e->refused.ident.trace_id), TGW_TRACE_ID_HEX);
    CU_ASSERT_TRUE(fake_wrote(c, e->refused.ident.correlation_id));
    fake_text(r, c, "more that nobody reads");
    CU_ASSERT_FALSE(c->dead);
    fake_fin(r, c);
    CU_ASSERT_TRUE(c->released);
}

static void request_refused(const char *target, const char *extra, enum tgw_reason reason) {
    struct rig r;
    rig_init(&r, 4);
    struct fake *c = rig_connect(&r);
    rig_request(&r, c, target, extra);
    expect_refused(&r, c, reason);
    CU_ASSERT_EQUAL(rig_count(&r, TGW_EV_AUTH), 0);
    rig_fini(&r);
}

static void syntax_is_refused(void) {
    request_refused("/nowhere", TOKEN, TGW_R_not_found);
    request_refused("/ws/terminal/a?token=x", TOKEN, TGW_R_token_in_query);
    request_refused("/ws/terminal/a", "", TGW_R_token_missing);
    request_refused("/ws/terminal/a", "Sec-WebSocket-Protocol: short\r\n", TGW_R_token_invalid);
    request_refused("/ws/terminal/a?cols=0", TOKEN, TGW_R_malformed);
    request_refused("/ws/terminal/a", "bad field\r\n", TGW_R_malformed);
}

static void other_methods_are_refused(void) {
    struct rig r;
    rig_init(&r, 4);
    struct fake *c = rig_connect(&r);
    fake_text(&r, c, "POST /ws/terminal/a HTTP/1.1\r\nHost: g\r\n\r\n");
    expect_refused(&r, c, TGW_R_method_not_allowed);
    c = rig_connect(&r);
    fake_text(&r, c, "GET /ws/terminal/a HTTP/1.1\r\nHost: g\r\n\r\n");
    expect_refused(&r, c, TGW_R_upgrade_required);
    rig_fini(&r);
}

static void long_tokens_are_refused(void) {
    struct rig r;
    char field[3072];
    rig_init(&r, 4);
    struct fake *c = rig_connect(&r);
    int n = snprintf(field, sizeof(field), "Sec-WebSocket-Protocol: ");
    memset(field + n, 'a', TGW_TOKEN_BYTES_MAX + 1);
    strcpy(field + n + TGW_TOKEN_BYTES_MAX + 1, "\r\n");
    rig_request(&r, c, "/ws/terminal/a", field);
    expect_refused(&r, c, TGW_R_token_invalid);
    rig_fini(&r);
}

static void heads_are_bounded(void) {
    struct rig r;
    uint8_t block[TGW_HEAD_BYTES_MAX];
    rig_init(&r, 4);
    memset(block, 'a', sizeof(block));
    struct fake *c = rig_connect(&r);
    fake_send(&r, c, block, sizeof(block) - 1);
    CU_ASSERT_FALSE(c->fin);
    fake_send(&r, c, block, 1);
    expect_refused(&r, c, TGW_R_headers_too_large);
    rig_fini(&r);
}

static void a_slow_head_is_refused(void) {
    struct rig r;
    rig_init(&r, 4);
    struct fake *c = rig_connect(&r);
    fake_text(&r, c, "GET / HT");
    rig_wait(&r, TGW_HEAD_TIMEOUT_MS - 1);
    CU_ASSERT_FALSE(c->fin);
    rig_wait(&r, 2);
    expect_refused(&r, c, TGW_R_request_timeout);
    rig_fini(&r);
}

static void lingering_is_bounded(void) {
    struct rig r;
    rig_init(&r, 4);
    struct fake *c = rig_connect(&r);
    rig_request(&r, c, "/nowhere", "");
    rig_wait(&r, TGW_CLOSE_TIMEOUT_MS - 1);
    CU_ASSERT_FALSE(c->released);
    rig_wait(&r, 2);
    CU_ASSERT_TRUE(c->released);
    rig_fini(&r);
}

static void heads_come_in_any_pieces(void) {
    struct rig r;
    rig_init(&r, 4);
    struct fake *c = rig_connect(&r);
    const char *head = "GET /ws/terminal/a HTTP/1.1\r\nHost: g\r\nUpgrade: websocket\r\n"
                       "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                       "X-Correlation-ID: my-own-one\r\nOrigin: https://page\r\n"
                       "Sec-WebSocket-Protocol: terminal.v1, token-of-sixteen-or-more\r\n\r\n";
    for (; *head; head++)
        fake_send(&r, c, head, 1);
    const union tgw_event *e = rig_event(&r, TGW_EV_AUTH);
    CU_ASSERT_PTR_NOT_NULL_FATAL(e);
    CU_ASSERT_EQUAL(rig_count(&r, TGW_EV_AUTH), 1);
    CU_ASSERT_STRING_EQUAL(e->auth.correlation_id, "my-own-one");
    CU_ASSERT_STRING_EQUAL(e->auth.origin, "https://page");
    CU_ASSERT_EQUAL(e->auth.mode, TGW_MODE_CHANNEL);
    CU_ASSERT_EQUAL(e->auth.cols, TGW_COLS_DEFAULT);
    CU_ASSERT_EQUAL(e->auth.trace_id[0], 0);
    CU_ASSERT_NOT_EQUAL(e->auth.handle, 0);
    rig_fini(&r);
}

static void health_is_answered(void) {
    struct rig r;
    rig_init(&r, 4);
    struct fake *c = rig_connect(&r);
    fake_text(&r, c, "GET /healthz HTTP/1.1\r\nHost: g\r\n\r\n");
    CU_ASSERT_TRUE(fake_wrote(c, "HTTP/1.1 200 OK") && fake_wrote(c, "{\"status\":\"ok\"}"));
    fake_fin(&r, c);
    c = rig_connect(&r);
    fake_text(&r, c, "GET /readyz HTTP/1.1\r\nHost: g\r\n\r\n");
    CU_ASSERT_TRUE(fake_wrote(c, "HTTP/1.1 200 OK"));
    rig_policy(&r, true, 30000, 0, false);
    session_control(r.table, false, 0);
    c = rig_connect(&r);
    fake_text(&r, c, "GET /readyz HTTP/1.1\r\nHost: g\r\n\r\n");
    CU_ASSERT_TRUE(fake_wrote(c, "HTTP/1.1 503 "));
    CU_ASSERT_TRUE(fake_wrote(c, "{\"status\":\"unavailable\",\"reasons\":[\"draining\","
                                 "\"control_unavailable\",\"no_capacity\"]}"));
    CU_ASSERT_EQUAL(rig_count(&r, TGW_EV_REFUSED), 0);
    rig_wait(&r, 6000);
    CU_ASSERT_EQUAL(rig_usage(&r).pending, 0);
    rig_fini(&r);
}

static void the_gateway_may_be_closed(void) {
    struct rig r;
    rig_init(&r, 4);
    rig_policy(&r, true, 30000, 4, false);
    struct fake *c = rig_connect(&r);
    rig_request(&r, c, "/ws/terminal/a", TOKEN);
    CU_ASSERT_TRUE(fake_wrote(c, "\"message\":\"terminal gateway draining\""));
    CU_ASSERT_TRUE(fake_wrote(c, "Retry-After: "));
    expect_refused(&r, c, TGW_R_draining);
    rig_policy(&r, false, 0, 0, false);
    c = rig_connect(&r);
    rig_request(&r, c, "/ws/terminal/a", TOKEN);
    expect_refused(&r, c, TGW_R_capacity);
    rig_policy(&r, false, 0, 4, false);
    session_control(r.table, false, 0);
    c = rig_connect(&r);
    rig_request(&r, c, "/ws/terminal/a", TOKEN);
    expect_refused(&r, c, TGW_R_control_unavailable);
    rig_fini(&r);
}

/* Requests that wait count, and the answer still goes out when the table is full. */
/* A token is not asked about for a session that could not be held. */
static void little_memory_refuses(void) {
    struct rig r;
    rig_init(&r, 4);
    r.no_room = true;
    struct fake *c = rig_connect(&r);
    rig_request(&r, c, "/ws/terminal/a", TOKEN);
    expect_refused(&r, c, TGW_R_capacity);
    CU_ASSERT_EQUAL(rig_count(&r, TGW_EV_AUTH), 0);
    c = rig_connect(&r);
    rig_request(&r, c, "/readyz", "");
    CU_ASSERT_TRUE(fake_wrote(c, "\"no_capacity\""));
    rig_fini(&r);
}

static void capacity_counts_who_waits(void) {
    struct rig r;
    rig_init(&r, 2);
    struct fake *c[3];
    for (int i = 0; i < 3; i++) {
        c[i] = rig_connect(&r);
        rig_request(&r, c[i], "/ws/terminal/a", TOKEN);
    }
    expect_refused(&r, c[2], TGW_R_capacity);
    CU_ASSERT_EQUAL(rig_usage(&r).pending, 2);
    for (int i = 0; i < 200; i++)
        rig_connect(&r);
    CU_ASSERT_TRUE(r.fake[r.fakes - 1]->dead); /* no memory for a session: reset */
    rig_fini(&r);
}

static struct fake *waiting(struct rig *r, tgw_handle *h) {
    struct fake *c = rig_connect(r);
    rig_request(r, c, "/ws/terminal/alloc-1?cols=120&rows=40", TOKEN);
    *h = rig_event(r, TGW_EV_AUTH)->auth.handle;
    return c;
}

static void the_verdict_refuses(void) {
    struct rig r;
    tgw_handle h;
    rig_init(&r, 4);
    struct fake *c = waiting(&r, &h);
    rig_verdict(&r, h, TGW_R_token_replayed, 0, 0);
    CU_ASSERT_TRUE(fake_wrote(c, "X-Correlation-ID: correlation-1"));
    CU_ASSERT_TRUE(fake_wrote(c, "core42:aicloud:north:tenant:project:gpuaas/allocation:alloc-1"));
    expect_refused(&r, c, TGW_R_token_replayed);
    CU_ASSERT_EQUAL(rig_count(&r, TGW_EV_AUTH_GONE), 0);
    rig_fini(&r);
}

static void no_verdict_comes(void) {
    struct rig r;
    tgw_handle h;
    rig_init(&r, 4);
    struct fake *c = waiting(&r, &h);
    rig_wait(&r, TGW_AUTH_TIMEOUT_MS + 1);
    CU_ASSERT_EQUAL(rig_event(&r, TGW_EV_AUTH_GONE)->auth_gone.handle, h);
    expect_refused(&r, c, TGW_R_control_unavailable);
    rig_verdict(&r, h, TGW_OK, 0, 0); /* too late */
    CU_ASSERT_EQUAL(rig_reason(&r, TGW_R_cmd_invalid), 1);
    rig_fini(&r);
}

static void control_goes_away_or_changes(void) {
    struct rig r;
    tgw_handle h;
    rig_init(&r, 4);
    struct pair live = rig_open(&r, "", 0, 0);
    struct fake *c = waiting(&r, &h);
    session_control(r.table, true, 1);
    CU_ASSERT_EQUAL(rig_usage(&r).pending, 1); /* the same one */
    session_control(r.table, false, 0);
    expect_refused(&r, c, TGW_R_control_unavailable);
    session_control(r.table, true, 2);
    c = waiting(&r, &h);
    session_control(r.table, true, 3);
    CU_ASSERT_TRUE(fake_wrote(c, "control_unavailable"));
    CU_ASSERT_EQUAL(rig_usage(&r).live, 1);
    CU_ASSERT_FALSE(live.client->dead || live.client->fin);
    rig_fini(&r);
}

static void the_ring_is_full(void) {
    struct rig r;
    rig_init(&r, 4);
    r.events_room = 0;
    struct fake *c = rig_connect(&r);
    rig_request(&r, c, "/ws/terminal/alloc-1", TOKEN);
    CU_ASSERT_TRUE(fake_wrote(c, "control_unavailable"));
    rig_fini(&r);
}

static void bad_verdicts_are_not_obeyed(void) {
    struct rig r;
    tgw_handle h;
    rig_init(&r, 4);
    waiting(&r, &h);
    uint32_t before = r.fakes;
    rig_verdict(&r, h ^ (UINT64_C(1) << 32), TGW_OK, 0, 0);
    rig_verdict(&r, h ^ (UINT64_C(1) << 56), TGW_OK, 0, 0);
    rig_verdict(&r, h + 1000000, TGW_OK, 0, 0);
    rig_verdict(&r, h, TGW_R_session_ttl, 0, 0);
    rig_verdict(&r, h, 60000, 0, 0);
    union tgw_cmd cmd = {
        .verdict = {.msg = {TGW_CMD_VERDICT, sizeof(cmd.verdict), 0}, .handle = h}};
    memset(cmd.verdict.ident.user_id, 'x', sizeof(cmd.verdict.ident.user_id));
    session_command(r.table, &cmd);
    /* Good but for its length: none of the grant, a grant without an end, too long. */
    cmd = (union tgw_cmd){.verdict = {.handle = h,
                                      .agent.port = 7681,
                                      .ident = {.allocation_id = "alloc-1", .session_id = "s"},
                                      .grant = "grant"}};
    const size_t grant_at = offsetof(struct tgw_cmd_verdict, grant);
    const size_t lengths[] = {sizeof(cmd.msg), grant_at, grant_at + 5, sizeof(cmd.verdict) + 1};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        cmd.msg = (struct tgw_msg){TGW_CMD_VERDICT, (uint16_t)lengths[i], 0};
        session_command(r.table, &cmd);
    }
    cmd = (union tgw_cmd){.msg = {99, sizeof(cmd.msg), 7}};
    session_command(r.table, &cmd);
    CU_ASSERT_EQUAL(rig_event(&r, TGW_EV_DONE)->done.reason, TGW_R_cmd_invalid);
    CU_ASSERT_EQUAL(rig_reason(&r, TGW_R_cmd_invalid), 11);
    CU_ASSERT_EQUAL(r.fakes, before);
    CU_ASSERT_EQUAL(rig_usage(&r).pending, 1);
    rig_verdict(&r, h, TGW_OK, 0, 0); /* the good one is still taken */
    CU_ASSERT_EQUAL(r.fakes, before + 1);
    rig_fini(&r);
}

static struct fake *dialling(struct rig *r, tgw_handle *h) {
    struct fake *c = waiting(r, h);
    rig_verdict(r, *h, TGW_OK, 0, 0);
    return c;
}

static void the_agent_cannot_be_dialled(void) {
    struct rig r;
    tgw_handle h;
    rig_init(&r, 4);
    r.dial_fails = true;
    expect_refused(&r, dialling(&r, &h), TGW_R_upstream_unavailable);
    CU_ASSERT_EQUAL(rig_counter(&r, TGW_C_relay_setup_failed), 1);
    rig_fini(&r);
}

static void agent_ends_with(enum stream_end end, enum tgw_reason reason) {
    struct rig r;
    tgw_handle h;
    rig_init(&r, 4);
    struct fake *c = dialling(&r, &h);
    fake_end(&r, r.agent, end);
    expect_refused(&r, c, reason);
    rig_fini(&r);
}

static void agent_answers_with(const char *answer, enum tgw_reason reason) {
    struct rig r;
    tgw_handle h;
    rig_init(&r, 4);
    struct fake *c = dialling(&r, &h);
    r.agent->handler->connected(r.agent->user);
    fake_text(&r, r.agent, answer);
    if (!answer[0])
        fake_fin(&r, r.agent);
    CU_ASSERT_TRUE(r.agent->aborted);
    expect_refused(&r, c, reason);
    rig_fini(&r);
}

static void the_agent_refuses(void) {
    agent_ends_with(STREAM_END_REFUSED, TGW_R_upstream_unavailable);
    agent_ends_with(STREAM_END_RESET, TGW_R_upstream_unavailable);
    agent_ends_with(STREAM_END_TIMEOUT, TGW_R_upstream_timeout);
    agent_answers_with("HTTP/1.1 404 Not Found\r\n\r\n", TGW_R_allocation_not_found);
    agent_answers_with("HTTP/1.1 500 Oops\r\n\r\n", TGW_R_upstream_unavailable);
    agent_answers_with("SSH-2.0-OpenSSH_9.2\r\n\r\n", TGW_R_upstream_unavailable);
    agent_answers_with("", TGW_R_upstream_unavailable);
}

static void the_agent_says_nothing(void) {
    struct rig r;
    tgw_handle h;
    rig_init(&r, 4);
    struct fake *c = dialling(&r, &h);
    rig_wait(&r, 2000);
    r.agent->handler->connected(r.agent->user);
    rig_wait(&r, TGW_AGENT_TIMEOUT_MS - 2000 + 1);
    CU_ASSERT_TRUE(r.agent->aborted);
    expect_refused(&r, c, TGW_R_upstream_timeout);
    rig_fini(&r);
}

static void the_agent_babbles(void) {
    struct rig r;
    tgw_handle h;
    char block[5000];
    rig_init(&r, 4);
    struct fake *c = dialling(&r, &h);
    r.agent->handler->connected(r.agent->user);
    memset(block, 'x', sizeof(block));
    fake_send(&r, r.agent, block, sizeof(block));
    expect_refused(&r, c, TGW_R_upstream_unavailable);
    rig_fini(&r);
}

/* In every state before the 101, by FIN and by reset. */
static void the_client_leaves(void) {
    for (int stage = 0; stage < 6; stage++) {
        struct rig r;
        tgw_handle h;
        rig_init(&r, 4);
        struct fake *c = stage < 2 ? rig_connect(&r) : waiting(&r, &h);
        if (stage >= 4)
            rig_verdict(&r, h, TGW_OK, 0, 0);
        if (stage & 1)
            fake_end(&r, c, STREAM_END_RESET);
        else
            fake_fin(&r, c);
        CU_ASSERT_EQUAL(rig_event(&r, TGW_EV_REFUSED)->refused.reason, TGW_R_client_gone);
        CU_ASSERT_EQUAL(rig_count(&r, TGW_EV_AUTH_GONE), stage == 2 || stage == 3);
        CU_ASSERT_EQUAL(c->out_len, 0);
        CU_ASSERT_TRUE(stage < 4 || r.agent->aborted);
        CU_ASSERT_EQUAL(rig_usage(&r).pending, 0);
        rig_fini(&r);
    }
}

static void a_browser_sees_a_close(void) {
    struct rig r;
    tgw_handle h;
    rig_init(&r, 4);
    rig_policy(&r, false, 0, 4, true);
    struct fake *c = rig_connect(&r);
    rig_request(&r, c, "/ws/terminal/alloc-1",
                "Origin: https://page\r\nSec-WebSocket-Protocol: token-of-sixteen-or-more\r\n");
    h = rig_event(&r, TGW_EV_AUTH)->auth.handle;
    rig_verdict(&r, h, TGW_R_token_expired, 0, 0);
    CU_ASSERT_TRUE(fake_wrote(c, "HTTP/1.1 101 "));
    CU_ASSERT_TRUE(fake_wrote(c, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    CU_ASSERT_TRUE(fake_wrote(c, "Sec-WebSocket-Protocol: token-of-sixteen-or-more"));
    static const uint8_t frame[] = "\x88\x1d\x03\xf0token_expired correlation-1";
    CU_ASSERT_TRUE(c->out_len > sizeof(frame) && memcmp(c->out + c->out_len - (sizeof(frame) - 1),
                                                        frame, sizeof(frame) - 1) == 0);
    const union tgw_event *e = rig_event(&r, TGW_EV_REFUSED);
    CU_ASSERT_TRUE(e->refused.as_close && e->refused.http_status == 401);
    c = waiting(&r, &h); /* not a browser */
    rig_verdict(&r, h, TGW_R_token_expired, 0, 0);
    CU_ASSERT_TRUE(fake_wrote(c, "HTTP/1.1 401 "));
    c = rig_connect(&r); /* asked for no upgrade */
    fake_text(&r, c, "GET /ws/terminal/a HTTP/1.1\r\nHost: g\r\nOrigin: https://page\r\n\r\n");
    CU_ASSERT_TRUE(fake_wrote(c, "HTTP/1.1 426 "));
    rig_fini(&r);
}

static void memory_runs_out(void) {
    for (int i = 0; i < 12; i++) {
        struct rig r;
        tgw_handle h;
        rig_init(&r, 2);
        for (int n = 0; n < i * 6; n++)
            rig_connect(&r);
        struct fake *c = rig_connect(&r);
        if (!c->dead)
            rig_request(&r, c, "/ws/terminal/alloc-1", TOKEN);
        (void)h;
        rig_wait(&r, 20000);
        CU_ASSERT_EQUAL(rig_usage(&r).pending, 0);
        rig_fini(&r);
    }
}

int main(void) {
    static const struct suite_case cases[] = {
        {"syntax is refused", syntax_is_refused},
        {"other methods and no upgrade are refused", other_methods_are_refused},
        {"tokens too long are refused", long_tokens_are_refused},
        {"heads over 8 KiB are refused", heads_are_bounded},
        {"a slow head is refused", a_slow_head_is_refused},
        {"lingering is bounded", lingering_is_bounded},
        {"heads come in any pieces", heads_come_in_any_pieces},
        {"health and readiness are answered", health_is_answered},
        {"draining, capacity and control loss refuse", the_gateway_may_be_closed},
        {"little memory refuses", little_memory_refuses},
        {"capacity counts who waits", capacity_counts_who_waits},
        {"the verdict refuses", the_verdict_refuses},
        {"no verdict comes", no_verdict_comes},
        {"control goes away or changes", control_goes_away_or_changes},
        {"a full event ring refuses", the_ring_is_full},
        {"bad verdicts are not obeyed", bad_verdicts_are_not_obeyed},
        {"the agent cannot be dialled", the_agent_cannot_be_dialled},
        {"the agent refuses", the_agent_refuses},
        {"the agent says nothing", the_agent_says_nothing},
        {"the agent babbles", the_agent_babbles},
        {"the client leaves before its 101", the_client_leaves},
        {"a browser sees a Close", a_browser_sees_a_close},
        {"connections beyond the pool end in order", memory_runs_out},
    };
    return suite_run("session/setup", cases, sizeof(cases) / sizeof(cases[0]));
}

#include "agent/agent.h"
#include "tests/lib/suite.h"
#include "web/ws.h"
#include <stdio.h>
#include <string.h>

static const uint8_t key[16] = "the sample nonce"; /* as in RFC 6455 section 1.3 */
static const struct tgw_ident ident = {
    .allocation_id = "alloc-1",
    .session_id = "sess-1",
    .user_id = "user-1",
    .region = "abu-1",
    .tenant_id = "t-1",
    .project_id = "p-1",
    .correlation_id = "corr-12345",
    .trace_id = "0af7651916cd43dd8448eb211c80319c",
};
static const struct agent_request request = {
    .ident = &ident,
    .grant = "aaa.bbb.ccc",
    .agent = {.addr = {[10] = 0xff, [11] = 0xff, 198, 18, 1, 1}, .port = 7681},
    .cols = 120,
    .rows = 40,
    .mode = TGW_MODE_CHANNEL,
    .key = "the sample nonce",
    .span_id = {1, 2, 3, 4, 5, 6, 7, 0xab},
};

static void the_request_says_it_all(void) {
    static const char *const lines[] = {
        "GET /v1/terminal/alloc-1?mode=channel&cols=120&rows=40 HTTP/1.1\r\n",
        "\r\nHost: 198.18.1.1:7681\r\n",
        "\r\nUpgrade: websocket\r\n",
        "\r\nConnection: Upgrade\r\n",
        "\r\nSec-WebSocket-Version: 13\r\n",
        "\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "\r\nX-Session-ID: sess-1\r\n",
        "\r\nX-Correlation-ID: corr-12345\r\n",
        "\r\nX-Resource-Name: core42:aicloud:abu-1:t-1:p-1:gpuaas/allocation:alloc-1\r\n",
        "\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-01020304050607ab-01\r\n",
        "\r\nAuthorization: Bearer aaa.bbb.ccc\r\n",
    };
    char buf[4096] = {0};
    struct text_out o = {.at = buf, .size = sizeof(buf) - 1};
    agent_write_request(&o, &request);
    CU_ASSERT_FALSE(o.overflow);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        CU_ASSERT_PTR_NOT_NULL(strstr(buf, lines[i]));
        if (!strstr(buf, lines[i]))
            printf("# without %s\n", lines[i]);
    }
    CU_ASSERT_EQUAL(http1_head_bytes((const uint8_t *)buf, o.len, 0), o.len);
    CU_ASSERT_PTR_NULL(strstr(buf, "Sec-WebSocket-Extensions"));
}

static void an_ipv6_agent_stands_in_brackets(void) {
    struct agent_request r = request;
    char buf[4096] = {0};
    struct text_out o = {.at = buf, .size = sizeof(buf) - 1};
    r.agent = (struct tgw_endpoint){.addr = {0xfd, 0x18, [15] = 1}, .port = 80};
    r.mode = TGW_MODE_RAW;
    agent_write_request(&o, &r);
    CU_ASSERT_PTR_NOT_NULL(strstr(buf, "\r\nHost: [fd18::1]:80\r\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(buf, "?mode=raw&"));
}

static void too_little_space_is_told(void) {
    char buf[4096];
    struct text_out whole = {.at = buf, .size = sizeof(buf)};
    agent_write_request(&whole, &request);
    for (size_t size = 0; size < whole.len; size++) {
        struct text_out o = {.at = buf, .size = size};
        agent_write_request(&o, &request);
        CU_ASSERT_TRUE(o.overflow && o.len <= size);
    }
}

#define SWITCH "HTTP/1.1 101 Switching Protocols\r\n"
#define UP "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define ACCEPT "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"

static void answers(void) {
    static const struct {
        const char *head;
        enum tgw_reason reason;
        bool upgraded;
    } rows[] = {
        {SWITCH UP ACCEPT "\r\n", TGW_OK, true},
        {"HTTP/1.1 101\r\n" UP ACCEPT "\r\n", TGW_OK, true},
        {SWITCH "upgrade: WebSocket\r\nconnection: keep-alive, upgrade\r\n" ACCEPT "\r\n", TGW_OK,
         true},
        {SWITCH UP ACCEPT "\r\n\x82\x01x", TGW_OK, true}, /* frames right behind */
        {SWITCH UP ACCEPT, TGW_OK, false},
        {"", TGW_OK, false},
        {SWITCH UP "\r\n", TGW_R_upstream_unavailable, false},
        {SWITCH UP ACCEPT ACCEPT "\r\n", TGW_R_upstream_unavailable, false},
        {SWITCH UP "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
         TGW_R_upstream_unavailable, false},
        {SWITCH "Upgrade: h2c\r\nConnection: Upgrade\r\n" ACCEPT "\r\n", TGW_R_upstream_unavailable,
         false},
        {SWITCH "Upgrade: websocket\r\n" ACCEPT "\r\n", TGW_R_upstream_unavailable, false},
        {SWITCH UP ACCEPT "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
         TGW_R_upstream_unavailable, false},
        {SWITCH UP ACCEPT "Sec-WebSocket-Protocol: terminal.v1\r\n\r\n", TGW_R_upstream_unavailable,
         false},
        {"HTTP/1.1 200 OK\r\n" UP ACCEPT "\r\n", TGW_R_upstream_unavailable, false},
        {"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", TGW_R_allocation_not_found, false},
        {"HTTP/1.1 401 Unauthorized\r\n\r\n", TGW_R_upstream_unavailable, false},
        {"HTTP/1.1 500 Oops\r\n\r\n", TGW_R_upstream_unavailable, false},
        {"HTTP/1.1 4o4 x\r\n\r\n", TGW_R_upstream_unavailable, false},
        {"HTTP/1.1 4040 x\r\n\r\n", TGW_R_upstream_unavailable, false},
        {"SSH-2.0-OpenSSH_9\r\n\r\n", TGW_R_upstream_unavailable, false},
        {SWITCH " folded\r\n" UP ACCEPT "\r\n", TGW_R_upstream_unavailable, false},
        {"\r\n\r\n", TGW_R_upstream_unavailable, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const uint8_t *data = (const uint8_t *)rows[i].head;
        size_t len = strlen(rows[i].head), head = 1;
        enum tgw_reason got = agent_read_answer(data, len, key, &head);
        if (got != rows[i].reason || (head != 0) != rows[i].upgraded)
            printf("# row %zu gave %s, head of %zu\n", i, tgw_reason_info(got)->label, head);
        CU_ASSERT_EQUAL(got, rows[i].reason);
        CU_ASSERT_EQUAL(head != 0, rows[i].upgraded);
        CU_ASSERT_EQUAL(head, rows[i].upgraded ? http1_head_bytes(data, len, 0) : 0);
    }
}

/* Every prefix of a good answer is "not yet". */
static void an_answer_in_pieces(void) {
    static const char good[] = SWITCH UP ACCEPT "\r\n";
    for (size_t len = 0; len < sizeof(good) - 1; len++) {
        size_t head = 1;
        CU_ASSERT_EQUAL(agent_read_answer((const uint8_t *)good, len, key, &head), TGW_OK);
        CU_ASSERT_EQUAL(head, 0);
    }
}

static void an_endless_head_is_refused(void) {
    char buf[AGENT_ANSWER_BYTES_MAX + 64];
    size_t head;
    memset(buf, 'a', sizeof(buf));
    memcpy(buf, SWITCH "X: ", sizeof(SWITCH "X: ") - 1);
    CU_ASSERT_EQUAL(agent_read_answer((uint8_t *)buf, AGENT_ANSWER_BYTES_MAX - 1, key, &head),
                    TGW_OK);
    CU_ASSERT_EQUAL(agent_read_answer((uint8_t *)buf, AGENT_ANSWER_BYTES_MAX, key, &head),
                    TGW_R_upstream_unavailable);
    static const char end[] = "\r\n" UP ACCEPT "\r\n";
    size_t fits = AGENT_ANSWER_BYTES_MAX - (sizeof(end) - 1);
    memcpy(buf + fits, end, sizeof(end) - 1);
    CU_ASSERT_EQUAL(agent_read_answer((uint8_t *)buf, sizeof(buf), key, &head), TGW_OK);
    CU_ASSERT_EQUAL(head, AGENT_ANSWER_BYTES_MAX);
    buf[fits] = 'a';
    memcpy(buf + fits + 1, end, sizeof(end) - 1);
    CU_ASSERT_EQUAL(agent_read_answer((uint8_t *)buf, sizeof(buf), key, &head),
                    TGW_R_upstream_unavailable);
}

int main(void) {
    static const struct suite_case cases[] = {
        {"the request says it all", the_request_says_it_all},
        {"an IPv6 agent stands in brackets", an_ipv6_agent_stands_in_brackets},
        {"too little space is told", too_little_space_is_told},
        {"answers", answers},
        {"an answer in pieces", an_answer_in_pieces},
        {"an endless head is refused", an_endless_head_is_refused},
    };
    return suite_run("agent", cases, sizeof(cases) / sizeof(cases[0]));
}

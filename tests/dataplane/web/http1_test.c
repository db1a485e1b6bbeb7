#include "contract/event.h"
#include "tests/lib/suite.h"
#include "web/http1.h"
#include <stdio.h>
#include <string.h>

#define UP                                                                                         \
    "Host: gw\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"                        \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define TOKEN "Sec-WebSocket-Protocol: abcdefghijklmnop0123\r\n"

static enum tgw_reason parse(const char *head, struct http1_request *r) {
    return http1_request_parse((const uint8_t *)head, strlen(head), r);
}

static void a_browsers_request(void) {
    struct http1_request r;
    CU_ASSERT_EQUAL(parse("GET /ws/terminal/alloc-1?cols=120&rows=40&x=1 HTTP/1.1\r\n" UP TOKEN
                          "Origin: https://a.example\r\nX-Correlation-ID: corr-1234\r\n"
                          "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
                          "\r\n",
                          &r),
                    TGW_OK);
    CU_ASSERT_STRING_EQUAL(r.allocation_id, "alloc-1");
    CU_ASSERT_TRUE(r.cols == 120 && r.rows == 40 && r.mode == TGW_MODE_RAW);
    CU_ASSERT_STRING_EQUAL(r.correlation_id, "corr-1234");
    CU_ASSERT_STRING_EQUAL(r.trace_id, "0af7651916cd43dd8448eb211c80319c");
    CU_ASSERT_TRUE(r.has_origin && r.origin.len == 17);
    CU_ASSERT_TRUE(r.token.len == 20 && !r.protocol_v1);
}

static void the_subprotocol_chooses_channel_mode(void) {
    struct http1_request r;
    CU_ASSERT_EQUAL(parse("GET /ws/terminal/a HTTP/1.1\r\n" UP
                          "Sec-WebSocket-Protocol: terminal.v1, abcdefghijklmnop\r\n\r\n",
                          &r),
                    TGW_OK);
    CU_ASSERT_TRUE(r.protocol_v1 && r.mode == TGW_MODE_CHANNEL && r.token.len == 16);
}

static const struct {
    const char *head;
    enum tgw_reason reason;
} requests[] = {
    {"GET /ws/terminal/a HTTP/1.0\r\n" UP TOKEN "\r\n", TGW_R_malformed},
    {"GET  /ws/terminal/a HTTP/1.1\r\n" UP TOKEN "\r\n", TGW_R_malformed},
    {"GET /ws/terminal/a HTTP/1.1\r\nHost : x\r\n\r\n", TGW_R_malformed},
    {"GET /ws/terminal/a HTTP/1.1\r\n" UP TOKEN " folded\r\n\r\n", TGW_R_malformed},
    {"GET /ws/terminal/a HTTP/1.1\r\n" UP "Host: two\r\n" TOKEN "\r\n", TGW_R_malformed},
    {"GET /ws/terminal/a HTTP/1.1\r\n" UP "Content-Length: 5\r\n" TOKEN "\r\n", TGW_R_malformed},
    {"GET /ws/terminal/a?cols=0 HTTP/1.1\r\n" UP TOKEN "\r\n", TGW_R_malformed},
    {"GET /ws/terminal/a?rows=1001 HTTP/1.1\r\n" UP TOKEN "\r\n", TGW_R_malformed},
    {"GET /ws/terminal/a?mode=tty HTTP/1.1\r\n" UP TOKEN "\r\n", TGW_R_malformed},
    {"GET /ws/terminal/a?token=abcdefghijklmnop HTTP/1.1\r\n" UP "\r\n", TGW_R_token_in_query},
    {"GET /ws/terminal/a?cols=x&%74oken=y HTTP/1.1\r\nHost: x\r\n\r\n", TGW_R_token_in_query},
    {"GET /ws/terminal/a?auth HTTP/1.1\r\n" UP TOKEN "\r\n", TGW_R_token_in_query},
    {"GET /ws/terminal/ HTTP/1.1\r\n" UP TOKEN "\r\n", TGW_R_not_found},
    {"GET /ws/terminal/a%20b HTTP/1.1\r\n" UP TOKEN "\r\n", TGW_R_not_found},
    {"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", TGW_R_not_found},
    {"POST /ws/terminal/a HTTP/1.1\r\n" UP TOKEN "\r\n", TGW_R_method_not_allowed},
    {"GET /ws/terminal/a HTTP/1.1\r\nHost: x\r\n" TOKEN "\r\n", TGW_R_upgrade_required},
    {"GET /ws/terminal/a HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
     "Sec-WebSocket-Version: 12\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" TOKEN "\r\n",
     TGW_R_upgrade_required},
    {"GET /ws/terminal/a HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
     "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n" TOKEN "\r\n",
     TGW_R_malformed},
    {"GET /ws/terminal/a HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
     "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNh=XBsZSBub25jZQ==\r\n" TOKEN "\r\n",
     TGW_R_malformed},
    {"GET /ws/terminal/a HTTP/1.1\r\n" UP "\r\n", TGW_R_token_missing},
    {"GET /ws/terminal/a HTTP/1.1\r\n" UP "Sec-WebSocket-Protocol: terminal.v1\r\n\r\n",
     TGW_R_token_missing},
    {"GET /ws/terminal/a HTTP/1.1\r\n" UP "Sec-WebSocket-Protocol: short\r\n\r\n",
     TGW_R_token_invalid},
    {"GET /ws/terminal/a HTTP/1.1\r\n" UP "Sec-WebSocket-Protocol: abcdefghijklmno(p\r\n\r\n",
     TGW_R_token_invalid},
    {"GET /ws/terminal/a HTTP/1.1\r\n" UP TOKEN TOKEN "\r\n", TGW_R_token_invalid},
    {"GET /ws/terminal/a HTTP/1.1\r\n" UP "Sec-WebSocket-Protocol:\r\n\r\n", TGW_R_token_missing},
    {"GET /ws/terminal/a HTTP/1.1\r\n" UP
     "Sec-WebSocket-Protocol: abcdefghijklmnop, ponmlkjihgfedcba\r\n\r\n",
     TGW_R_token_invalid},
    {"GET /ws/terminal/a HTTP/1.1\r\n" UP
     "Sec-WebSocket-Protocol: terminal.v1\r\nsec-websocket-protocol: abcdefghijklmnop\r\n\r\n",
     TGW_OK},
    {"POST /ws/terminal/a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n",
     TGW_R_method_not_allowed},
    {"HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n", TGW_R_method_not_allowed},
    {"DELETE /nothing HTTP/1.1\r\nHost: x\r\n\r\n", TGW_R_not_found},
    {"GET /ws/terminal/a/b HTTP/1.1\r\n" UP TOKEN "\r\n", TGW_R_not_found},
    {"GET /ws/terminal/a HTTP/1.1\r\n" UP "Content-Length: 0\r\n" TOKEN "\r\n", TGW_OK},
    {"GET /ws/terminal/a HTTP/1.1\r\n" UP "Content-Length: 0\r\nContent-Length: 0\r\n" TOKEN "\r\n",
     TGW_R_malformed},
    {"GET /ws/terminal/a HTTP/1.1\r\n" UP "Transfer-Encoding: chunked\r\n" TOKEN "\r\n",
     TGW_R_malformed},
    {"GET /ws/terminal/a HTTP/1.1\r\n" UP "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" TOKEN
     "\r\n",
     TGW_R_malformed},
    {"GET /ws/terminal/a HTTP/1.1\r\n" UP "Sec-WebSocket-Version: 13\r\n" TOKEN "\r\n",
     TGW_R_upgrade_required},
    {"GET /ws/terminal/a HTTP/1.1\r\n" UP "Origin: a\r\nOrigin: b\r\n" TOKEN "\r\n",
     TGW_R_malformed},
    {"GET /ws/terminal/a HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", TGW_R_malformed},
    {"GET /ws/terminal/a HTTP/1.1\nHost: x\r\n\r\n", TGW_R_malformed},
    {"GET /ws/terminal/a?x=\t HTTP/1.1\r\n" UP TOKEN "\r\n", TGW_R_malformed},
    {"GET ws/terminal/a HTTP/1.1\r\n" UP TOKEN "\r\n", TGW_R_malformed},
    {"GET /ws/terminal/a HTTP/1.1 \r\n" UP TOKEN "\r\n", TGW_R_malformed},
    {"G(T /ws/terminal/a HTTP/1.1\r\n" UP TOKEN "\r\n", TGW_R_malformed},
    {"GET /ws/terminal/a HTTP/1.1\r\nno colon\r\n" UP TOKEN "\r\n", TGW_R_malformed},
    {"GET /ws/terminal/a HTTP/1.1\r\n: empty\r\n" UP TOKEN "\r\n", TGW_R_malformed},
    {"\r\n\r\n", TGW_R_malformed},
    {"GET /ws/terminal/a?cols=80%00 HTTP/1.1\r\n" UP TOKEN "\r\n", TGW_R_malformed},
    {"GET /ws/terminal/a?cols HTTP/1.1\r\n" UP TOKEN "\r\n", TGW_R_malformed},
    {"GET /ws/terminal/a?cols=-1 HTTP/1.1\r\n" UP TOKEN "\r\n", TGW_R_malformed},
    {"GET /ws/terminal/a?cols=65616 HTTP/1.1\r\n" UP TOKEN "\r\n", TGW_R_malformed},
    {"GET /ws/terminal/a?cols=%38%30&&rows=1000&%zz=1& HTTP/1.1\r\n" UP TOKEN "\r\n", TGW_OK},
    {"GET /ws/terminal/a?acce%73s_token=1 HTTP/1.1\r\nHost: x\r\n\r\n", TGW_R_token_in_query},
    {"GET /ws/terminal/a?tokens=1 HTTP/1.1\r\n" UP TOKEN "\r\n", TGW_OK},
    {"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", TGW_OK},
    {"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n", TGW_OK},
};

static void refusals(void) {
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        struct http1_request r;
        enum tgw_reason got = parse(requests[i].head, &r);
        if (got != requests[i].reason)
            printf("# request %zu gave %s\n", i, tgw_reason_info(got)->label);
        CU_ASSERT_EQUAL(got, requests[i].reason);
    }
}

/* A byte that may not be in a line, at every place of one that is looked at in words. */
static void a_control_byte_is_found_wherever_it_stands(void) {
    static const char bad[] = {1, 31, 127, '\n', '\r'};
    char head[400];
    struct http1_request r;
    for (int at = 0; at < 40; at++) {
        int n = snprintf(head, sizeof(head), "GET /ws/terminal/a HTTP/1.1\r\nX: %.*s", at,
                         "abcdefghijklmnopqrstuvwxyz \xff~ 0123456789abc");
        snprintf(head + n, sizeof(head) - (size_t)n, "\tv\r\n" UP TOKEN "\r\n");
        CU_ASSERT_EQUAL(parse(head, &r), TGW_OK);
        for (size_t i = 0; i < sizeof(bad); i++) {
            head[n] = bad[i];
            CU_ASSERT_EQUAL(parse(head, &r), TGW_R_malformed);
        }
        head[n] = 0;
        CU_ASSERT_EQUAL(http1_request_parse((uint8_t *)head, (size_t)n + 4, &r), TGW_R_malformed);
    }
}

static void a_key_is_16_bytes_in_base64(void) {
    char key[] = "dGhlIHNhbXBsZSBub25jZQ==";
    const struct text t = {key, 24};
    CU_ASSERT_TRUE(http1_key_is_valid(t) && !http1_key_is_valid((struct text){key, 23}));
    for (int c = 0; c < 256; c++) {
        bool good = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                    c == '+' || c == '/';
        key[5] = (char)c;
        CU_ASSERT_EQUAL(http1_key_is_valid(t), good);
    }
}

static void a_refused_request_keeps_its_correlation(void) {
    struct http1_request r;
    CU_ASSERT_EQUAL(parse("BAD\r\nbroken line\r\nX-Correlation-ID: corr-5678\r\n\r\n", &r),
                    TGW_R_malformed);
    CU_ASSERT_STRING_EQUAL(r.correlation_id, "corr-5678");
    CU_ASSERT_EQUAL(parse("GET /x HTTP/1.1\r\nHost: x\r\nX-Correlation-ID: bad id\r\n\r\n", &r),
                    TGW_R_not_found);
    CU_ASSERT_STRING_EQUAL(r.correlation_id, "");
}

static void the_end_of_a_head_is_found_at_every_split(void) {
    const char *head = "GET / HTTP/1.1\r\nHost: x\r\n\r\nrest";
    size_t end = strlen(head) - 4;
    for (size_t split = 0; split <= strlen(head); split++) {
        size_t got = http1_head_bytes((const uint8_t *)head, split, 0);
        CU_ASSERT_EQUAL(got, split >= end ? end : 0);
        CU_ASSERT_EQUAL(
            http1_head_bytes((const uint8_t *)head, strlen(head), split < end ? split : 0), end);
    }
}

static void the_error_envelope(void) {
    char buf[2048] = {0};
    struct text_out o = {.at = buf, .size = sizeof(buf) - 1};
    const struct http1_error e = {.reason = TGW_R_draining,
                                  .correlation_id = "corr-1234",
                                  .trace_id = "t",
                                  .retry_after_s = 5};
    http1_write_error(&o, &e);
    CU_ASSERT_FALSE(o.overflow);
    CU_ASSERT_PTR_NOT_NULL(strstr(buf, "HTTP/1.1 503 Service Unavailable\r\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(buf, "Retry-After: 5\r\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(buf, "Connection: close\r\n"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(buf, "\r\n\r\n{\"code\":\"service_unavailable\",\"message\":\"terminal gateway "
                    "draining\",\"correlation_id\":\"corr-1234\",\"details\":{\"trace_id\":\"t\","
                    "\"reason\":\"draining\"}}"));
    struct text_out small = {.at = buf, .size = 20};
    http1_write_error(&small, &e);
    CU_ASSERT_TRUE(small.overflow);
}

static void answers_of_an_agent(void) {
    const char *key = "dGhlIHNhbXBsZSBub25jZQ==";
    const char *good = "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    char buf[512];
    struct http1_answer a;
    snprintf(buf, sizeof(buf), "%s\r\n", good);
    CU_ASSERT_TRUE(http1_answer_parse((uint8_t *)buf, strlen(buf), key, NULL, &a) && a.upgrade);
    CU_ASSERT_TRUE(http1_answer_parse((uint8_t *)buf, strlen(buf), "other", NULL, &a) &&
                   !a.upgrade);
    snprintf(buf, sizeof(buf), "%sSec-WebSocket-Extensions: permessage-deflate\r\n\r\n", good);
    CU_ASSERT_TRUE(http1_answer_parse((uint8_t *)buf, strlen(buf), key, NULL, &a) && !a.upgrade);
    snprintf(buf, sizeof(buf), "HTTP/1.1 404 Not Found\r\n\r\n");
    CU_ASSERT_TRUE(http1_answer_parse((uint8_t *)buf, strlen(buf), key, NULL, &a));
    CU_ASSERT_EQUAL(a.status, 404);
    snprintf(buf, sizeof(buf), "SSH-2.0-x\r\n\r\n");
    CU_ASSERT_FALSE(http1_answer_parse((uint8_t *)buf, strlen(buf), key, NULL, &a));
}

/* The limits of lengths, on each side. */
static void lengths(void) {
    static const struct {
        const char *before, *after;
        size_t len;
        enum tgw_reason reason;
    } rows[] = {
        {"GET /ws/terminal/", " HTTP/1.1\r\n" UP TOKEN "\r\n", 64, TGW_OK},
        {"GET /ws/terminal/", " HTTP/1.1\r\n" UP TOKEN "\r\n", 65, TGW_R_not_found},
        {"GET /ws/terminal/a HTTP/1.1\r\n" UP "Sec-WebSocket-Protocol: ", "\r\n\r\n", 15,
         TGW_R_token_invalid},
        {"GET /ws/terminal/a HTTP/1.1\r\n" UP "Sec-WebSocket-Protocol: ", "\r\n\r\n", 16, TGW_OK},
        {"GET /ws/terminal/a HTTP/1.1\r\n" UP "Sec-WebSocket-Protocol: ", "\r\n\r\n", 2048, TGW_OK},
        {"GET /ws/terminal/a HTTP/1.1\r\n" UP "Sec-WebSocket-Protocol: ", "\r\n\r\n", 2049,
         TGW_R_token_invalid},
        {"GET /ws/terminal/a HTTP/1.1\r\n" UP TOKEN "Origin: ", "\r\n\r\n", 256, TGW_OK},
        {"GET /ws/terminal/a HTTP/1.1\r\n" UP TOKEN "Origin: ", "\r\n\r\n", 257, TGW_R_malformed},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char head[4096], middle[2100];
        struct http1_request r;
        memset(middle, 'x', rows[i].len);
        middle[rows[i].len] = 0;
        snprintf(head, sizeof(head), "%s%s%s", rows[i].before, middle, rows[i].after);
        CU_ASSERT_EQUAL(parse(head, &r), rows[i].reason);
    }
}

static void correlation_and_trace_ids(void) {
    static const struct {
        const char *field;
        bool correlation, trace;
    } rows[] = {
        {"x-correlation-id: 12345678", true, false},
        {"X-Correlation-ID: 1234567", false, false},
        {"X-Correlation-ID: 1234 5678", false, false},
        {"X-Correlation-ID: 12345678\"", false, false},
        {"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", false, true},
        {"traceparent: 01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", false, false},
        {"traceparent: 00-00000000000000000000000000000000-b7ad6b7169203331-00", false, false},
        {"traceparent: 00-0af7651916cd43dd8448eb211c80319c-0000000000000000-00", false, false},
        {"traceparent: 00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-00", false, false},
        {"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0", false, false},
        {"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g", false, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char head[512];
        struct http1_request r;
        snprintf(head, sizeof(head), "GET /readyz HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n",
                 rows[i].field);
        CU_ASSERT_EQUAL(parse(head, &r), TGW_OK);
        CU_ASSERT_EQUAL(r.correlation_id[0] != 0, rows[i].correlation);
        CU_ASSERT_EQUAL(r.trace_id[0] != 0, rows[i].trace);
    }
}

static void fields_that_go_with_a_status(void) {
    static const struct {
        enum tgw_reason reason;
        const char *with, *without;
    } rows[] = {
        {TGW_R_method_not_allowed, "\r\nAllow: GET\r\n", "Retry-After"},
        {TGW_R_upgrade_required, "\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
         "Allow"},
        {TGW_R_rate_limited, "\r\nRetry-After: 7\r\n", "Allow"},
        {TGW_R_capacity, "\r\nRetry-After: 7\r\n", "Upgrade"},
        {TGW_R_token_invalid, "\r\nX-Trace-ID: trace\r\n", "Retry-After"},
        {TGW_R_headers_too_large, "431 Request Header Fields Too Large\r\n", "X-Correlation-ID"},
        {TGW_R_allocation_not_found, "\"session_id\":\"s\\\"1\"", "resource_name"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char buf[2048] = {0}, length[48];
        struct text_out o = {.at = buf, .size = sizeof(buf) - 1};
        http1_write_error(&o, &(struct http1_error){.reason = rows[i].reason,
                                                    .trace_id = "trace",
                                                    .session_id = "s\"1",
                                                    .retry_after_s = 7});
        CU_ASSERT_FALSE(o.overflow);
        CU_ASSERT_PTR_NOT_NULL(strstr(buf, rows[i].with));
        CU_ASSERT_PTR_NULL(strstr(buf, rows[i].without));
        const char *body = strstr(buf, "\r\n\r\n") + 4;
        snprintf(length, sizeof(length), "\r\nContent-Length: %zu\r\n", strlen(body));
        CU_ASSERT_PTR_NOT_NULL(strstr(buf, length));
    }
}

static void the_101_echoes_the_protocol(void) {
    static const char key[] = "dGhlIHNhbXBsZSBub25jZQ==";
    char buf[512] = {0};
    struct text_out o = {.at = buf, .size = sizeof(buf) - 1};
    struct http1_answer a;
    http1_write_101(&o, (struct text){key, 24}, (struct text){"abcdefghijklmnop", 16}, "corr-1234",
                    "trace", "sess-1");
    CU_ASSERT_FALSE(o.overflow);
    CU_ASSERT_PTR_NOT_NULL(strstr(buf, "\r\nSec-WebSocket-Protocol: abcdefghijklmnop\r\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(
        buf, "\r\nX-Correlation-ID: corr-1234\r\nX-Trace-ID: trace\r\nX-Session-ID: sess-1\r\n"));
    CU_ASSERT_PTR_NULL(strstr(buf, "Extensions"));
    CU_ASSERT_TRUE(http1_answer_parse((uint8_t *)buf, o.len, key, "abcdefghijklmnop", &a) &&
                   a.upgrade);
    CU_ASSERT_TRUE(http1_answer_parse((uint8_t *)buf, o.len, key, "another", &a) && !a.upgrade);
}

int main(void) {
    static const struct suite_case cases[] = {
        {"a browser's request", a_browsers_request},
        {"the subprotocol chooses channel mode", the_subprotocol_chooses_channel_mode},
        {"refusals", refusals},
        {"a control byte is found wherever it stands", a_control_byte_is_found_wherever_it_stands},
        {"a key is 16 bytes in base64", a_key_is_16_bytes_in_base64},
        {"a refused request keeps its correlation", a_refused_request_keeps_its_correlation},
        {"the end of a head is found at every split", the_end_of_a_head_is_found_at_every_split},
        {"the error envelope", the_error_envelope},
        {"answers of an agent", answers_of_an_agent},
        {"lengths", lengths},
        {"correlation and trace ids", correlation_and_trace_ids},
        {"fields that go with a status", fields_that_go_with_a_status},
        {"the 101 echoes the protocol", the_101_echoes_the_protocol},
    };
    return suite_run("web/http1", cases, sizeof(cases) / sizeof(cases[0]));
}

#include "tests/lib/suite.h"
#include "web/ws.h"
#include <stdlib.h>
#include <string.h>
#include <wslay/wslay.h>

static void headers_round_trip(void) {
    static const uint64_t sizes[] = {0, 1, 125, 126, 127, 65535, 65536, 1 << 20};
    const uint8_t mask[4] = {1, 2, 3, 4};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]) * 2; i++) {
        uint8_t out[WS_HEADER_BYTES_MAX];
        struct ws_parser p;
        struct ws_frame f;
        bool masked = i & 1;
        size_t n = ws_header(out, WS_BINARY, sizes[i / 2], masked ? mask : NULL);
        ws_parser_init(&p, masked ? WS_FROM_CLIENT : WS_FROM_SERVER, TGW_WS_FRAME_PAYLOAD_MAX);
        for (size_t k = 0; k < n; k++)
            CU_ASSERT_EQUAL(ws_parse(&p, out, k, &f), WS_NEED_MORE);
        CU_ASSERT_EQUAL(ws_parse(&p, out, n, &f), WS_FRAME);
        CU_ASSERT_EQUAL(f.payload_bytes, sizes[i / 2]);
        CU_ASSERT_EQUAL(f.header_bytes, n);
        CU_ASSERT_TRUE(f.fin && f.masked == masked && f.opcode == WS_BINARY);
    }
}

static void wrong_headers_are_refused(void) {
    static const struct {
        uint8_t bytes[14];
        size_t len;
        enum ws_result result;
        uint8_t in_message;
    } rows[] = {
        {{0x82, 0x05}, 2, WS_PROTOCOL, 0},             /* client did not mask */
        {{0xc2, 0x85, 0, 0, 0, 0}, 6, WS_PROTOCOL, 0}, /* RSV1 */
        {{0x83, 0x85, 0, 0, 0, 0}, 6, WS_PROTOCOL, 0}, /* reserved opcode */
        {{0x8b, 0x80, 0, 0, 0, 0}, 6, WS_PROTOCOL, 0},
        {{0x80, 0x80, 0, 0, 0, 0}, 6, WS_PROTOCOL, 0},         /* nothing to continue */
        {{0x82, 0x80, 0, 0, 0, 0}, 6, WS_PROTOCOL, 1},         /* inside a message */
        {{0x09, 0x80, 0, 0, 0, 0}, 6, WS_PROTOCOL, 0},         /* fragmented ping */
        {{0x88, 0xfe, 0, 126, 0, 0, 0, 0}, 8, WS_PROTOCOL, 0}, /* long close */
        {{0x82, 0xfe, 0, 125, 0, 0, 0, 0}, 8, WS_PROTOCOL, 0}, /* not the shortest form */
        {{0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 14, WS_PROTOCOL, 0},
        {{0x82, 0xff, 0x80}, 14, WS_PROTOCOL, 0}, /* top bit of the length */
        {{0x82, 0xff, 0, 0, 0, 0, 2}, 14, WS_TOO_BIG, 0},
        {{0x80, 0x80, 0, 0, 0, 0}, 6, WS_FRAME, 1},
        {{0x89, 0x80, 0, 0, 0, 0}, 6, WS_FRAME, 1}, /* a ping between fragments */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ws_parser p;
        struct ws_frame f;
        ws_parser_init(&p, WS_FROM_CLIENT, TGW_WS_FRAME_PAYLOAD_MAX);
        p.in_message = rows[i].in_message;
        CU_ASSERT_EQUAL(ws_parse(&p, rows[i].bytes, rows[i].len, &f), rows[i].result);
    }
}

struct source {
    const uint8_t *at;
    size_t len;
};

static ssize_t give(uint8_t *buf, size_t len, int flags, void *user) {
    struct source *s = user;
    (void)flags;
    if (s->len == 0)
        return -1;
    if (len > s->len)
        len = s->len;
    memcpy(buf, s->at, len);
    s->at += len;
    s->len -= len;
    return (ssize_t)len;
}

/* wslay as the oracle: on random headers both say the same, apart from what wslay leaves
 * to its caller (masking by role, order of fragments, unknown opcodes). */
static void wslay_agrees(void) {
    srand(5);
    unsigned frames = 0;
    for (int i = 0; i < 200000; i++) {
        uint8_t raw[256] = {0};
        for (size_t k = 0; k < 14; k++)
            raw[k] = (uint8_t)rand();
        raw[0] &= 0x8f;
        raw[1] |= 0x80;
        if (rand() % 2)
            raw[1] = (uint8_t)(0x80 | rand() % 126);
        struct source src = {raw, sizeof(raw)};
        const struct wslay_frame_callbacks cb = {NULL, give, NULL};
        wslay_frame_context_ptr ctx;
        struct wslay_frame_iocb got;
        CU_ASSERT_EQUAL_FATAL(wslay_frame_context_init(&ctx, &cb, &src), 0);
        ssize_t rc = wslay_frame_recv(ctx, &got);
        struct ws_parser p;
        struct ws_frame f;
        ws_parser_init(&p, WS_FROM_CLIENT, UINT32_MAX);
        p.in_message = (raw[0] & 0x0f) == WS_CONTINUATION;
        enum ws_result r = ws_parse(&p, raw, sizeof(raw), &f);
        uint8_t op = raw[0] & 0x0f;
        bool known = op <= 2 || (op >= 8 && op <= 10);
        if (rc >= 0 && known) {
            CU_ASSERT_EQUAL(r, WS_FRAME);
            CU_ASSERT_EQUAL(f.payload_bytes, got.payload_length);
            CU_ASSERT_EQUAL(f.fin, got.fin);
            CU_ASSERT_EQUAL(f.opcode, got.opcode);
            frames++;
        } else {
            CU_ASSERT_NOT_EQUAL(r, WS_FRAME);
        }
        wslay_frame_context_free(ctx);
    }
    CU_ASSERT_TRUE(frames > 10000);
}

static void close_payloads(void) {
    uint16_t code;
    CU_ASSERT_TRUE(ws_close_parse((const uint8_t *)"", 0, &code) && code == 1005);
    CU_ASSERT_FALSE(ws_close_parse((const uint8_t *)"\x03", 1, &code));
    CU_ASSERT_TRUE(ws_close_parse((const uint8_t *)"\x03\xe8ok", 4, &code) && code == 1000);
    CU_ASSERT_FALSE(ws_close_parse((const uint8_t *)"\x03\xed", 2, &code)); /* 1005 */
    CU_ASSERT_FALSE(ws_close_parse((const uint8_t *)"\x03\xee", 2, &code)); /* 1006 */
    CU_ASSERT_FALSE(ws_close_parse((const uint8_t *)"\x03\xf7", 2, &code)); /* 1015 */
    CU_ASSERT_FALSE(ws_close_parse((const uint8_t *)"\x03\xe8\xc0\x80", 4, &code));
    CU_ASSERT_FALSE(ws_close_parse((const uint8_t *)"\x03\xe8\xed\xa0\x80", 5, &code));
    CU_ASSERT_TRUE(ws_close_parse((const uint8_t *)"\x11\x31\xf0\x9f\x98\x80", 6, &code));
    CU_ASSERT_EQUAL(code, 4401);
}

static void frames_of_our_own(void) {
    uint8_t out[WS_HEADER_BYTES_MAX + 125];
    const uint8_t mask[4] = {9, 8, 7, 6};
    struct ws_parser p;
    struct ws_frame f;
    uint16_t code;
    size_t n = ws_close(out, 4408, "idle_timeout", mask);
    ws_parser_init(&p, WS_FROM_CLIENT, 1000);
    CU_ASSERT_EQUAL_FATAL(ws_parse(&p, out, n, &f), WS_FRAME);
    ws_mask(out + f.header_bytes, f.payload_bytes, f.mask, 0);
    CU_ASSERT_TRUE(ws_close_parse(out + f.header_bytes, f.payload_bytes, &code) && code == 4408);
    CU_ASSERT_EQUAL(memcmp(out + f.header_bytes + 2, "idle_timeout", 12), 0);
    CU_ASSERT_EQUAL(ws_close(out, 0, "", NULL), 2);
}

static void the_accept_of_the_rfc(void) { /* section 1.3 */
    char out[29];
    ws_accept("dGhlIHNhbXBsZSBub25jZQ==", 24, out);
    CU_ASSERT_STRING_EQUAL(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

int main(void) {
    static const struct suite_case cases[] = {
        {"headers round-trip", headers_round_trip},
        {"wrong headers are refused", wrong_headers_are_refused},
        {"wslay agrees", wslay_agrees},
        {"close payloads", close_payloads},
        {"frames of our own", frames_of_our_own},
        {"the accept of the RFC", the_accept_of_the_rfc},
    };
    return suite_run("web/ws", cases, sizeof(cases) / sizeof(cases[0]));
}

/* Heads from outside: requests of browsers and answers of agents. The first byte says
 * which, and how much space the writers get. */
#include "agent/agent.h"
#include "web/ws.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds) {
    if (!holds)
        abort();
}

static bool inside(struct text t, const uint8_t *data, size_t size) {
    const char *begin = (const char *)data;
    return t.len == 0 || (t.at >= begin && t.at + t.len <= begin + size);
}

static void check_terminal(const struct http1_request *r) {
    check(r->allocation_id[0] && strlen(r->allocation_id) <= TGW_ALLOCATION_ID_MAX);
    check(r->cols >= 1 && r->cols <= TGW_TERMINAL_DIM_MAX);
    check(r->rows >= 1 && r->rows <= TGW_TERMINAL_DIM_MAX);
    check(r->mode == TGW_MODE_RAW || r->mode == TGW_MODE_CHANNEL);
    check(r->has_token && r->ws_key.len == 24);
    check(r->token.len >= TGW_TOKEN_BYTES_MIN && r->token.len <= TGW_TOKEN_BYTES_MAX);
    for (size_t i = 0; i < r->token.len; i++)
        check(http1_is_tchar(r->token.at[i]));
}

static void fuzz_request(const uint8_t *data, size_t size, size_t space) {
    static char out[4096];
    struct http1_request r;
    struct text_out o = {.at = out, .size = space};
    enum tgw_reason reason = http1_request_parse(data, size, &r);
    check(inside(r.token, data, size) && inside(r.origin, data, size));
    check(inside(r.ws_key, data, size) && inside(r.method, data, size));
    if (reason == TGW_OK && r.target == HTTP1_TERMINAL) {
        check_terminal(&r);
        http1_write_101(&o, r.ws_key, r.token, r.correlation_id, r.trace_id, "session");
    } else if (reason != TGW_OK) {
        check(tgw_reason_info(reason)->kind == TGW_KIND_REFUSE);
        http1_write_error(&o, &(struct http1_error){.reason = reason,
                                                    .correlation_id = r.correlation_id,
                                                    .trace_id = r.trace_id});
    }
    check(o.len <= o.size);
}

static void fuzz_answer(const uint8_t *data, size_t size) {
    static const uint8_t key[16] = "the sample nonce";
    size_t head;
    enum tgw_reason reason = agent_read_answer(data, size, key, &head);
    check(head <= size && (head == 0 || reason == TGW_OK));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    size_t head = http1_head_bytes(data + 1, size - 1, 0);
    check(head == http1_head_bytes(data + 1, size - 1, head ? head - 1 : size - 1));
    if (data[0] & 1)
        fuzz_answer(data + 1, size - 1);
    else
        fuzz_request(data + 1, head ? head : size - 1, (size_t)data[0] * 16);
    return 0;
}

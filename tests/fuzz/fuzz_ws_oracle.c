/* A client's frames by our parser and by wslay's: both see the same frames, and stop at the
 * same place. Texts are made binary first: UTF-8 is the ends' business, not the relay's. */
#include "web/ws.h"
#include <stdlib.h>
#include <string.h>
#include <wslay/wslay.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FRAMES_MAX = 64 };

struct seen {
    uint32_t count;
    struct {
        uint64_t payload_bytes;
        uint8_t opcode;
        bool fin;
    } frame[FRAMES_MAX];
};

struct source {
    const uint8_t *at;
    size_t len;
    struct seen seen;
};

static void note(struct seen *s, uint8_t opcode, bool fin, uint64_t payload_bytes) {
    s->frame[s->count].opcode = opcode;
    s->frame[s->count].fin = fin;
    s->frame[s->count++].payload_bytes = payload_bytes;
}

/* What our parser makes of it; bytes behind a Close or a fault are nobody's. */
static void ours(uint8_t *data, size_t *size, struct seen *s) {
    struct ws_parser p;
    struct ws_frame f;
    size_t at = 0;
    ws_parser_init(&p, WS_FROM_CLIENT, UINT32_MAX);
    while (at < *size && s->count < FRAMES_MAX) {
        if ((data[at] & 0x0f) == WS_TEXT)
            data[at] = (uint8_t)((data[at] & 0xf0) | WS_BINARY);
        if (ws_parse(&p, data + at, *size - at, &f) != WS_FRAME)
            return;
        size_t behind = *size - at - f.header_bytes;
        if (f.payload_bytes && !behind) /* wslay tells of a frame with its first byte */
            return;
        note(s, f.opcode, f.fin, f.payload_bytes);
        if (f.opcode == WS_CLOSE || f.payload_bytes > behind)
            return;
        at += f.header_bytes + f.payload_bytes;
    }
    *size = at;
}

static ssize_t give(wslay_event_context_ptr ctx, uint8_t *buf, size_t len, int flags, void *user) {
    struct source *s = user;
    size_t n = len < s->len ? len : s->len;
    (void)flags;
    if (n == 0) {
        wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    memcpy(buf, s->at, n);
    s->at += n;
    s->len -= n;
    return (ssize_t)n;
}

static void on_frame(wslay_event_context_ptr ctx,
                     const struct wslay_event_on_frame_recv_start_arg *arg, void *user) {
    struct source *s = user;
    (void)ctx;
    if (s->seen.count < FRAMES_MAX)
        note(&s->seen, arg->opcode, arg->fin, arg->payload_length);
}

static void theirs(const uint8_t *data, size_t size, struct seen *s) {
    struct source source = {.at = data, .len = size};
    const struct wslay_event_callbacks callbacks = {.recv_callback = give,
                                                    .on_frame_recv_start_callback = on_frame};
    wslay_event_context_ptr ctx;
    if (wslay_event_context_server_init(&ctx, &callbacks, &source) != 0)
        abort();
    wslay_event_config_set_no_buffering(ctx, 1);
    wslay_event_config_set_max_recv_msg_length(ctx, UINT64_MAX);
    wslay_event_recv(ctx);
    wslay_event_context_free(ctx);
    *s = source.seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct seen a = {0}, b = {0};
    uint8_t *copy = malloc(size + 1);
    if (!copy)
        return 0;
    memcpy(copy, data, size);
    ours(copy, &size, &a);
    theirs(copy, size, &b);
    if (a.count != b.count)
        abort();
    for (uint32_t i = 0; i < a.count; i++)
        if (a.frame[i].opcode != b.frame[i].opcode || a.frame[i].fin != b.frame[i].fin ||
            a.frame[i].payload_bytes != b.frame[i].payload_bytes)
            abort();
    free(copy);
    return 0;
}

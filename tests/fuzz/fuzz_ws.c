/* Frames from outside, through the pump. However the bytes arrive and however little
 * room there is, what crosses and how it ends are the same as all at once. */
#include "relay/relay.h"
#include "tests/lib/fake_stream.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds) {
    if (!holds)
        abort();
}

struct outcome {
    uint8_t *out;
    size_t len, controls, closes;
    uint64_t frames;
    enum relay_event last;
};

/* How the bytes come: the first bytes of the input. */
struct way {
    enum ws_sender sender;
    size_t piece, span, room, write;
};

static void turns(struct relay_dir *d, struct fake_stream *from, struct fake_stream *to,
                  struct outcome *o) {
    struct relay_control control;
    struct relay_progress progress;
    uint16_t code;
    do {
        o->last = relay_pump(d, fake_stream(from), fake_stream(to), &control, &progress);
        if (o->last != RELAY_CONTROL)
            continue;
        o->controls++;
        if (control.opcode == WS_CLOSE)
            o->closes += ws_close_parse(control.payload, control.len, &code);
    } while (o->last == RELAY_CONTROL);
}

static void cross(const struct way *w, const uint8_t *data, size_t size, struct outcome *o) {
    struct fake_stream from, to;
    struct relay_dir d;
    size_t fed = 0, got;
    check(fake_stream_init(&from, size, 1) && fake_stream_init(&to, 1, w->room));
    from.span_bytes = w->span;
    to.write_bytes = w->write;
    relay_dir_init(&d, w->sender);
    *o = (struct outcome){.out = malloc(size + 1)};
    check(o->out != NULL);
    do {
        size_t left = size - fed;
        fed += fake_stream_feed(&from, data + fed, left < w->piece ? left : w->piece);
        turns(&d, &from, &to, o);
        got = fake_stream_drain(&to, o->out + o->len, size - o->len);
        o->len += got;
    } while ((o->last == RELAY_MORE || o->last == RELAY_EOF) && (fed < size || got || d.stalled));
    o->frames = d.frames;
    fake_stream_fini(&from);
    fake_stream_fini(&to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct outcome a, b;
    if (size < 5)
        return 0;
    const enum ws_sender sender = data[0] & 1 ? WS_FROM_SERVER : WS_FROM_CLIENT;
    const struct way whole = {sender, SIZE_MAX, 0, size + STREAM_ROOM_LOW, 0};
    const struct way pieces = {sender, 1 + (size_t)data[1], data[2],
                               STREAM_ROOM_LOW + (size_t)data[3], data[4]};
    cross(&whole, data + 5, size - 5, &a);
    cross(&pieces, data + 5, size - 5, &b);
    check(a.last == b.last && a.controls == b.controls && a.closes == b.closes);
    check(a.frames == b.frames && a.len == b.len && memcmp(a.out, b.out, a.len) == 0);
    free(a.out);
    free(b.out);
    return 0;
}

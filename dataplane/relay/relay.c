/* Frames cross as they came: what is passed on is a run of bytes, as many whole frames
 * as the span in hand holds, written at once after each header was looked at. */
#include "relay/relay.h"
#include <assert.h>
#include <string.h>

enum { CONTROL_FRAME_MAX = WS_HEADER_BYTES_MAX + TGW_WS_CONTROL_PAYLOAD_MAX };

_Static_assert(sizeof(struct relay_dir) <= 24, "two of these stand in every session's hot lines");

void relay_dir_init(struct relay_dir *d, enum ws_sender sender) {
    *d = (struct relay_dir){0};
    ws_parser_init(&d->parser, sender, TGW_WS_FRAME_PAYLOAD_MAX);
}

static size_t take_payload(struct relay_dir *d, size_t most) {
    size_t n = d->payload_left < most ? d->payload_left : most;
    d->payload_left -= (uint32_t)n;
    d->bytes += n;
    return n;
}

/* Let a data frame begin with `most` bytes at hand; returns how many are its own. */
static size_t begin_frame(struct relay_dir *d, const struct ws_frame *f, size_t most) {
    d->frames++;
    d->payload_left = (uint32_t)f->payload_bytes;
    if (most >= f->header_bytes)
        return f->header_bytes + take_payload(d, most - f->header_bytes);
    /* A write came short inside the header: the rest of it goes the payload's way. */
    d->payload_left += (uint32_t)(f->header_bytes - most);
    return most;
}

/* Short messages that lie in data[at..limit) as a whole, one after the other; returns where
 * they end. */
static size_t scan_short(struct relay_dir *d, const uint8_t *data, size_t at, size_t limit) {
    while (limit - at >= 2) {
        uint32_t payload_bytes,
            header_bytes = ws_short_message(&d->parser, data + at, &payload_bytes);
        if (header_bytes == 0 || header_bytes + payload_bytes > limit - at)
            break;
        at += header_bytes + payload_bytes;
        d->frames++;
        d->bytes += payload_bytes;
    }
    return at;
}

/* How many bytes of data[0..len) are data frames (the rest of one, whole ones, the
 * start of one), none past `limit`; *d moves over them. A header goes whole or not at
 * all, so that room for a frame of our own stays at a boundary, unless `cut`. */
static size_t scan(struct relay_dir *d, const uint8_t *data, size_t len, size_t limit, bool cut) {
    size_t at = take_payload(d, limit);
    if (!d->closing && at < limit)
        at = scan_short(d, data, at, limit);
    while (at < limit) {
        const uint8_t in_message = d->parser.in_message;
        struct ws_frame f;
        if (ws_parse(&d->parser, data + at, len - at, &f) != WS_FRAME || f.opcode >= WS_CLOSE)
            break;
        if (d->closing || (f.header_bytes > limit - at && !cut)) {
            d->parser.in_message = in_message; /* it will be parsed again */
            break;
        }
        at += begin_frame(d, &f, limit - at);
    }
    return at;
}

/* Pass on the run at the front of the span. False: nothing could be passed. */
static bool pass_run(struct relay_dir *d, struct stream from, struct stream to, const uint8_t *data,
                     size_t len) {
    const struct relay_dir before = *d;
    size_t room = to.ops->room(to.impl);
    size_t run = scan(d, data, len, len < room ? len : room, false);
    if (run == 0)
        return false;
    size_t took = to.ops->write(to.impl, data, run);
    assert(took <= run);
    if (took < run) { /* less memory than room */
        *d = before;
        scan(d, data, len, took, true);
        d->stalled = 1;
    }
    if (took)
        from.ops->consume(from.impl, took);
    return true;
}

static enum relay_event at_rest(struct stream from) {
    return from.ops->at_eof(from.impl) ? RELAY_EOF : RELAY_MORE;
}

/* A control frame is handed up once it is here as a whole. */
static enum relay_event take_control(struct stream from, const struct ws_frame *f,
                                     struct relay_control *control) {
    uint8_t frame[CONTROL_FRAME_MAX];
    size_t bytes = (size_t)f->header_bytes + (size_t)f->payload_bytes;
    assert(bytes <= sizeof(frame));
    if (from.ops->copy(from.impl, frame, bytes) < bytes)
        return at_rest(from);
    control->opcode = f->opcode;
    control->len = (uint8_t)f->payload_bytes;
    memcpy(control->payload, frame + f->header_bytes, control->len);
    if (f->masked)
        ws_mask(control->payload, control->len, f->mask, 0);
    from.ops->consume(from.impl, bytes);
    return RELAY_CONTROL;
}

/* A data frame's header that the run left behind: it lies across spans, or `to` has no
 * room for it. */
static enum relay_event pass_header(struct relay_dir *d, struct stream from, struct stream to,
                                    const uint8_t *header, const struct ws_frame *f) {
    size_t took = 0;
    if (to.ops->room(to.impl) >= f->header_bytes)
        took = to.ops->write(to.impl, header, f->header_bytes);
    assert(took <= f->header_bytes);
    d->stalled = took < f->header_bytes;
    if (took) {
        begin_frame(d, f, took);
        from.ops->consume(from.impl, took);
    }
    return RELAY_MORE;
}

/* What stands at the boundary is no run. */
static enum relay_event front(struct relay_dir *d, struct stream from, struct stream to,
                              struct relay_control *control, bool *again) {
    uint8_t header[WS_HEADER_BYTES_MAX];
    const uint8_t in_message = d->parser.in_message;
    struct ws_frame f;
    size_t have = from.ops->copy(from.impl, header, sizeof(header));
    enum ws_result result = ws_parse(&d->parser, header, have, &f);
    if (result == WS_NEED_MORE)
        return at_rest(from);
    if (result == WS_TOO_BIG)
        return RELAY_TOO_BIG;
    if (result == WS_FRAME && f.opcode >= WS_CLOSE)
        return take_control(from, &f, control);
    if (result == WS_PROTOCOL || d->closing)
        return RELAY_PROTOCOL;
    enum relay_event event = pass_header(d, from, to, header, &f);
    if (relay_at_boundary(d) && d->stalled)
        d->parser.in_message = in_message; /* nothing of it went: it will be parsed again */
    *again = !d->stalled;
    return event;
}

static enum relay_event pump(struct relay_dir *d, struct stream from, struct stream to,
                             struct relay_control *control) {
    for (;;) {
        const uint8_t *data;
        size_t len = from.ops->peek(from.impl, &data);
        bool again = false;
        if (len == 0)
            return at_rest(from);
        if (pass_run(d, from, to, data, len)) {
            if (d->stalled)
                return RELAY_MORE;
            continue;
        }
        if (!relay_at_boundary(d)) {
            d->stalled = 1;
            return RELAY_MORE;
        }
        enum relay_event event = front(d, from, to, control, &again);
        if (!again)
            return event;
    }
}

enum relay_event relay_pump(struct relay_dir *d, struct stream from, struct stream to,
                            struct relay_control *control, struct relay_progress *progress) {
    const uint64_t bytes = d->bytes, frames = d->frames;
    d->stalled = 0;
    enum relay_event event = pump(d, from, to, control);
    progress->payload_bytes = d->bytes - bytes;
    progress->data_frames = (uint32_t)(d->frames - frames);
    return event;
}

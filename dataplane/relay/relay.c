#include "relay/relay.h"
#include <assert.h>
#include <string.h>

enum { CONTROL_FRAME_MAX = WS_HEADER_BYTES_MAX + TGW_WS_CONTROL_PAYLOAD_MAX };

void relay_dir_init(struct relay_dir *d, enum ws_sender sender) {
    *d = (struct relay_dir){0};
    ws_parser_init(&d->parser, sender, TGW_WS_FRAME_PAYLOAD_MAX);
}

/* Pass on what is left of the frame under way. False: `to` is full or `from` is dry. */
static bool pass_payload(struct relay_dir *d, struct stream from, struct stream to,
                         struct relay_progress *progress) {
    while (d->payload_left) {
        const uint8_t *data;
        size_t n = from.ops->peek(from.impl, &data);
        if (n == 0)
            return false;
        if (n > d->payload_left)
            n = (size_t)d->payload_left;
        size_t took = to.ops->write(to.impl, data, n);
        from.ops->consume(from.impl, took);
        d->payload_left -= took;
        d->bytes += took;
        progress->payload_bytes += took;
        if (took < n) {
            d->stalled = 1;
            return false;
        }
    }
    return true;
}

/* The header goes whole or not at all: a frame of our own never lands inside it. */
static bool pass_header(struct relay_dir *d, const uint8_t *header, const struct ws_frame *f,
                        struct stream from, struct stream to, struct relay_progress *progress) {
    if (to.ops->write(to.impl, header, f->header_bytes) != f->header_bytes)
        assert(!"room() said that the header fits");
    from.ops->consume(from.impl, f->header_bytes);
    d->payload_left = f->payload_bytes;
    d->frames++;
    progress->data_frames++;
    return pass_payload(d, from, to, progress);
}

/* A control frame is handed up once it is here as a whole. */
static enum relay_event take_control(struct stream from, const struct ws_frame *f,
                                     struct relay_control *control) {
    uint8_t frame[CONTROL_FRAME_MAX];
    size_t bytes = (size_t)f->header_bytes + (size_t)f->payload_bytes;
    if (from.ops->unread(from.impl) < bytes || from.ops->copy(from.impl, frame, bytes) < bytes)
        return RELAY_MORE;
    control->opcode = f->opcode;
    control->len = (uint8_t)f->payload_bytes;
    memcpy(control->payload, frame + f->header_bytes, control->len);
    if (f->masked)
        ws_mask(control->payload, control->len, f->mask, 0);
    from.ops->consume(from.impl, bytes);
    return RELAY_CONTROL;
}

static enum relay_event at_rest(struct stream from) {
    return from.ops->at_eof(from.impl) ? RELAY_EOF : RELAY_MORE;
}

enum relay_event relay_pump(struct relay_dir *d, struct stream from, struct stream to,
                            struct relay_control *control, struct relay_progress *progress) {
    *progress = (struct relay_progress){0};
    d->stalled = 0;
    if (!pass_payload(d, from, to, progress))
        return d->stalled ? RELAY_MORE : at_rest(from);
    for (;;) {
        uint8_t header[WS_HEADER_BYTES_MAX];
        struct ws_frame f;
        size_t have = from.ops->copy(from.impl, header, sizeof(header));
        struct ws_parser before = d->parser;
        switch (ws_parse(&d->parser, header, have, &f)) {
        case WS_NEED_MORE:
            return at_rest(from);
        case WS_PROTOCOL:
            return RELAY_PROTOCOL;
        case WS_TOO_BIG:
            return RELAY_TOO_BIG;
        case WS_FRAME:
            break;
        }
        if (f.opcode >= WS_CLOSE)
            return take_control(from, &f, control);
        if (d->closing)
            return RELAY_PROTOCOL;
        if (to.ops->room(to.impl) < f.header_bytes) {
            d->parser = before; /* the header will be parsed again */
            d->stalled = 1;
            return RELAY_MORE;
        }
        if (!pass_header(d, header, &f, from, to, progress))
            return d->stalled ? RELAY_MORE : at_rest(from);
    }
}

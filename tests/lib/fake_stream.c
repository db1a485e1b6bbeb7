#include "tests/lib/fake_stream.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

static size_t buffer_put(struct fake_buffer *b, const void *data, size_t len) {
    size_t n = least(len, b->size - b->len);
    if (n)
        memcpy(b->data + b->len, data, n);
    b->len += n;
    return n;
}

static void buffer_drop(struct fake_buffer *b, size_t n) {
    assert(n <= b->len);
    memmove(b->data, b->data + n, b->len - n);
    b->len -= n;
    b->taken += n;
}

static size_t op_peek(void *s, const uint8_t **data) {
    struct fake_stream *f = s;
    *data = f->in.data;
    if (f->span_bytes == 0)
        return f->in.len;
    return least(f->in.len, f->span_bytes - (size_t)(f->in.taken % f->span_bytes));
}

static size_t op_copy(void *s, void *dst, size_t len) {
    struct fake_stream *f = s;
    size_t n = least(len, f->in.len);
    memcpy(dst, f->in.data, n);
    return n;
}

static void op_consume(void *s, size_t n) {
    buffer_drop(&((struct fake_stream *)s)->in, n);
}

static size_t op_unread(void *s) {
    return ((struct fake_stream *)s)->in.len;
}

static bool op_at_eof(void *s) {
    return ((struct fake_stream *)s)->fin_in;
}

static size_t op_room(void *s) {
    struct fake_stream *f = s;
    size_t room = f->fin_out ? 0 : f->out.size - f->out.len;
    f->want_write |= room < STREAM_ROOM_LOW;
    return room;
}

static size_t op_write(void *s, const void *data, size_t len) {
    struct fake_stream *f = s;
    size_t most = f->write_bytes ? least(len, f->write_bytes) : len;
    assert(!f->fin_out && !f->released && !f->aborted);
    f->writes++;
    size_t n = buffer_put(&f->out, data, most);
    f->want_write |= n < len;
    return n;
}

static void op_shutdown(void *s) {
    ((struct fake_stream *)s)->fin_out = true;
}

static void op_release(void *s) {
    struct fake_stream *f = s;
    assert(!f->released && !f->aborted);
    f->released = f->fin_out = true;
}

static void op_abort(void *s) {
    struct fake_stream *f = s;
    assert(!f->released && !f->aborted);
    f->aborted = true;
}

static void op_inspect(void *s, struct tgw_leg_state *out) {
    (void)s;
    memset(out, 0, sizeof(*out));
}

static const struct stream_ops fake_ops = {
    .peek = op_peek,
    .copy = op_copy,
    .consume = op_consume,
    .unread = op_unread,
    .at_eof = op_at_eof,
    .room = op_room,
    .write = op_write,
    .shutdown = op_shutdown,
    .release = op_release,
    .abort = op_abort,
    .inspect = op_inspect,
};

bool fake_stream_init(struct fake_stream *f, size_t in_bytes, size_t out_bytes) {
    *f = (struct fake_stream){
        .in = {.data = malloc(in_bytes ? in_bytes : 1), .size = in_bytes},
        .out = {.data = malloc(out_bytes ? out_bytes : 1), .size = out_bytes},
    };
    if (f->in.data && f->out.data)
        return true;
    fake_stream_fini(f);
    return false;
}

void fake_stream_fini(struct fake_stream *f) {
    free(f->in.data);
    free(f->out.data);
    *f = (struct fake_stream){0};
}

struct stream fake_stream(struct fake_stream *f) {
    return (struct stream){.ops = &fake_ops, .impl = f};
}

size_t fake_stream_feed(struct fake_stream *f, const void *data, size_t len) {
    assert(!f->fin_in || len == 0);
    return buffer_put(&f->in, data, len);
}

void fake_stream_feed_fin(struct fake_stream *f) {
    f->fin_in = true;
}

size_t fake_stream_drain(struct fake_stream *f, void *dst, size_t len) {
    size_t n = least(len, f->out.len);
    memcpy(dst, f->out.data, n);
    buffer_drop(&f->out, n);
    return n;
}

bool fake_stream_take_writable(struct fake_stream *f) {
    bool due = f->want_write && f->out.size - f->out.len >= STREAM_ROOM_LOW;
    f->want_write &= !due;
    return due;
}

/* A stream end over two bounded byte buffers: what the owner reads is fed by the test,
 * what it writes is drained by it. Spans, room and short writes can be made as awkward
 * as a real stream's. Calls no handler: the test makes the owner's turns. */
#ifndef TESTS_LIB_FAKE_STREAM_H
#define TESTS_LIB_FAKE_STREAM_H

#include "core/stream.h"

struct fake_buffer {
    uint8_t *data;
    size_t size, len;
    uint64_t taken; /* bytes that left it so far */
};

struct fake_stream {
    struct fake_buffer in, out;
    size_t span_bytes;  /* peek() never crosses a multiple of it; 0: one span */
    size_t write_bytes; /* most that one write() takes whatever room() says; 0: no limit */
    uint32_t writes;    /* calls of write() */
    bool want_write;    /* writable() is owed: a short write, or too little room */
    bool fin_in, fin_out, released, aborted;
};

/* False: no memory. */
bool fake_stream_init(struct fake_stream *f, size_t in_bytes, size_t out_bytes);
void fake_stream_fini(struct fake_stream *f);
struct stream fake_stream(struct fake_stream *f);

/* The peer's side. Feed as much as fits, drain at most len; both return how many. */
size_t fake_stream_feed(struct fake_stream *f, const void *data, size_t len);
void fake_stream_feed_fin(struct fake_stream *f);
size_t fake_stream_drain(struct fake_stream *f, void *dst, size_t len);
/* Whether writable() is to be called now; asks once. */
bool fake_stream_take_writable(struct fake_stream *f);

#endif

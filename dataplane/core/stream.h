/* A reliable byte stream end, as session, relay, web and agent see it. TCP is one,
 * TLS over TCP another, a test's pair of buffers a third.
 *
 * Rules
 * - The owner calls the ops; the stream calls the owner's handler. Handlers run
 *   only from the stream's own input or timer turn, never from inside an op, so
 *   an owner may call any op of any stream from a handler.
 * - After release(), abort() or the return of closed() the stream is dead to the
 *   owner: no op may be called and no handler comes.
 * - Every op takes the time from the turn in progress; no op blocks or fails. */
#ifndef TGW_CORE_STREAM_H
#define TGW_CORE_STREAM_H

#include "contract/event.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum stream_end {
    STREAM_END_OK,      /* both directions finished in order */
    STREAM_END_RESET,   /* the peer reset it */
    STREAM_END_REFUSED, /* active open: refused, unreachable */
    STREAM_END_TIMEOUT, /* the peer stopped answering */
    STREAM_END_ERROR,   /* local: out of memory, TLS failure */
};

/* Less room than this is as good as none: no frame header needs more. */
enum { STREAM_ROOM_LOW = 16 };

struct stream_ops {
    /* First contiguous span of unread bytes; its length, 0 if there is none. The
     * span is valid until consume() or the end of the handler. */
    size_t (*peek)(void *s, const uint8_t **data);
    /* Copy up to len unread bytes from the front without consuming them, across spans;
     * returns how many. */
    size_t (*copy)(void *s, void *dst, size_t len);
    /* Take n (<= all unread) bytes off the front; opens the receive window. */
    void (*consume)(void *s, size_t n);
    /* All unread bytes, over every span. */
    size_t (*unread)(void *s);
    /* True once the peer's FIN is here, in order: nothing comes after what is unread, so
     * what is incomplete stays so. The end is reached when unread() is 0 too. */
    bool (*at_eof)(void *s);
    /* Bytes that write() would take now. When it answers less than STREAM_ROOM_LOW,
     * writable() comes once there is more. */
    size_t (*room)(void *s);
    /* Copy up to len bytes to the send queue; returns how many. After a short
     * write, writable() comes when there is room again. */
    size_t (*write)(void *s, const void *data, size_t len);
    /* FIN after what is queued; reading goes on. */
    void (*shutdown)(void *s);
    /* Give the stream up: queued bytes and FIN still go out, input is discarded,
     * the stream ends by itself (bounded in time). */
    void (*release)(void *s);
    /* RST now. */
    void (*abort)(void *s);
    /* For `sessions show`. */
    void (*inspect)(void *s, struct tgw_leg_state *out);
};

/* What the owner is told; `user` is the owner's. */
struct stream_handler {
    void (*connected)(void *user);                   /* active open done */
    void (*readable)(void *user);                    /* new bytes or EOF */
    void (*writable)(void *user);                    /* room again after a short write */
    void (*closed)(void *user, enum stream_end end); /* dead after this returns */
};

struct stream {
    const struct stream_ops *ops;
    void *impl; /* NULL: no stream */
};

#endif

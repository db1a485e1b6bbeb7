/* The pump between two stream ends that carry WebSocket frames: checks each frame's
 * header, passes data frames on byte for byte, hands control frames to its owner,
 * injects the gateway's own frames at frame boundaries, and stops reading one leg
 * while the other cannot take more. Holds no buffer. */
#ifndef TGW_RELAY_RELAY_H
#define TGW_RELAY_RELAY_H

#include "core/stream.h"
#include "web/ws.h"

/* One direction: frames read from `from`, written to `to`. */
struct relay_dir {
    struct ws_parser parser;
    uint8_t stalled : 1;    /* waiting for room on `to` */
    uint8_t closing : 1;    /* a Close went through: no more data frames */
    uint32_t payload_left;  /* of the data frame under way: 0 at a boundary */
    uint64_t bytes, frames; /* relayed payload */
};
_Static_assert((uint64_t)TGW_WS_FRAME_PAYLOAD_MAX + WS_HEADER_BYTES_MAX <= UINT32_MAX,
               "payload_left holds any frame");

enum relay_event {
    RELAY_MORE,     /* nothing left to do now: wait for readable or writable */
    RELAY_CONTROL,  /* a whole control frame is in *control: handle it, call again */
    RELAY_EOF,      /* `from` is at its end */
    RELAY_PROTOCOL, /* 1002 */
    RELAY_TOO_BIG,  /* 1009 */
};

struct relay_control {
    uint8_t opcode;
    uint8_t len;
    uint8_t payload[TGW_WS_CONTROL_PAYLOAD_MAX]; /* unmasked */
};

struct relay_progress {
    uint32_t data_frames; /* begun in this call: activity */
    uint64_t payload_bytes;
};

void relay_dir_init(struct relay_dir *d, enum ws_sender sender);

/* Move what can be moved. Errors and control frames come once what stands before them
 * has gone; an error is told again by the next call. A stalled direction is to be pumped
 * again when `to` is writable. */
enum relay_event relay_pump(struct relay_dir *d, struct stream from, struct stream to,
                            struct relay_control *control, struct relay_progress *progress);

/* True when the gateway may write a frame of its own to `to` now: the direction that
 * writes there is not in mid-frame. */
static inline bool relay_at_boundary(const struct relay_dir *d) {
    return d->payload_left == 0;
}

#endif

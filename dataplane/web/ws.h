/* WebSocket framing (RFC 6455), both roles, one frame header at a time. Sees bytes
 * only. Payloads are never touched: the relay passes them on as they came.
 *
 * The parser holds a few bytes of state, so that a session needs no buffer while a
 * frame is under way. */
#ifndef TGW_WEB_WS_H
#define TGW_WEB_WS_H

#include "contract/limits.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ws_opcode {
    WS_CONTINUATION = 0x0,
    WS_TEXT = 0x1,
    WS_BINARY = 0x2,
    WS_CLOSE = 0x8,
    WS_PING = 0x9,
    WS_PONG = 0xa,
};

enum { WS_HEADER_BYTES_MAX = 14 };

/* Who sends the frames that this parser reads. A client masks, a server does not. */
enum ws_sender { WS_FROM_CLIENT, WS_FROM_SERVER };

struct ws_parser {
    uint8_t sender;       /* enum ws_sender */
    uint8_t in_message;   /* a fragmented data message is open (section 5.4) */
    uint8_t payload_bits; /* the largest payload of one frame: 2 to the power of it, 64: any */
};

struct ws_frame {
    uint8_t opcode; /* enum ws_opcode */
    bool fin, masked;
    uint8_t header_bytes;
    uint8_t mask[4];
    uint64_t payload_bytes;
};

enum ws_result {
    WS_FRAME,     /* *f is filled in */
    WS_NEED_MORE, /* header not whole yet */
    WS_PROTOCOL,  /* 1002: reserved bit or opcode, masking, fragmentation, non-minimal length */
    WS_TOO_BIG,   /* 1009: payload over the largest */
};

/* payload_max is rounded up to a power of two; UINT32_MAX: no limit. */
void ws_parser_init(struct ws_parser *p, enum ws_sender sender, uint32_t payload_max);
/* Parse the frame header at the front of data[0..len). On WS_FRAME the fragmentation
 * state has moved on: call once a frame. */
enum ws_result ws_parse(struct ws_parser *p, const uint8_t *data, size_t len, struct ws_frame *f);

/* The header at the front of data[0..len), len at least 2, if it begins a whole data message
 * of less than 126 bytes: most frames by far. Its bytes, 0 for whatever else it is (ws_parse
 * tells); *payload_bytes is the frame's. The fragmentation state stays as it is. */
static inline uint32_t ws_short_message(const struct ws_parser *p, const uint8_t *data,
                                        uint32_t *payload_bytes) {
    bool masked = p->sender == WS_FROM_CLIENT;
    uint8_t opcode = data[0] & 0x7f;
    *payload_bytes = data[1] & 0x7f;
    if (!(data[0] & 0x80) || (opcode != WS_TEXT && opcode != WS_BINARY) || p->in_message ||
        masked != data[1] >> 7 || *payload_bytes >= 126)
        return 0;
    return masked ? 6 : 2;
}

/* Write a header for an unfragmented frame; mask NULL for a server's. Returns bytes. */
size_t ws_header(uint8_t out[WS_HEADER_BYTES_MAX], enum ws_opcode op, uint64_t payload_bytes,
                 const uint8_t mask[4]);
/* XOR in place; `offset` is the position of data[0] in the payload. */
void ws_mask(uint8_t *data, size_t len, const uint8_t mask[4], uint64_t offset);

/* A whole control frame (close, ping, pong) ready to send; payload at most 125.
 * Returns its bytes (at most WS_HEADER_BYTES_MAX + 125). */
size_t ws_control(uint8_t *out, enum ws_opcode op, const void *payload, size_t len,
                  const uint8_t mask[4]);
/* A close frame; code 0 gives an empty payload; reason cut at 123 bytes. */
size_t ws_close(uint8_t *out, uint16_t code, const char *reason, const uint8_t mask[4]);
/* Read an unmasked close payload: code 1005 for an empty one. False: malformed
 * (length 1, code not allowed on the wire, reason not UTF-8). */
bool ws_close_parse(const uint8_t *payload, size_t len, uint16_t *code);

/* Sec-WebSocket-Accept for a key (section 4.2.2): 28 characters and NUL. */
void ws_accept(const char *key, size_t len, char out[29]);

#endif

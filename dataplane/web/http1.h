/* HTTP/1.1 heads (RFC 9112), only what an upgrade needs: one request or one answer
 * at the start of a connection. Sees bytes only; allocates nothing; views point into
 * the caller's buffer. Strict: a bare LF, obs-fold, a NUL, a blank in a field name,
 * a repeated Host / Sec-WebSocket-Key / Content-Length are malformed. */
#ifndef TGW_WEB_HTTP1_H
#define TGW_WEB_HTTP1_H

#include "contract/limits.h"
#include "contract/reason.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct text {
    const char *at;
    size_t len;
};

/* Bytes of the head including its blank line when data holds a whole one, else 0.
 * `seen` is how many bytes an earlier call looked at (0 at first). */
size_t http1_head_bytes(const uint8_t *data, size_t len, size_t seen);

/* What a request asks for. */
enum http1_target { HTTP1_TERMINAL, HTTP1_HEALTHZ, HTTP1_READYZ, HTTP1_UNKNOWN };

struct http1_request {
    enum http1_target target;
    struct text method;
    /* Terminal requests; copied and checked. */
    char allocation_id[TGW_ALLOCATION_ID_MAX + 1];
    uint16_t cols, rows;                     /* defaults where absent */
    uint8_t mode;                            /* enum tgw_frame_mode: query or subprotocol */
    bool has_origin, has_token, protocol_v1; /* protocol_v1: "terminal.v1, <token>" */
    struct text origin, token, ws_key;
    char correlation_id[TGW_CORRELATION_ID_MAX + 1]; /* "" if absent or not valid */
    char trace_id[TGW_TRACE_ID_HEX + 1];             /* of a valid traceparent, else "" */
};

/* Parse and check a whole request head, in the contract's order. TGW_OK, or the
 * reason to refuse with; *r is filled in as far as it went (correlation_id, origin
 * and trace_id are looked for even in a request that is refused). */
enum tgw_reason http1_request_parse(const uint8_t *head, size_t len, struct http1_request *r);

struct http1_answer {
    uint16_t status;
    bool upgrade; /* 101 with all of section 4.1's fields right for the key given */
};

/* Parse an agent's answer head to an upgrade whose key was `ws_key`. `protocol` is
 * what we offered (NULL: nothing); an answer that picks something else, or an
 * extension, is not an upgrade. False: malformed. */
bool http1_answer_parse(const uint8_t *head, size_t len, const char *ws_key, const char *protocol,
                        struct http1_answer *a);

/* 16 bytes in base64 (RFC 6455 section 4.1). */
bool http1_key_is_valid(struct text key);

/* The token characters of RFC 9110 section 5.6.2. */
bool http1_is_tchar(char c);

/* A bounded text writer: truncation is sticky and checked once at the end. */
struct text_out {
    char *at;
    size_t size, len;
    bool overflow;
};
static inline void text_putn(struct text_out *o, const char *s, size_t n) {
    if (o->overflow || n > o->size - o->len) {
        o->overflow = true;
        return;
    }
    memcpy(o->at + o->len, s, n);
    o->len += n;
}
static inline void text_put(struct text_out *o, const char *s) {
    text_putn(o, s, strlen(s)); /* known when it is built, mostly */
}
void text_put_number(struct text_out *o, uint32_t n);
void text_put_hex(struct text_out *o, const uint8_t *data, size_t len);
/* "name: value" and CRLF. */
static inline void text_put_field(struct text_out *o, const char *name, const char *value) {
    text_put(o, name);
    text_put(o, ": ");
    text_put(o, value);
    text_put(o, "\r\n");
}
__attribute__((format(printf, 2, 3))) void text_printf(struct text_out *o, const char *fmt, ...);

/* "HTTP/1.1 101 ..." for `key`, echoing `protocol` when its len is not 0. */
void http1_write_101(struct text_out *o, struct text key, struct text protocol,
                     const char *correlation_id, const char *trace_id, const char *session_id);

struct http1_error {
    enum tgw_reason reason;
    const char *correlation_id, *trace_id, *session_id, *resource_name; /* NULL: left out */
    uint32_t retry_after_s;                                             /* written on 503 and 429 */
};
/* The whole error answer with the contract's envelope. */
void http1_write_error(struct text_out *o, const struct http1_error *e);
/* healthz / readyz: `status` 200 or 503 and a JSON body. */
void http1_write_json(struct text_out *o, uint16_t status, const char *body);

#endif

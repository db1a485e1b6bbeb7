/* One end of a terminal session on the outside of a gateway: a browser or a node agent. Sends a
 * known stream in WebSocket frames, checks what it reads against the other end's. */
#ifndef TESTS_SIM_TERMINAL_H
#define TESTS_SIM_TERMINAL_H

#include "tests/sim/scenario.h"
#include "web/ws.h"

enum { TERMINAL_FRAME_MAX = 4096, TERMINAL_TOKEN = 32 };

struct terminal;
/* The browser whose request an agent got; NULL: none. */
typedef struct terminal *terminal_find(void *ctx, unsigned number);

struct terminal {
    struct host *host;
    terminal_find *find; /* an agent's */
    struct terminal *other;
    struct stream s;
    struct rng rng;
    unsigned number; /* of the pair: its allocation is "alloc-NUMBER" */
    bool browser, opened, upgraded, refused, shut, dead;
    bool close_sent, close_due, pong_due, close_got;
    enum stream_end why;
    uint64_t connect_ns, abort_after; /* abort_after: bytes in both directions */
    uint64_t send_bytes, sent, received, think_ns, next_write_ns, pause_until_ns;
    uint64_t offset; /* where in the pattern it starts to send */
    struct ws_parser parser;
    struct ws_frame in;
    uint64_t in_at, in_left;
    uint8_t out[TERMINAL_FRAME_MAX + WS_HEADER_BYTES_MAX];
    size_t out_len, out_off;
    uint8_t pong[TGW_WS_CONTROL_PAYLOAD_MAX];
    uint8_t pong_len;
};

extern const struct stream_handler terminal_handler;

/* A browser opens when it is time; both go on with what waits for a time. */
void terminal_turn(struct terminal *t);
uint64_t terminal_next(const struct terminal *t);
static inline bool terminal_is_over(const struct terminal *t) {
    return t->dead;
}

#endif

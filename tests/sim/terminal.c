#include "tests/sim/terminal.h"
#include "web/http1.h"
#include <stdio.h>

enum { GATEWAY_PORT = 80, HEAD_MAX = 8192 };
static const char KEY[] = "dGhlIHNhbXBsZSBub25jZQ==";

static uint64_t now(const struct terminal *t) {
    return t->host->world->now_ns;
}

static void fail(const struct terminal *t, const char *what) {
    world_fail(t->host->world, "%s: %s %u sent %lu of %lu, received %lu, the other sent %lu%s%s%s",
               what, t->browser ? "browser" : "agent", t->number, t->sent, t->send_bytes,
               t->received, t->other ? t->other->sent : 0, t->upgraded ? " upgraded" : "",
               t->close_sent ? " close sent" : "", t->close_got ? " close got" : "");
}

static uint8_t byte_at(const struct terminal *sender, uint64_t i) {
    uint64_t n = sender->offset + i;
    return (uint8_t)(n * 7 + (n >> 8) * 13 + (n >> 16) * 31);
}

static void put_text(struct terminal *t, const char *text) {
    size_t len = strlen(text);
    if (t->s.ops->write(t->s.impl, text, len) < len)
        fail(t, "no room for a head");
}

static void upgraded(struct terminal *t) {
    t->upgraded = true;
    ws_parser_init(&t->parser, t->browser ? WS_FROM_SERVER : WS_FROM_CLIENT, 1 << 20);
}

static void answer(struct terminal *t, const char *head) {
    static const char field[] = "Sec-WebSocket-Key: ";
    const char *key = strstr(head, field);
    char accept[29], text[300];
    struct terminal *browser = NULL;
    if (key && sscanf(head, "GET /v1/terminal/alloc-%u?", &t->number) == 1)
        browser = t->find(t->host->world->app.ctx, t->number);
    if (!browser || browser->other) {
        fail(t, "a request that nobody made");
        return;
    }
    t->other = browser;
    browser->other = t;
    ws_accept(key + sizeof(field) - 1, 24, accept);
    snprintf(text, sizeof(text),
             "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Accept: %s\r\n\r\n",
             accept);
    put_text(t, text);
    upgraded(t);
}

/* False: the head is not whole yet. */
static bool take_head(struct terminal *t) {
    char head[HEAD_MAX + 1];
    size_t n = t->s.ops->copy(t->s.impl, head, HEAD_MAX);
    size_t bytes = http1_head_bytes((uint8_t *)head, n, 0);
    if (bytes == 0)
        return false;
    head[bytes] = 0;
    t->s.ops->consume(t->s.impl, bytes);
    if (!t->browser)
        answer(t, head);
    else if (strncmp(head, "HTTP/1.1 101 ", 13) == 0)
        upgraded(t);
    else
        t->refused = true;
    return true;
}

static void take_control(struct terminal *t) {
    uint8_t payload[TGW_WS_CONTROL_PAYLOAD_MAX];
    size_t n = t->in.payload_bytes;
    t->s.ops->copy(t->s.impl, payload, n);
    t->s.ops->consume(t->s.impl, n);
    if (t->in.masked)
        ws_mask(payload, n, t->in.mask, 0);
    if (t->in.opcode == WS_CLOSE) {
        t->close_got = true;
        t->close_due = !t->close_sent;
    } else if (t->in.opcode == WS_PING) {
        memcpy(t->pong, payload, n);
        t->pong_len = (uint8_t)n;
        t->pong_due = true;
    }
}

/* False: nothing more can be read now. */
static bool take_payload(struct terminal *t) {
    const uint8_t *data;
    size_t n = t->s.ops->peek(t->s.impl, &data);
    n = n < t->in_left ? n : (size_t)t->in_left;
    for (size_t i = 0; i < n; i++, t->in_at++) {
        uint8_t b = data[i] ^ (t->in.masked ? t->in.mask[t->in_at & 3] : 0);
        if (b != byte_at(t->other, t->received++))
            fail(t, "bytes are not what was sent");
    }
    if (t->received > t->other->sent)
        fail(t, "more bytes than were sent");
    t->s.ops->consume(t->s.impl, n);
    t->in_left -= n;
    return n > 0;
}

static bool take_frame(struct terminal *t) {
    uint8_t head[WS_HEADER_BYTES_MAX];
    struct ws_parser before = t->parser;
    size_t n = t->s.ops->copy(t->s.impl, head, sizeof(head));
    enum ws_result r = ws_parse(&t->parser, head, n, &t->in);
    if (r == WS_NEED_MORE)
        return false;
    if (r != WS_FRAME) {
        fail(t, "a frame that is none");
        return false;
    }
    bool control = t->in.opcode >= WS_CLOSE;
    if (control && t->s.ops->unread(t->s.impl) < t->in.header_bytes + t->in.payload_bytes) {
        t->parser = before;
        return false;
    }
    t->s.ops->consume(t->s.impl, t->in.header_bytes);
    if (control) {
        take_control(t);
        return true;
    }
    if (t->close_got)
        fail(t, "data after a Close");
    t->in_at = 0;
    t->in_left = t->in.payload_bytes;
    return true;
}

static void read_all(struct terminal *t) {
    if (now(t) < t->pause_until_ns)
        return;
    t->pause_until_ns = 0;
    while (!t->upgraded && !t->refused)
        if (!take_head(t))
            return;
    if (t->refused) {
        t->s.ops->consume(t->s.impl, t->s.ops->unread(t->s.impl));
        return;
    }
    while (!t->host->world->failed && (t->in_left ? take_payload(t) : take_frame(t)))
        ;
}

static const uint8_t *mask_of(struct terminal *t, uint8_t mask[4]) {
    uint64_t r = rng_next(&t->rng);
    memcpy(mask, &r, 4);
    return t->browser ? mask : NULL;
}

static void make_data(struct terminal *t) {
    uint8_t mask[4];
    const uint8_t *m = mask_of(t, mask);
    uint64_t left = t->send_bytes - t->sent, n = rng_scale(&t->rng, 1, TERMINAL_FRAME_MAX);
    n = n < left ? n : left;
    size_t head = ws_header(t->out, WS_BINARY, n, m);
    for (uint64_t i = 0; i < n; i++)
        t->out[head + i] = byte_at(t, t->sent + i);
    if (m)
        ws_mask(t->out + head, n, m, 0);
    t->out_len = head + n;
    t->sent += n;
    t->next_write_ns = now(t) + t->think_ns;
}

static bool wants_close(const struct terminal *t) {
    return t->browser && t->other && t->sent == t->send_bytes &&
           t->received == t->other->send_bytes;
}

/* The next frame to send; false: none now. */
static bool make_frame(struct terminal *t) {
    uint8_t mask[4];
    if (t->close_sent)
        return false;
    t->out_off = t->out_len = 0;
    if (t->close_due || wants_close(t)) {
        t->out_len = ws_close(t->out, 1000, "", mask_of(t, mask));
        t->close_sent = true;
    } else if (t->pong_due) {
        t->out_len = ws_control(t->out, WS_PONG, t->pong, t->pong_len, mask_of(t, mask));
        t->pong_due = false;
    } else if (t->sent < t->send_bytes && now(t) >= t->next_write_ns) {
        make_data(t);
    }
    return t->out_len > 0;
}

static void write_all(struct terminal *t) {
    while (t->upgraded && (t->out_off < t->out_len || make_frame(t))) {
        t->out_off += t->s.ops->write(t->s.impl, t->out + t->out_off, t->out_len - t->out_off);
        if (t->out_off < t->out_len)
            return;
    }
    bool done = (t->close_sent && t->close_got) || t->s.ops->at_eof(t->s.impl);
    if (done && !t->shut) {
        t->shut = true;
        t->s.ops->shutdown(t->s.impl);
    }
}

static void go_on(struct terminal *t) {
    if (t->dead)
        return;
    if (t->sent + t->received >= t->abort_after) {
        t->dead = true;
        t->s.ops->abort(t->s.impl);
        return;
    }
    read_all(t);
    write_all(t);
}

static void on_connected(void *user) {
    struct terminal *t = user;
    char head[600];
    snprintf(head, sizeof(head),
             "GET /ws/terminal/alloc-%u HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\n"
             "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n"
             "Sec-WebSocket-Protocol: token-of-browser-number-%08u\r\n\r\n",
             t->number, KEY, t->number);
    put_text(t, head);
}

static void on_event(void *user) {
    go_on(user);
}

static void on_closed(void *user, enum stream_end why) {
    struct terminal *t = user;
    t->dead = true;
    t->why = why;
}

const struct stream_handler terminal_handler = {on_connected, on_event, on_event, on_closed};

uint64_t terminal_next(const struct terminal *t) {
    if (t->dead)
        return UINT64_MAX;
    if (!t->opened)
        return t->connect_ns;
    /* What was due while the host slept is due still. */
    uint64_t next = t->pause_until_ns ? t->pause_until_ns : UINT64_MAX;
    bool writes =
        t->upgraded && t->sent < t->send_bytes && t->out_off == t->out_len && !t->close_sent;
    return writes && t->next_write_ns < next ? t->next_write_ns : next;
}

void terminal_turn(struct terminal *t) {
    if (t->dead || t->host->world->now_ns < t->connect_ns)
        return;
    if (t->opened) {
        go_on(t);
        return;
    }
    struct tgw_endpoint to = world_endpoint(0, 1, t->number & 1, GATEWAY_PORT);
    t->opened = true;
    t->s = tcp_connect(t->host->tcp, now(t), &to, &terminal_handler, t, NULL, NULL);
    t->dead = t->s.impl == NULL;
}

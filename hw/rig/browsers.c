/* The browsers: each a WebSocket client with a token of its own, from one of very many
 * addresses. */
#include "rig.h"
#include "tokens.h"
#include "web/http1.h"
#include "web/ws.h"
#include <stdio.h>
#include <stdlib.h>

enum {
    PORT_FIRST = 1024,
    PORT_LAST = 65000,
    ANSWER_MAX = 4096,
    CONTROL_MAX = WS_HEADER_BYTES_MAX + TGW_WS_CONTROL_PAYLOAD_MAX,
};
static const char WS_KEY[] = "dGhlIHNhbXBsZSBub25jZQ=="; /* RFC 6455's own example */
static const uint8_t MASK[4] = {0x51, 0xa3, 0x0c, 0xe8};

enum state {
    BROWSER_IDLE,
    BROWSER_CONNECTING,
    BROWSER_UPGRADING,
    BROWSER_OPEN,
    BROWSER_CLOSING, /* our Close is out */
};

struct frame {
    uint8_t *bytes;
    size_t len;
};

struct browser {
    struct browsers *all;
    const struct frame *under_way; /* written up to under_way_at: nothing may come in between */
    struct stream stream;
    struct ws_parser parser;
    uint64_t due_ns;       /* opening: of the dial; then of keystroke 0 */
    uint64_t sent_ns;      /* closed loop: of keystroke `timed` */
    uint64_t paste_left;   /* frames still to be pasted, in bytes */
    uint32_t payload_left; /* of the frame that comes in */
    uint32_t under_way_at;
    uint32_t owed, typed, answered, timed;
    uint32_t token;
    uint8_t state, kind; /* kind: first byte of the frame under way */
    bool timing, types_on;
};

struct browsers {
    struct rig *rig;
    struct browser *browser;
    struct tokens tokens;
    struct ip_prefix clients;
    struct tgw_endpoint gateway;
    char host[64];
    struct frame echo, discard;
    uint8_t *plain;       /* the payload that an echo must have */
    uint64_t interval_ns; /* open loop: between a session's keystrokes */
    uint32_t source_hosts, source_next, opening, idle;
    bool resting;
};

static void became(struct browser *b, enum state state) {
    bool was = b->state == BROWSER_CONNECTING || b->state == BROWSER_UPGRADING;
    bool is = state == BROWSER_CONNECTING || state == BROWSER_UPGRADING;
    b->all->opening += (uint32_t)is - (uint32_t)was;
    b->all->idle += (uint32_t)(state == BROWSER_IDLE) - (uint32_t)(b->state == BROWSER_IDLE);
    b->state = (uint8_t)state;
}

static void let_go(struct browser *b, uint64_t *count) {
    b->stream.ops->release(b->stream.impl);
    b->stream.impl = NULL;
    became(b, BROWSER_IDLE);
    ++*count;
}

/* Addresses vary fastest, then ports, so that no four-tuple comes back soon. */
static void source(struct browsers *all, struct tgw_endpoint *local) {
    uint32_t n = all->source_next++, host = n % all->source_hosts + 1;
    *local = (struct tgw_endpoint){
        .port = (uint16_t)(PORT_FIRST + n / all->source_hosts % (PORT_LAST - PORT_FIRST))};
    memcpy(local->addr, all->clients.addr.b, sizeof(local->addr));
    for (int i = 15; i >= 12; i--, host >>= 8)
        local->addr[i] = (uint8_t)(local->addr[i] | (host & 0xff));
}

static void on_connected(void *user) {
    struct browser *b = user;
    struct browsers *all = b->all;
    struct token token;
    char head[512];
    struct text_out o = {.at = head, .size = sizeof(head)};
    tokens_get(&all->tokens, b->token, &token);
    text_put(&o, "GET /ws/terminal/");
    text_put(&o, token.allocation);
    text_put(&o, " HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Version: 13\r\n");
    text_put_field(&o, "Host", all->host);
    text_put_field(&o, "Sec-WebSocket-Key", WS_KEY);
    text_put_field(&o, "Sec-WebSocket-Protocol", token.token);
    text_put(&o, "\r\n");
    b->stream.ops->write(b->stream.impl, o.at, o.len);
    became(b, BROWSER_UPGRADING);
}

/* The rest of the frame under way. False: more of it is left. */
static bool carry_on(struct browser *b) {
    const struct frame *f = b->under_way;
    if (!f)
        return true;
    size_t left = f->len - b->under_way_at;
    size_t took = b->stream.ops->write(b->stream.impl, f->bytes + b->under_way_at, left);
    b->under_way_at += (uint32_t)took;
    if (took == left)
        b->under_way = NULL;
    return took == left;
}

/* Begin a frame, if there is room to. False: not begun. */
static bool begin(struct browser *b, const struct frame *f) {
    if (!carry_on(b) || b->stream.ops->room(b->stream.impl) < STREAM_ROOM_LOW)
        return false;
    b->under_way = f;
    b->under_way_at = 0;
    carry_on(b);
    return true;
}

/* Frames that are due, as far as there is room. */
static void type_owed(struct browser *b) {
    struct browsers *all = b->all;
    struct tally *tally = &all->rig->tally;
    while (b->owed && begin(b, &all->echo)) {
        if (!b->timing) {
            b->timing = true;
            b->timed = b->typed;
            b->sent_ns = all->rig->now_ns;
        }
        b->owed--;
        b->typed++;
        tally->typed++;
        tally->bytes_sent += all->rig->plan.frame_bytes;
    }
}

static void paste_owed(struct browser *b) {
    const struct frame *f = &b->all->discard;
    struct tally *tally = &b->all->rig->tally;
    uint64_t bytes = b->all->rig->plan.frame_bytes;
    while (b->paste_left && begin(b, f)) {
        b->paste_left -= b->paste_left < bytes ? b->paste_left : bytes;
        tally->bytes_sent += bytes;
    }
}

static void write_owed(struct browser *b) {
    if (b->state != BROWSER_OPEN || !carry_on(b))
        return;
    type_owed(b);
    paste_owed(b);
}

static void say_close(struct browser *b) {
    uint8_t out[CONTROL_MAX];
    size_t n = ws_close(out, 1000, "", MASK);
    b->stream.ops->write(b->stream.impl, out, n);
    became(b, BROWSER_CLOSING);
}

static void note_latency(struct rig *rig, uint64_t due_ns) {
    hist_add(&rig->latency, rig->now_ns - due_ns);
    if (calm_kept(&rig->calm, rig->now_ns, due_ns))
        hist_add(&rig->undisturbed, rig->now_ns - due_ns);
}

/* An echo is here whole. */
static void answered(struct browser *b) {
    struct browsers *all = b->all;
    struct rig *rig = all->rig;
    uint64_t intended = b->due_ns + b->answered * all->interval_ns;
    bool timed = b->timing && b->timed == b->answered;
    if (rig->measuring && rig->plan.rate_per_s && !b->types_on)
        note_latency(rig, intended);
    else if (rig->measuring && timed)
        note_latency(rig, b->sent_ns);
    if (timed)
        b->timing = false;
    b->answered++;
    rig->tally.answered++;
    if (rig->plan.scenario == SCENARIO_churn) {
        say_close(b);
    } else if (b->types_on && !all->resting) {
        b->owed++;
        type_owed(b);
    }
}

static void opened(struct browser *b) {
    struct rig *rig = b->all->rig;
    if (rig->measuring || rig->plan.scenario != SCENARIO_churn)
        hist_add(&rig->setup, rig->now_ns - b->due_ns);
    rig->tally.opened++;
    became(b, BROWSER_OPEN);
    if (rig->plan.scenario == SCENARIO_churn) {
        b->owed = 1;
        b->types_on = true;
        type_owed(b);
    }
}

static void refused(struct browser *b, const char *answer, size_t len) {
    struct rig *rig = b->all->rig;
    const char *body = memrchr(answer, '\n', len);
    size_t n = body ? len - (size_t)(body + 1 - answer) : 0;
    if (!rig->refusal[0])
        snprintf(rig->refusal, sizeof(rig->refusal), "%.*s", (int)n, body ? body + 1 : "");
    let_go(b, &rig->tally.refused);
}

/* False: the session is gone, or the answer is not whole yet. */
static bool take_answer(struct browser *b) {
    char head[ANSWER_MAX];
    struct token token;
    struct http1_answer answer;
    const struct stream *s = &b->stream;
    size_t have = s->ops->copy(s->impl, head, sizeof(head));
    size_t bytes = http1_head_bytes((const uint8_t *)head, have, 0);
    if (bytes == 0)
        return false;
    tokens_get(&b->all->tokens, b->token, &token);
    if (!http1_answer_parse((const uint8_t *)head, bytes, WS_KEY, token.token, &answer) ||
        !answer.upgrade) {
        refused(b, head, have);
        return false;
    }
    s->ops->consume(s->impl, bytes);
    ws_parser_init(&b->parser, WS_FROM_SERVER, UINT32_MAX);
    opened(b);
    return b->state == BROWSER_OPEN;
}

/* False: wait for more, or the session is gone. */
static bool take_control(struct browser *b, const struct ws_frame *f) {
    const struct stream *s = &b->stream;
    uint8_t frame[CONTROL_MAX], out[CONTROL_MAX];
    size_t bytes = f->header_bytes + (size_t)f->payload_bytes;
    if (s->ops->copy(s->impl, frame, bytes) < bytes)
        return false;
    s->ops->consume(s->impl, bytes);
    if (f->opcode == WS_PONG)
        return true;
    if (b->state == BROWSER_OPEN && carry_on(b)) { /* in mid-paste nobody waits for an answer */
        size_t n = ws_control(out, f->opcode == WS_PING ? WS_PONG : WS_CLOSE,
                              frame + f->header_bytes, (size_t)f->payload_bytes, MASK);
        s->ops->write(s->impl, out, n);
        b->all->rig->tally.pings += f->opcode == WS_PING;
    }
    if (f->opcode == WS_PING)
        return true;
    let_go(b, b->state == BROWSER_OPEN ? &b->all->rig->tally.lost : &b->all->rig->tally.closed);
    return false;
}

/* Byte for byte what was typed, as far as it is here. */
static bool is_echo(const struct browser *b, const uint8_t *data, size_t n) {
    const struct browsers *all = b->all;
    uint64_t bytes = all->rig->plan.frame_bytes;
    return b->payload_left <= bytes && memcmp(data, all->plain + bytes - b->payload_left, n) == 0;
}

static bool take_payload(struct browser *b) {
    const uint8_t *data;
    size_t n = b->stream.ops->peek(b->stream.impl, &data);
    n = n < b->payload_left ? n : b->payload_left;
    if (n == 0)
        return false;
    if (b->kind == ASK_ECHO && !is_echo(b, data, n)) {
        b->all->rig->tally.corrupt++;
        let_go(b, &b->all->rig->tally.lost);
        return false;
    }
    b->stream.ops->consume(b->stream.impl, n);
    b->payload_left -= (uint32_t)n;
    b->all->rig->tally.bytes_received += n;
    if (b->payload_left == 0 && b->kind == ASK_ECHO)
        answered(b);
    return b->state >= BROWSER_OPEN;
}

static bool take_frame(struct browser *b) {
    const struct stream *s = &b->stream;
    const uint8_t in_message = b->parser.in_message;
    uint8_t head[WS_HEADER_BYTES_MAX + 1];
    struct ws_frame f;
    if (b->payload_left)
        return take_payload(b);
    size_t have = s->ops->copy(s->impl, head, sizeof(head));
    enum ws_result result = ws_parse(&b->parser, head, have, &f);
    if (result == WS_NEED_MORE)
        return false;
    if (result != WS_FRAME) {
        let_go(b, &b->all->rig->tally.lost);
        return false;
    }
    if (f.opcode >= WS_CLOSE)
        return take_control(b, &f);
    if (f.payload_bytes && have <= f.header_bytes) {
        b->parser.in_message = in_message; /* it will be parsed again */
        return false;
    }
    b->kind = f.payload_bytes ? head[f.header_bytes] : 0;
    b->payload_left = (uint32_t)f.payload_bytes;
    s->ops->consume(s->impl, f.header_bytes);
    return true;
}

static void on_readable(void *user) {
    struct browser *b = user;
    struct tally *tally = &b->all->rig->tally;
    if (b->state == BROWSER_UPGRADING && !take_answer(b) && b->state != BROWSER_UPGRADING)
        return;
    while (b->state >= BROWSER_OPEN && take_frame(b))
        ;
    if (b->state == BROWSER_IDLE || !b->stream.ops->at_eof(b->stream.impl))
        return;
    let_go(b, b->state == BROWSER_CLOSING ? &tally->closed
              : b->state == BROWSER_OPEN  ? &tally->lost
                                          : &tally->failed);
}

static void on_writable(void *user) {
    write_owed(user);
}

static void on_closed(void *user, enum stream_end why) {
    struct browser *b = user;
    struct tally *tally = &b->all->rig->tally;
    (void)why;
    b->stream.impl = NULL;
    if (b->state == BROWSER_CLOSING)
        tally->closed++;
    else if (b->state == BROWSER_OPEN)
        tally->lost++;
    else
        tally->failed++;
    became(b, BROWSER_IDLE);
}

static const struct stream_handler handler = {on_connected, on_readable, on_writable, on_closed};

bool browser_open(struct browsers *all, uint32_t i, uint64_t due_ns) {
    struct browser *b = &all->browser[i];
    struct tgw_endpoint local;
    uint32_t token;
    assert(b->state == BROWSER_IDLE);
    if (!tokens_take(&all->tokens, &token))
        return false;
    source(all, &local);
    *b = (struct browser){.all = all, .due_ns = due_ns, .token = token};
    b->stream = secure_connect(all->rig, &local, &all->gateway, &handler, b);
    if (b->stream.impl)
        became(b, BROWSER_CONNECTING);
    else
        all->rig->tally.failed++;
    return b->stream.impl != NULL;
}

bool browser_is_idle(const struct browsers *all, uint32_t i) {
    return all->browser[i].state == BROWSER_IDLE;
}

bool browser_is_open(const struct browsers *all, uint32_t i) {
    return all->browser[i].state == BROWSER_OPEN;
}

void browser_type(struct browsers *all, uint32_t i, uint64_t due_ns) {
    struct browser *b = &all->browser[i];
    if (b->state != BROWSER_OPEN)
        return;
    if (b->typed + b->owed == 0)
        b->due_ns = due_ns;
    b->owed++;
    type_owed(b);
}

void browser_type_on(struct browsers *all, uint32_t i) {
    struct browser *b = &all->browser[i];
    if (b->state != BROWSER_OPEN)
        return;
    b->types_on = true;
    b->owed += (uint32_t)all->rig->plan.window;
    type_owed(b);
}

void browsers_rest(struct browsers *all) {
    all->resting = true;
    for (uint32_t i = 0; i < all->rig->plan.sessions; i++)
        all->browser[i].paste_left = 0;
}

void browser_paste(struct browsers *all, uint32_t i, uint64_t bytes) {
    struct browser *b = &all->browser[i];
    b->paste_left = bytes;
    write_owed(b);
}

void browser_ask(struct browsers *all, uint32_t i, enum ask ask, uint32_t bytes) {
    struct browser *b = &all->browser[i];
    uint8_t out[WS_HEADER_BYTES_MAX + 5], payload[5] = {(uint8_t)ask};
    if (b->state != BROWSER_OPEN || !carry_on(b) ||
        b->stream.ops->room(b->stream.impl) < sizeof(out))
        return;
    memcpy(payload + 1, &bytes, sizeof(bytes));
    size_t n = ws_header(out, WS_BINARY, sizeof(payload), MASK);
    ws_mask(payload, sizeof(payload), MASK, 0);
    memcpy(out + n, payload, sizeof(payload));
    b->stream.ops->write(b->stream.impl, out, n + sizeof(payload));
}

void browser_abort(struct browsers *all, uint32_t i) {
    struct browser *b = &all->browser[i];
    if (b->state == BROWSER_IDLE)
        return;
    b->stream.ops->abort(b->stream.impl);
    b->stream.impl = NULL;
    became(b, BROWSER_IDLE);
}

uint32_t browsers_idle(const struct browsers *all) {
    return all->idle;
}

uint32_t browsers_opening(const struct browsers *all) {
    return all->opening;
}

/* A masked frame of frame_bytes whose first byte is `ask`. */
static bool make_frame(struct frame *f, enum ask ask, size_t payload_bytes) {
    f->bytes = calloc(1, WS_HEADER_BYTES_MAX + payload_bytes);
    if (!f->bytes)
        return false;
    size_t head = ws_header(f->bytes, WS_BINARY, payload_bytes, MASK);
    memset(f->bytes + head, 'x', payload_bytes);
    f->bytes[head] = (uint8_t)ask;
    ws_mask(f->bytes + head, payload_bytes, MASK, 0);
    f->len = head + payload_bytes;
    return true;
}

static bool set_up(struct browsers *all, char *err, size_t err_bytes) {
    const struct plan *p = &all->rig->plan;
    struct ip_addr gateway;
    uint64_t typing = p->typing_sessions ? p->typing_sessions : p->sessions;
    plan_endpoint(p->gateway, &gateway, &all->gateway.port);
    memcpy(all->gateway.addr, gateway.b, sizeof(gateway.b));
    snprintf(all->host, sizeof(all->host), "%s", p->gateway);
    ip_prefix_parse(p->clients, false, &all->clients);
    uint32_t bits = 128u - all->clients.len;
    all->source_hosts = bits > 20 ? 1u << 20 : bits ? (1u << bits) - 2 : 1;
    all->interval_ns = p->rate_per_s ? typing * UINT64_C(1000000000) / p->rate_per_s : 0;
    if (!tokens_load(&all->tokens, p->tokens, err, err_bytes))
        return false;
    all->browser = calloc(p->sessions, sizeof(*all->browser));
    all->idle = (uint32_t)p->sessions;
    all->plain = malloc(p->frame_bytes);
    if (all->plain) {
        memset(all->plain, 'x', p->frame_bytes);
        all->plain[0] = ASK_ECHO;
    }
    if (all->plain && all->browser && make_frame(&all->echo, ASK_ECHO, p->frame_bytes) &&
        make_frame(&all->discard, ASK_DISCARD, p->frame_bytes))
        return true;
    snprintf(err, err_bytes, "sessions: no memory");
    return false;
}

struct browsers *browsers_create(struct rig *rig, char *err, size_t err_bytes) {
    struct browsers *all = calloc(1, sizeof(*all));
    if (!all) {
        snprintf(err, err_bytes, "sessions: no memory");
        return NULL;
    }
    all->rig = rig;
    if (set_up(all, err, err_bytes))
        return all;
    browsers_destroy(all);
    return NULL;
}

void browsers_destroy(struct browsers *b) {
    if (!b)
        return;
    tokens_free(&b->tokens);
    free(b->browser);
    free(b->echo.bytes);
    free(b->discard.bytes);
    free(b->plain);
    free(b);
}

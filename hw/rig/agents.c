/* The node agents: answer any upgrade that shows a grant, then do what each frame asks. */
#include "agent/agent.h"
#include "core/pool.h"
#include "rig.h"
#include "web/ws.h"
#include <stdio.h>
#include <stdlib.h>

enum {
    ASK_BYTES = 5,
    CHUNK = 2048,
    CONTROL_MAX = WS_HEADER_BYTES_MAX + TGW_WS_CONTROL_PAYLOAD_MAX
};

struct agent {
    struct agents *all;
    struct stream stream;
    struct ws_parser parser;
    uint64_t payload_left, owed; /* of the frame under way; output still asked for */
    uint32_t at;                 /* offset in the payload, for the mask */
    uint32_t output_at;          /* how much of a frame of output is written; 0: none */
    uint8_t mask[4];
    uint8_t ask;
    bool upgraded;
};

struct agents {
    struct rig *rig;
    struct pool pool;
};

static const uint64_t ENDLESS = UINT64_MAX;

static void end(struct agent *a) {
    a->stream.ops->release(a->stream.impl);
    pool_free(&a->all->pool, a);
}

static struct text field(const char *head, size_t len, const char *name) {
    const char *end = head + len, *next;
    size_t n = strlen(name);
    for (const char *line = head; (next = memchr(line, '\r', (size_t)(end - line)));
         line = next + 2)
        if ((size_t)(next - line) >= n && memcmp(line, name, n) == 0)
            return (struct text){line + n, (size_t)(next - line) - n};
    return (struct text){NULL, 0};
}

/* False: the session is gone. */
static bool upgrade(struct agent *a) {
    char head[AGENT_ANSWER_BYTES_MAX], out[512];
    const struct stream *s = &a->stream;
    size_t have = s->ops->copy(s->impl, head, sizeof(head));
    size_t bytes = http1_head_bytes((const uint8_t *)head, have, 0);
    if (bytes == 0)
        return true;
    struct text key = field(head, bytes, "Sec-WebSocket-Key: ");
    struct text grant = field(head, bytes, "Authorization: Bearer ");
    if (key.len == 0 || grant.len == 0) {
        a->all->rig->tally.agent_refused++;
        end(a);
        return false;
    }
    struct text_out o = {.at = out, .size = sizeof(out)};
    http1_write_101(&o, key, (struct text){NULL, 0}, NULL, NULL, NULL);
    s->ops->consume(s->impl, bytes);
    s->ops->write(s->impl, out, o.len);
    a->upgraded = true;
    return true;
}

/* Output as far as there is room; a frame may stop in its middle. */
static void write_output(struct agent *a) {
    struct rig *rig = a->all->rig;
    const struct stream *s = &a->stream;
    while (a->owed) {
        size_t left = rig->output_frame_bytes - a->output_at;
        size_t took = s->ops->write(s->impl, rig->output_frame + a->output_at, left);
        a->output_at = took < left ? a->output_at + (uint32_t)took : 0;
        if (took < left)
            return;
        rig->tally.agent_bytes_sent += rig->plan.output_bytes;
        if (a->owed != ENDLESS)
            a->owed -= a->owed < rig->plan.output_bytes ? a->owed : rig->plan.output_bytes;
    }
}

/* Consume payload, echoing it where it is to be echoed. False: wait for more. */
static bool take_payload(struct agent *a) {
    struct tally *tally = &a->all->rig->tally;
    const struct stream *s = &a->stream;
    uint8_t out[CHUNK];
    const uint8_t *in;
    size_t n = s->ops->peek(s->impl, &in), took;
    n = n < a->payload_left ? n : (size_t)a->payload_left;
    n = n < sizeof(out) ? n : sizeof(out);
    if (n == 0)
        return false;
    took = n;
    if (a->ask == ASK_ECHO) {
        memcpy(out, in, n);
        ws_mask(out, n, a->mask, a->at);
        took = s->ops->write(s->impl, out, n);
        tally->agent_bytes_sent += took;
    }
    s->ops->consume(s->impl, took);
    tally->agent_bytes_received += took;
    a->at += (uint32_t)took;
    a->payload_left -= took;
    return took == n;
}

/* What the frame asks; false: not enough of it is here. */
static bool take_ask(struct agent *a, const struct ws_frame *f, const uint8_t *head, size_t have) {
    uint8_t ask[ASK_BYTES] = {ASK_DISCARD};
    uint32_t bytes;
    size_t n = f->payload_bytes < ASK_BYTES ? (size_t)f->payload_bytes : ASK_BYTES;
    if (have < f->header_bytes + n)
        return false;
    memcpy(ask, head + f->header_bytes, n);
    ws_mask(ask, n, f->mask, 0);
    memcpy(&bytes, ask + 1, sizeof(bytes));
    a->ask = ask[0];
    if (a->ask == ASK_FLOOD)
        a->owed = ENDLESS;
    else if (a->ask == ASK_OUTPUT && n == ASK_BYTES)
        a->owed += bytes;
    return true;
}

static bool begin_frame(struct agent *a, const struct ws_frame *f, const uint8_t *head,
                        size_t have) {
    const struct stream *s = &a->stream;
    uint8_t out[WS_HEADER_BYTES_MAX];
    if (s->ops->room(s->impl) < STREAM_ROOM_LOW || !take_ask(a, f, head, have))
        return false;
    if (a->ask == ASK_ECHO) {
        size_t n = ws_header(out, WS_BINARY, f->payload_bytes, NULL);
        s->ops->write(s->impl, out, n);
    }
    memcpy(a->mask, f->mask, sizeof(a->mask));
    a->payload_left = f->payload_bytes;
    a->at = 0;
    a->all->rig->tally.agent_frames++;
    s->ops->consume(s->impl, f->header_bytes);
    return true;
}

enum took { TOOK, TOOK_NOTHING, TOOK_END };

static enum took take_control(struct agent *a, const struct ws_frame *f) {
    const struct stream *s = &a->stream;
    uint8_t frame[CONTROL_MAX], out[CONTROL_MAX];
    size_t bytes = f->header_bytes + (size_t)f->payload_bytes;
    if (s->ops->copy(s->impl, frame, bytes) < bytes)
        return TOOK_NOTHING;
    s->ops->consume(s->impl, bytes);
    uint8_t *payload = frame + f->header_bytes;
    ws_mask(payload, (size_t)f->payload_bytes, f->mask, 0);
    enum ws_opcode answer = f->opcode == WS_PING ? WS_PONG : WS_CLOSE;
    if (f->opcode != WS_PONG) {
        size_t n = ws_control(out, answer, payload, (size_t)f->payload_bytes, NULL);
        s->ops->write(s->impl, out, n);
    }
    a->all->rig->tally.agent_pings += f->opcode == WS_PING;
    if (f->opcode != WS_CLOSE)
        return TOOK;
    end(a);
    return TOOK_END;
}

static enum took take_frame(struct agent *a) {
    const struct stream *s = &a->stream;
    const uint8_t in_message = a->parser.in_message;
    uint8_t head[WS_HEADER_BYTES_MAX + ASK_BYTES];
    struct ws_frame f;
    if (a->payload_left)
        return take_payload(a) ? TOOK : TOOK_NOTHING;
    size_t have = s->ops->copy(s->impl, head, sizeof(head));
    enum ws_result result = ws_parse(&a->parser, head, have, &f);
    if (result == WS_NEED_MORE)
        return TOOK_NOTHING;
    if (result != WS_FRAME) {
        end(a);
        return TOOK_END;
    }
    if (f.opcode >= WS_CLOSE)
        return take_control(a, &f);
    if (begin_frame(a, &f, head, have))
        return TOOK;
    a->parser.in_message = in_message; /* it will be parsed again */
    return TOOK_NOTHING;
}

static void on_readable(void *user) {
    struct agent *a = user;
    enum took took = TOOK;
    if (!a->upgraded && !upgrade(a))
        return;
    if (a->output_at) /* nothing may come in between */
        write_output(a);
    while (took == TOOK && a->upgraded && !a->output_at)
        took = take_frame(a);
    if (took == TOOK_END)
        return;
    if (a->stream.ops->at_eof(a->stream.impl))
        end(a);
    else
        write_output(a);
}

static void on_closed(void *user, enum stream_end why) {
    struct agent *a = user;
    (void)why;
    pool_free(&a->all->pool, a);
}

static void on_connected(void *user) {
    (void)user;
}

static const struct stream_handler handler = {on_connected, on_readable, on_readable, on_closed};

static void *on_accepted(void *ctx, struct stream s, const struct tgw_endpoint *local,
                         const struct tgw_endpoint *remote) {
    struct agents *all = ctx;
    struct agent *a = pool_alloc(&all->pool);
    (void)local;
    (void)remote;
    if (!a)
        return NULL;
    *a = (struct agent){.all = all, .stream = s};
    ws_parser_init(&a->parser, WS_FROM_CLIENT, TGW_WS_FRAME_PAYLOAD_MAX);
    all->rig->tally.agent_sessions++;
    return a;
}

struct agents *agents_create(struct rig *rig, char *err, size_t err_bytes) {
    struct agents *all = calloc(1, sizeof(*all));
    const struct tcp_listener listener = {on_accepted, all, &handler};
    if (all)
        all->rig = rig;
    if (all &&
        pool_init(&all->pool, sizeof(struct agent), (uint32_t)rig->plan.sessions * 2 + 1024,
                  false) &&
        tcp_listen(rig->tcp, (uint16_t)rig->plan.agent_port, &listener))
        return all;
    snprintf(err, err_bytes, "agents: no memory");
    agents_destroy(all);
    return NULL;
}

void agents_destroy(struct agents *a) {
    if (a)
        pool_fini(&a->pool);
    free(a);
}

uint32_t agents_live(const struct agents *a) {
    return a->pool.used;
}

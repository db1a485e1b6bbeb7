#include "rig.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

static void grow(uint8_t **data, size_t *size, size_t need) {
    if (need <= *size)
        return;
    *size = need * 2;
    *data = realloc(*data, *size);
    assert(*data);
}

static size_t op_peek(void *impl, const uint8_t **data) {
    struct fake *f = impl;
    assert(!f->dead);
    size_t n = f->in_len - f->in_off;
    *data = n ? f->in + f->in_off : NULL;
    return n < f->span ? n : f->span;
}

static size_t op_copy(void *impl, void *dst, size_t len) {
    struct fake *f = impl;
    assert(!f->dead);
    size_t n = f->in_len - f->in_off;
    n = n < len ? n : len;
    if (n)
        memcpy(dst, f->in + f->in_off, n);
    return n;
}

static void op_consume(void *impl, size_t n) {
    struct fake *f = impl;
    assert(!f->dead && n <= f->in_len - f->in_off);
    f->in_off += n;
    if (f->in_off == f->in_len)
        f->in_off = f->in_len = 0;
}

static size_t op_unread(void *impl) {
    struct fake *f = impl;
    assert(!f->dead);
    return f->in_len - f->in_off;
}

static bool op_at_eof(void *impl) {
    struct fake *f = impl;
    assert(!f->dead);
    return f->in_fin;
}

static size_t op_room(void *impl) {
    struct fake *f = impl;
    assert(!f->dead);
    size_t queued = f->out_len - f->out_off;
    size_t room = queued < f->queue ? f->queue - queued : 0;
    f->want_room |= room < STREAM_ROOM_LOW;
    return room;
}

static size_t op_write(void *impl, const void *data, size_t len) {
    struct fake *f = impl;
    size_t n = op_room(impl);
    assert(!f->dead && !f->fin);
    f->want_room |= n < len;
    n = n < len ? n : len;
    grow(&f->out, &f->out_size, f->out_len + n);
    if (n)
        memcpy(f->out + f->out_len, data, n);
    f->out_len += n;
    return n;
}

static void op_shutdown(void *impl) {
    struct fake *f = impl;
    assert(!f->dead);
    f->fin = true;
}

static void op_release(void *impl) {
    struct fake *f = impl;
    assert(!f->dead);
    f->fin = f->released = f->dead = true;
}

static void op_abort(void *impl) {
    struct fake *f = impl;
    assert(!f->dead);
    f->aborted = f->dead = true;
}

static void op_inspect(void *impl, struct tgw_leg_state *out) {
    struct fake *f = impl;
    assert(!f->dead);
    snprintf(out->state, sizeof(out->state), "ESTABLISHED");
    out->queued_bytes = (uint32_t)(f->out_len - f->out_off);
}

static const struct stream_ops ops = {.peek = op_peek,
                                      .copy = op_copy,
                                      .consume = op_consume,
                                      .unread = op_unread,
                                      .at_eof = op_at_eof,
                                      .room = op_room,
                                      .write = op_write,
                                      .shutdown = op_shutdown,
                                      .release = op_release,
                                      .abort = op_abort,
                                      .inspect = op_inspect};

uint64_t rig_random(struct rig *r) {
    r->random ^= r->random << 13;
    r->random ^= r->random >> 7;
    r->random ^= r->random << 17;
    return r->random;
}

static struct fake *new_fake(struct rig *r, const struct stream_handler *handler, void *user) {
    assert(r->fakes < RIG_FAKES);
    struct fake *f = calloc(1, sizeof(*f));
    assert(f);
    f->span = SIZE_MAX;
    f->queue = 1 << 16;
    f->handler = handler;
    f->user = user;
    r->fake[r->fakes++] = f;
    return f;
}

static struct stream env_dial(void *ctx, const struct tgw_endpoint *agent,
                              const struct stream_handler *handler, void *user) {
    struct rig *r = ctx;
    assert(r->any_verdict || agent->port == 7681);
    if (r->dial_fails)
        return (struct stream){&ops, NULL};
    r->agent = new_fake(r, handler, user);
    return (struct stream){&ops, r->agent};
}

static void env_set_owner(void *ctx, struct stream s, const struct stream_handler *handler,
                          void *user) {
    (void)ctx;
    struct fake *f = s.impl;
    f->handler = handler;
    f->user = user;
}

static bool env_emit(void *ctx, const struct tgw_msg *event) {
    struct rig *r = ctx;
    assert(event->len <= TGW_EVENT_SLOT_BYTES);
    if (r->events >= RIG_EVENTS || r->events >= r->events_room)
        return false;
    memcpy(&r->event[r->events++], event, event->len);
    r->events_most = r->events > r->events_most ? r->events : r->events_most;
    return true;
}

static bool env_room(void *ctx) {
    const struct rig *r = ctx;
    return !r->no_room;
}

static bool env_starving(void *ctx) {
    const struct rig *r = ctx;
    return r->starving;
}

static void env_random(void *ctx, void *out, size_t bytes) {
    for (uint8_t *at = out; bytes--; at++)
        *at = (uint8_t)rig_random(ctx);
}

/* Megabytes, of which a rig writes the first few events: kept, all zero, for the next one. A
 * fuzzer makes rigs by the thousand. */
static union tgw_event *spare_events;

static union tgw_event *take_events(void) {
    union tgw_event *e = spare_events;
    spare_events = NULL;
    return e ? e : calloc(RIG_EVENTS, sizeof(*e));
}

static void give_events(struct rig *r) {
    if (spare_events) {
        free(r->event);
        return;
    }
    memset(r->event, 0, r->events_most * sizeof(*r->event));
    spare_events = r->event;
}

void rig_init(struct rig *r, uint32_t sessions_max) {
    *r =
        (struct rig){.now_ns = 1000000000, .events_room = RIG_EVENTS, .random = 0x9e3779b97f4a7c15};
    r->event = take_events();
    const struct session_env env = {.dial = env_dial,
                                    .set_owner = env_set_owner,
                                    .emit = env_emit,
                                    .room = env_room,
                                    .starving = env_starving,
                                    .random = env_random,
                                    .ctx = r};
    const struct session_config config = {.core = 3,
                                          .sessions_max = sessions_max,
                                          .relay_buffer_bytes = 1 << 16,
                                          .counters = &r->counters};
    r->table = session_table_create(&config, &env, r->now_ns);
    assert(r->event && r->table);
    session_control(r->table, true, 1);
    session_check(r->table);
}

void rig_fini(struct rig *r) {
    session_check(r->table);
    session_table_destroy(r->table);
    for (uint32_t i = 0; i < r->fakes; i++) {
        free(r->fake[i]->in);
        free(r->fake[i]->out);
        free(r->fake[i]);
    }
    give_events(r);
}

void rig_wait(struct rig *r, uint64_t ms) {
    uint64_t end_ns = r->now_ns + ms * 1000000;
    while (r->now_ns < end_ns) {
        uint64_t next_ns = session_next_timer(r->table);
        next_ns = next_ns <= r->now_ns ? r->now_ns + 1000000 : next_ns;
        r->now_ns = next_ns < end_ns ? next_ns : end_ns;
        session_begin(r->table, r->now_ns);
        session_advance(r->table, r->now_ns);
    }
    session_advance(r->table, r->now_ns);
    session_check(r->table);
}

struct fake *rig_connect(struct rig *r) {
    const struct tgw_endpoint remote = {.addr = {[10] = 0xff, [11] = 0xff, 198, 18, 0, 1},
                                        .port = 40000};
    struct fake *f = new_fake(r, &session_client_handler, NULL);
    f->user = session_accept(r->table, (struct stream){&ops, f}, &remote);
    if (!f->user)
        f->dead = true;
    return f;
}

void fake_send(struct rig *r, struct fake *f, const void *data, size_t len) {
    if (f->dead || len == 0)
        return;
    grow(&f->in, &f->in_size, f->in_len + len);
    memcpy(f->in + f->in_len, data, len);
    f->in_len += len;
    f->handler->readable(f->user);
    session_check(r->table);
}

void fake_text(struct rig *r, struct fake *f, const char *text) {
    fake_send(r, f, text, strlen(text));
}

void fake_fin(struct rig *r, struct fake *f) {
    if (f->dead)
        return;
    f->in_fin = true;
    f->handler->readable(f->user);
    session_check(r->table);
}

void fake_end(struct rig *r, struct fake *f, enum stream_end end) {
    if (f->dead)
        return;
    f->handler->closed(f->user, end);
    f->dead = true;
    session_check(r->table);
}

size_t fake_read(struct rig *r, struct fake *f, void *out, size_t len) {
    size_t n = f->out_len - f->out_off;
    n = n < len ? n : len;
    if (n)
        memcpy(out, f->out + f->out_off, n);
    f->out_off += n;
    if (n && f->want_room && !f->dead) {
        f->want_room = false;
        f->handler->writable(f->user);
        session_check(r->table);
    }
    return n;
}

bool fake_wrote(const struct fake *f, const char *text) {
    return f->out_len && memmem(f->out, f->out_len, text, strlen(text)) != NULL;
}

void fake_frame(struct rig *r, struct fake *f, uint8_t op, const void *payload, size_t len,
                bool mask) {
    static const uint8_t key[4] = {1, 2, 3, 4};
    uint8_t *frame = malloc(len + WS_HEADER_BYTES_MAX);
    assert(frame);
    size_t n = ws_header(frame, op & 0x0f, len, mask ? key : NULL);
    if (op & 0x40) /* not the last of its message */
        frame[0] &= 0x7f;
    if (len)
        memcpy(frame + n, payload, len);
    if (mask)
        ws_mask(frame + n, len, key, 0);
    fake_send(r, f, frame, n + len);
    free(frame);
}

bool fake_next(struct rig *r, struct fake *f, struct ws_frame *head, uint8_t *payload,
               size_t size) {
    struct ws_parser p;
    const uint8_t *at = f->out + f->out_off;
    size_t len = f->out_len - f->out_off;
    if (len < 2)
        return false;
    ws_parser_init(&p, at[1] & 0x80 ? WS_FROM_CLIENT : WS_FROM_SERVER, TGW_WS_FRAME_PAYLOAD_MAX);
    p.in_message = (at[0] & 0x0f) == WS_CONTINUATION;
    if (ws_parse(&p, at, len, head) != WS_FRAME || len < head->header_bytes + head->payload_bytes)
        return false;
    assert(head->payload_bytes <= size);
    memcpy(payload, at + head->header_bytes, head->payload_bytes);
    if (head->masked)
        ws_mask(payload, head->payload_bytes, head->mask, 0);
    uint8_t *scratch = malloc(head->header_bytes + head->payload_bytes);
    fake_read(r, f, scratch, head->header_bytes + head->payload_bytes);
    free(scratch);
    return true;
}

bool fake_closed_with(struct rig *r, struct fake *f, unsigned code, const char *text) {
    struct ws_frame head;
    uint8_t payload[4096];
    if (!fake_next(r, f, &head, payload, sizeof(payload)) || head.opcode != WS_CLOSE)
        return false;
    if (code == 0)
        return head.payload_bytes == 0;
    return head.payload_bytes == 2 + strlen(text) && (payload[0] << 8 | payload[1]) == (int)code &&
           memcmp(payload + 2, text, strlen(text)) == 0;
}

void rig_request(struct rig *r, struct fake *f, const char *target, const char *extra) {
    char head[4096];
    snprintf(head, sizeof(head),
             "GET %s HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n",
             target, extra);
    fake_text(r, f, head);
}

union tgw_event *rig_event(struct rig *r, unsigned type) {
    for (uint32_t i = r->events; i-- > 0;)
        if (r->event[i].msg.type == type)
            return &r->event[i];
    return NULL;
}

uint32_t rig_count(const struct rig *r, unsigned type) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->events; i++)
        n += r->event[i].msg.type == type;
    return n;
}

void rig_verdict(struct rig *r, tgw_handle h, unsigned reason, uint32_t ttl_s, uint32_t idle_s) {
    union tgw_cmd cmd = {
        .verdict = {.msg = {TGW_CMD_VERDICT, sizeof(cmd.verdict), 0},
                    .handle = h,
                    .reason = (uint16_t)reason,
                    .session_ttl_s = ttl_s,
                    .idle_timeout_s = idle_s,
                    .agent = {.addr = {[10] = 0xff, [11] = 0xff, 198, 18, 1, 1}, .port = 7681},
                    .ident = {.allocation_id = "alloc-1",
                              .session_id = "session-1",
                              .user_id = "ada",
                              .region = "north",
                              .tenant_id = "tenant",
                              .project_id = "project",
                              .correlation_id = "correlation-1",
                              .trace_id = "0123456789abcdef0123456789abcdef"},
                    .grant = "head.body.signature"}};
    /* What lies behind a message's end is anything. */
    cmd.msg.len = tgw_verdict_bytes(&cmd.verdict);
    memset(cmd.slot + cmd.msg.len, 0xee, sizeof(cmd) - cmd.msg.len);
    session_command(r->table, &cmd);
    session_check(r->table);
}

void rig_policy(struct rig *r, bool draining, uint32_t deadline_ms, uint32_t max, bool as_close) {
    union tgw_cmd cmd = {.policy = {.msg = {TGW_CMD_POLICY, sizeof(cmd.policy), 0},
                                    .draining = draining,
                                    .refusals_as_close = as_close,
                                    .sessions_max = max,
                                    .drain_deadline_ms = deadline_ms,
                                    .admit_percent = 100}};
    session_command(r->table, &cmd);
    session_check(r->table);
}

void rig_agent_accepts(struct rig *r, struct fake *agent) {
    static const char field[] = "Sec-WebSocket-Key: ";
    char head[4096], accept[29], answer[512];
    agent->handler->connected(agent->user);
    size_t n = fake_read(r, agent, head, sizeof(head) - 1);
    head[n] = 0;
    const char *key = strstr(head, field);
    assert(key &&
           (r->any_verdict || strstr(head, "Authorization: Bearer head.body.signature\r\n")));
    ws_accept(key + sizeof(field) - 1, 24, accept);
    snprintf(answer, sizeof(answer),
             "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
             "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
             accept);
    fake_text(r, agent, answer);
}

struct pair rig_open(struct rig *r, const char *query, uint32_t ttl_s, uint32_t idle_s) {
    struct pair p = {.client = rig_connect(r)};
    char target[256], head[4096];
    snprintf(target, sizeof(target), "/ws/terminal/alloc-1%s", query);
    rig_request(r, p.client, target, "Sec-WebSocket-Protocol: token-of-sixteen-or-more\r\n");
    p.handle = rig_event(r, TGW_EV_AUTH)->auth.handle;
    rig_verdict(r, p.handle, TGW_OK, ttl_s, idle_s);
    p.agent = r->agent;
    rig_agent_accepts(r, p.agent);
    CU_ASSERT_TRUE(fake_wrote(p.client, "HTTP/1.1 101 "));
    const uint8_t *end = memmem(p.client->out, p.client->out_len, "\r\n\r\n", 4);
    if (end)
        fake_read(r, p.client, head, (size_t)(end - p.client->out) + 4);
    return p;
}

uint64_t rig_reason(const struct rig *r, enum tgw_reason reason) {
    return atomic_load(&r->counters.reason[reason]);
}

uint64_t rig_counter(const struct rig *r, enum tgw_counter c) {
    return tgw_counter_get(&r->counters, c);
}

struct session_usage rig_usage(const struct rig *r) {
    struct session_usage u;
    session_usage(r->table, &u);
    return u;
}

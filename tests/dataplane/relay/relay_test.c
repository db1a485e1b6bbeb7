/* The pump over in-memory streams: what crosses is the data frames, byte for byte,
 * however the bytes arrive and however little room there is. */
#include "relay/relay.h"
#include "tests/lib/fake_stream.h"
#include "tests/lib/suite.h"
#include <stdlib.h>
#include <string.h>

enum { SCRIPT_BYTES = 1 << 20, CONTROLS_MAX = 4096 };

struct rig {
    struct fake_stream from, to;
    struct relay_dir dir;
    struct relay_control control;
    struct relay_progress progress;
};

static void rig_init(struct rig *r, enum ws_sender sender, size_t out_bytes) {
    CU_ASSERT_FATAL(fake_stream_init(&r->from, SCRIPT_BYTES, 1));
    CU_ASSERT_FATAL(fake_stream_init(&r->to, 1, out_bytes));
    relay_dir_init(&r->dir, sender);
}

static void rig_fini(struct rig *r) {
    fake_stream_fini(&r->from);
    fake_stream_fini(&r->to);
}

static enum relay_event turn(struct rig *r) {
    return relay_pump(&r->dir, fake_stream(&r->from), fake_stream(&r->to), &r->control,
                      &r->progress);
}

static enum relay_event feed_and_turn(struct rig *r, const void *data, size_t len) {
    CU_ASSERT_EQUAL_FATAL(fake_stream_feed(&r->from, data, len), len);
    return turn(r);
}

static bool out_is(struct rig *r, const void *data, size_t len) {
    return r->to.out.len == len && memcmp(r->to.out.data, data, len) == 0;
}

/* A script of random frames and what should come of it. */
struct script {
    uint8_t all[SCRIPT_BYTES], data[SCRIPT_BYTES];
    size_t all_bytes, data_bytes;
    uint64_t payload_bytes, frames;
    struct relay_control controls[CONTROLS_MAX];
    size_t control_count;
};

static void fill(uint8_t *at, size_t len) {
    for (size_t i = 0; i < len; i++)
        at[i] = (uint8_t)rand();
}

static size_t random_length(void) {
    switch (rand() % 12) {
    case 0:
        return 0;
    case 1:
        return 125 + (size_t)rand() % 3;
    case 2:
        return 65534 + (size_t)rand() % 4;
    case 3:
        return (size_t)rand() % 5000;
    default:
        return 1 + (size_t)rand() % 40;
    }
}

static void add_control(struct script *s, const uint8_t *mask) {
    static const enum ws_opcode ops[] = {WS_PING, WS_PONG};
    struct relay_control *c = &s->controls[s->control_count++];
    c->opcode = (uint8_t)ops[rand() % 2];
    c->len = (uint8_t)(rand() % 126);
    fill(c->payload, c->len);
    s->all_bytes += ws_control(s->all + s->all_bytes, c->opcode, c->payload, c->len, mask);
}

static void add_data(struct script *s, const uint8_t *mask, bool *open) {
    uint8_t header[WS_HEADER_BYTES_MAX];
    uint8_t *at = s->all + s->all_bytes;
    size_t len = random_length();
    bool fin = rand() % 3 != 0;
    size_t head = ws_header(header, *open ? WS_CONTINUATION : WS_BINARY, len, mask);
    header[0] = (uint8_t)((header[0] & 0x0f) | (fin ? 0x80 : 0));
    *open = !fin;
    memcpy(at, header, head);
    fill(at + head, len);
    memcpy(s->data + s->data_bytes, at, head + len);
    s->all_bytes += head + len;
    s->data_bytes += head + len;
    s->payload_bytes += len;
    s->frames++;
}

static void write_script(struct script *s, enum ws_sender sender, size_t bytes) {
    bool open = false;
    s->all_bytes = s->data_bytes = s->control_count = 0;
    s->payload_bytes = s->frames = 0;
    while (s->all_bytes < bytes) {
        uint8_t mask[4];
        fill(mask, sizeof(mask));
        const uint8_t *used = sender == WS_FROM_CLIENT ? mask : NULL;
        if (rand() % 5 == 0 && s->control_count < CONTROLS_MAX)
            add_control(s, used);
        else
            add_data(s, used, &open);
    }
}

struct crossing {
    uint8_t out[SCRIPT_BYTES];
    size_t fed, out_bytes, controls;
    uint64_t payload_bytes, frames;
};

static bool control_is(const struct relay_control *a, const struct relay_control *b) {
    return a->opcode == b->opcode && a->len == b->len &&
           memcmp(a->payload, b->payload, a->len) == 0;
}

/* Turns until the pump waits for something. */
static void turns(struct rig *r, struct crossing *c, const struct script *s, bool *eof) {
    enum relay_event e;
    do {
        e = turn(r);
        c->payload_bytes += r->progress.payload_bytes;
        c->frames += r->progress.data_frames;
        if (e == RELAY_CONTROL) {
            CU_ASSERT_FATAL(c->controls < s->control_count);
            CU_ASSERT_TRUE(control_is(&r->control, &s->controls[c->controls]));
            c->controls++;
        }
    } while (e == RELAY_CONTROL);
    CU_ASSERT_FATAL(e == RELAY_MORE || e == RELAY_EOF);
    *eof = e == RELAY_EOF;
}

/* Feed and drain in random pieces until everything crossed. A pump that said it is
 * stalled is only called again when the stream says writable. */
static void cross(struct rig *r, struct crossing *c, const struct script *s, size_t piece) {
    bool eof = false, stuck = false;
    c->fed = c->out_bytes = c->controls = 0;
    c->payload_bytes = c->frames = 0;
    for (unsigned idle = 0; !eof && idle < 100000; idle++) {
        size_t most = 1 + (size_t)rand() % piece, left = s->all_bytes - c->fed;
        c->fed += fake_stream_feed(&r->from, s->all + c->fed, most < left ? most : left);
        if (c->fed == s->all_bytes)
            fake_stream_feed_fin(&r->from);
        size_t got = fake_stream_drain(&r->to, c->out + c->out_bytes, 1 + (size_t)rand() % piece);
        c->out_bytes += got;
        stuck = stuck && !fake_stream_take_writable(&r->to);
        if (stuck)
            continue;
        turns(r, c, s, &eof);
        stuck = r->dir.stalled;
        idle = got || left ? 0 : idle;
    }
    CU_ASSERT_TRUE(eof);
    c->out_bytes += fake_stream_drain(&r->to, c->out + c->out_bytes, SIZE_MAX);
}

static struct script script;
static struct crossing crossing;

static void cross_at_random(enum ws_sender sender, unsigned seed) {
    struct rig r;
    srand(seed);
    size_t piece = (size_t)1 << (rand() % 16);
    write_script(&script, sender, 200 * piece < 400000 ? 200 * piece : 400000);
    rig_init(&r, sender, 16 + (size_t)rand() % 4000);
    r.from.span_bytes = (size_t)(rand() % 3 ? 1 + rand() % 300 : 0);
    r.to.write_bytes = (size_t)(rand() % 3 ? 0 : 1 + rand() % 100);
    cross(&r, &crossing, &script, piece);
    CU_ASSERT_EQUAL(crossing.out_bytes, script.data_bytes);
    CU_ASSERT_EQUAL(memcmp(crossing.out, script.data, script.data_bytes), 0);
    CU_ASSERT_EQUAL(crossing.controls, script.control_count);
    CU_ASSERT_EQUAL(crossing.frames, script.frames);
    /* A header cut by a short write counts with the payload: only then. */
    CU_ASSERT_TRUE(crossing.payload_bytes == script.payload_bytes || r.to.write_bytes);
    CU_ASSERT_EQUAL(crossing.payload_bytes, r.dir.bytes);
    CU_ASSERT_TRUE(relay_at_boundary(&r.dir));
    rig_fini(&r);
}

static void to_the_agent_at_random(void) {
    for (unsigned seed = 1; seed <= 60; seed++)
        cross_at_random(WS_FROM_CLIENT, seed);
}

static void to_the_browser_at_random(void) {
    for (unsigned seed = 1; seed <= 60; seed++)
        cross_at_random(WS_FROM_SERVER, seed);
}

static void whole_frames_go_in_one_write(void) {
    static const uint8_t frames[] = {0x82, 1, 'a', 0x82, 2, 'b', 'c', 0x82, 0, 0x02, 1, 'd'};
    struct rig r;
    rig_init(&r, WS_FROM_SERVER, 1000);
    CU_ASSERT_EQUAL(feed_and_turn(&r, frames, sizeof(frames)), RELAY_MORE);
    CU_ASSERT_TRUE(out_is(&r, frames, sizeof(frames)));
    CU_ASSERT_EQUAL(r.to.writes, 1);
    CU_ASSERT_EQUAL(r.progress.data_frames, 4);
    CU_ASSERT_EQUAL(r.progress.payload_bytes, 4);
    CU_ASSERT_TRUE(r.dir.parser.in_message && !r.dir.stalled);
    rig_fini(&r);
}

static void good_frames_go_before_the_error(void) {
    static const uint8_t frames[] = {0x82, 1, 'a', 0xf2, 1, 'b'};
    struct rig r;
    rig_init(&r, WS_FROM_SERVER, 1000);
    CU_ASSERT_EQUAL(feed_and_turn(&r, frames, sizeof(frames)), RELAY_PROTOCOL);
    CU_ASSERT_TRUE(out_is(&r, frames, 3));
    CU_ASSERT_EQUAL(turn(&r), RELAY_PROTOCOL);
    CU_ASSERT_EQUAL(r.progress.payload_bytes, 0);
    rig_fini(&r);
}

static void a_frame_over_the_limit(void) {
    uint8_t header[WS_HEADER_BYTES_MAX];
    struct rig r;
    rig_init(&r, WS_FROM_SERVER, 1000);
    size_t n = ws_header(header, WS_BINARY, TGW_WS_FRAME_PAYLOAD_MAX, NULL);
    CU_ASSERT_EQUAL(feed_and_turn(&r, header, n), RELAY_MORE);
    CU_ASSERT_FALSE(relay_at_boundary(&r.dir));
    rig_fini(&r);
    rig_init(&r, WS_FROM_SERVER, 1000);
    n = ws_header(header, WS_BINARY, TGW_WS_FRAME_PAYLOAD_MAX + 1, NULL);
    CU_ASSERT_EQUAL(feed_and_turn(&r, header, n), RELAY_TOO_BIG);
    CU_ASSERT_TRUE(out_is(&r, "", 0));
    rig_fini(&r);
}

static void the_end_at_a_boundary_and_in_a_frame(void) {
    for (size_t len = 3; len <= 5; len++) {
        struct rig r;
        rig_init(&r, WS_FROM_SERVER, 1000);
        CU_ASSERT_EQUAL(feed_and_turn(&r, "\x82\x03xyz", len), RELAY_MORE);
        fake_stream_feed_fin(&r.from);
        CU_ASSERT_EQUAL(turn(&r), RELAY_EOF);
        CU_ASSERT_EQUAL(relay_at_boundary(&r.dir), len == 5);
        rig_fini(&r);
    }
}

/* Bytes that will never be a frame do not hide the end. */
static void the_end_in_a_header_and_in_a_control_frame(void) {
    static const char *const starts[] = {"\x82", "\x82\x7e\x01", "\x89", "\x89\x04xyz"};
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        struct rig r;
        rig_init(&r, WS_FROM_SERVER, 1000);
        CU_ASSERT_EQUAL(feed_and_turn(&r, starts[i], strlen(starts[i])), RELAY_MORE);
        fake_stream_feed_fin(&r.from);
        CU_ASSERT_EQUAL(turn(&r), RELAY_EOF);
        CU_ASSERT_TRUE(relay_at_boundary(&r.dir));
        rig_fini(&r);
    }
}

static void a_control_frame_waits_to_be_whole(void) {
    static const uint8_t mask[4] = {1, 2, 3, 4};
    uint8_t frame[WS_HEADER_BYTES_MAX + 125], payload[125];
    struct rig r;
    fill(payload, sizeof(payload));
    rig_init(&r, WS_FROM_CLIENT, 1000);
    r.from.span_bytes = 7;
    size_t n = ws_control(frame, WS_PING, payload, sizeof(payload), mask);
    for (size_t i = 0; i + 1 < n; i++)
        CU_ASSERT_EQUAL(feed_and_turn(&r, frame + i, 1), RELAY_MORE);
    CU_ASSERT_EQUAL(feed_and_turn(&r, frame + n - 1, 1), RELAY_CONTROL);
    CU_ASSERT_TRUE(r.control.opcode == WS_PING && r.control.len == 125);
    CU_ASSERT_EQUAL(memcmp(r.control.payload, payload, 125), 0);
    CU_ASSERT_EQUAL(r.from.in.len, 0);
    CU_ASSERT_TRUE(out_is(&r, "", 0));
    rig_fini(&r);
}

static void no_room_for_a_header_leaves_the_boundary(void) {
    static const uint8_t frames[] = {0x02, 12, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0x80, 1, 'b'};
    uint8_t drained[32];
    struct rig r;
    rig_init(&r, WS_FROM_SERVER, 15);
    CU_ASSERT_EQUAL(feed_and_turn(&r, frames, sizeof(frames)), RELAY_MORE);
    CU_ASSERT_TRUE(out_is(&r, frames, 14)); /* one byte of room is no room */
    CU_ASSERT_TRUE(r.dir.stalled && relay_at_boundary(&r.dir) && r.dir.parser.in_message);
    CU_ASSERT_TRUE(r.to.want_write);
    CU_ASSERT_EQUAL(turn(&r), RELAY_MORE);
    CU_ASSERT_TRUE(r.dir.stalled && r.progress.data_frames == 0);
    CU_ASSERT_EQUAL(fake_stream_drain(&r.to, drained, sizeof(drained)), 14);
    CU_ASSERT_EQUAL(turn(&r), RELAY_MORE);
    CU_ASSERT_TRUE(out_is(&r, frames + 14, 3));
    CU_ASSERT_TRUE(!r.dir.stalled && !r.dir.parser.in_message);
    rig_fini(&r);
}

/* Pools can be dry while the window has room: a write comes short anywhere. */
static void a_short_write_inside_a_header(void) {
    uint8_t frame[16];
    const uint8_t mask[4] = {5, 6, 7, 8};
    for (size_t spans = 0; spans < 2; spans++) {
        struct rig r;
        size_t n = ws_header(frame, WS_TEXT, 4, mask);
        memcpy(frame + n, "abcd", 4);
        rig_init(&r, WS_FROM_CLIENT, 1000);
        r.to.write_bytes = 1;
        r.from.span_bytes = spans * 3;
        CU_ASSERT_EQUAL(feed_and_turn(&r, frame, n + 4), RELAY_MORE);
        while (r.to.out.len < n + 4) {
            size_t had = r.to.out.len;
            CU_ASSERT_EQUAL(memcmp(r.to.out.data, frame, had), 0);
            CU_ASSERT_TRUE(r.dir.stalled && !relay_at_boundary(&r.dir));
            CU_ASSERT_EQUAL(turn(&r), RELAY_MORE);
            CU_ASSERT_FATAL(r.to.out.len > had);
        }
        CU_ASSERT_TRUE(out_is(&r, frame, n + 4) && relay_at_boundary(&r.dir));
        CU_ASSERT_EQUAL(r.dir.frames, 1);
        rig_fini(&r);
    }
}

static void no_data_after_a_close(void) {
    struct rig r;
    rig_init(&r, WS_FROM_SERVER, 1000);
    r.dir.closing = 1;
    CU_ASSERT_EQUAL(feed_and_turn(&r, "\x89\x00\x82\x00", 4), RELAY_CONTROL);
    CU_ASSERT_EQUAL(turn(&r), RELAY_PROTOCOL);
    CU_ASSERT_EQUAL(turn(&r), RELAY_PROTOCOL);
    CU_ASSERT_TRUE(out_is(&r, "", 0));
    rig_fini(&r);
}

int main(void) {
    static const struct suite_case cases[] = {
        {"to the agent at random", to_the_agent_at_random},
        {"to the browser at random", to_the_browser_at_random},
        {"whole frames go in one write", whole_frames_go_in_one_write},
        {"good frames go before the error", good_frames_go_before_the_error},
        {"a frame over the limit", a_frame_over_the_limit},
        {"the end at a boundary and in a frame", the_end_at_a_boundary_and_in_a_frame},
        {"the end in a header and in a control frame", the_end_in_a_header_and_in_a_control_frame},
        {"a control frame waits to be whole", a_control_frame_waits_to_be_whole},
        {"no room for a header leaves the boundary", no_room_for_a_header_leaves_the_boundary},
        {"a short write inside a header", a_short_write_inside_a_header},
        {"no data after a close", no_data_after_a_close},
    };
    return suite_run("relay/pump", cases, sizeof(cases) / sizeof(cases[0]));
}

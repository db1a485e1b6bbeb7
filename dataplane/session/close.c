/* The end of a session: Close frames to both legs, a bounded wait for theirs, FIN.
 *
 * A leg is done when it is dead, when it got our Close and sent its own, or when it
 * stopped in mid-frame so that no Close can be put behind. */
#include "session_priv.h"
#include <assert.h>

enum { CLOSE_GOING_AWAY = 1001 }; /* RFC 6455 section 7.4.1 */

static size_t close_payload(uint8_t out[TGW_WS_CONTROL_PAYLOAD_MAX], uint16_t code,
                            const char *label) {
    size_t len = strlen(label);
    out[0] = (uint8_t)(code >> 8);
    out[1] = (uint8_t)code;
    memcpy(out + 2, label, len);
    return 2 + len;
}

static void close_with(struct session *s, enum side to, uint16_t code, const char *label) {
    uint8_t payload[TGW_WS_CONTROL_PAYLOAD_MAX];
    frame_close(s, to, payload, close_payload(payload, code, label));
}

static void enter(struct session *s, enum tgw_reason reason, uint16_t code) {
    struct session_table *t = s->table;
    assert(s->state == SESSION_RELAY);
    s->state = SESSION_CLOSING;
    s->reason = (uint16_t)reason;
    s->close_code = code;
    if (s->flags & (NOTICE_IDLE_OWED | NOTICE_DRAIN_OWED))
        tgw_count(t->config.counters, TGW_C_notice_write_errors, 1);
    s->flags = 0;
    session_deadline(s, reason == TGW_R_drain_timeout ? TGW_DRAIN_CLOSE_MS : TGW_CLOSE_TIMEOUT_MS);
}

void close_begin(struct session *s, enum tgw_reason reason) {
    const struct tgw_reason_info *info = tgw_reason_info(reason);
    enter(s, reason, info->close_code);
    close_with(s, CLIENT, info->close_code, info->label);
    close_with(s, AGENT, info->close_code, info->label);
}

void close_from(struct session *s, enum side side, const struct relay_control *close) {
    uint16_t code;
    if (!ws_close_parse(close->payload, close->len, &code)) {
        close_broken(s, side, TGW_R_protocol_error);
        return;
    }
    enter(s, side == CLIENT ? TGW_R_client_closed : TGW_R_agent_closed, code);
    s->leg[side].flags |= LEG_CLOSE_GOT;
    /* The echo carries the code alone; 1005 stands for no code at all. */
    frame_close(s, side, close->payload, close->len < 2 ? 0 : 2);
    frame_close(s, (enum side) !side, close->payload, close->len);
}

/* The end of a leg without a Close. The other one is told. */
void close_lost(struct session *s, enum side side) {
    const struct tgw_reason_info *info = tgw_reason_info(TGW_R_upstream_lost);
    if (side == CLIENT) {
        enter(s, TGW_R_client_lost, 0);
        close_with(s, AGENT, CLOSE_GOING_AWAY, tgw_reason_info(TGW_R_client_lost)->label);
    } else {
        enter(s, TGW_R_upstream_lost, info->close_code);
        close_with(s, CLIENT, info->close_code, info->label);
    }
    s->leg[side].flags |= LEG_EOF | LEG_CUT;
}

/* A leg broke the framing: its input means nothing from here on. */
void close_broken(struct session *s, enum side side, enum tgw_reason reason) {
    const struct tgw_reason_info *info = tgw_reason_info(reason);
    const struct tgw_reason_info *lost = tgw_reason_info(TGW_R_upstream_lost);
    if (side == CLIENT) {
        enter(s, reason, info->close_code);
        close_with(s, CLIENT, info->close_code, info->label);
        close_with(s, AGENT, CLOSE_GOING_AWAY, info->label);
    } else {
        enter(s, TGW_R_upstream_lost, lost->close_code);
        close_with(s, CLIENT, lost->close_code, lost->label);
        close_with(s, AGENT, info->close_code, info->label);
    }
    s->leg[side].flags |= LEG_CLOSE_GOT;
}

void close_shed(struct session *s, enum side stuck) {
    const struct tgw_reason_info *info = tgw_reason_info(TGW_R_overloaded);
    struct stream *stream = session_stream(s, stuck);
    enter(s, TGW_R_overloaded, info->close_code);
    live_unstall(s, stuck);
    stream->ops->abort(stream->impl);
    stream->impl = NULL;
    s->leg[stuck].flags |= LEG_EOF | LEG_CUT;
    close_with(s, (enum side) !stuck, info->close_code, info->label);
    close_settle(s);
}

/* Where data goes that no leg may get any more: everywhere and nowhere. */
static size_t sink_room(void *impl) {
    (void)impl;
    return SIZE_MAX;
}

static size_t sink_write(void *impl, const void *data, size_t len) {
    (void)impl;
    (void)data;
    return len;
}

static const struct stream_ops sink_ops = {.room = sink_room, .write = sink_write};

/* Look for the leg's Close in what it still sends; data goes nowhere. */
static void await_close(struct session *s, enum side from) {
    struct session_table *t = s->table;
    struct leg *leg = &s->leg[from];
    const struct stream sink = {&sink_ops, t};
    const uint64_t bytes = leg->in.bytes, frames = leg->in.frames;
    struct relay_progress progress;
    enum relay_event event;
    do {
        event = relay_pump(&leg->in, leg->stream, sink, &t->control, &progress);
        tgw_count(t->config.counters, TGW_C_relay_dropped_bytes, progress.payload_bytes);
        if (event == RELAY_PROTOCOL || event == RELAY_TOO_BIG ||
            (event == RELAY_CONTROL && t->control.opcode == WS_CLOSE))
            leg->flags |= LEG_CLOSE_GOT;
    } while (event == RELAY_CONTROL && !(leg->flags & LEG_CLOSE_GOT));
    leg->in.bytes = bytes; /* what was relayed, not what was thrown away */
    leg->in.frames = frames;
}

void close_pump(struct session *s, enum side from) {
    struct leg *leg = &s->leg[from], *to = &s->leg[!from];
    const struct stream *in = &leg->stream;
    if (s->state != SESSION_CLOSING || !in->impl)
        return;
    /* Until our Close is out, this direction's boundary is still needed. */
    if (to->stream.impl && !(to->flags & (LEG_CLOSE_SENT | LEG_CUT)))
        return;
    if (!(leg->flags & LEG_CLOSE_GOT))
        await_close(s, from);
    if (leg->flags & LEG_CLOSE_GOT)
        in->ops->consume(in->impl, in->ops->unread(in->impl));
    if (in->ops->at_eof(in->impl))
        leg->flags |= LEG_EOF;
}

/* The frame under way to `side` will never end: its other half is not coming. */
static void note_cut(struct session *s, enum side side) {
    const struct leg *source = &s->leg[!side];
    const struct stream *in = &source->stream;
    bool dry = !in->impl || (in->ops->at_eof(in->impl) && in->ops->unread(in->impl) == 0);
    if (dry && !frame_boundary(s, side))
        s->leg[side].flags |= LEG_CUT;
}

static bool leg_done(const struct session *s, enum side side) {
    const struct leg *leg = &s->leg[side];
    if (!leg->stream.impl || (leg->flags & LEG_CUT))
        return true;
    if (!(leg->flags & LEG_CLOSE_SENT))
        return (leg->flags & LEG_EOF) && !(leg->flags & LEG_CLOSE_GOT);
    return s->reason == TGW_R_client_lost || (leg->flags & (LEG_CLOSE_GOT | LEG_EOF));
}

static void let_go(struct session *s, enum side side) {
    struct stream *stream = session_stream(s, side);
    live_unstall(s, side);
    if (stream->impl)
        stream->ops->release(stream->impl);
    stream->impl = NULL;
}

/* The Closes have gone both ways: a leg waits for nothing of the other's. Of the client we are
 * the server, who ends the connection at once (RFC 6455 section 7.1.1), of the agent the client,
 * who waits for its FIN. Ours goes with our Close or with the ACK of theirs. */
static void let_go_if_over(struct session *s, enum side side) {
    const uint8_t over = LEG_CLOSE_SENT | LEG_CLOSE_GOT | (side == AGENT ? LEG_EOF : 0);
    if ((s->leg[side].flags & over) == over)
        let_go(s, side);
}

void close_settle(struct session *s) {
    if (s->state != SESSION_CLOSING)
        return;
    for (int side = CLIENT; side <= AGENT; side++)
        close_pump(s, (enum side)side);
    for (int side = CLIENT; side <= AGENT; side++) {
        note_cut(s, (enum side)side);
        let_go_if_over(s, (enum side)side);
    }
    if (leg_done(s, CLIENT) && leg_done(s, AGENT))
        close_finish(s);
    else
        session_arm(s);
}

/* Both FINs. What is queued still goes out; a peer that does not take it is TCP's. */
void close_finish(struct session *s) {
    struct session_table *t = s->table;
    assert(s->state == SESSION_CLOSING);
    let_go(s, CLIENT);
    let_go(s, AGENT);
    tgw_count_reason(t->config.counters, s->reason);
    event_closed(s);
    session_free(s);
}

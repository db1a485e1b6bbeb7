/* What the gateway itself writes to a leg. A frame goes out at once when the direction
 * stands at a frame boundary and there is room for all of it; else it is owed. Of
 * several pings only the newest need be answered (RFC 6455 section 5.5.3). */
#include "session_priv.h"
#include <stdio.h>

static struct relay_dir *dir_to(struct session *s, enum side to) {
    return &s->leg[!to].in;
}

bool frame_boundary(const struct session *s, enum side to) {
    return relay_at_boundary(&s->leg[!to].in);
}

static bool writable_leg(const struct session *s, enum side to) {
    return s->leg[to].stream.impl && !(s->leg[to].flags & (LEG_CLOSE_SENT | LEG_CUT));
}

/* A client masks every frame with fresh bytes (section 5.3); a server none. */
static bool put_control(struct session *s, enum side to, enum ws_opcode op, const uint8_t *payload,
                        size_t len) {
    struct session_table *t = s->table;
    const struct stream *out = session_stream(s, to);
    uint8_t frame[WS_HEADER_BYTES_MAX + TGW_WS_CONTROL_PAYLOAD_MAX], mask[4];
    if (to == AGENT)
        t->env.random(t->env.ctx, mask, sizeof(mask));
    size_t bytes = ws_control(frame, op, payload, len, to == AGENT ? mask : NULL);
    if (!frame_boundary(s, to) || out->ops->room(out->impl) < bytes)
        return false;
    out->ops->write(out->impl, frame, bytes);
    return true;
}

static struct owed *owed_of(struct session *s) {
    if (!s->owed) {
        s->owed = blob_alloc(&s->table->blobs, sizeof(*s->owed));
        if (s->owed)
            *s->owed = (struct owed){0};
    }
    return s->owed;
}

static void owed_release(struct session *s) {
    const uint8_t payload_flags = LEG_PONG_OWED | LEG_CLOSE_OWED;
    if ((s->leg[CLIENT].flags | s->leg[AGENT].flags) & payload_flags)
        return;
    blob_free(&s->table->blobs, s->owed);
    s->owed = NULL;
}

void frame_pong(struct session *s, enum side to, const struct relay_control *ping) {
    struct owed *owed = writable_leg(s, to) ? owed_of(s) : NULL;
    if (!owed)
        return;
    owed->leg[to].pong_len = ping->len;
    memcpy(owed->leg[to].pong, ping->payload, ping->len);
    s->leg[to].flags |= LEG_PONG_OWED;
    frames_flush(s, to);
}

void frame_close(struct session *s, enum side to, const uint8_t *payload, size_t len) {
    if (!writable_leg(s, to))
        return;
    struct owed *owed = owed_of(s);
    if (!owed) { /* no memory: the leg ends without a Close */
        s->leg[to].flags |= LEG_CUT;
        return;
    }
    owed->leg[to].close_len = (uint8_t)len;
    memcpy(owed->leg[to].close, payload, len);
    s->leg[to].flags |= LEG_CLOSE_OWED;
    frames_flush(s, to);
}

static void flush_pong(struct session *s, enum side to) {
    struct leg *leg = &s->leg[to];
    if (!(leg->flags & LEG_PONG_OWED))
        return;
    if (put_control(s, to, WS_PONG, s->owed->leg[to].pong, s->owed->leg[to].pong_len))
        leg->flags &= (uint8_t)~LEG_PONG_OWED;
}

static void flush_ping(struct session *s, enum side to) {
    struct leg *leg = &s->leg[to];
    if (!(leg->flags & LEG_PING_OWED) || !put_control(s, to, WS_PING, NULL, 0))
        return;
    leg->flags &= (uint8_t)~LEG_PING_OWED;
    tgw_count(s->table->config.counters, TGW_C_pings_sent, 1);
}

static void flush_close(struct session *s, enum side to) {
    struct leg *leg = &s->leg[to];
    if (!(leg->flags & LEG_CLOSE_OWED))
        return;
    if (!put_control(s, to, WS_CLOSE, s->owed->leg[to].close, s->owed->leg[to].close_len))
        return;
    leg->flags &= (uint8_t) ~(LEG_CLOSE_OWED | LEG_PONG_OWED | LEG_PING_OWED);
    leg->flags |= LEG_CLOSE_SENT;
}

/* A notice is a message: it waits for the end of a fragmented one (section 5.4). */
static bool put_notice(struct session *s, const char *json, size_t len) {
    const struct stream *out = session_stream(s, CLIENT);
    uint8_t frame[WS_HEADER_BYTES_MAX + 64];
    size_t bytes = ws_header(frame, WS_BINARY, len + 1, NULL);
    if (!frame_boundary(s, CLIENT) || dir_to(s, CLIENT)->parser.in_message ||
        out->ops->room(out->impl) < bytes + len + 1)
        return false;
    frame[bytes++] = 0x07;
    memcpy(frame + bytes, json, len);
    out->ops->write(out->impl, frame, bytes + len);
    tgw_count(s->table->config.counters, TGW_C_notices_sent, 1);
    return true;
}

static void flush_notices(struct session *s) {
    const struct session_table *t = s->table;
    char json[48];
    if (s->flags & NOTICE_DRAIN_OWED) {
        uint64_t left_ns = t->drain.deadline_ns > t->now_ns ? t->drain.deadline_ns - t->now_ns : 0;
        int len = snprintf(json, sizeof(json), "{\"notice\":\"draining\",\"deadline_s\":%u}",
                           (unsigned)((left_ns + 999 * (uint64_t)NS_A_MS) / 1000 / NS_A_MS));
        if (!put_notice(s, json, (size_t)len))
            return;
        s->flags &= (uint8_t)~NOTICE_DRAIN_OWED;
    }
    if (s->flags & NOTICE_IDLE_OWED) {
        int len = snprintf(json, sizeof(json), "{\"notice\":\"idle\",\"closes_in_s\":%d}",
                           TGW_IDLE_NOTICE_S);
        if (put_notice(s, json, (size_t)len))
            s->flags &= (uint8_t)~NOTICE_IDLE_OWED;
    }
}

void frames_flush(struct session *s, enum side to) {
    if (writable_leg(s, to) && frame_boundary(s, to)) {
        flush_pong(s, to);
        if (s->leg[to].flags & LEG_CLOSE_OWED) {
            flush_close(s, to);
        } else {
            flush_ping(s, to);
            if (to == CLIENT)
                flush_notices(s);
        }
    }
    owed_release(s);
}

static bool notice_owed(const struct session *s) {
    return (s->flags & (NOTICE_DRAIN_OWED | NOTICE_IDLE_OWED)) &&
           !s->leg[AGENT].in.parser.in_message;
}

bool frames_owed(const struct session *s, enum side to) {
    const uint8_t any = LEG_PING_OWED | LEG_PONG_OWED | LEG_CLOSE_OWED;
    return writable_leg(s, to) && ((s->leg[to].flags & any) || (to == CLIENT && notice_owed(s)));
}

/* writable() comes after a short write or very little room; between that and a whole
 * control frame only a look now and then tells. */
bool frames_need_poll(const struct session *s) {
    for (int to = CLIENT; to <= AGENT; to++) {
        const struct relay_dir *d = &s->leg[!to].in;
        if (frames_owed(s, to) && relay_at_boundary(d) && !d->stalled)
            return true;
    }
    return false;
}

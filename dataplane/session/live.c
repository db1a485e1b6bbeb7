/* The life between the 101 and the first Close: frames from leg to leg, control frames
 * answered here, the gateway's own put in between. */
#include "session_priv.h"

static void set_stalled(struct session *s, enum side to, bool stalled) {
    static const enum tgw_counter gauge[2] = {TGW_C_stalled_by_client, TGW_C_stalled_by_agent};
    struct session_table *t = s->table;
    struct leg *leg = &s->leg[to];
    if (stalled == ((leg->flags & LEG_STALLED) != 0))
        return;
    leg->flags ^= LEG_STALLED;
    t->stalled[to] += stalled ? 1 : UINT32_MAX;
    tgw_gauge(t->config.counters, gauge[to], t->stalled[to]);
    /* While one leg takes nothing the other is not read: its silence starts here. */
    if (!stalled) {
        leg_heard(s, CLIENT);
        leg_heard(s, AGENT);
    }
}

void live_unstall(struct session *s, enum side to) {
    set_stalled(s, to, false);
}

static void account(struct session *s, enum side from, const struct relay_progress *p) {
    static const enum tgw_counter bytes[2] = {TGW_C_relay_bytes_to_agent,
                                              TGW_C_relay_bytes_to_client};
    static const enum tgw_counter frames[2] = {TGW_C_relay_frames_to_agent,
                                               TGW_C_relay_frames_to_client};
    struct tgw_counters *c = s->table->config.counters;
    if (!p->payload_bytes && !p->data_frames)
        return;
    tgw_count(c, bytes[from], p->payload_bytes);
    tgw_count(c, frames[from], p->data_frames);
    s->data_ns = s->table->now_ns;
    s->flags &= (uint8_t) ~(NOTICE_IDLE_DONE | NOTICE_IDLE_OWED);
}

static enum relay_event move(struct session *s, enum side from, struct relay_progress *progress) {
    struct session_table *t = s->table;
    uint8_t was = t->env.probe ? probe_enter(t->env.probe, TGW_STAGE_relay) : 0;
    enum relay_event event = relay_pump(&s->leg[from].in, s->leg[from].stream, s->leg[!from].stream,
                                        &t->control, progress);
    if (t->env.probe)
        probe_enter(t->env.probe, was);
    return event;
}

/* What a leg's frame or end means. False: this direction has nothing more to do. */
static bool handle(struct session *s, enum side from, enum relay_event event) {
    const struct relay_control *control = &s->table->control;
    switch (event) {
    case RELAY_MORE:
        return false;
    case RELAY_CONTROL:
        if (control->opcode == WS_PING)
            frame_pong(s, from, control);
        else if (control->opcode == WS_CLOSE)
            close_from(s, from, control);
        return true;
    case RELAY_EOF:
        close_lost(s, from);
        return true;
    case RELAY_PROTOCOL:
        close_broken(s, from, TGW_R_protocol_error);
        return true;
    case RELAY_TOO_BIG:
        close_broken(s, from, TGW_R_message_too_big);
        return true;
    }
    return false;
}

/* Finish the frame under way, no more: something of ours waits for its end. */
static void finish_frame(struct session *s, enum side from) {
    struct relay_dir *d = &s->leg[from].in;
    const struct stream *in = session_stream(s, from), *out = session_stream(s, (enum side) !from);
    struct relay_progress progress = {0};
    d->stalled = 0;
    while (d->payload_left && !d->stalled) {
        const uint8_t *data;
        size_t n = in->ops->peek(in->impl, &data);
        if (n == 0)
            break;
        n = n < d->payload_left ? n : d->payload_left;
        size_t took = out->ops->write(out->impl, data, n);
        in->ops->consume(in->impl, took);
        d->payload_left -= (uint32_t)took;
        d->bytes += took;
        progress.payload_bytes += took;
        d->stalled = took < n;
    }
    account(s, from, &progress);
}

/* Nothing of ours is owed to a leg and nobody holds anything up. */
static bool is_plain(const struct session *s) {
    const uint8_t any = LEG_PING_OWED | LEG_PONG_OWED | LEG_CLOSE_OWED | LEG_STALLED;
    return s->state == SESSION_RELAY && !((s->leg[CLIENT].flags | s->leg[AGENT].flags) & any) &&
           !(s->flags & (NOTICE_IDLE_OWED | NOTICE_DRAIN_OWED));
}

/* The way of most frames by far. False: there is more to it than passing them on. */
static bool pump_plain(struct session *s, enum side from) {
    struct relay_dir *d = &s->leg[from].in;
    struct relay_progress progress;
    enum relay_event event = move(s, from, &progress);
    account(s, from, &progress);
    if (event != RELAY_MORE)
        handle(s, from, event);
    return event == RELAY_MORE && !d->stalled;
}

/* Put what is owed to a leg behind the frame under way. */
static void yield_to_owed(struct session *s, enum side from) {
    enum side to = (enum side) !from;
    if (!frames_owed(s, to))
        return;
    if (!frame_boundary(s, to) && session_stream(s, from)->impl)
        finish_frame(s, from);
    frames_flush(s, to);
}

static void pump(struct session *s, enum side from) {
    enum side to = (enum side) !from;
    bool more = true;
    while (more && s->state == SESSION_RELAY) {
        struct relay_progress progress;
        yield_to_owed(s, from);
        enum relay_event event = move(s, from, &progress);
        account(s, from, &progress);
        more = handle(s, from, event);
    }
    if (s->state == SESSION_RELAY)
        frames_flush(s, to);
}

void live_pump(struct session *s, enum side from) {
    if (is_plain(s) && pump_plain(s, from))
        return;
    if (s->state == SESSION_RELAY)
        pump(s, from);
    if (s->state == SESSION_CLOSING) {
        for (int side = CLIENT; side <= AGENT; side++) {
            yield_to_owed(s, side);
            close_pump(s, side);
        }
    }
    for (int side = CLIENT; side <= AGENT; side++)
        set_stalled(s, !side, s->leg[side].in.stalled);
    if (frames_need_poll(s))
        session_arm(s);
    close_settle(s);
}

void live_start(struct session *s) {
    struct session_table *t = s->table;
    s->state = SESSION_RELAY;
    s->data_ns = t->now_ns;
    for (int side = CLIENT; side <= AGENT; side++) {
        leg_heard(s, (enum side)side);
        s->leg[side].flags = 0;
    }
    relay_dir_init(&s->leg[CLIENT].in, WS_FROM_CLIENT);
    relay_dir_init(&s->leg[AGENT].in, WS_FROM_SERVER);
    t->live++;
    tgw_gauge(t->config.counters, TGW_C_sessions, t->live);
    drain_greet(s);
    session_arm(s);
    pump(s, CLIENT);
    live_pump(s, AGENT);
}

/* The stream is dead after this: what it still holds goes over first. */
void live_closed(struct session *s, enum side side, enum stream_end end) {
    struct stream *stream = session_stream(s, side);
    (void)end;
    if (s->state == SESSION_RELAY)
        pump(s, side);
    tgw_count(s->table->config.counters, TGW_C_relay_dropped_bytes,
              stream->ops->unread(stream->impl));
    stream->impl = NULL;
    if (s->state == SESSION_RELAY)
        close_lost(s, side);
    s->leg[side].flags |= LEG_EOF;
    close_pump(s, CLIENT);
    close_pump(s, AGENT);
    close_settle(s);
}

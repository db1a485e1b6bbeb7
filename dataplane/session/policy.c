/* Time limits of a live session: TTL, idleness, silence. One timer serves them all: it
 * stands at the earliest of them as known when it was set; activity only moves limits
 * away, so a timer that comes early looks again and is set anew. */
#include "session_priv.h"

static uint64_t earlier(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static uint64_t idle_end(const struct session *s) {
    return s->data_ns + (uint64_t)s->idle_s * 1000 * NS_A_MS;
}

/* When to announce the idle end; UINT64_MAX: not (any more). */
static uint64_t idle_notice(const struct session *s) {
    if (s->idle_s <= TGW_IDLE_NOTICE_S || s->mode != TGW_MODE_CHANNEL ||
        (s->flags & NOTICE_IDLE_DONE))
        return UINT64_MAX;
    return idle_end(s) - (uint64_t)TGW_IDLE_NOTICE_S * 1000 * NS_A_MS;
}

/* Of 32 bits of milliseconds, in which silence never lasts. */
static uint64_t heard_ns(const struct session *s, int side) {
    uint64_t now_ms = s->table->now_ns / NS_A_MS;
    return (now_ms - ((uint32_t)now_ms - s->leg[side].heard_ms)) * NS_A_MS;
}

static uint64_t ping_due(const struct session *s, int side) {
    return heard_ns(s, side) + (uint64_t)TGW_PING_SILENCE_MS * (s->leg[side].pings + 1u) * NS_A_MS;
}

static uint64_t lost_at(const struct session *s, int side) {
    return heard_ns(s, side) + (uint64_t)TGW_PONG_LOST_MS * NS_A_MS;
}

uint64_t policy_next(const struct session *s) {
    uint64_t at = s->deadline_ns ? s->deadline_ns : UINT64_MAX;
    if (s->idle_s)
        at = earlier(at, earlier(idle_end(s), idle_notice(s)));
    for (int side = CLIENT; side <= AGENT; side++) {
        at = earlier(at, lost_at(s, side));
        at = earlier(at, ping_due(s, side));
    }
    return at;
}

/* Silence counts only while this leg is read and its own queue moves: a leg held up by
 * back-pressure has not been asked, or could not be heard. Nor has one whose ping still
 * waits for the end of a frame. */
static bool silent_for_long(struct session *s, enum side side) {
    struct leg *leg = &s->leg[side];
    uint64_t now_ns = s->table->now_ns;
    if (leg->in.stalled || s->leg[!side].in.stalled || (leg->flags & LEG_PING_OWED)) {
        leg_heard(s, side);
        return false;
    }
    if (now_ns >= lost_at(s, side))
        return true;
    if (now_ns >= ping_due(s, side)) {
        leg->pings++;
        leg->flags |= LEG_PING_OWED;
    }
    return false;
}

/* The reason to end the session now, TGW_OK if there is none. */
static enum tgw_reason limit_reached(const struct session *s) {
    uint64_t now_ns = s->table->now_ns;
    if (s->deadline_ns && now_ns >= s->deadline_ns)
        return TGW_R_session_ttl;
    if (s->idle_s && now_ns >= idle_end(s))
        return TGW_R_idle_timeout;
    return TGW_OK;
}

static void check_silence(struct session *s) {
    for (int side = CLIENT; side <= AGENT && s->state == SESSION_RELAY; side++)
        if (silent_for_long(s, side))
            close_lost(s, side);
}

void policy_timer(struct session *s) {
    enum tgw_reason limit = limit_reached(s);
    if (limit != TGW_OK)
        close_begin(s, limit);
    else
        check_silence(s);
    if (s->state == SESSION_RELAY && s->idle_s && s->table->now_ns >= idle_notice(s))
        s->flags |= NOTICE_IDLE_OWED | NOTICE_IDLE_DONE;
    frames_flush(s, CLIENT);
    frames_flush(s, AGENT);
    if (s->state == SESSION_CLOSING)
        close_settle(s);
    else
        session_arm(s);
}

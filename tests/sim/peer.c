#include "tests/sim/peer.h"
#include <inttypes.h>
#include <stdio.h>

/* A prime, so that no power of two that a stack might be off by lines up. */
enum { PATTERN_PERIOD = 65521, PATTERN_SPAN = 65536 };
static const uint64_t MS = 1000000;

/* A released connection lives on for 30 s to send what is queued. */
static const uint64_t RELEASED_NS = UINT64_C(29000000000);

static uint8_t pattern[PATTERN_PERIOD + PATTERN_SPAN];

static void fill_pattern(void) {
    struct rng r = {1};
    for (uint32_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = i < PATTERN_PERIOD ? (uint8_t)rng_next(&r) : pattern[i - PATTERN_PERIOD];
}

static const uint8_t *pattern_at(uint64_t offset) {
    static bool filled;
    if (!filled)
        fill_pattern();
    filled = true;
    return pattern + offset % PATTERN_PERIOD;
}

static uint64_t now(const struct peer *p) {
    return p->host->world->now_ns;
}

bool peer_is_over(const struct peer *p) {
    return p->closed || p->released || p->aborted || p->lost;
}

void peer_describe(const struct peer *p, char *out, size_t size) {
    struct tgw_leg_state leg = {0};
    if (p->opened && !peer_is_over(p))
        p->s.ops->inspect(p->s.impl, &leg);
    snprintf(out, size,
             "host %u port %u: sent %" PRIu64 " of %" PRIu64 ", received %" PRIu64
             "%s%s%s%s%s%s%s, %s cwnd %u wnd %u unacked %u queued %u unread %u",
             p->host->number, p->local.port, p->sent, p->plan.send_bytes, p->received,
             p->connected ? " connected" : "", p->shut ? " shut" : "", p->eof ? " eof" : "",
             p->closed ? " closed" : "", p->released ? " released" : "",
             p->aborted ? " aborted" : "", p->lost ? " lost" : "", leg.state, leg.cwnd_bytes,
             leg.snd_wnd, leg.unacked_bytes, leg.queued_bytes, leg.unread_bytes);
}

static void say(const struct peer *p, const char *what) {
    char line[300];
    if (!p->host->world->verbose)
        return;
    peer_describe(p, line, sizeof(line));
    world_say(p->host->world, "%s: %s", what, line);
}

static void fail(const struct peer *p, const char *what) {
    char line[300];
    peer_describe(p, line, sizeof(line));
    world_fail(p->host->world, "%s: %s; the other end sent %" PRIu64, what, line, p->other->sent);
}

void peer_draw(struct peer *p, struct rng *r, const struct conduct *c) {
    struct plan *plan = &p->plan;
    *plan = (struct plan){.send_bytes = rng_chance(r, 100) ? 0 : rng_scale(r, 1, c->bytes),
                          .write_max = (uint32_t)rng_scale(r, 1, 16384),
                          .read_max = (uint32_t)rng_scale(r, 1, 65536),
                          .pause_after = UINT64_MAX,
                          .abort_after = UINT64_MAX,
                          .asks_room = rng_chance(r, 500)};
    if (plan->write_max < plan->send_bytes / 2000) /* as many writes at most */
        plan->write_max = (uint32_t)(plan->send_bytes / 2000);
    if (c->think_ms && rng_chance(r, 300))
        plan->think_ns =
            rng_scale(r, 0, c->think_ms * MS) / (plan->send_bytes / plan->write_max + 1);
    if (c->pause_ms && rng_chance(r, 400)) {
        plan->pause_after = rng_scale(r, 0, c->bytes);
        plan->pause_ns = rng_scale(r, MS, c->pause_ms * MS);
    }
    if (c->hold_ms && rng_chance(r, 300))
        plan->hold_ns = rng_scale(r, MS, c->hold_ms * MS);
    if (rng_chance(r, c->release_pm)) {
        plan->ending = END_RELEASE;
    } else if (rng_chance(r, c->abort_pm)) {
        plan->ending = END_ABORT;
        plan->abort_after = rng_scale(r, 0, 2 * c->bytes);
    }
    p->pattern = rng_next(r) % PATTERN_PERIOD;
}

static void do_abort(struct peer *p) {
    say(p, "aborts");
    p->s.ops->abort(p->s.impl);
    p->aborted = true;
}

static bool aborts_now(const struct peer *p) {
    return p->plan.ending == END_ABORT && p->sent + p->received >= p->plan.abort_after;
}

/* False: reading has to wait, or it is all over. */
static bool take_span(struct peer *p) {
    const uint8_t *data;
    size_t n = p->s.ops->peek(p->s.impl, &data);
    if (n == 0)
        return false;
    n = n < p->plan.read_max ? n : p->plan.read_max;
    if (memcmp(data, pattern_at(p->other->pattern + p->received), n) != 0)
        fail(p, "bytes are not what was sent");
    p->received += n;
    p->s.ops->consume(p->s.impl, n);
    if (p->received > p->other->sent)
        fail(p, "more bytes than were sent");
    if (p->received >= p->plan.pause_after) {
        p->plan.pause_after = UINT64_MAX;
        p->paused = true;
        p->pause_until_ns = now(p) + p->plan.pause_ns;
    }
    return !p->paused && !aborts_now(p);
}

static void read_all(struct peer *p) {
    p->paused = p->paused && now(p) < p->pause_until_ns;
    while (!p->paused && take_span(p))
        ;
    if (p->eof || !p->s.ops->at_eof(p->s.impl) || p->s.ops->unread(p->s.impl) > 0)
        return;
    p->eof = true;
    if (!p->other->shut || p->received != p->other->sent)
        fail(p, "FIN before the end of the stream");
}

static void write_some(struct peer *p) {
    p->thinking = p->thinking && now(p) < p->think_until_ns;
    while (p->sent < p->plan.send_bytes && !p->thinking && !aborts_now(p)) {
        uint64_t left = p->plan.send_bytes - p->sent;
        size_t n = left < p->plan.write_max ? left : p->plan.write_max, room = n;
        if (p->plan.asks_room && (room = p->s.ops->room(p->s.impl)) < STREAM_ROOM_LOW)
            return;
        n = n < room ? n : room;
        size_t took = p->s.ops->write(p->s.impl, pattern_at(p->pattern + p->sent), n);
        p->sent += took;
        if (took < n)
            return;
        p->thinking = p->plan.think_ns != 0;
        p->think_until_ns = now(p) + p->plan.think_ns;
    }
}

static bool all_is_sent(struct peer *p) {
    if (p->sent < p->plan.send_bytes || (p->plan.ending == END_SECOND && !p->eof))
        return false;
    if (!p->held)
        p->hold_until_ns = now(p) + p->plan.hold_ns;
    p->held = true;
    return now(p) >= p->hold_until_ns;
}

static void leave(struct peer *p) {
    if (p->shut || !all_is_sent(p))
        return;
    p->shut = true;
    if (p->plan.ending == END_RELEASE) {
        say(p, "releases");
        p->released = true;
        p->released_ns = now(p);
        p->s.ops->release(p->s.impl);
    } else {
        say(p, "shuts down");
        p->s.ops->shutdown(p->s.impl);
    }
}

static void go_on(struct peer *p) {
    if (!p->connected || peer_is_over(p))
        return;
    read_all(p);
    write_some(p);
    if (aborts_now(p))
        do_abort(p);
    else
        leave(p);
}

static void on_connected(void *user) {
    struct peer *p = user;
    if (p->connected)
        fail(p, "connected twice");
    p->connected = true;
    go_on(p);
}

static void on_event(void *user) {
    struct peer *p = user;
    if (peer_is_over(p))
        fail(p, "told of an event after its end");
    go_on(p);
}

/* An error that this end has no reason to expect is a bug. */
static bool may_fail(const struct peer *p) {
    const struct peer *o = p->other;
    if (p->host->world->scenario->features & SIM_LENIENT)
        return true;
    if (o->aborted || o->lost || (o->closed && o->why != STREAM_END_OK))
        return true;
    if (o->released && now(p) - o->released_ns > RELEASED_NS)
        return true;
    /* The handshake gives up sooner than a connection does. */
    return p->lossy && (!p->connected || !o->connected);
}

static void on_closed(void *user, enum stream_end why) {
    static const char *const names[] = {"ended: ok", "ended: reset", "ended: refused",
                                        "ended: timeout", "ended: error"};
    struct peer *p = user;
    if (peer_is_over(p))
        fail(p, "ended twice");
    say(p, names[why]);
    if (why != STREAM_END_OK && !may_fail(p))
        fail(p, names[why]);
    if (why == STREAM_END_OK && !(p->shut && p->other->shut && p->received == p->other->sent))
        fail(p, "ended well with bytes missing");
    p->closed = true;
    p->why = why;
}

const struct stream_handler peer_handler = {on_connected, on_event, on_event, on_closed};

void peer_accepted(struct peer *p, struct stream s) {
    struct tgw_leg_state leg;
    p->s = s;
    p->opened = p->connected = true;
    s.ops->inspect(s.impl, &leg);
    p->local = leg.local;
    tcp_set_owner(s, &peer_handler, p);
    say(p, "accepted");
    go_on(p);
}

static void open_now(struct peer *p) {
    struct tgw_leg_state leg;
    struct world *w = p->host->world;
    p->s = tcp_connect(p->host->tcp, w->now_ns, &p->to, &peer_handler, p, NULL, NULL);
    p->opened = true;
    if (!p->s.impl) { /* no port or memory just now */
        p->lost = true;
        return;
    }
    p->s.ops->inspect(p->s.impl, &leg);
    p->local = leg.local;
    say(p, "opens");
}

/* When something is due that no packet will bring. */
uint64_t peer_next(const struct peer *p) {
    uint64_t next = UINT64_MAX;
    if (peer_is_over(p))
        return next;
    if (!p->opened)
        return p->connect_ns;
    if (!p->connected)
        return next;
    if (p->paused)
        next = p->pause_until_ns;
    if (p->thinking && p->think_until_ns < next)
        next = p->think_until_ns;
    if (p->held && !p->shut && p->hold_until_ns < next)
        next = p->hold_until_ns;
    return next;
}

void peer_turn(struct peer *p) {
    if (peer_next(p) > now(p))
        return;
    if (p->opened)
        go_on(p);
    else
        open_now(p);
}

void peer_lose(struct peer *p) {
    if (p->opened && !peer_is_over(p))
        p->lost = true;
}

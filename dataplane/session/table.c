/* The table of one core: creation, handles, the streams' handlers, timers. */
#include "core/lines.h"
#include "session_priv.h"
#include <assert.h>
#include <stdlib.h>

enum {
    TIMERS_A_TURN = 512,
    /* Above sessions_max there must be room to say "no capacity". */
    REFUSALS_MIN = 64,
    BLOBS_A_SESSION = 3,
};
#define GENERATION_IN_USE UINT32_C(0x80000000)
#define GENERATION_MASK UINT32_C(0xffffff)

static void timer_fired(void *ctx, struct timer *timer);

struct session_table *session_table_create(const struct session_config *c,
                                           const struct session_env *env, uint64_t now_ns) {
    struct session_table *t = lines_zalloc(1, sizeof(*t));
    if (!t)
        return NULL;
    uint32_t slots = c->sessions_max + c->sessions_max / 8 + REFUSALS_MIN;
    t->config = *c;
    t->env = *env;
    t->now_ns = now_ns;
    t->now_ms = (uint32_t)(now_ns / NS_A_MS);
    t->sessions_max = c->sessions_max;
    t->generation = calloc(slots, sizeof(*t->generation));
    if (!t->generation || !pool_init(&t->pool, sizeof(struct session), slots, c->huge_pages) ||
        !blobs_init(&t->blobs, slots * BLOBS_A_SESSION, c->huge_pages)) {
        session_table_destroy(t);
        return NULL;
    }
    timer_wheel_init(&t->wheel, now_ns, t->pool.base, timer_fired, t);
    return t;
}

static void abort_streams(struct session *s) {
    for (int side = CLIENT; side <= AGENT; side++) {
        struct stream *stream = session_stream(s, side);
        if (stream->impl)
            stream->ops->abort(stream->impl);
        stream->impl = NULL;
    }
}

void session_table_destroy(struct session_table *t) {
    for (uint32_t i = 0; i < t->pool.touched; i++)
        if (session_at(t, i))
            abort_streams(session_at(t, i));
    if (t->pool.base)
        pool_fini(&t->pool);
    blobs_fini(&t->blobs);
    free(t->generation);
    free(t);
}

struct session *session_at(const struct session_table *t, uint32_t index) {
    if (index >= t->pool.touched || !(t->generation[index] & GENERATION_IN_USE))
        return NULL;
    return pool_at(&t->pool, index);
}

tgw_handle session_handle(const struct session *s) {
    const struct session_table *t = s->table;
    return tgw_handle_make(t->config.core, t->generation[s->index], s->index);
}

/* Never 0, so that no handle is 0. */
static uint32_t next_generation(uint32_t g) {
    g = (g + 1) & GENERATION_MASK;
    return g ? g : 1;
}

static void gauges(const struct session_table *t) {
    tgw_gauge(t->config.counters, TGW_C_sessions, t->live);
    tgw_gauge(t->config.counters, TGW_C_sessions_pending, t->pending);
}

static void set_time(struct session_table *t, uint64_t now_ns) {
    t->now_ns = now_ns;
    t->now_ms = (uint32_t)(now_ns / NS_A_MS);
}

void session_begin(struct session_table *t, uint64_t now_ns) {
    set_time(t, now_ns);
}

void *session_accept(struct session_table *t, struct stream stream,
                     const struct tgw_endpoint *remote) {
    struct session *s = pool_alloc(&t->pool);
    if (!s) {
        tgw_count_reason(t->config.counters, TGW_R_capacity);
        return NULL;
    }
    *s = (struct session){.table = t, .index = pool_index(&t->pool, s), .accepted_ns = t->now_ns};
    if (!who_begin(s, remote)) {
        pool_free(&t->pool, s);
        tgw_count_reason(t->config.counters, TGW_R_capacity);
        return NULL;
    }
    t->generation[s->index] = next_generation(t->generation[s->index]) | GENERATION_IN_USE;
    s->state = SESSION_HEAD;
    s->leg[CLIENT].stream = stream;
    t->pending++;
    gauges(t);
    session_deadline(s, TGW_HEAD_TIMEOUT_MS);
    return s;
}

void session_left_pending(struct session *s) {
    struct session_table *t = s->table;
    assert(t->pending > 0);
    t->pending--;
    gauges(t);
}

/* The owner has already let go of both streams. */
void session_free(struct session *s) {
    struct session_table *t = s->table;
    assert(!s->leg[CLIENT].stream.impl && !s->leg[AGENT].stream.impl);
    if (s->state == SESSION_LINGER)
        t->lingering--;
    else if (s->state == SESSION_CLOSING)
        t->live--;
    timer_cancel(&t->wheel, &s->timer);
    blob_free(&t->blobs, s->owed); /* after a refusal: the setup is gone and NULL */
    blob_free(&t->blobs, s->who);
    t->generation[s->index] &= ~GENERATION_IN_USE;
    s->state = SESSION_FREE;
    pool_free(&t->pool, s);
    gauges(t);
}

/* A deadline of the state. */
void session_deadline(struct session *s, uint32_t ms) {
    s->deadline_ns = s->table->now_ns + (uint64_t)ms * NS_A_MS;
    session_arm(s);
}

void session_arm(struct session *s) {
    uint64_t at = s->state == SESSION_RELAY ? policy_next(s) : s->deadline_ns;
    if (s->state >= SESSION_RELAY && frames_need_poll(s)) {
        uint64_t poll_ns = s->table->now_ns + 20 * (uint64_t)NS_A_MS;
        at = at < poll_ns ? at : poll_ns;
    }
    if (at == UINT64_MAX)
        timer_cancel(&s->table->wheel, &s->timer);
    else
        timer_set(&s->table->wheel, &s->timer, at);
}

static void deadline_passed(struct session *s) {
    struct stream *c = session_stream(s, CLIENT);
    switch (s->state) {
    case SESSION_HEAD:
        refuse(s, TGW_R_request_timeout);
        return;
    case SESSION_AUTH:
        refuse(s, TGW_R_control_unavailable);
        return;
    case SESSION_DIAL:
        refuse(s, TGW_R_upstream_timeout);
        return;
    case SESSION_CLOSING:
        close_finish(s);
        return;
    case SESSION_LINGER:
        c->ops->release(c->impl);
        c->impl = NULL;
        session_free(s);
        return;
    default:
        assert(!"a state without a deadline");
    }
}

static void timer_fired(void *ctx, struct timer *timer) {
    struct session *s = (struct session *)((char *)timer - offsetof(struct session, timer));
    struct session_table *t = ctx;
    if (s->state == SESSION_RELAY) {
        policy_timer(s);
    } else if (t->now_ns >= s->deadline_ns) {
        deadline_passed(s);
    } else if (s->state != SESSION_CLOSING) {
        session_arm(s);
    } else {
        frames_flush(s, CLIENT);
        frames_flush(s, AGENT);
        close_settle(s);
    }
}

static void no_connected(void *user) {
    (void)user;
}

static void client_readable(void *user) {
    struct session *s = user;
    const struct stream *c = session_stream(s, CLIENT);
    leg_heard(s, CLIENT);
    if (s->state == SESSION_HEAD)
        head_readable(s);
    else if (s->state == SESSION_AUTH || s->state == SESSION_DIAL) {
        if (c->ops->at_eof(c->impl))
            refuse(s, TGW_R_client_gone);
    } else if (s->state == SESSION_LINGER)
        linger_readable(s);
    else
        live_pump(s, CLIENT);
}

static void client_writable(void *user) {
    struct session *s = user;
    if (s->state == SESSION_RELAY || s->state == SESSION_CLOSING)
        live_pump(s, AGENT);
}

static void client_closed(void *user, enum stream_end end) {
    struct session *s = user;
    if (s->state == SESSION_RELAY || s->state == SESSION_CLOSING) {
        live_closed(s, CLIENT, end);
        return;
    }
    session_stream(s, CLIENT)->impl = NULL;
    if (s->state == SESSION_LINGER)
        session_free(s);
    else
        refuse(s, TGW_R_client_gone);
}

const struct stream_handler session_client_handler = {no_connected, client_readable,
                                                      client_writable, client_closed};

static void agent_connected(void *user) {
    dial_connected(user);
}

static void agent_readable(void *user) {
    struct session *s = user;
    leg_heard(s, AGENT);
    if (s->state == SESSION_DIAL)
        dial_readable(s);
    else
        live_pump(s, AGENT);
}

static void agent_writable(void *user) {
    struct session *s = user;
    if (s->state == SESSION_RELAY || s->state == SESSION_CLOSING)
        live_pump(s, CLIENT);
}

static void agent_closed(void *user, enum stream_end end) {
    struct session *s = user;
    if (s->state == SESSION_RELAY || s->state == SESSION_CLOSING) {
        live_closed(s, AGENT, end);
        return;
    }
    session_stream(s, AGENT)->impl = NULL;
    dial_closed(s, end);
}

const struct stream_handler session_agent_handler = {agent_connected, agent_readable,
                                                     agent_writable, agent_closed};

uint32_t session_advance(struct session_table *t, uint64_t now_ns) {
    set_time(t, now_ns);
    uint32_t fired = timer_wheel_advance(&t->wheel, now_ns, TIMERS_A_TURN);
    drain_advance(t);
    shed_advance(t);
    list_advance(t);
    return fired;
}

uint64_t session_next_timer(const struct session_table *t) {
    uint64_t at = timer_wheel_next(&t->wheel);
    uint64_t drain_ns = drain_next(t);
    if (list_pending(t))
        return t->now_ns;
    return at < drain_ns ? at : drain_ns;
}

void session_usage(const struct session_table *t, struct session_usage *out) {
    *out = (struct session_usage){.live = t->live,
                                  .pending = t->pending,
                                  .draining = t->drain.active,
                                  .drained = t->drain.active && t->live + t->pending == 0};
    out->bytes = pool_used_bytes(&t->pool) + t->pool.used * sizeof(*t->generation);
    for (int i = 0; i < BLOB_CLASSES; i++)
        out->bytes += pool_used_bytes(&t->blobs.size[i]);
}

size_t session_bytes(void) {
    return sizeof(struct session) + sizeof(uint32_t); /* and its generation */
}

static void check_one(const struct session *s) {
    bool relaying = s->state == SESSION_RELAY || s->state == SESSION_CLOSING;
    assert(s->state != SESSION_FREE && s->who);
    assert(relaying || s->leg[CLIENT].stream.impl);
    assert(s->state != SESSION_RELAY || (s->leg[CLIENT].stream.impl && s->leg[AGENT].stream.impl));
    assert(s->state != SESSION_DIAL || s->leg[AGENT].stream.impl);
    assert(s->state == SESSION_DIAL || relaying || !s->leg[AGENT].stream.impl);
    assert(s->state == SESSION_RELAY || timer_is_set(&s->timer));
    (void)relaying;
}

void session_check(const struct session_table *t) {
    uint32_t count[SESSION_LINGER + 1] = {0}, used = 0;
    for (uint32_t i = 0; i < t->pool.touched; i++) {
        const struct session *s = session_at(t, i);
        if (!s)
            continue;
        assert(s->index == i && s->table == t);
        check_one(s);
        count[s->state]++;
        used++;
    }
    assert(used == t->pool.used);
    assert(count[SESSION_RELAY] + count[SESSION_CLOSING] == t->live);
    assert(count[SESSION_HEAD] + count[SESSION_AUTH] + count[SESSION_DIAL] == t->pending);
    assert(count[SESSION_LINGER] == t->lingering);
    for (int i = 0; used == 0 && i < BLOB_CLASSES; i++)
        assert(t->blobs.size[i].used == 0);
}

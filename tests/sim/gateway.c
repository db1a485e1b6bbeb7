/* Browsers, a gateway and node agents: net, tcp, session, relay and web whole, with a scripted
 * control process. Wire 0 lies before the gateway, wire 1 behind it. */
#include "session/session.h"
#include "tests/sim/attack.h"
#include "tests/sim/stress.h"
#include "tests/sim/terminal.h"
#include <stdio.h>
#include <stdlib.h>

enum {
    BROWSERS_MAX = 12,
    AGENTS_MAX = 64,
    VERDICTS_MAX = 64,
    SESSIONS = 64,
    PUBLIC_PORT = 80,
    AGENT_PORT = 7681,
};
enum { BROWSER_HOST, GATEWAY_HOST, AGENT_HOST };
static const uint64_t MS = 1000000, SECOND = 1000000000;

struct verdict {
    uint64_t at_ns;
    tgw_handle handle;
    unsigned number;
};

struct gateway {
    struct world *world;
    struct session_table *table;
    struct rng rng;
    struct terminal browser[BROWSERS_MAX], agent[AGENTS_MAX];
    unsigned browsers, agents;
    struct verdict verdict[VERDICTS_MAX];
    unsigned verdicts;
    tgw_handle last; /* the last session that opened */
    uint64_t opened, closed, control_ns;
    bool lost_events, calm; /* calm: the control process behaves */
    struct stress stress;
    struct attack attack;
};

static bool control_is_bad(const struct gateway *g) {
    return !g->calm && (g->world->scenario->features & SIM_CONTROL);
}

static struct stream env_dial(void *ctx, const struct tgw_endpoint *agent,
                              const struct stream_handler *handler, void *user) {
    struct gateway *g = ctx;
    return tcp_connect(g->world->host[GATEWAY_HOST].tcp, g->world->now_ns, agent, handler, user,
                       NULL, NULL);
}

static void env_set_owner(void *ctx, struct stream s, const struct stream_handler *handler,
                          void *user) {
    (void)ctx;
    tcp_set_owner(s, handler, user);
}

static void env_random(void *ctx, void *out, size_t bytes) {
    struct gateway *g = ctx;
    for (uint8_t *at = out; bytes--; at++)
        *at = (uint8_t)rng_next(&g->rng);
}

static bool env_emit(void *ctx, const struct tgw_msg *event) {
    struct gateway *g = ctx;
    const union tgw_event *e = (const union tgw_event *)event;
    if (control_is_bad(g) && rng_chance(&g->rng, 20)) {
        g->lost_events = true; /* the ring is full */
        return false;
    }
    if (event->type == TGW_EV_AUTH && g->verdicts < VERDICTS_MAX) {
        struct verdict *v = &g->verdict[g->verdicts++];
        *v = (struct verdict){g->world->now_ns + rng_scale(&g->rng, 0, 500 * MS), e->auth.handle,
                              (unsigned)strtoul(e->auth.allocation_id + 6, NULL, 10)};
        if (control_is_bad(g) && rng_chance(&g->rng, 100))
            v->at_ns += 3 * SECOND; /* too late */
    } else if (event->type == TGW_EV_OPEN) {
        g->opened++;
        g->last = e->open.handle;
    } else if (event->type == TGW_EV_CLOSED) {
        g->closed++;
    }
    return true;
}

static void give_verdict(struct gateway *g, const struct verdict *v) {
    union tgw_cmd cmd = {.verdict = {.msg = {TGW_CMD_VERDICT, sizeof(cmd.verdict), 0},
                                     .handle = v->handle,
                                     .agent = world_endpoint(1, 1, v->number & 2, AGENT_PORT),
                                     .ident = {.session_id = "session",
                                               .correlation_id = "correlation-1",
                                               .trace_id = "0123456789abcdef0123456789abcdef"},
                                     .grant = "head.body.signature"}};
    snprintf(cmd.verdict.ident.allocation_id, sizeof(cmd.verdict.ident.allocation_id), "alloc-%u",
             v->number);
    if (control_is_bad(g) && rng_chance(&g->rng, 100))
        cmd.verdict.reason = TGW_R_token_invalid;
    if (g->world->scenario->features & SIM_CONTROL) {
        cmd.verdict.session_ttl_s = 300;
        cmd.verdict.idle_timeout_s = 120;
    }
    session_command(g->table, &cmd);
}

static void give_verdicts(struct gateway *g) {
    for (unsigned i = 0; i < g->verdicts;) {
        if (g->verdict[i].at_ns > g->world->now_ns) {
            i++;
            continue;
        }
        struct verdict v = g->verdict[i];
        g->verdict[i] = g->verdict[--g->verdicts];
        give_verdict(g, &v);
    }
}

static void policy(struct gateway *g, bool draining) {
    const union tgw_cmd cmd = {.policy = {.msg = {TGW_CMD_POLICY, sizeof(cmd.policy), 0},
                                          .draining = draining,
                                          .sessions_max = SESSIONS,
                                          .drain_deadline_ms = draining ? 5000 : 0,
                                          .admit_percent = 100}};
    session_command(g->table, &cmd);
}

static void misbehave(struct gateway *g) {
    const union tgw_cmd kill = {
        .session = {.msg = {TGW_CMD_KILL, sizeof(kill.session), 1}, .handle = g->last}};
    if (!control_is_bad(g) || g->world->now_ns < g->control_ns)
        return;
    g->control_ns = g->world->now_ns + rng_scale(&g->rng, 10 * MS, 20 * SECOND);
    switch (rng_next(&g->rng) % 6) {
    case 0:
        session_control(g->table, false, 0);
        break;
    case 1:
        session_command(g->table, &kill);
        break;
    case 2:
        policy(g, rng_chance(&g->rng, 300));
        break;
    default:
        session_control(g->table, true, 1 + g->control_ns);
        policy(g, false);
    }
}

static void gateway_begin(void *ctx, struct host *h) {
    struct gateway *g = ctx;
    if (h->number == GATEWAY_HOST)
        session_begin(g->table, h->world->now_ns);
}

static void gateway_turn(void *ctx, struct host *h) {
    struct gateway *g = ctx;
    if (h->number == GATEWAY_HOST) {
        give_verdicts(g);
        misbehave(g);
        session_advance(g->table, h->world->now_ns);
        session_check(g->table);
        return;
    }
    bool browsers = h->number == BROWSER_HOST;
    for (unsigned i = 0; i < (browsers ? g->browsers : g->agents); i++)
        terminal_turn(browsers ? &g->browser[i] : &g->agent[i]);
}

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static uint64_t gateway_next(void *ctx, const struct host *h) {
    struct gateway *g = ctx;
    bool browsers = h->number == BROWSER_HOST;
    uint64_t next = UINT64_MAX;
    if (h->number == GATEWAY_HOST) {
        next = session_next_timer(g->table);
        for (unsigned i = 0; i < g->verdicts; i++)
            next = least(next, g->verdict[i].at_ns);
        return next;
    }
    for (unsigned i = 0; i < (browsers ? g->browsers : g->agents); i++)
        next = least(next, terminal_next(browsers ? &g->browser[i] : &g->agent[i]));
    return next;
}

static struct terminal *find(void *ctx, unsigned number) {
    struct gateway *g = ctx;
    return number < g->browsers ? &g->browser[number] : NULL;
}

/* What a terminal sends and how it reads. */
static void draw(struct gateway *g, struct terminal *t) {
    const struct conduct *c = &g->world->scenario->conduct;
    struct rng *r = &g->rng;
    t->rng = rng_split(r);
    t->offset = rng_next(r) % 100000;
    t->send_bytes = rng_chance(r, 100) ? 0 : rng_scale(r, 1, c->bytes);
    t->think_ns = rng_chance(r, 500) ? rng_scale(r, 0, c->think_ms * MS / 20) : 0;
    t->abort_after = rng_chance(r, c->abort_pm) ? rng_scale(r, 0, 2 * c->bytes) : UINT64_MAX;
    if (rng_chance(r, 200))
        t->pause_until_ns = g->world->now_ns + rng_scale(r, MS, c->pause_ms * MS);
}

static void *on_browser(void *ctx, struct stream s, const struct tgw_endpoint *local,
                        const struct tgw_endpoint *remote) {
    struct gateway *g = ctx;
    (void)local;
    return session_accept(g->table, s, remote);
}

static void *on_agent(void *ctx, struct stream s, const struct tgw_endpoint *local,
                      const struct tgw_endpoint *remote) {
    struct gateway *g = ctx;
    (void)local;
    (void)remote;
    if (g->agents == AGENTS_MAX)
        return NULL;
    struct terminal *t = &g->agent[g->agents++];
    *t = (struct terminal){
        .host = &g->world->host[AGENT_HOST], .s = s, .opened = true, .find = find};
    draw(g, t);
    return t;
}

static bool env_room(void *ctx) {
    (void)ctx;
    return true; /* memory that is short shows where it is asked for */
}

static bool env_starving(void *ctx) {
    (void)ctx;
    return false;
}

static void make_hosts(struct gateway *g, struct rng *r) {
    static const struct standing at[3][2] = {{{0, 0}}, {{0, 1}, {1, 0}}, {{1, 1}}};
    struct world *w = g->world;
    for (unsigned i = 0; i < 3; i++) {
        struct tcp_config c;
        tcp_config_defaults(&c);
        c.connections_max = c.time_wait_max = c.backlog_max = 256;
        c.small_blocks = c.large_blocks = 16384;
        c.rcv_buffer_bytes = (uint32_t)rng_scale(r, 16384, 262144);
        c.snd_buffer_bytes = (uint32_t)rng_scale(r, 16384, 262144);
        c.ack_delay_ms = (uint32_t)rng_range(r, 0, 1) * 40;
        c.use_cubic = rng_chance(r, 500);
        c.use_ecn = rng_chance(r, 500);
        if (w->scenario->features & SIM_ATTACK) { /* readers with hardly a window */
            c.backlog_max = 16;
            c.rcv_buffer_bytes = i == BROWSER_HOST ? (uint32_t)rng_scale(r, 512, 16384) : 65536;
        }
        world_host(w, at[i], i == GATEWAY_HOST ? 2 : 1, &c);
    }
    const struct session_env env = {.dial = env_dial,
                                    .set_owner = env_set_owner,
                                    .emit = env_emit,
                                    .room = env_room,
                                    .starving = env_starving,
                                    .random = env_random,
                                    .ctx = g};
    const struct session_config sc = {.sessions_max = SESSIONS,
                                      .relay_buffer_bytes = (uint32_t)rng_scale(r, 4096, 262144),
                                      .counters = &w->host[GATEWAY_HOST].counters};
    const struct tcp_listener in = {on_browser, g, &session_client_handler};
    const struct tcp_listener out = {on_agent, g, &terminal_handler};
    g->table = session_table_create(&sc, &env, w->now_ns);
    if (!g->table || !tcp_listen(w->host[GATEWAY_HOST].tcp, PUBLIC_PORT, &in) ||
        !tcp_listen(w->host[AGENT_HOST].tcp, AGENT_PORT, &out))
        abort();
    session_control(g->table, true, 1);
}

static struct gateway *begin(struct world *w, struct rng *r) {
    struct gateway *g = calloc(1, sizeof(*g));
    if (!g)
        abort();
    g->world = w;
    g->rng = rng_split(r);
    w->app = (struct world_app){gateway_turn, gateway_next, g, gateway_begin};
    world_wire(w, &w->scenario->climate);
    world_wire(w, &w->scenario->climate);
    make_hosts(g, r);
    g->browsers = (unsigned)rng_range(r, 1, w->scenario->conduct.connections);
    for (unsigned i = 0; i < g->browsers; i++) {
        struct terminal *t = &g->browser[i];
        *t = (struct terminal){.host = &w->host[BROWSER_HOST],
                               .browser = true,
                               .number = i,
                               .connect_ns = w->now_ns + rng_scale(r, 0, 5 * SECOND)};
        draw(g, t);
    }
    stress_begin(&g->stress, w, rng_split(r));
    if (w->scenario->features & SIM_ATTACK)
        attack_begin(&g->attack, w, &w->host[GATEWAY_HOST], rng_split(r));
    return g;
}

static bool all_over(const struct gateway *g) {
    struct session_usage u;
    session_usage(g->table, &u);
    for (unsigned i = 0; i < g->browsers; i++)
        if (!g->browser[i].dead)
            return false;
    for (unsigned i = 0; i < g->agents; i++)
        if (!g->agent[i].dead)
            return false;
    return u.live + u.pending == 0;
}

static void be_attacked(struct gateway *g) {
    uint16_t port[BROWSERS_MAX];
    unsigned count = 0;
    for (unsigned i = 0; i < g->browsers; i++) {
        struct tgw_leg_state leg = {0};
        const struct terminal *t = &g->browser[i];
        if (!t->opened || t->dead)
            continue;
        t->s.ops->inspect(t->s.impl, &leg);
        port[count++] = leg.local.port;
    }
    attack_turn(&g->attack, port, count);
}

static void run_until(struct gateway *g, uint64_t until_ns) {
    struct world *w = g->world;
    while (!all_over(g) && w->now_ns < until_ns && !w->failed) {
        stress_turn(&g->stress);
        if (g->attack.victim)
            be_attacked(g);
        if (!world_step(w))
            break;
    }
}

/* What was open must have arrived whole, unless the scenario may break it. */
static void judge(struct gateway *g) {
    struct world *w = g->world;
    world_say(w, "%u browsers, %u agents, %lu sessions opened, %lu closed", g->browsers, g->agents,
              g->opened, g->closed);
    for (unsigned i = 0; i < g->browsers; i++) {
        const struct terminal *b = &g->browser[i], *a = b->other;
        if (!b->dead)
            world_fail(w, "browser %u does not end: sent %lu of %lu, received %lu%s", i, b->sent,
                       b->send_bytes, b->received, b->upgraded ? ", upgraded" : "");
        w->tried += g->attack.victim != NULL;
        w->got_in += g->attack.victim != NULL && b->upgraded;
        if (!b->upgraded || (w->scenario->features & SIM_LENIENT))
            continue;
        if (!a || b->received != a->send_bytes || a->received != b->send_bytes || !b->close_got)
            world_fail(w, "browser %u: sent %lu received %lu%s, agent sent %lu received %lu", i,
                       b->sent, b->received, b->close_got ? " closed" : "", a ? a->sent : 0,
                       a ? a->received : 0);
    }
    if (!all_over(g))
        world_fail(w, "a session or an agent does not end");
    if (g->attack.victim)
        attack_judge(&g->attack);
    if (g->opened != g->closed && !g->lost_events)
        world_fail(w, "%lu sessions opened and %lu closed", g->opened, g->closed);
}

void gateway_run(struct world *w) {
    struct rng r = rng_split(&w->rng);
    struct gateway *g = begin(w, &r);
    run_until(g, w->now_ns + rng_scale(&r, 100 * MS, 600 * SECOND));
    world_heal(w);
    stress_end(&g->stress);
    attack_end(&g->attack);
    g->calm = true;
    if (w->scenario->features & SIM_CONTROL) { /* another one comes, which refuses who waits */
        session_control(g->table, true, UINT64_MAX);
        policy(g, false);
    }
    run_until(g, w->now_ns + 3600 * SECOND);
    judge(g);
    world_settle(w, 600 * SECOND);
    session_table_destroy(g->table);
    free(g);
}

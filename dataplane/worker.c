#include "worker.h"
#include "capture.h"
#include "clock.h"
#include "core/lines.h"
#include "drivers/mirror.h"
#include "drivers/spread.h"
#include "stages.h"
#include <assert.h>
#include <openssl/rand.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    BURST = 32,
    COMMANDS_A_TURN = 64,
    NET_TICK_NS = 10000000,
    ACK_DELAY_MS = 40, /* what most stacks wait at most */
    TLS_REFUSALS_LOGGED_A_S = 10,
};

struct worker {
    struct worker_config config;
    struct net *net;
    struct tcp_stack *tcp;
    struct tls_core *tls; /* NULL: none */
    struct session_table *sessions;
    struct tgw_ring_end cmd, event;
    struct selftest selftest;
    struct capture capture;
    struct port_mirror mirror[TGW_PORTS_MAX];
    uint64_t now_ns, net_tick_ns;
    struct rest rest;
    uint64_t control_epoch;
    struct stages stages;
    uint64_t refusals_ns; /* when `refusals` began */
    uint32_t refusals;    /* of TLS, logged or not */
    uint32_t links_returned;
    uint32_t drain_deadline_ms;
    size_t random_left; /* of `random`, from its start */
    uint8_t random[1024];
};

/* Is the agent's answer brought to this core? */
static bool comes_here(void *ctx, const struct tgw_endpoint *local,
                       const struct tgw_endpoint *remote) {
    const struct worker *w = ctx;
    const struct net_config *c = &w->config.net;
    for (uint8_t i = 0; i < c->iface_count; i++)
        for (uint8_t k = 0; k < c->iface[i].addr_count; k++)
            if (memcmp(c->iface[i].addr[k].addr.b, local->addr, sizeof(local->addr)) == 0)
                return port_spread_core(w->mirror[i].inner, remote->addr, local->addr, remote->port,
                                        local->port) == w->config.core;
    return true;
}

static struct stream dial_tcp(void *ctx, const struct tgw_endpoint *agent,
                              const struct stream_handler *handler, void *user) {
    struct worker *w = ctx;
    const struct stream_handler *noting = stages_wrap(&w->stages, handler);
    return tcp_connect(w->tcp, w->now_ns, agent, noting, user,
                       w->config.cores > 1 ? comes_here : NULL, w);
}

static struct stream env_dial(void *ctx, const struct tgw_endpoint *agent,
                              const struct stream_handler *handler, void *user) {
    struct worker *w = ctx;
    return w->config.tls_agent ? tls_connect(w->tls, agent, stages_wrap(&w->stages, handler), user)
                               : dial_tcp(ctx, agent, handler, user);
}

static void env_set_owner(void *ctx, struct stream s, const struct stream_handler *handler,
                          void *user) {
    struct worker *w = ctx;
    const struct stream_handler *noting = stages_wrap(&w->stages, handler);
    if (s.ops == &tls_stream_ops)
        tls_set_owner(s, noting, user);
    else
        tcp_set_owner(s, noting, user);
}

static bool env_emit(void *ctx, const struct tgw_msg *event) {
    struct worker *w = ctx;
    bool sent = tgw_ring_push(&w->event, event);
    tgw_count(w->config.counters, sent ? TGW_C_events_sent : TGW_C_events_lost, 1);
    if (!sent)
        tgw_count_reason(w->config.counters, TGW_R_event_ring_full);
    return sent;
}

/* Fetched by the kilobyte: a call costs as much as a hundred bytes. What is handed out is
 * wiped here. */
static void env_random(void *ctx, void *out, size_t bytes) {
    struct worker *w = ctx;
    assert(bytes <= sizeof(w->random));
    if (w->random_left < bytes) {
        if (RAND_bytes(w->random, sizeof(w->random)) != 1)
            abort(); /* without randomness no key or id is safe */
        w->random_left = sizeof(w->random);
    }
    w->random_left -= bytes;
    memcpy(out, w->random + w->random_left, bytes);
    explicit_bzero(w->random + w->random_left, bytes);
}

/* Packets that this core can have: what others keep in their caches is theirs, and looking into
 * the caches of all cores that there could be costs more than parsing a request. */
static unsigned mbufs_left(struct rte_mempool *mbufs) {
    const struct rte_mempool_cache *own = rte_mempool_default_cache(mbufs, rte_lcore_id());
    return rte_mempool_get_ops(mbufs->ops_index)->get_count(mbufs) + (own ? own->len : 0);
}

/* Those who are in come first: the last part of every pool is theirs. */
static bool env_room(void *ctx) {
    const struct worker *w = ctx;
    const struct tcp_config *c = &w->config.tcp;
    struct rte_mempool *mbufs = w->config.net.pool;
    struct tcp_usage u;
    tcp_usage(w->tcp, &u);
    return u.connections < c->connections_max && u.small_blocks < c->small_blocks / 8 * 7 &&
           u.large_blocks < c->large_blocks / 8 * 7 && mbufs_left(mbufs) > mbufs->size / 16;
}

static bool env_starving(void *ctx) {
    const struct worker *w = ctx;
    const struct tcp_config *c = &w->config.tcp;
    struct tcp_usage u;
    tcp_usage(w->tcp, &u);
    return u.small_blocks > c->small_blocks / 16 * 15 || u.large_blocks > c->large_blocks / 16 * 15;
}

/* Captured packets leave most of the ring to what matters more. */
static bool emit_packet(void *ctx, const struct tgw_msg *event) {
    struct worker *w = ctx;
    if (tgw_ring_used(&w->event) < TGW_EVENT_SLOTS / 4)
        return env_emit(w, event);
    tgw_count_reason(w->config.counters, TGW_R_event_ring_full);
    return false;
}

static void on_mirrored(void *ctx, uint8_t iface, bool out, const struct rte_mbuf *m) {
    const struct worker *w = ctx;
    capture_see(&w->capture, w->now_ns, iface, out, m);
}

/* The core's view of its ports goes through mirrors, so that a capture can be switched on. */
static void create_mirrors(struct worker *w) {
    w->capture.emit = emit_packet;
    w->capture.ctx = w;
    for (uint8_t i = 0; i < w->config.net.iface_count; i++) {
        struct net_iface_config *iface = &w->config.net.iface[i];
        port_mirror_init(&w->mirror[i], iface->port, i, on_mirrored, w);
        iface->port = &w->mirror[i].port;
        rest_add(&w->rest, iface->port, iface->queue);
    }
}

static void switch_mirrors(struct worker *w, bool on) {
    for (uint8_t i = 0; i < w->config.net.iface_count; i++)
        w->mirror[i].on = on;
}

static void on_capture(struct worker *w, const struct tgw_cmd_capture *cmd) {
    struct tgw_leg_state legs[2] = {0};
    struct capture_leg leg[2];
    bool found = cmd->msg.len == sizeof(*cmd) && session_legs(w->sessions, cmd->handle, legs);
    for (int i = 0; i < 2; i++)
        leg[i] = (struct capture_leg){legs[i].local, legs[i].peer};
    if (found)
        capture_start(&w->capture, w->now_ns, cmd, leg);
    switch_mirrors(w, w->capture.on);
    const struct tgw_ev_done done = {
        .msg = {.type = TGW_EV_DONE, .len = sizeof(done), .seq = cmd->msg.seq},
        .reason = found ? TGW_OK : TGW_R_not_found,
        .core = w->config.core};
    env_emit(w, &done.msg);
}

static void end_capture(struct worker *w) {
    if (!w->capture.on || w->now_ns < w->capture.end_ns)
        return;
    w->capture.on = false;
    switch_mirrors(w, false);
}

static void *on_accepted(void *ctx, struct stream s, const struct tgw_endpoint *local,
                         const struct tgw_endpoint *remote) {
    struct worker *w = ctx;
    (void)local;
    return session_accept(w->sessions, s, remote);
}

static void *on_tls_accepted(void *ctx, struct stream s, const struct tgw_endpoint *local,
                             const struct tgw_endpoint *remote) {
    struct worker *w = ctx;
    return tls_accept(w->tls, s, local, remote);
}

/* A refusal's line in the log, as far as there is room for it: somebody who does nothing but
 * fail at TLS is not to push others' events out of the ring. All are counted. */
static void env_tls_refused(void *ctx, enum tgw_reason reason, const struct tgw_endpoint *remote,
                            uint64_t since_ns) {
    struct worker *w = ctx;
    uint8_t bits[2][TGW_TRACE_ID_HEX / 2];
    struct tgw_ev_refused e = {.msg = {.type = TGW_EV_REFUSED, .len = sizeof(e)},
                               .reason = (uint16_t)reason,
                               .asked = 1,
                               .duration_us = (w->now_ns - since_ns) / 1000,
                               .remote = *remote};
    if (w->now_ns - w->refusals_ns >= 1000000000u) {
        w->refusals_ns = w->now_ns;
        w->refusals = 0;
    }
    if (w->refusals++ >= TLS_REFUSALS_LOGGED_A_S)
        return;
    env_random(w, bits, sizeof(bits));
    tgw_id_text(bits[0], e.ident.correlation_id);
    tgw_id_text(bits[1], e.ident.trace_id);
    env_emit(w, &e.msg);
}

static bool create_tls(struct worker *w) {
    const struct worker_config *c = &w->config;
    const struct tls_env env = {.accepted = on_accepted,
                                .handler = stages_wrap(&w->stages, &session_client_handler),
                                .dial = dial_tcp,
                                .refused = env_tls_refused,
                                .ctx = w};
    if (c->handshakes)
        w->tls = tls_create(&c->tls, &env, c->handshakes, w->now_ns);
    return w->tls || !c->handshakes;
}

static bool listen_on(struct worker *w, char *err, size_t err_bytes) {
    const struct worker_config *c = &w->config;
    const struct tcp_listener plain = {on_accepted, w,
                                       stages_wrap(&w->stages, &session_client_handler)};
    const struct tcp_listener secure = {on_tls_accepted, w,
                                        stages_wrap(&w->stages, &tls_lower_handler)};
    bool good = tcp_listen(w->tcp, c->public_port, &plain);
    if (!good)
        snprintf(err, err_bytes, "public_port: cannot listen on %u", c->public_port);
    if (!good || !w->tls || c->tls_port == 0 || tcp_listen(w->tcp, c->tls_port, &secure))
        return good;
    snprintf(err, err_bytes, "tls_port: cannot listen on %u", c->tls_port);
    return false;
}

static void on_died(void *ctx, const struct tcp_obituary *o) {
    struct tgw_ev_trace e = {.msg = {.type = TGW_EV_TRACE, .len = sizeof(e)},
                             .local = o->local,
                             .remote = o->remote,
                             .timeout = o->why == STREAM_END_TIMEOUT};
    snprintf(e.text, sizeof(e.text), "%s", o->text);
    env_emit(ctx, &e.msg);
}

static bool create_parts(struct worker *w) {
    static const struct net_ops net_up = {.tcp_segment = stages_tcp_input,
                                          .icmp_error = tcp_icmp_error,
                                          .tcp_burst = stages_tcp_input_burst};
    const struct worker_config *c = &w->config;
    const struct session_env env = {.dial = env_dial,
                                    .set_owner = env_set_owner,
                                    .emit = env_emit,
                                    .room = env_room,
                                    .starving = env_starving,
                                    .random = env_random,
                                    .ctx = w,
                                    .probe = &w->stages.probe};
    /* net calls up into tcp, which is created after it: the pointer is filled in by
     * net_bind below. */
    w->net = net_create(&c->net, &net_up, NULL, w->now_ns);
    if (!w->net)
        return false;
    w->config.tcp.died = on_died;
    w->config.tcp.died_ctx = w;
    w->tcp = tcp_create(&c->tcp, w->net, w->now_ns);
    if (!w->tcp)
        return false;
    net_bind(w->net, w->tcp);
    w->selftest = (struct selftest){.net = w->net, .config = &w->config.net};
    memcpy(w->selftest.neighbour, c->neighbour, sizeof(c->neighbour));
    memcpy(w->selftest.steering, c->steering, sizeof(c->steering));
    if (!create_tls(w))
        return false;
    w->sessions = session_table_create(&c->session, &env, w->now_ns);
    return w->sessions != NULL;
}

void worker_tcp_config(struct tcp_config *t, uint32_t sessions_max, struct tgw_counters *counters) {
    tcp_config_defaults(t);
    /* Two legs a session, and a fourth more, 10,000 at least, that are on their way in or
     * out. */
    t->connections_max = sessions_max * 2 + sessions_max / 2 + 10000;
    if (t->time_wait_max > t->connections_max)
        t->time_wait_max = t->connections_max;
    t->ack_delay_ms = ACK_DELAY_MS;
    t->counters = counters;
    RAND_bytes(t->secret, sizeof(t->secret));
    RAND_bytes((unsigned char *)&t->seed, sizeof(t->seed));
}

struct worker *worker_create(const struct worker_config *c, uint64_t now_ns, char *err,
                             size_t err_bytes) {
    struct worker *w = lines_zalloc(1, sizeof(*w));
    if (w) {
        w->config = *c;
        w->rest.mode = c->idle_mode;
        stages_init(&w->stages, c->counters, rte_get_timer_hz());
        stages_use(&w->stages);
        w->now_ns = now_ns;
        tgw_ring_consumer(&w->cmd, c->cmd_ring, TGW_CMD_SLOTS, TGW_CMD_SLOT_BYTES);
        tgw_ring_producer(&w->event, c->event_ring, TGW_EVENT_SLOTS, TGW_EVENT_SLOT_BYTES);
    }
    if (w)
        create_mirrors(w);
    if (!w || !create_parts(w)) {
        snprintf(err, err_bytes, "sessions_max: not enough memory for core %u", c->core);
        worker_destroy(w);
        return NULL;
    }
    if (!listen_on(w, err, err_bytes)) {
        worker_destroy(w);
        return NULL;
    }
    session_control(w->sessions, false, 0);
    return w;
}

void worker_destroy(struct worker *w) {
    if (!w)
        return;
    if (w->sessions)
        session_table_destroy(w->sessions);
    if (w->tls)
        tls_destroy(w->tls);
    if (w->tcp)
        tcp_destroy(w->tcp);
    if (w->net)
        net_destroy(w->net);
    free(w);
}

static uint32_t receive(struct worker *w) {
    struct rte_mbuf *burst[BURST];
    uint32_t total = 0;
    for (uint8_t i = 0; i < w->config.net.iface_count; i++) {
        const struct net_iface_config *iface = &w->config.net.iface[i];
        uint16_t n = port_rx(iface->port, iface->queue, burst, BURST);
        if (n == 0)
            continue;
        stages_charge(&w->stages, TGW_STAGE_rx, n);
        stages_burst_begin(&w->stages);
        net_input(w->net, w->now_ns, i, burst, n);
        stages_burst_end(&w->stages, n);
        total += n;
    }
    return total;
}

/* A drain that the main thread orders (SIGTERM) needs no control process. */
static void obey_drain(struct worker *w) {
    uint32_t deadline_ms =
        atomic_load_explicit(&w->config.signals->drain_deadline_ms, memory_order_relaxed);
    if (deadline_ms == w->drain_deadline_ms)
        return;
    w->drain_deadline_ms = deadline_ms;
    union tgw_cmd cmd = {.policy = {.msg = {.type = TGW_CMD_POLICY, .len = sizeof(cmd.policy)},
                                    .draining = deadline_ms != 0,
                                    .sessions_max = w->config.session.sessions_max,
                                    .drain_deadline_ms = deadline_ms,
                                    .admit_percent = 100}};
    session_command(w->sessions, &cmd);
}

static void probe_port(struct worker *w, const struct tgw_cmd_probe *cmd) {
    const struct tgw_ev_done refused = {
        .msg = {.type = TGW_EV_DONE, .len = sizeof(refused), .seq = cmd->msg.seq},
        .reason = TGW_R_cmd_invalid,
        .core = w->config.core};
    if (!selftest_command(&w->selftest, w->now_ns, cmd))
        env_emit(w, &refused.msg);
}

static void answer_probe(struct worker *w) {
    struct tgw_ev_port answer;
    if (w->selftest.active && selftest_answer(&w->selftest, &answer))
        env_emit(w, &answer.msg);
}

/* Where a link returns, a switch may have forgotten us, or be another one, with other
 * machines behind it. */
static void obey_links(struct worker *w) {
    uint32_t returned =
        atomic_load_explicit(&w->config.signals->links_returned, memory_order_relaxed);
    if (returned == w->links_returned)
        return;
    w->links_returned = returned;
    net_link_returned(w->net, w->now_ns);
}

static uint32_t commands(struct worker *w) {
    union tgw_cmd cmd;
    uint32_t taken = 0;
    uint64_t epoch = atomic_load_explicit(&w->config.signals->control_epoch, memory_order_relaxed);
    if (epoch != w->control_epoch) {
        w->control_epoch = epoch;
        session_control(w->sessions, epoch != 0, epoch);
    }
    obey_drain(w);
    while (taken < COMMANDS_A_TURN && tgw_ring_pop(&w->cmd, &cmd)) {
        if (cmd.msg.type == TGW_CMD_PROBE)
            probe_port(w, &cmd.probe);
        else if (cmd.msg.type == TGW_CMD_CAPTURE)
            on_capture(w, &cmd.capture);
        else
            session_command(w->sessions, &cmd);
        taken++;
    }
    tgw_count(w->config.counters, TGW_C_commands, taken);
    return taken;
}

static void publish_tls(const struct worker *w) {
    struct tls_usage tls = {0};
    if (!w->tls)
        return;
    tls_usage(w->tls, &tls);
    tgw_gauge(w->config.counters, TGW_C_tls_connections, tls.connections);
    tgw_gauge(w->config.counters, TGW_C_tls_connections_12, tls.legacy);
    tgw_gauge(w->config.counters, TGW_C_tls_handshakes_pending, tls.handshakes);
    tgw_gauge(w->config.counters, TGW_C_tls_handshakes_queued, tls.queued);
}

static void publish(struct worker *w) {
    struct tcp_usage tcp;
    struct session_usage sessions;
    tcp_usage(w->tcp, &tcp);
    session_usage(w->sessions, &sessions);
    tgw_gauge(w->config.counters, TGW_C_small_blocks_used, tcp.small_blocks);
    tgw_gauge(w->config.counters, TGW_C_large_blocks_used, tcp.large_blocks);
    publish_tls(w);
    atomic_store_explicit(&w->config.signals->sessions_left, sessions.live + sessions.pending,
                          memory_order_relaxed);
    atomic_store_explicit(&w->config.signals->connections, tcp.connections, memory_order_relaxed);
    atomic_store_explicit(&w->config.signals->drained, sessions.drained, memory_order_relaxed);
}

static uint32_t timers(struct worker *w) {
    uint32_t fired = tcp_advance(w->tcp, w->now_ns) + session_advance(w->sessions, w->now_ns);
    if (w->tls)
        fired += tls_advance(w->tls, w->now_ns);
    if (w->now_ns - w->net_tick_ns >= NET_TICK_NS) {
        w->net_tick_ns = w->now_ns;
        net_tick(w->net, w->now_ns);
        answer_probe(w);
        obey_links(w);
        end_capture(w);
        publish(w);
    }
    return fired;
}

/* The loop of a core. Returns how much there was to do. A turn with nothing to do is
 * idle as a whole: nothing is charged, and the next one charges it so. */
uint32_t worker_turn(struct worker *w, uint64_t now_ns) {
    if (w->rest.idle_turns)
        stages_charge(&w->stages, TGW_STAGE_idle, 0);
    w->now_ns = now_ns;
    tcp_begin(w->tcp, w->now_ns);
    session_begin(w->sessions, w->now_ns);
    if (w->tls)
        tls_begin(w->tls, w->now_ns);
    uint32_t packets = receive(w), taken = commands(w);
    if (w->tls)
        taken += tls_poll(w->tls);
    if (taken)
        stages_charge(&w->stages, TGW_STAGE_rings, taken);
    uint32_t fired = timers(w), work = packets + taken + fired;
    if (work)
        stages_charge(&w->stages, TGW_STAGE_timers, fired);
    if (w->tls) {
        tls_flush(w->tls);
        if (work)
            stages_charge(&w->stages, TGW_STAGE_tls, work);
    }
    tcp_flush(w->tcp);
    if (work)
        stages_charge(&w->stages, TGW_STAGE_tcp, work);
    net_flush(w->net);
    if (work)
        stages_charge(&w->stages, TGW_STAGE_tx, work);
    tgw_count(w->config.counters, TGW_C_loops, 1);
    return work;
}

void worker_resume(struct worker *w) {
    stages_use(&w->stages);
}

void worker_run(struct worker *w) {
    struct clock clock;
    clock_init(&clock);
    stages_use(&w->stages);
    rest_begin(&w->rest);
    while (!atomic_load_explicit(&w->config.signals->stop, memory_order_relaxed)) {
        uint32_t work = worker_turn(w, clock_ns(&clock));
        struct rest_plan next = rest_next(&w->rest, w->now_ns, work);
        if (rest_gives_away(&next))
            stages_give_away(&w->stages);
        rest_do(&w->rest, &next);
    }
}

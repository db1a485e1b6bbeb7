#include "gateway.h"
#include "audit.h"
#include "log.h"
#include "metrics.h"
#include "versions.h"
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

enum { TOKENS_MAX = 65536, EVENTS_A_TURN = 1024, RETRY_MS = 200, SNAPSHOT_PERIOD_S = 60 };

/* Of the lists that this file asks for itself; query.c counts up from 1. */
static const uint32_t SYNC_SEQ = UINT32_MAX;

static const uint64_t SECOND_NS = 1000000000;

static bool read_secret(struct gateway *g, char *err, size_t err_bytes) {
    const char *path = g->config.agent_secret_file;
    FILE *f = path[0] ? fopen(path, "re") : NULL;
    uint8_t secret[GRANT_SECRET_MAX];
    size_t len = 0;
    if (f) {
        setvbuf(f, NULL, _IONBF, 0); /* no copy of it stays with the library */
        len = fread(secret, 1, sizeof(secret), f);
        fclose(f);
    }
    while (len && (secret[len - 1] == '\n'))
        len--;
    bool good = len >= GRANT_SECRET_MIN && grant_key_make(&g->grant_key, secret, len);
    explicit_bzero(secret, sizeof(secret));
    if (good)
        return true;
    snprintf(err, err_bytes,
             "agent_secret_file: \"%s\" must be a readable file of at least %d bytes", path,
             GRANT_SECRET_MIN);
    return false;
}

/* A drain that a predecessor of this process began goes on, unless its dataplane is gone:
 * that is known at the first attach. */
static void recall(struct gateway *g) {
    uint64_t seed;
    if (RAND_bytes((unsigned char *)&seed, sizeof(seed)) != 1)
        abort(); /* tokens could not be made either */
    if (history_init(&g->history))
        log_set_sink(history_line, &g->history);
    live_init(&g->live, seed);
    histogram_init_setup(&g->consume_time);
    histogram_init_setup(&g->setup_time);
    histogram_init_life(&g->session_time);
    state_load(&g->state, g->config.state_dir);
    g->state.starts++;
    versions_begin(g);
    state_save(&g->state, g->config.state_dir);
}

static bool need_store(struct gateway *g, char *err, size_t err_bytes) {
    if (!g->store.ops) {
        g->store = (struct token_store){
            &memory_store_ops, memory_store_create(TOKENS_MAX, g->config.replay_window_seconds)};
    }
    if (!g->store.impl)
        snprintf(err, err_bytes, "token_store: no memory");
    return g->store.impl != NULL;
}

bool gateway_init(struct gateway *g, char *err, size_t err_bytes) {
    if (!read_secret(g, err, err_bytes))
        return false;
    if (!need_store(g, err, err_bytes)) {
        grant_key_free(&g->grant_key);
        return false;
    }
    g->store_up = g->store.ops->is_up(g->store.impl);
    recall(g);
    return true;
}

void gateway_fini(struct gateway *g) {
    g->store.ops->close(g->store.impl); /* whoever waits is refused, while that can be said */
    bridge_detach(&g->bridge);
    capture_drop(&g->capture);
    log_set_sink(NULL, NULL);
    history_free(&g->history);
    live_free(&g->live);
    map_free(&g->waiting);
    limit_free(&g->source_rate);
    limit_free(&g->user_rate);
    grant_key_free(&g->grant_key);
    explicit_bzero(&g->random, sizeof(g->random));
}

static uint32_t deadline_left_ms(const struct gateway *g) {
    uint64_t left_ns = g->drain_deadline_ns > g->now_ns ? g->drain_deadline_ns - g->now_ns : 0;
    return left_ns >= 1000000 ? (uint32_t)(left_ns / 1000000) : 1;
}

void gateway_send_policy(struct gateway *g) {
    for (uint32_t i = 0; i < g->bridge.cores; i++) {
        const struct tgw_cmd_policy p = {
            .msg = {.type = TGW_CMD_POLICY, .len = sizeof(p)},
            .draining = g->draining,
            .refusals_as_close = strcmp(g->config.browser_refusals, "close") == 0,
            .token_store_unavailable = !g->store_up,
            .sessions_max =
                (uint32_t)((g->config.sessions_max + g->bridge.cores - 1) / g->bridge.cores),
            .drain_deadline_ms = g->draining ? deadline_left_ms(g) : 0,
            .admit_percent = g->state.admit_percent};
        bridge_send(&g->bridge, i, &p.msg);
    }
}

static void set_deadline(struct gateway *g, uint32_t timeout_s) {
    g->drain_deadline_ns = g->now_ns + timeout_s * SECOND_NS;
    g->state.drain_deadline_s = g->now_s + timeout_s;
    g->state.drain_pid = g->bridge.shm ? g->bridge.shm->dataplane_pid : 0;
    state_save(&g->state, g->config.state_dir);
    gateway_send_policy(g);
}

static void begin_drain(struct gateway *g, uint32_t timeout_s, const struct change_order *o) {
    char detail[80];
    g->draining = true;
    g->drain_ended = false;
    g->drain_sessions = bridge_counter(&g->bridge, TGW_C_sessions);
    g->drain_timeouts = bridge_reason(&g->bridge, TGW_R_drain_timeout);
    set_deadline(g, timeout_s);
    snprintf(detail, sizeof(detail), "%lu sessions, deadline in %u s", g->drain_sessions,
             timeout_s);
    audit(g, "drain_started", o, detail);
}

void gateway_drain(struct gateway *g, uint32_t timeout_s, enum drain_end end,
                   const struct change_order *o) {
    char detail[60];
    bool first = end != DRAIN_STAYS && g->drain_end == DRAIN_STAYS;
    if (end != DRAIN_STAYS && g->drain_end != DRAIN_ENDS)
        g->drain_end = end;
    if (!g->draining) {
        begin_drain(g, timeout_s, o);
    } else if (first && g->now_ns + timeout_s * SECOND_NS < g->drain_deadline_ns) {
        set_deadline(g, timeout_s); /* an operator's hour does not hold up a shutdown */
        snprintf(detail, sizeof(detail), "deadline in %u s", timeout_s);
        audit(g, "drain_brought_forward", o, detail);
    }
}

static void forget_drain(struct gateway *g) {
    g->draining = false;
    g->drain_end = DRAIN_STAYS;
    g->state.drain_deadline_s = 0;
    g->state.drain_pid = 0;
    state_save(&g->state, g->config.state_dir);
}

bool gateway_undrain(struct gateway *g, const struct change_order *o) {
    if (!g->draining)
        return true;
    if (g->drain_end != DRAIN_STAYS)
        return false;
    forget_drain(g);
    gateway_send_policy(g);
    audit(g, "drain_cancelled", o, "new sessions are admitted again");
    return true;
}

void gateway_admit(struct gateway *g, uint32_t percent, const struct change_order *o) {
    char detail[60];
    snprintf(detail, sizeof(detail), "%u percent, was %u", percent, g->state.admit_percent);
    audit(g, "admission_changed", o, detail);
    g->state.admit_percent = percent;
    state_save(&g->state, g->config.state_dir);
    gateway_send_policy(g);
}

static void take_live_keys(struct config *c, const struct config *fresh) {
#define TGW_KEY(type, key, fallback, min, max, live)                                               \
    if (live)                                                                                      \
        memcpy(&c->key, &fresh->key, sizeof(c->key));
#include "config/config.def"
#undef TGW_KEY
}

void gateway_reconfigure(struct gateway *g, const struct config *fresh,
                         const struct config_change *change, size_t changes) {
    for (size_t i = 0; i < changes; i++)
        log_plain(change[i].live ? LOG_INFO : LOG_WARN, "config_changed", "%s: %s", change[i].key,
                  change[i].live ? "applied" : "needs a restart");
    take_live_keys(&g->config, fresh);
    log_set_level(g->config.log_level);
    g->store.ops->set_replay_window(g->store.impl, g->config.replay_window_seconds);
    if (g->bridge.shm) /* certificates are the dataplane's to load */
        atomic_fetch_add(&g->bridge.shm->control_applied, 1);
    gateway_send_policy(g);
}

static void on_open(struct gateway *g, const struct tgw_ev_open *e) {
    if (!tgw_ident_valid(&e->ident))
        return;
    const struct log_about about = {
        .ident = &e->ident, .remote = &e->remote, .duration_us = e->setup_us};
    live_open(&g->live, e->handle, e->ident.user_id, &e->remote);
    histogram_add(&g->setup_time, e->setup_us);
    log_event(LOG_INFO, "session_opened", &about, "terminal relayed");
}

static void on_closed(struct gateway *g, const struct tgw_ev_closed *e) {
    char message[160];
    if (!tgw_ident_valid(&e->ident))
        return;
    live_close(&g->live, e->handle);
    histogram_add(&g->session_time, e->duration_us);
    const struct log_about about = {.ident = &e->ident,
                                    .remote = &e->remote,
                                    .reason = e->reason,
                                    .duration_us = e->duration_us};
    snprintf(message, sizeof(message), "%s (close %u, %lu bytes in, %lu bytes out)",
             tgw_reason_info(e->reason)->message, e->close_code, e->bytes_to_agent,
             e->bytes_to_client);
    log_event(LOG_INFO, "session_closed", &about, message);
}

static void on_refused(struct gateway *g, const struct tgw_ev_refused *e) {
    live_close(&g->live, e->handle);
    if (!tgw_ident_valid(&e->ident))
        return;
    const struct log_about about = {.ident = &e->ident,
                                    .remote = &e->remote,
                                    .reason = e->reason,
                                    .duration_us = e->duration_us};
    const struct log_about request = {.ident = &e->ident, .remote = &e->remote};
    if (!e->asked) /* else the verdict has opened it */
        log_event(LOG_INFO, "session_requested", &request, "refused before it was judged");
    log_event(LOG_WARN, "session_refused", &about, tgw_reason_info(e->reason)->message);
}

static void on_trace(const struct tgw_ev_trace *e) {
    const struct log_about about = {.remote = &e->remote};
    char text[TGW_TRACE_TEXT_MAX], local[64];
    memcpy(text, e->text, sizeof(text));
    text[sizeof(text) - 1] = 0;
    for (char *at = text; *at; at++)
        if (*at < 0x20 || *at > 0x7e)
            *at = '?';
    char message[TGW_TRACE_TEXT_MAX + 100];
    snprintf(message, sizeof(message), "%s %s: %s", endpoint_text(&e->local, local),
             e->timeout ? "timed out" : "was reset", text);
    log_event(e->timeout ? LOG_WARN : LOG_INFO, "connection_trace", &about, message);
}

static void on_event(void *ctx, uint32_t core, const union tgw_event *e) {
    struct gateway *g = ctx;
    switch (e->msg.type) {
    case TGW_EV_AUTH:
        auth_request(g, core, &e->auth);
        break;
    case TGW_EV_AUTH_GONE:
        auth_gone(g, &e->auth_gone);
        break;
    case TGW_EV_OPEN:
        on_open(g, &e->open);
        break;
    case TGW_EV_CLOSED:
        on_closed(g, &e->closed);
        break;
    case TGW_EV_REFUSED:
        on_refused(g, &e->refused);
        break;
    case TGW_EV_SESSION:
        if (e->msg.seq == SYNC_SEQ) {
            if (tgw_ident_valid(&e->session.ident))
                live_open(&g->live, e->session.handle, e->session.ident.user_id,
                          &e->session.client.peer);
            break;
        }
        query_event(&g->queries, &g->bridge, e);
        break;
    case TGW_EV_TRACE:
        on_trace(&e->trace);
        break;
    case TGW_EV_PACKET:
        capture_take(&g->capture, &e->packet);
        break;
    case TGW_EV_LIST_END:
    case TGW_EV_PORT:
    case TGW_EV_DONE:
        query_event(&g->queries, &g->bridge, e);
        break;
    default:
        break; /* drain states: the counters tell more */
    }
}

/* Learn the live sessions anew: after an attach, and when events were lost. */
static void sync_live(struct gateway *g) {
    uint64_t seed = g->live.seed;
    live_free(&g->live);
    live_init(&g->live, seed);
    g->events_lost = bridge_counter(&g->bridge, TGW_C_events_lost);
    for (uint32_t i = 0; i < g->bridge.cores; i++) {
        const struct tgw_cmd_list cmd = {
            .msg = {.type = TGW_CMD_LIST, .len = sizeof(cmd), .seq = SYNC_SEQ}};
        bridge_send(&g->bridge, i, &cmd.msg);
    }
}

/* A drain outlives this process, but not the dataplane that it was ordered for. */
static void resume_drain(struct gateway *g) {
    uint64_t left_s =
        g->state.drain_deadline_s > g->now_s ? g->state.drain_deadline_s - g->now_s : 0;
    if (!g->state.drain_deadline_s || g->drain_end == DRAIN_ENDS)
        return;
    if (g->state.drain_pid && g->state.drain_pid != g->bridge.shm->dataplane_pid) {
        forget_drain(g);
        return;
    }
    if (g->draining)
        return;
    g->draining = true;
    g->drain_deadline_ns = g->now_ns + left_s * SECOND_NS;
    log_plain(LOG_INFO, "drain_resumed", "deadline in %lu s", left_s);
}

static void on_attached(struct gateway *g) {
    g->dataplane_terms = atomic_load(&g->bridge.shm->dataplane_term);
    resume_drain(g);
    gateway_send_policy(g);
    sync_live(g);
    log_plain(LOG_INFO, "dataplane_attached", "%u core(s), %lu live sessions", g->bridge.cores,
              bridge_counter(&g->bridge, TGW_C_sessions));
}

static void keep_attached(struct gateway *g) {
    char err[300];
    if (g->now_ns < g->retry_ns)
        return;
    g->retry_ns = g->now_ns + RETRY_MS * UINT64_C(1000000);
    if (bridge_is_current(&g->bridge))
        return;
    if (g->bridge.shm) {
        log_plain(LOG_WARN, "dataplane_lost", "the dataplane went away");
        bridge_detach(&g->bridge);
    }
    if (bridge_attach(&g->bridge, g->config.shm_path, g->now_ns, err, sizeof(err)))
        on_attached(g); /* else it has not started yet: readiness tells */
}

/* From the first attach on: what was before it says nothing. */
static void keep_snapshot(struct gateway *g) {
    if (!g->bridge.shm || g->now_ns < g->snapshot_ns)
        return;
    g->snapshot_ns = g->now_ns + SNAPSHOT_PERIOD_S * SECOND_NS;
    history_snapshot(&g->history, g->now_s, metrics_text(g));
}

static void sample(struct gateway *g) {
    if (g->now_ns < g->sample_ns)
        return;
    g->sample_ns = g->now_ns + SECOND_NS;
    metrics_sample(g);
    keep_snapshot(g);
    if (bridge_counter(&g->bridge, TGW_C_events_lost) != g->events_lost)
        sync_live(g);
}

/* Readiness shows a store that is away; sessions do not notice. */
static void watch_store(struct gateway *g) {
    bool up = g->store.ops->is_up(g->store.impl);
    if (up == g->store_up)
        return;
    g->store_up = up;
    log_plain(up ? LOG_INFO : LOG_WARN, up ? "token_store_up" : "token_store_down", "%s",
              up ? "tokens can be consumed" : "new sessions are refused");
    gateway_send_policy(g);
}

/* Nobody is left, or the time has passed in which every session is closed. */
static bool drain_is_over(const struct gateway *g, uint64_t left) {
    return left == 0 || g->now_ns >= g->drain_deadline_ns + TGW_DRAIN_EXIT_MS * UINT64_C(1000000);
}

static void report_drain(struct gateway *g, uint64_t left) {
    static const struct change_order by_itself = {"gateway", ""};
    char detail[120];
    uint64_t timeouts = bridge_reason(&g->bridge, TGW_R_drain_timeout);
    uint64_t closed = timeouts > g->drain_timeouts ? timeouts - g->drain_timeouts : 0;
    snprintf(detail, sizeof(detail),
             "%lu sessions at the start, %lu closed at the deadline, %lu left", g->drain_sessions,
             closed, left);
    g->drain_ended = true;
    audit(g, "drain_finished", &by_itself, detail);
}

static void follow_drain(struct gateway *g) {
    static const struct change_order dataplane = {"SIGTERM", "to tgw-dataplane"};
    uint32_t terms = g->bridge.shm ? atomic_load(&g->bridge.shm->dataplane_term) : 0;
    if (terms > g->dataplane_terms) {
        g->dataplane_terms = terms;
        gateway_drain(g, (uint32_t)g->config.drain_timeout_seconds, DRAIN_DATAPLANE_ENDS,
                      &dataplane);
    }
    uint64_t left = bridge_counter(&g->bridge, TGW_C_sessions) +
                    bridge_counter(&g->bridge, TGW_C_sessions_pending);
    if (!g->draining || g->finished || !drain_is_over(g, left))
        return;
    if (!g->drain_ended)
        report_drain(g, left);
    if (g->drain_end != DRAIN_ENDS)
        return;
    if (g->bridge.shm)
        atomic_store(&g->bridge.shm->control_drained, 1);
    g->finished = true;
}

uint32_t gateway_turn(struct gateway *g, uint64_t now_ns, uint64_t now_s) {
    g->now_ns = now_ns;
    g->now_s = now_s;
    if (!g->started_ns)
        g->started_ns = now_ns;
    keep_attached(g);
    bridge_beat(&g->bridge, now_ns);
    uint32_t events = g->bridge.shm ? bridge_poll(&g->bridge, EVENTS_A_TURN, on_event, g) : 0;
    query_advance(&g->queries, &g->bridge, now_ns);
    sample(g);
    watch_store(g);
    follow_drain(g);
    return events;
}

bool gateway_ready(const struct gateway *g, cJSON *reasons) {
    if (g->draining)
        cJSON_AddItemToArray(reasons, cJSON_CreateString("draining"));
    if (!g->bridge.shm)
        cJSON_AddItemToArray(reasons, cJSON_CreateString("dataplane_unavailable"));
    if (!g->store_up)
        cJSON_AddItemToArray(reasons, cJSON_CreateString("token_store_unavailable"));
    return !g->draining && g->bridge.shm && g->store_up;
}

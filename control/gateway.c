#include "gateway.h"
#include "log.h"
#include <stdio.h>
#include <stdlib.h>

enum { TOKENS_MAX = 65536, EVENTS_A_TURN = 256, RETRY_MS = 200 };

static const uint64_t SECOND_NS = 1000000000;

static bool read_secret(struct gateway *g, char *err, size_t err_bytes) {
    const char *path = g->config.agent_secret_file;
    FILE *f = path[0] ? fopen(path, "re") : NULL;
    if (f) {
        g->secret_len = fread(g->secret, 1, sizeof(g->secret), f);
        fclose(f);
    }
    while (g->secret_len && (g->secret[g->secret_len - 1] == '\n'))
        g->secret_len--;
    if (g->secret_len >= GRANT_SECRET_MIN)
        return true;
    snprintf(err, err_bytes,
             "agent_secret_file: \"%s\" must be a readable file of at least %d bytes", path,
             GRANT_SECRET_MIN);
    return false;
}

bool gateway_init(struct gateway *g, char *err, size_t err_bytes) {
    g->admit_percent = 100;
    if (strcmp(g->config.token_store, "memory") != 0) {
        snprintf(err, err_bytes, "token_store: \"%s\" is not built into this version",
                 g->config.token_store);
        return false;
    }
    if (!read_secret(g, err, err_bytes))
        return false;
    g->store = memory_store_create(TOKENS_MAX, g->config.replay_window_seconds);
    if (!g->store)
        snprintf(err, err_bytes, "token_store: no memory");
    return g->store != NULL;
}

void gateway_fini(struct gateway *g) {
    bridge_detach(&g->bridge);
    memory_store_destroy(g->store);
    explicit_bzero(g->secret, sizeof(g->secret));
}

static uint32_t deadline_left_ms(const struct gateway *g) {
    return g->drain_deadline_ns > g->now_ns
               ? (uint32_t)((g->drain_deadline_ns - g->now_ns) / 1000000) + 1
               : 1;
}

void gateway_send_policy(struct gateway *g) {
    for (uint32_t i = 0; i < g->bridge.cores; i++) {
        const struct tgw_cmd_policy p = {
            .msg = {.type = TGW_CMD_POLICY, .len = sizeof(p)},
            .draining = g->draining,
            .refusals_as_close = strcmp(g->config.browser_refusals, "close") == 0,
            .sessions_max = (uint32_t)(g->config.sessions_max / g->bridge.cores) + 1,
            .drain_deadline_ms = g->draining ? deadline_left_ms(g) : 0,
            .admit_percent = g->admit_percent};
        bridge_send(&g->bridge, i, &p.msg);
    }
}

void gateway_drain(struct gateway *g, uint32_t timeout_s, bool exit_after, const char *why) {
    g->exit_when_drained |= exit_after;
    if (g->draining)
        return; /* a second SIGTERM does not shorten it */
    g->draining = true;
    g->drain_deadline_ns = g->now_ns + timeout_s * SECOND_NS;
    gateway_send_policy(g);
    log_plain(LOG_INFO, "drain_started", "%s: %lu sessions, deadline in %u s", why,
              bridge_counter(&g->bridge, TGW_C_sessions), timeout_s);
}

void gateway_undrain(struct gateway *g) {
    g->draining = g->exit_when_drained = false;
    gateway_send_policy(g);
    log_plain(LOG_INFO, "drain_cancelled", "new sessions are admitted again");
}

static void on_closed(const struct tgw_ev_closed *e) {
    char message[160];
    if (!tgw_ident_valid(&e->ident))
        return;
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
    if (!tgw_ident_valid(&e->ident))
        return;
    g->replays += e->reason == TGW_R_token_replayed;
    const struct log_about about = {.ident = &e->ident,
                                    .remote = &e->remote,
                                    .reason = e->reason,
                                    .duration_us = e->duration_us};
    log_event(LOG_WARN, "session_refused", &about, tgw_reason_info(e->reason)->message);
}

static void on_event(void *ctx, uint32_t core, const union tgw_event *e) {
    struct gateway *g = ctx;
    switch (e->msg.type) {
    case TGW_EV_AUTH:
        auth_request(g, core, &e->auth);
        break;
    case TGW_EV_OPEN:
        if (tgw_ident_valid(&e->open.ident)) {
            const struct log_about about = {.ident = &e->open.ident,
                                            .remote = &e->open.remote,
                                            .duration_us = e->open.setup_us};
            log_event(LOG_INFO, "session_opened", &about, "terminal relayed");
        }
        break;
    case TGW_EV_CLOSED:
        on_closed(&e->closed);
        break;
    case TGW_EV_REFUSED:
        on_refused(g, &e->refused);
        break;
    default:
        break; /* answers to commands that nobody waits for any more */
    }
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
    if (!bridge_attach(&g->bridge, g->config.shm_path, g->now_ns, err, sizeof(err)))
        return; /* it may not have started yet: readiness tells */
    g->dataplane_terms = atomic_load(&g->bridge.shm->dataplane_term);
    gateway_send_policy(g);
    log_plain(LOG_INFO, "dataplane_attached", "%u core(s), %lu live sessions", g->bridge.cores,
              bridge_counter(&g->bridge, TGW_C_sessions));
}

static void follow_drain(struct gateway *g) {
    uint32_t terms = g->bridge.shm ? atomic_load(&g->bridge.shm->dataplane_term) : 0;
    if (terms > g->dataplane_terms) {
        g->dataplane_terms = terms;
        gateway_drain(g, (uint32_t)g->config.drain_timeout_seconds, false, "SIGTERM (dataplane)");
    }
    if (!g->draining || !g->exit_when_drained || g->finished)
        return;
    uint64_t left = bridge_counter(&g->bridge, TGW_C_sessions);
    uint64_t end_ns = g->drain_deadline_ns + TGW_DRAIN_SPREAD_MS * UINT64_C(1000000) + SECOND_NS;
    if (left > 0 && g->now_ns < end_ns)
        return;
    log_plain(LOG_INFO, "drain_finished", "%lu sessions left", left);
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
    follow_drain(g);
    return events;
}

bool gateway_ready(const struct gateway *g, cJSON *reasons) {
    if (g->draining)
        cJSON_AddItemToArray(reasons, cJSON_CreateString("draining"));
    if (!g->bridge.shm)
        cJSON_AddItemToArray(reasons, cJSON_CreateString("dataplane_unavailable"));
    return !g->draining && g->bridge.shm;
}

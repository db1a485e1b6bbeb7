/* The control process's state and what happens on an event, a command or a tick. Knows
 * no event loop: main.c owns that. */
#ifndef TGW_CONTROL_GATEWAY_H
#define TGW_CONTROL_GATEWAY_H

#include "bridge.h"
#include "capture.h"
#include "config/config.h"
#include "grant.h"
#include "histogram.h"
#include "history.h"
#include "live.h"
#include "query.h"
#include "state.h"
#include "store.h"
#include <cjson/cJSON.h>

struct gateway {
    struct config config;
    const char *config_path; /* of the file that config came from */
    char *const *envp;
    struct bridge bridge;
    struct memory_store *store;
    uint8_t secret[GRANT_SECRET_MAX];
    size_t secret_len;
    uint64_t started_ns, now_ns, now_s; /* of the turn */
    uint64_t retry_ns, sample_ns, snapshot_ns;
    struct history history;
    struct state state; /* kept in state_dir */
    bool draining, drain_ended, exit_when_drained, finished;
    uint64_t drain_deadline_ns;
    uint32_t dataplane_terms; /* SIGTERMs of the dataplane that were obeyed */
    struct live live;
    uint64_t events_lost; /* of the dataplane, as of the last synchronisation */
    struct queries queries;
    struct capture_box capture;
    /* For the metrics. */
    uint64_t consumed[TGW_REASON_COUNT];
    struct histogram consume_time, setup_time, session_time;
    double busy_ratio[TGW_CORES_MAX];
    uint64_t sampled_total[TGW_CORES_MAX], sampled_idle[TGW_CORES_MAX];
};

/* False with one line in err. */
bool gateway_init(struct gateway *g, char *err, size_t err_bytes);
void gateway_fini(struct gateway *g);
/* A turn of the loop; sets the time, attaches, beats, takes events. Returns events. */
uint32_t gateway_turn(struct gateway *g, uint64_t now_ns, uint64_t now_s);
void gateway_drain(struct gateway *g, uint32_t timeout_s, bool exit_after, const char *why);
void gateway_undrain(struct gateway *g);
void gateway_admit(struct gateway *g, uint32_t percent);
/* Take over what of `fresh` can change without a restart; names every change in the log. */
void gateway_reconfigure(struct gateway *g, const struct config *fresh,
                         const struct config_change *change, size_t changes);
void gateway_send_policy(struct gateway *g);
bool gateway_ready(const struct gateway *g, cJSON *reasons);

/* auth.c: the verdict over one request. */
void auth_request(struct gateway *g, uint32_t core, const struct tgw_ev_auth *e);
/* 32 random bytes, base64url: 43 characters and NUL. False: no randomness. */
bool token_make(char out[44], uint8_t hash[TGW_TOKEN_HASH_BYTES]);
bool token_hash(const char *token, uint8_t hash[TGW_TOKEN_HASH_BYTES]);
bool endpoint_parse(const char *text, struct tgw_endpoint *out);

#endif

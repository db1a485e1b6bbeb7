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
#include "limit.h"
#include "live.h"
#include "query.h"
#include "state.h"
#include "store.h"
#include <cjson/cJSON.h>

/* Who wants a change and why; "" where unknown. */
struct change_order {
    const char *who, *why;
};

/* Random bytes at hand: the first `left` of them, from their end. */
struct random {
    uint8_t bytes[1024];
    size_t left;
};

enum drain_end {
    DRAIN_STAYS,          /* until undrain */
    DRAIN_ENDS,           /* both processes end (SIGTERM here) */
    DRAIN_DATAPLANE_ENDS, /* SIGTERM there */
};

struct gateway {
    struct config config;
    const char *config_path; /* of the file that config came from */
    char *const *envp;
    struct bridge bridge;
    struct token_store store;
    bool store_up;
    uint64_t (*clock_ns)(void); /* how long the store takes; NULL: the turn's time */
    struct grant_key grant_key;
    struct random random;
    uint64_t started_ns, now_ns, now_s; /* of the turn */
    uint64_t retry_ns, sample_ns, snapshot_ns;
    struct history history;
    struct state state; /* kept in state_dir */
    bool draining, drain_ended, finished;
    enum drain_end drain_end;
    uint64_t drain_deadline_ns;
    uint64_t drain_sessions, drain_timeouts; /* at its start: live; closed by earlier drains */
    uint32_t dataplane_terms;                /* SIGTERMs of the dataplane that were obeyed */
    struct live live;
    struct map waiting; /* handle -> request that waits for the store (auth.c) */
    struct limit source_rate, user_rate;
    uint64_t events_lost; /* of the dataplane, as of the last synchronisation */
    struct queries queries;
    struct capture_box capture;
    /* For the metrics. */
    uint64_t consumed[TGW_REASON_COUNT];
    struct histogram consume_time, setup_time, session_time;
    double busy_ratio[TGW_CORES_MAX];
    uint64_t sampled_total[TGW_CORES_MAX], sampled_idle[TGW_CORES_MAX];
};

/* With `store` as main.c has opened it, else the embedded one. False with one line in err. */
bool gateway_init(struct gateway *g, char *err, size_t err_bytes);
void gateway_fini(struct gateway *g);
/* A turn of the loop; sets the time, attaches, beats, takes events. Returns events. */
uint32_t gateway_turn(struct gateway *g, uint64_t now_ns, uint64_t now_s);
/* A drain under way is not begun again; one that ends a process may bring its deadline
 * forward, once. */
void gateway_drain(struct gateway *g, uint32_t timeout_s, enum drain_end end,
                   const struct change_order *o);
/* False: a process is ending already. */
bool gateway_undrain(struct gateway *g, const struct change_order *o);
void gateway_admit(struct gateway *g, uint32_t percent, const struct change_order *o);
/* Take over what of `fresh` can change without a restart; names every change in the log. */
void gateway_reconfigure(struct gateway *g, const struct config *fresh,
                         const struct config_change *change, size_t changes);
void gateway_send_policy(struct gateway *g);
bool gateway_ready(const struct gateway *g, cJSON *reasons);

/* auth.c: the verdict over one request. */
void auth_request(struct gateway *g, uint32_t core, const struct tgw_ev_auth *e);
void auth_gone(struct gateway *g, const struct tgw_ev_auth_gone *e);
/* 32 random bytes, base64url: 43 characters and NUL. False: no randomness. */
bool token_make(char out[44], uint8_t hash[TGW_TOKEN_HASH_BYTES]);
bool token_hash(const char *token, uint8_t hash[TGW_TOKEN_HASH_BYTES]);
bool endpoint_parse(const char *text, struct tgw_endpoint *out);

#endif

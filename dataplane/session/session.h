/* Terminal sessions of one core: from an accepted stream over the request head, the
 * verdict of the control process and the agent's upgrade to the relay and the end.
 *
 * Sees streams, ring messages and time; no TCP, no mbuf, no clock. The same code runs
 * in tests over in-memory streams.
 *
 * Order of checks (a refusal never burns a token): syntax, draining, capacity here;
 * admission share, origin, rate limit, token in the control process. */
#ifndef TGW_SESSION_SESSION_H
#define TGW_SESSION_SESSION_H

#include "contract/cmd.h"
#include "contract/counters.h"
#include "core/probe.h"
#include "core/stream.h"

struct session_table;

/* What sessions need from below and beside; all called on the owning core. */
struct session_env {
    /* Active open to the agent; handler calls follow. impl NULL: no port, no TCB. */
    struct stream (*dial)(void *ctx, const struct tgw_endpoint *agent,
                          const struct stream_handler *handler, void *user);
    /* Make `handler`/`user` the owner of a stream. */
    void (*set_owner)(void *ctx, struct stream s, const struct stream_handler *handler, void *user);
    /* Queue an event; false: the ring is full (already counted). */
    bool (*emit)(void *ctx, const struct tgw_msg *event);
    /* Memory is left for another session: its agent leg, buffers, packets. */
    bool (*room)(void *ctx);
    /* So little is left that sessions who would read their data come to harm. */
    bool (*starving)(void *ctx);
    /* Non-predictable bytes for masking keys, correlation ids, handshake keys. */
    void (*random)(void *ctx, void *out, size_t bytes);
    void *ctx;
    struct probe *probe; /* NULL: nobody samples */
};

struct session_config {
    uint32_t core;
    uint32_t sessions_max;       /* pool size: live and pending together */
    uint32_t relay_buffer_bytes; /* stop reading one leg while the other has this much queued */
    bool huge_pages;
    struct tgw_counters *counters;
};

struct session_table *session_table_create(const struct session_config *c,
                                           const struct session_env *env, uint64_t now_ns);
/* Aborts everything that lives. */
void session_table_destroy(struct session_table *t);

/* Sets the time of the turn: before any stream handler runs. */
void session_begin(struct session_table *t, uint64_t now_ns);

/* For tcp_listener.accepted: the owner for handler calls, NULL to refuse (no memory). */
void *session_accept(struct session_table *t, struct stream s, const struct tgw_endpoint *remote);
extern const struct stream_handler session_client_handler;

/* A validated-by-length message from the command ring; contents are checked here. */
void session_command(struct session_table *t, const union tgw_cmd *cmd);

/* Both legs of a live session as `ss` would show them: the client's, the agent's. False: no
 * live session has that handle. */
bool session_legs(const struct session_table *t, tgw_handle h, struct tgw_leg_state out[2]);

/* The control process went away or (with another epoch) came back: what waits for a
 * verdict is refused with control_unavailable. While `up` is false new sessions are too. */
void session_control(struct session_table *t, bool up, uint64_t epoch);

/* Timers due; also carries on lists and the drain's spread closing. Returns
 * how many timers fired. */
uint32_t session_advance(struct session_table *t, uint64_t now_ns);
/* Earliest time session_advance has work; UINT64_MAX: none. */
uint64_t session_next_timer(const struct session_table *t);

struct session_usage {
    uint32_t live, pending;
    bool draining, drained; /* drained: draining and nothing is left */
    uint64_t bytes;         /* of all that is in use, blobs included */
};
void session_usage(const struct session_table *t, struct session_usage *out);
/* Bytes of state of one session, its ident and both legs' TCP aside. */
size_t session_bytes(void);
/* Bytes that a session keeps of an ident, as allocated. */
size_t session_ident_bytes(const struct tgw_ident *ident);
/* Tests: walk everything and assert the invariants. */
void session_check(const struct session_table *t);

#endif

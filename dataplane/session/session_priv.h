/* Private to session/: what its files offer each other. */
#ifndef TGW_SESSION_PRIV_H
#define TGW_SESSION_PRIV_H

#include "session/session_state.h"

/* table.c */
extern const struct stream_handler session_agent_handler;
void session_free(struct session *s);
void session_arm(struct session *s);
void session_deadline(struct session *s, uint32_t ms);
tgw_handle session_handle(const struct session *s);
/* The session at an index, NULL when the slot is free. */
struct session *session_at(const struct session_table *t, uint32_t index);
void session_left_pending(struct session *s);
static inline struct stream *session_stream(struct session *s, enum side side) {
    return &s->leg[side].stream;
}

/* blob.c */
bool blobs_init(struct blobs *b, uint32_t count, bool huge);
void blobs_fini(struct blobs *b);
void *blob_alloc(struct blobs *b, size_t bytes);
/* As allocated; 0: too large for any class. */
size_t blob_bytes(size_t bytes);
/* A new session's idents, setup and grant fit in. */
bool blobs_room(const struct blobs *b);
/* Wipes it: blobs hold tokens and grants. NULL is ignored. */
void blob_free(struct blobs *b, void *blob);

/* ident.c */
/* Nobody yet, from there. False: no memory. */
bool who_begin(struct session *s, const struct tgw_endpoint *remote);
bool who_is_for(const struct session *s, const char *allocation_id);
/* Replace the ident, keeping the endpoints. False: no memory, all as it was. */
bool who_set(struct session *s, const struct tgw_ident *ident);
void who_get(const struct session *s, struct tgw_ident *out);
/* who_get, with correlation and trace id made up where none is known. */
void who_complete(struct session *s, struct tgw_ident *out);

/* head.c */
void head_readable(struct session *s);

/* refuse.c */
/* Answer with the reason and end the request. The session may be gone after it. */
void refuse(struct session *s, enum tgw_reason reason);
/* The answer is written: wait for the peer to read it. */
void linger(struct session *s);
void linger_readable(struct session *s);
void setup_free(struct session *s);

/* dial.c */
void dial_verdict(struct session *s, const struct tgw_cmd_verdict *v);
void dial_connected(struct session *s);
void dial_readable(struct session *s);
void dial_closed(struct session *s, enum stream_end end);

/* live.c */
void live_start(struct session *s);
/* Move what can be moved from one leg to the other. */
void live_pump(struct session *s, enum side from);
void live_closed(struct session *s, enum side side, enum stream_end end);
/* Take the leg out of the stalled gauge. */
void live_unstall(struct session *s, enum side to);

/* frames.c: what the gateway itself writes to a leg */
bool frame_boundary(const struct session *s, enum side to);
void frame_pong(struct session *s, enum side to, const struct relay_control *ping);
void frame_close(struct session *s, enum side to, const uint8_t *payload, size_t len);
/* Write what is owed, as far as boundaries and room allow. */
void frames_flush(struct session *s, enum side to);
bool frames_owed(const struct session *s, enum side to);
/* True when only more room, of which nobody will tell us, lets an owed frame go. */
bool frames_need_poll(const struct session *s);

/* close.c */
/* The gateway ends the session: Close with the reason's code to both legs. */
void close_begin(struct session *s, enum tgw_reason reason);
/* A peer's Close: answered, and passed on as it is. */
void close_from(struct session *s, enum side side, const struct relay_control *close);
/* A leg that ended without a Close, or answers nothing. */
void close_lost(struct session *s, enum side side);
/* The session of a peer that does not read, when its memory is needed: no Close gets
 * through to that leg, the other one is told. The session may be gone after it. */
void close_shed(struct session *s, enum side stuck);
/* A leg broke the framing. */
void close_broken(struct session *s, enum side side, enum tgw_reason reason);
void close_pump(struct session *s, enum side from);
/* End the session when both legs are done. It may be gone after it. */
void close_settle(struct session *s);
void close_finish(struct session *s);

/* policy.c */
void policy_timer(struct session *s);
/* Something came from that leg: its silence starts now. */
static inline void leg_heard(struct session *s, enum side side) {
    s->leg[side].heard_ms = s->table->now_ms;
    s->leg[side].pings = 0;
}
uint64_t policy_next(const struct session *s);

/* drain.c */
void drain_command(struct session_table *t, bool draining, uint32_t deadline_ms);
void drain_advance(struct session_table *t);
uint64_t drain_next(const struct session_table *t);
bool drain_over(const struct session_table *t);
void drain_greet(struct session *s);

/* shed.c */
void shed_advance(struct session_table *t);

/* list.c */
bool list_start(struct session_table *t, const struct tgw_cmd_list *cmd);
void list_advance(struct session_table *t);
bool list_pending(const struct session_table *t);

/* events.c */
bool event_auth(struct session *s, const struct http1_request *r);
void event_auth_gone(struct session *s);
void event_open(struct session *s, const struct tgw_ident *ident);
void event_closed(struct session *s);
void event_refused(struct session *s, enum tgw_reason reason, const struct tgw_ident *ident,
                   bool as_close, bool asked);
bool event_session(struct session *s, uint32_t seq);
void event_legs(struct session *s, struct tgw_leg_state out[2]);
bool event_list_end(struct session_table *t, const struct list *l);
void event_done(struct session_table *t, uint32_t seq, enum tgw_reason reason);
bool event_drain_state(struct session_table *t, bool finished);

#endif

/* A session table between in-memory streams, a recorded event ring and a virtual clock. */
#ifndef TESTS_SESSION_RIG_H
#define TESTS_SESSION_RIG_H

#include "session/session.h"
#include "tests/lib/suite.h"
#include "web/ws.h"

/* One stream end as the session sees it; the test plays the peer. */
struct fake {
    uint8_t *in, *out; /* in: peer to session; out: session to peer */
    size_t in_len, in_off, out_len, out_off, in_size, out_size;
    size_t span;  /* longest span that peek shows */
    size_t queue; /* bytes the send queue holds */
    bool in_fin, fin, released, aborted, dead, want_room;
    const struct stream_handler *handler;
    void *user;
};

enum { RIG_EVENTS = 8192, RIG_FAKES = 4096 };

struct rig {
    struct session_table *table;
    struct tgw_counters counters;
    uint64_t now_ns;
    union tgw_event *event;
    uint32_t events, events_room; /* emit fails once the room is used up */
    uint32_t events_most;         /* `events` may be set back */
    struct fake *fake[RIG_FAKES];
    uint32_t fakes;
    struct fake *agent; /* the last one dialled */
    bool dial_fails, no_room, starving;
    bool any_verdict; /* grants and agents are not those of the rig */
    uint64_t random;
};

/* A browser and its agent, opened. */
struct pair {
    struct fake *client, *agent;
    tgw_handle handle;
};

void rig_init(struct rig *r, uint32_t sessions_max);
/* Checks the table's invariants, ends it, frees the streams. */
void rig_fini(struct rig *r);
/* Let time pass, in steps no longer than the next timer. */
void rig_wait(struct rig *r, uint64_t ms);
uint64_t rig_random(struct rig *r);

struct fake *rig_connect(struct rig *r);
void fake_send(struct rig *r, struct fake *f, const void *data, size_t len);
void fake_text(struct rig *r, struct fake *f, const char *text);
void fake_fin(struct rig *r, struct fake *f);
void fake_end(struct rig *r, struct fake *f, enum stream_end end);
/* Read up to len bytes of what the session wrote; opens room. */
size_t fake_read(struct rig *r, struct fake *f, void *out, size_t len);
bool fake_wrote(const struct fake *f, const char *text);
/* A frame as that side sends it: masked when `mask`. */
void fake_frame(struct rig *r, struct fake *f, uint8_t op, const void *payload, size_t len,
                bool mask);
/* Next frame that the session wrote, payload unmasked. False: none whole. */
bool fake_next(struct rig *r, struct fake *f, struct ws_frame *head, uint8_t *payload, size_t size);
/* The next frame is a Close with this code and text. */
bool fake_closed_with(struct rig *r, struct fake *f, unsigned code, const char *text);

/* A request; extra: further field lines. */
void rig_request(struct rig *r, struct fake *f, const char *target, const char *extra);
union tgw_event *rig_event(struct rig *r, unsigned type); /* the last of that type, or NULL */
uint32_t rig_count(const struct rig *r, unsigned type);
void rig_verdict(struct rig *r, tgw_handle h, unsigned reason, uint32_t ttl_s, uint32_t idle_s);
void rig_policy(struct rig *r, bool draining, uint32_t deadline_ms, uint32_t max, bool as_close);
/* The agent accepts and answers 101 to the key it was sent. */
void rig_agent_accepts(struct rig *r, struct fake *agent);
struct pair rig_open(struct rig *r, const char *query, uint32_t ttl_s, uint32_t idle_s);
uint64_t rig_reason(const struct rig *r, enum tgw_reason reason);
uint64_t rig_counter(const struct rig *r, enum tgw_counter c);
struct session_usage rig_usage(const struct rig *r);

#endif

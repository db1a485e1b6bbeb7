/* Private to session/: one core's sessions and what a session is made of.
 *
 * A session walks HEAD -> AUTH -> DIAL -> RELAY -> CLOSING; a request that is answered
 * with an error or a health document goes to LINGER. Two legs, each with its stream
 * and the direction of frames that come *from* it: what is written to a leg belongs
 * to the other leg's direction. */
#ifndef TGW_SESSION_STATE_H
#define TGW_SESSION_STATE_H

#include "agent/agent.h"
#include "core/pool.h"
#include "core/timer.h"
#include "relay/relay.h"
#include "session/session.h"

enum { NS_A_MS = 1000000, BLOB_CLASSES = 9, LISTS_MAX = 4 };

enum session_state {
    SESSION_FREE,
    SESSION_HEAD,    /* request head not whole yet */
    SESSION_AUTH,    /* waits for the verdict of the control process */
    SESSION_DIAL,    /* agent dialled, its answer not whole yet */
    SESSION_RELAY,   /* 101 sent */
    SESSION_CLOSING, /* Close frames under way */
    SESSION_LINGER,  /* answered; until the peer has read and closed */
};

enum side { CLIENT, AGENT };

enum leg_flag {
    LEG_PING_OWED = 1,
    LEG_PONG_OWED = 2,  /* payload in owed */
    LEG_CLOSE_OWED = 4, /* payload in owed */
    LEG_CLOSE_SENT = 8, /* nothing more may be written */
    LEG_CLOSE_GOT = 16, /* or its frames cannot be read any more */
    LEG_EOF = 32,       /* its FIN, or the stream is dead */
    LEG_CUT = 64,       /* ends in mid-frame: no Close can be written */
    LEG_STALLED = 128,  /* counted in the gauge: cannot take what we have */
};

enum session_flag {
    NOTICE_IDLE_OWED = 1,
    NOTICE_DRAIN_OWED = 2,
    NOTICE_IDLE_DONE = 4, /* since the last data frame */
};

struct leg {
    struct stream stream;
    struct relay_dir in; /* frames from this leg */
    uint32_t heard_ms;   /* last byte from it, of now_ms */
    uint8_t pings;       /* since then */
    uint8_t flags;       /* enum leg_flag */
};

/* What a request needs until its 101; the token for the echo stands behind it. */
struct setup {
    uint64_t verdict_ns;
    char *grant; /* a blob */
    char ws_key[25];
    uint8_t has_origin;
    uint16_t cols, rows;
    uint8_t agent_key[16];
    uint32_t session_ttl_s;
    uint16_t protocol_len;
    char protocol[];
};

/* Who a session belongs to, packed: eight texts without NULs one after the other. */
struct who {
    struct tgw_endpoint remote, agent;
    uint8_t len[8];
    char text[];
};

/* Frames that wait for a frame boundary or for room, by leg. Rarely needed. */
struct owed {
    struct {
        uint8_t pong_len, close_len;
        uint8_t pong[TGW_WS_CONTROL_PAYLOAD_MAX], close[TGW_WS_CONTROL_PAYLOAD_MAX];
    } leg[2];
};

/* Two cache lines for a frame that goes over, one for all else. */
struct session {
    struct session_table *table;
    struct leg leg[2];
    uint64_t data_ns; /* last data frame, either direction */
    uint32_t index;
    union {
        uint32_t head_seen; /* HEAD */
        uint32_t idle_s;    /* from the verdict on; 0: no limit */
    };
    uint16_t reason, close_code; /* CLOSING */
    uint8_t state, mode;
    uint8_t flags;       /* enum session_flag */
    uint8_t drain_round; /* the drain announcement it has heard */

    struct timer timer;
    struct who *who;
    union {
        struct setup *setup; /* until the 101 */
        struct owed *owed;   /* after it */
    };
    uint64_t accepted_ns;
    uint64_t deadline_ns; /* of the state; RELAY: of the TTL, 0: none */
};
_Static_assert(offsetof(struct session, timer) == 128, "two hot lines");
_Static_assert(sizeof(struct session) <= 192, "three cache lines a session");

/* Blobs of a few sizes for what varies: idents, setups, grants, owed frames. */
struct blobs {
    struct pool size[BLOB_CLASSES];
};

struct list {
    uint32_t seq; /* of the command */
    uint32_t cursor, left, sent;
    bool active;
};

struct drain {
    bool active;
    bool state_owed, finished_owed; /* events that did not fit their ring yet */
    bool finished;
    uint8_t round; /* counts announcements */
    uint32_t asked_ms;
    uint64_t deadline_ns;
    uint32_t notice_cursor;
    uint32_t close_cursor, close_total, closed; /* of the spread */
    bool closing;
};

struct session_table {
    struct session_config config;
    struct session_env env;
    struct pool pool;
    struct blobs blobs;
    struct timer_wheel wheel;
    uint32_t *generation; /* by index; outlives the object */
    uint64_t now_ns, epoch;
    uint32_t now_ms; /* of now_ns */
    bool control_up, token_store_unavailable, refusals_as_close;
    uint32_t sessions_max; /* of the policy */
    uint32_t live, pending, lingering;
    uint32_t stalled[2]; /* by side */
    uint64_t shed_ns;    /* not before */
    uint32_t shed_cursor;
    struct drain drain;
    struct list list[LISTS_MAX];
    struct relay_control control;
    uint8_t head[TGW_HEAD_BYTES_MAX]; /* one request or answer head at a time */
    char out[TGW_HEAD_BYTES_MAX];     /* one answer or request on its way out */
};

#endif

/* Events: dataplane core to control process, over the core's event ring. */
#ifndef TGW_CONTRACT_EVENT_H
#define TGW_CONTRACT_EVENT_H

#include "contract/check.h"
#include "contract/ident.h"
#include "contract/reason.h"
#include "contract/ring.h"
#include <stddef.h>

enum tgw_event_type {
    TGW_EV_AUTH = 1,    /* a request waits for the verdict */
    TGW_EV_AUTH_GONE,   /* ... and waits no more: the client left or the deadline passed */
    TGW_EV_OPEN,        /* 101 sent */
    TGW_EV_CLOSED,      /* an accepted session ended */
    TGW_EV_REFUSED,     /* a request was refused (after or before a verdict) */
    TGW_EV_SESSION,     /* answer to TGW_CMD_LIST / TGW_CMD_SHOW: one live session */
    TGW_EV_LIST_END,    /* the list of that seq is complete on this core */
    TGW_EV_DONE,        /* answer to any other command */
    TGW_EV_PORT,        /* answer to TGW_CMD_PROBE */
    TGW_EV_DRAIN_STATE, /* drain started / progressed / finished on this core */
    TGW_EV_PACKET,      /* of the capture of that seq */
    TGW_EV_TRACE,       /* a connection died abnormally: its last events */
};

enum tgw_frame_mode { TGW_MODE_RAW = 0, TGW_MODE_CHANNEL = 1 };

/* The token itself never leaves the core: only its SHA-256 does. */
struct tgw_ev_auth {
    struct tgw_msg msg;
    tgw_handle handle;
    uint8_t token_hash[TGW_TOKEN_HASH_BYTES];
    struct tgw_endpoint remote;
    uint8_t has_origin; /* a browser */
    uint8_t mode;       /* enum tgw_frame_mode */
    uint16_t cols, rows;
    uint16_t reserved;
    char allocation_id[TGW_ALLOCATION_ID_MAX + 1];
    char correlation_id[TGW_CORRELATION_ID_MAX + 1]; /* request's own, else "" */
    char trace_id[TGW_TRACE_ID_HEX + 1];             /* of traceparent, else "" */
    char origin[TGW_ORIGIN_MAX + 1];                 /* the message may end behind its NUL */
};

/* Of a request whose origin is in it. */
static inline uint16_t tgw_auth_bytes(const struct tgw_ev_auth *e) {
    return (uint16_t)(offsetof(struct tgw_ev_auth, origin) +
                      strnlen(e->origin, sizeof(e->origin) - 1) + 1);
}

struct tgw_ev_auth_gone {
    struct tgw_msg msg;
    tgw_handle handle;
};

struct tgw_ev_open {
    struct tgw_msg msg;
    tgw_handle handle;
    struct tgw_endpoint remote, agent;
    uint64_t setup_us; /* accept to 101 */
    uint64_t dial_us;  /* verdict to the agent's 101 */
    uint8_t mode;
    uint8_t reserved[7];
    struct tgw_ident ident;
};

struct tgw_ev_closed {
    struct tgw_msg msg;
    tgw_handle handle;
    uint16_t reason;     /* enum tgw_reason, kind CLOSE */
    uint16_t close_code; /* as it went or would go on the wire; 0: none (reset) */
    uint32_t reserved;
    struct tgw_endpoint remote, agent;
    uint64_t duration_us;
    uint64_t bytes_to_agent, bytes_to_client;
    uint64_t frames_to_agent, frames_to_client;
    struct tgw_ident ident;
};

struct tgw_ev_refused {
    struct tgw_msg msg;
    tgw_handle handle; /* 0 where none was given out */
    uint16_t reason;   /* enum tgw_reason, kind REFUSE */
    uint16_t http_status;
    uint8_t as_close; /* upgraded and closed, because browser_refusals is "close" */
    uint8_t asked;    /* TGW_EV_AUTH has told of the request; or there was none (TLS) */
    uint8_t reserved[2];
    uint64_t duration_us; /* accept to refusal */
    struct tgw_endpoint remote;
    struct tgw_ident ident; /* what is known; correlation_id and trace_id always */
};

/* One live session, in the form of `ss -ti` for both legs. */
struct tgw_leg_state {
    struct tgw_endpoint local, peer;
    char state[16]; /* RFC 9293 name */
    uint32_t cwnd_bytes, ssthresh_bytes, mss;
    uint32_t srtt_us, rttvar_us, rto_us;
    uint32_t snd_wnd, rcv_wnd, unacked_bytes, queued_bytes, unread_bytes;
    uint32_t retransmits;
    uint64_t bytes_in, bytes_out;
};

struct tgw_ev_session {
    struct tgw_msg msg;
    tgw_handle handle;
    uint64_t age_us, idle_us;
    uint64_t bytes_to_agent, bytes_to_client;
    uint64_t frames_to_agent, frames_to_client;
    uint8_t mode, reserved[7];
    struct tgw_ident ident;
    struct tgw_leg_state client, agent;
};

struct tgw_ev_list_end {
    struct tgw_msg msg;
    uint32_t core, sessions;
};

struct tgw_ev_done {
    struct tgw_msg msg;
    uint16_t reason; /* TGW_OK, or why not: TGW_R_not_found, TGW_R_cmd_invalid */
    uint16_t reserved;
    uint32_t core;
};

struct tgw_ev_drain_state {
    struct tgw_msg msg;
    uint32_t core;
    uint32_t sessions_left;
    uint8_t draining, finished, reserved[6];
};

/* A connection ended by reset, timeout or error: its last events as text. */
struct tgw_ev_trace {
    struct tgw_msg msg;
    struct tgw_endpoint local, remote;
    uint8_t timeout, reserved[7];  /* 1: the peer stopped answering; 0: reset */
    char text[TGW_TRACE_TEXT_MAX]; /* NUL-terminated, printable ASCII */
};

struct tgw_ev_port {
    struct tgw_msg msg;
    uint32_t port; /* index */
    uint32_t reserved;
    struct tgw_endpoint neighbour; /* who was asked; all zero: the port has none */
    struct tgw_check_result check[TGW_CHECK_COUNT];
};

/* As many bytes as are kept: `len` ends with the last of them. */
struct tgw_ev_packet {
    struct tgw_msg msg;
    uint64_t at_ns; /* CLOCK_MONOTONIC */
    uint32_t frame_bytes;
    uint16_t kept;
    uint8_t iface;
    uint8_t out; /* 1: sent by the gateway */
    uint8_t data[TGW_PACKET_BYTES_MAX];
};

union tgw_event {
    struct tgw_msg msg;
    struct tgw_ev_auth auth;
    struct tgw_ev_auth_gone auth_gone;
    struct tgw_ev_open open;
    struct tgw_ev_closed closed;
    struct tgw_ev_refused refused;
    struct tgw_ev_session session;
    struct tgw_ev_list_end list_end;
    struct tgw_ev_done done;
    struct tgw_ev_drain_state drain_state;
    struct tgw_ev_port port;
    struct tgw_ev_packet packet;
    struct tgw_ev_trace trace;
    unsigned char slot[TGW_EVENT_SLOT_BYTES];
};
_Static_assert(sizeof(union tgw_event) == TGW_EVENT_SLOT_BYTES, "every event fits its slot");

#endif

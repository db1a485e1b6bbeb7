/* Commands: control process to one dataplane core, over the core's command ring.
 * The core validates every field: the control process may be compromised. */
#ifndef TGW_CONTRACT_CMD_H
#define TGW_CONTRACT_CMD_H

#include "contract/event.h"

enum tgw_cmd_type {
    TGW_CMD_VERDICT = 1, /* answer to TGW_EV_AUTH */
    TGW_CMD_POLICY,      /* the whole policy; the last one counts */
    TGW_CMD_LIST,        /* answer: TGW_EV_SESSION ..., TGW_EV_LIST_END */
    TGW_CMD_SHOW,        /* answer: TGW_EV_SESSION, or TGW_EV_DONE not_found */
    TGW_CMD_KILL,        /* answer: TGW_EV_DONE */
    TGW_CMD_PROBE,       /* to core 0; answer: TGW_EV_PORT after some seconds, or TGW_EV_DONE */
    TGW_CMD_CAPTURE,     /* answer: TGW_EV_DONE, then TGW_EV_PACKET while it lasts */
};

struct tgw_cmd_verdict {
    struct tgw_msg msg;
    tgw_handle handle;
    uint16_t reason; /* TGW_OK: go on and dial; else a REFUSE reason */
    uint16_t reserved;
    uint32_t session_ttl_s;  /* 0: no limit */
    uint32_t idle_timeout_s; /* 0: no limit */
    struct tgw_endpoint agent;
    struct tgw_ident ident; /* on a refusal what is known; correlation_id and trace_id always */
    char grant[TGW_GRANT_MAX + 1]; /* the message may end behind its NUL */
};

/* Of a verdict whose grant is in it. */
static inline uint16_t tgw_verdict_bytes(const struct tgw_cmd_verdict *v) {
    return (uint16_t)(offsetof(struct tgw_cmd_verdict, grant) +
                      strnlen(v->grant, sizeof(v->grant) - 1) + 1);
}

struct tgw_cmd_policy {
    struct tgw_msg msg;
    uint8_t draining;
    uint8_t refusals_as_close;       /* browser_refusals: "close" */
    uint8_t token_store_unavailable; /* readiness only: the store is down just now */
    uint8_t reserved;
    uint32_t sessions_max;      /* over this core; at most what its pool holds */
    uint32_t drain_deadline_ms; /* from now until live sessions are closed; while draining */
    uint32_t admit_percent;     /* shown only; control decides */
};

struct tgw_cmd_list {
    struct tgw_msg msg;
    uint32_t first_index; /* start of the walk */
    uint32_t sessions_max;
};

struct tgw_cmd_session { /* SHOW, KILL */
    struct tgw_msg msg;
    tgw_handle handle;
};

struct tgw_cmd_probe {
    struct tgw_msg msg;
    uint32_t port; /* index */
    uint32_t reserved;
};

/* The packets of a session; a core has one capture at a time, the last one asked for. */
struct tgw_cmd_capture {
    struct tgw_msg msg;
    tgw_handle handle;
    uint32_t duration_ms; /* 0: end the one that runs */
    uint8_t payload;      /* 0: headers only */
    uint8_t reserved[3];
};

union tgw_cmd {
    struct tgw_msg msg;
    struct tgw_cmd_verdict verdict;
    struct tgw_cmd_policy policy;
    struct tgw_cmd_list list;
    struct tgw_cmd_session session;
    struct tgw_cmd_probe probe;
    struct tgw_cmd_capture capture;
    unsigned char slot[TGW_CMD_SLOT_BYTES];
};
_Static_assert(sizeof(union tgw_cmd) == TGW_CMD_SLOT_BYTES, "every command fits its slot");

#endif

/* Private to the rig: one core that plays many browsers and many agents on the project's
 * own stack, over one or two ports. */
#ifndef TGW_RIG_RIG_H
#define TGW_RIG_RIG_H

#include "calm.h"
#include "hist.h"
#include "plan.h"
#include "tcp/tcp.h"
#include "tls/tls.h"

/* What the first byte of a typed frame asks of the agent. */
enum ask {
    ASK_ECHO = 'e',    /* the frame back */
    ASK_DISCARD = 'd', /* nothing */
    ASK_OUTPUT = 'o',  /* so many bytes of output: u32, little-endian, in the next four */
    ASK_FLOOD = 'f',   /* output without end */
};

/* Counted since the start of the run. */
struct tally {
    uint64_t opened, refused, failed, lost, closed; /* browser sessions */
    uint64_t typed, answered;                       /* frames of ASK_ECHO */
    uint64_t bytes_sent, bytes_received;            /* payload, browsers */
    uint64_t pings;                                 /* answered by browsers */
    uint64_t corrupt;                               /* echoes that are not what was typed */
    uint64_t agent_sessions, agent_frames, agent_bytes_sent, agent_bytes_received, agent_pings;
    uint64_t agent_refused; /* upgrades without a grant */
};

struct browsers;
struct agents;
struct ticket;

struct rig {
    struct plan plan;
    struct net_config net_config;
    struct net *net;
    struct tcp_stack *tcp;
    struct tls_context *tls_context; /* NULL: browsers speak plain */
    struct tls_workers *tls_workers;
    struct tls_core *tls;
    struct ticket *ticket;         /* that browsers resume from */
    struct tgw_endpoint dial_from; /* of the TLS connection that is being dialled */
    struct tgw_counters *counters;
    uint64_t now_ns, tick_ns;
    struct tally tally;
    struct hist latency, setup; /* of the measured window */
    struct hist undisturbed;    /* the part of `latency` that no stall reached */
    struct calm calm;
    bool measuring;
    char refusal[256];     /* the first one's last line: what is wrong */
    uint8_t *output_frame; /* what agents write: header and output_bytes of text */
    size_t output_frame_bytes;
    struct browsers *browsers;
    struct agents *agents;
};

/* cast.c. The plan is filled in, EAL and ports are up. False with one line in err; stop it
 * even so. */
bool rig_start(struct rig *rig, struct port *port[], struct rte_mempool *mbufs, char *err,
               size_t err_bytes);
void rig_stop(struct rig *rig);
/* A turn: what came in, then what is to go out. */
void rig_begin(struct rig *rig, uint64_t now_ns);
void rig_end(struct rig *rig);
/* In and out, since the start. */
uint64_t rig_segments(const struct rig *rig);

/* secure.c: TLS of the browsers. Without plan.tls_ca it does nothing. */
bool secure_start(struct rig *rig, char *err, size_t err_bytes);
void secure_stop(struct rig *rig);
/* False: wait; the ticket that browsers are to resume from is still under way. */
bool secure_ready(struct rig *rig);
/* As tcp_connect_from, with TLS where the plan has it. */
struct stream secure_connect(struct rig *rig, const struct tgw_endpoint *from,
                             const struct tgw_endpoint *to, const struct stream_handler *handler,
                             void *user);

/* ticket.c: NULL: no memory. It dials when first asked whether it is ready. */
struct ticket *ticket_create(struct rig *rig);
void ticket_destroy(struct ticket *t);
/* True from when there is a ticket, or none will come. */
bool ticket_ready(struct ticket *t);

/* browsers.c. A session is named by its index; it is opened once, or in turn (churn). */
struct browsers *browsers_create(struct rig *rig, char *err, size_t err_bytes);
void browsers_destroy(struct browsers *b);
/* Dial for session `i`; due_ns: when it was to be opened. False: no token or no memory. */
bool browser_open(struct browsers *b, uint32_t i, uint64_t due_ns);
bool browser_is_idle(const struct browsers *b, uint32_t i); /* not begun, or ended */
bool browser_is_open(const struct browsers *b, uint32_t i); /* 101 seen, no Close yet */
/* A keystroke was due at due_ns: type it, now or as soon as there is room. */
void browser_type(struct browsers *b, uint32_t i, uint64_t due_ns);
/* Closed loop: keep plan.window keystrokes under way until browsers_rest. */
void browser_type_on(struct browsers *b, uint32_t i);
void browsers_rest(struct browsers *b);
void browser_paste(struct browsers *b, uint32_t i, uint64_t bytes);
void browser_ask(struct browsers *b, uint32_t i, enum ask ask, uint32_t bytes);
void browser_abort(struct browsers *b, uint32_t i);
uint32_t browsers_opening(const struct browsers *b);
uint32_t browsers_idle(const struct browsers *b);

/* agents.c */
struct agents *agents_create(struct rig *rig, char *err, size_t err_bytes);
void agents_destroy(struct agents *a);
uint32_t agents_live(const struct agents *a);

#endif

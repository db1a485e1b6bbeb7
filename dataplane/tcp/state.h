/* The transmission control block, and what a look at it tells; private to tcp/. */
#ifndef TGW_TCP_STATE_H
#define TGW_TCP_STATE_H

#include "tcp/flight.h"
#include "tcp/seq.h"
#include "tcp/stack.h"
#include <assert.h>
#include <stddef.h>

enum tcp_state {
    TCP_CLOSED,
    TCP_SYN_SENT,
    TCP_SYN_RECEIVED,
    TCP_ESTABLISHED,
    TCP_FIN_WAIT_1,
    TCP_FIN_WAIT_2,
    TCP_CLOSE_WAIT,
    TCP_CLOSING,
    TCP_LAST_ACK,
    TCP_TIME_WAIT,
};

enum {
    TCP_DUPACKS = 3, /* RFC 5681 section 3.2 */
    TCP_WSCALE = 5,
    TCP_SYN_TRIES = 6,
    TCP_MSS_DEFAULT = 536, /* RFC 9293 section 3.7.1 */
    TCP_TS_BYTES = 12,
    TCP_OPTIONS_MAX = 40,
};

/* Deadlines of one connection; its one timer is set to the earliest. */
enum tcp_deadline { TCP_D_RTX, TCP_D_KEEPALIVE, TCP_D_LIFE, TCP_D_COUNT };

/* Two cache lines for a segment in order and its ACK, a third that timers and rare events
 * touch. A connection that is quiet has nothing else. */
struct tcb {
    /* Line 1: who. */
    struct tcp_stack *stack;
    const struct stream_handler *handler;
    void *user;                /* NULL: nobody owns it */
    struct tcp_flight *flight; /* NULL: quiet */
    struct ip_addr remote, local;

    /* Line 2: where it stands. */
    uint16_t lport, rport;
    uint32_t snd_una, snd_nxt, snd_max, snd_wnd, snd_wl1;
    uint32_t rcv_nxt, rcv_adv; /* rcv_adv: right edge promised so far */
    uint32_t rcv_acked;        /* what our last segment acknowledged */
    uint32_t ts_recent;
    uint32_t cwnd, srtt_us;
    uint32_t last_in_ms; /* of tcp_now_ms(): differences up to 24 days are looked at */
    uint16_t mss;
    uint8_t state; /* enum tcp_state */
    uint8_t snd_wscale : 4, rcv_wscale : 4;
    uint8_t iface;
    uint8_t backoff, probes;
    bool ts_on : 1, sack_on : 1, wscale_on : 1;
    bool marked : 1; /* on the output list */
    bool dead : 1;   /* to be freed at the flush */
    bool ack_now : 1, probe_now : 1, keepalive_now : 1;
    bool unsent : 1;     /* something was to go, and there was no packet buffer */
    uint8_t lives : 2;   /* of a released one: how often it was given more time */
    bool ack_later : 1;  /* an ACK is owed and waits for data to ride on */
    bool ack_listed : 1; /* on one of the stack's lists of such */
    bool want_write : 1, fin_queued : 1, fin_received : 1, fin_acked : 1, passive : 1;
    bool ecn_on : 1;   /* agreed on */
    bool ecn_echo : 1; /* CE came: ECE goes until CWR comes */
    bool ecn_cwr : 1;  /* the next new data carries CWR */

    /* Line 3: timers and what is seldom asked for. */
    struct timer timer;                /* at or before the earliest deadline */
    uint32_t deadline_ms[TCP_D_COUNT]; /* of tcp_now_ms(); 0: not set */
    uint32_t rttvar_us;
    uint32_t ssthresh;
    uint32_t iss, irs;
    uint16_t snd_wraps, rcv_wraps; /* of the sequence numbers: counts bytes */
    union {
        uint32_t syn_us; /* while it opens: when the SYN was sent; 0: more than once */
        struct {
            uint16_t mss_max;   /* what the link and the peer allow; mss is what the path does */
            uint16_t mss_acked; /* the largest segment that got through (RFC 5927 section 7.2) */
        };
    };
    uint32_t retransmits;
};
_Static_assert(offsetof(struct tcb, lport) == 64, "line 1 ends with the addresses");
_Static_assert(offsetof(struct tcb, timer) == 128, "two hot lines");
_Static_assert(sizeof(struct tcb) <= 192, "a third, cold line and no more");

static inline uint32_t tcp_now_ms(const struct tcp_stack *t) {
    return t->now_ms;
}
static inline uint32_t tcp_now_us(const struct tcp_stack *t) {
    return t->now_us;
}
static inline uint32_t tcp_initial_cwnd(const struct tcb *c) {
    return 10u * c->mss; /* RFC 6928 */
}
/* A keystroke's flight: once the connection is quiet it goes back, still in the cache. */
static inline bool tcb_has_learnt_nothing(const struct tcb *c) {
    return tcp_flight_is_blank(c->flight) && c->cwnd <= tcp_initial_cwnd(c) && c->mss >= c->mss_max;
}
static inline uint32_t tcb_queued(const struct tcb *c) {
    return c->flight ? c->flight->snd.bytes : 0;
}
static inline uint32_t tcb_unread(const struct tcb *c) {
    return c->flight ? c->flight->rcv.bytes : 0;
}
/* No more than a window field can say: a peer without scaling (RFC 7323 section 2.2)
 * would be sent updates for ever. */
static inline uint32_t tcp_rcv_space(const struct tcb *c) {
    uint32_t most = c->stack->config.rcv_buffer_bytes, told = UINT32_C(65535) << c->rcv_wscale;
    most = most < told ? most : told;
    return tcb_unread(c) < most ? most - tcb_unread(c) : 0;
}
static inline bool tcb_can_write(const struct tcb *c) {
    return (c->state == TCP_ESTABLISHED || c->state == TCP_CLOSE_WAIT) && !c->fin_queued;
}

#endif

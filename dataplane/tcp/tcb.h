/* The transmission control block, and what the files of tcp/ offer each other. */
#ifndef TGW_TCP_TCB_H
#define TGW_TCP_TCB_H

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

/* stack.c */
struct tcb *tcb_find(struct tcp_stack *t, const struct ip_addr *local, uint16_t lport,
                     const struct ip_addr *remote, uint16_t rport);
struct tcb *tcb_find_hashed(struct tcp_stack *t, const struct flow_key *k, uint64_t hash);
uint64_t tcb_hash(const struct tcb *c); /* that it stands under in the table */
/* A TCB in the table with addresses, ISS and defaults; NULL when there is none left. */
struct tcb *tcb_make(struct tcp_stack *t, const struct ip_addr *local, uint16_t lport,
                     const struct ip_addr *remote, uint16_t rport, const struct net_route *route);
/* Out of the table and off all timers; memory goes at the flush. Tells nobody. */
void tcb_kill(struct tcb *c);
/* Kill, and tell the owner if there is one. */
void tcb_end(struct tcb *c, enum stream_end why);
void tcb_mark(struct tcb *c);
uint32_t tcp_now_ms(const struct tcp_stack *t);
static inline uint32_t tcp_now_us(const struct tcp_stack *t) {
    return (uint32_t)(t->now_ns / 1000);
}
uint32_t tcp_rcv_space(const struct tcb *c);
/* A window that is open moves by as much at least (RFC 9293 section 3.8.6.2.2). */
uint32_t tcp_window_step(const struct tcb *c);
uint32_t tcp_syn_window(const struct tcp_stack *t); /* of a SYN, hence unscaled */
/* The flight, made if there is none; NULL when memory is short. */
struct tcp_flight *tcb_flight(struct tcb *c);
/* True when nothing is queued, unread, in flight or out of order. */
bool tcb_is_quiet(const struct tcb *c);
/* ... and the flight holds nothing that its next life would not start with: a keystroke
 * and its echo. It may go back at once, and the next connection finds it in the cache. */
bool tcb_has_learnt_nothing(const struct tcb *c);
/* Give the flight back and restart from a small window (RFC 5681 section 4.1). Only when
 * the connection is quiet, or goes. */
void tcb_rest(struct tcb *c);
static inline uint32_t tcb_queued(const struct tcb *c) {
    return c->flight ? c->flight->snd.bytes : 0;
}
static inline bool tcb_can_write(const struct tcb *c) {
    return (c->state == TCP_ESTABLISHED || c->state == TCP_CLOSE_WAIT) && !c->fin_queued;
}
static inline uint32_t tcb_unread(const struct tcb *c) {
    return c->flight ? c->flight->rcv.bytes : 0;
}

/* timers.c */
void tcb_deadline(struct tcb *c, enum tcp_deadline which, uint64_t at_ns);
/* The flight's own: a tail loss probe or the reordering window, `wait_us` from now; 0 of
 * TCP_LT_NONE: none. */
void tcp_loss_deadline(struct tcb *c, enum tcp_loss_timer which, uint32_t wait_us);
void tcp_timer_fired(void *stack, struct timer *timer);
void tcp_rtt_sample(struct tcb *c, uint64_t rtt_ns);
uint32_t tcp_rto_ms(const struct tcb *c); /* RFC 6298 section 2, without backoff */
uint64_t tcp_rto_ns(const struct tcb *c); /* with it */

/* segment.c: builds and hands down one segment. False when there is no mbuf: the timers
 * will try again. */
bool tcp_emit(struct tcb *c, uint32_t seq, uint32_t len, uint8_t flags);
/* New data, which ECN may mark (RFC 3168 section 6.1). `segment`: the port is to cut it into
 * segments with so much payload; 0: it is one. */
bool tcp_emit_data(struct tcb *c, uint32_t seq, uint32_t len, uint8_t flags, uint32_t segment);
/* Payload that goes with the options of now. */
uint32_t tcp_payload_max(const struct tcb *c);

/* output.c */
void tcp_output(struct tcb *c);
/* ACK at once, within the limit of RFC 5961 section 7. */
void tcp_challenge(struct tcb *c);

/* listen.c */
bool tcp_is_listening(const struct tcp_stack *t, uint16_t port);
/* A SYN for a port that is listened on; the ISS will lie beyond iss_min unless that is 0. */
void tcp_passive_open(struct tcp_stack *t, const struct seg *s, uint32_t iss_min);
/* The half-open connection that the ACK of a cookie stands for, or NULL; *drop: it is not
 * to be answered with an RST. */
struct tcb *tcp_cookie_open(struct tcp_stack *t, const struct seg *s, bool *drop);
/* Our SYN is acknowledged by `s`: find the owner. False: there is none, the TCB is dead. */
bool tcp_accept(struct tcb *c, const struct seg *s);

/* ack.c */
/* False: the segment must not be processed further. */
bool tcp_ack(struct tcb *c, const struct seg *s);
/* writable() if it is owed and there is room. */
void tcp_tell_room(struct tcb *c);

/* delack.c */
bool tcp_ack_init(struct tcp_stack *t);
void tcp_ack_fini(struct tcp_stack *t);
/* In-order data came: its ACK goes now, or waits for data to ride on. */
void tcp_ack_data(struct tcb *c);
/* The ACKs that have waited long enough. */
void tcp_ack_advance(struct tcp_stack *t);
/* UINT64_MAX: none waits. */
uint64_t tcp_ack_next_ns(const struct tcp_stack *t);

/* recv.c */
void tcp_receive(struct tcb *c, const struct seg *s, struct rte_mbuf *m);

/* input.c */
uint32_t tcp_initial_cwnd(const struct tcb *c);
void tcp_take_syn(struct tcb *c, const struct seg *s);
void tcp_enter_time_wait(struct tcb *c);
/* Leaves for TIME_WAIT or the end when both FINs are through and all is read. */
void tcp_finish_if_done(struct tcb *c);

#endif

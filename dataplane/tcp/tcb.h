/* The transmission control block and the stack around it; private to tcp/. */
#ifndef TGW_TCP_TCB_H
#define TGW_TCP_TCB_H

#include "core/timer.h"
#include "tcp/tcp.h"
#include <assert.h>

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
    TCP_LISTENERS_MAX = 8,
    TCP_SACKED_MAX = 6,
    TCP_OOO_MAX = 256,        /* segments held out of order, a connection */
    TCP_OOO_STACK_MAX = 4096, /* ... and a stack */
    TCP_DUPACKS = 3,          /* RFC 5681 section 3.2 */
    TCP_WSCALE = 5,
    TCP_SYN_TRIES = 6,
    TCP_PERSIST_MAX_MS = 60000,
    TCP_MSS_DEFAULT = 536, /* RFC 9293 section 3.7.1 */
    TCP_TS_BYTES = 12,
};

/* Deadlines of one connection; its one timer is set to the earliest. */
enum tcp_deadline { TCP_D_RTX, TCP_D_KEEPALIVE, TCP_D_LIFE, TCP_D_COUNT };

/* A segment that came before its turn: a reference to the mbuf it lies in. */
struct tcp_ooo {
    struct tcp_ooo *next;
    struct rte_mbuf *m;
    const uint8_t *payload;
    uint32_t seq, len;
};

struct tcp_range {
    uint32_t start, end;
};

struct tcb {
    struct tcp_stack *stack;
    struct tcb *hash_next;
    struct tcb *out_next; /* output list; also the list of the dead */
    const struct stream_handler *handler;
    void *user; /* NULL: nobody owns it */

    uint32_t snd_una, snd_nxt, snd_max, snd_wnd, snd_wl1, snd_wl2, iss;
    uint32_t rcv_nxt, rcv_adv; /* rcv_adv: right edge promised so far */
    uint32_t rcv_acked;        /* what our last segment acknowledged */
    uint32_t ack_next;         /* index of the next one whose ACK waits, or POOL_NONE */
    uint32_t cwnd, ssthresh, recover, high_rxt;
    uint32_t ts_recent;
    uint16_t mss, lport, rport;
    uint8_t state; /* enum tcp_state */
    uint8_t snd_wscale, rcv_wscale;
    uint8_t dupacks, backoff, probes, sacked_count;
    uint8_t iface;

    bool ts_on : 1, sack_on : 1, wscale_on : 1;
    bool marked : 1; /* on the output list */
    bool dead : 1;   /* to be freed at the flush */
    bool ack_now : 1, rtx_now : 1, probe_now : 1, keepalive_now : 1;
    bool ack_later : 1;  /* an ACK is owed and waits for data to ride on */
    bool ack_listed : 1; /* on one of the stack's lists of such; freed only when off it */
    bool in_recovery : 1, want_write : 1, fin_queued : 1, fin_received : 1, timing : 1;
    bool passive : 1, fin_acked : 1;

    uint32_t rtt_seq, srtt_us, rttvar_us, rto_ms, retransmits;
    uint64_t rtt_start_ns, last_in_ns, unacked_since_ns;
    uint64_t deadline_ns[TCP_D_COUNT]; /* 0: not set */
    uint64_t bytes_in, bytes_out;
    struct timer timer;
    struct bq snd, rcv;
    struct tcp_ooo *ooo;
    uint32_t ooo_count;
    struct tcp_range sacked[TCP_SACKED_MAX]; /* ascending, disjoint */
    struct ip_addr local, remote;
};

/* Connections whose ACK waits, linked by index. */
struct tcp_ack_list {
    uint32_t first, last; /* POOL_NONE: empty */
};

struct tcp_stack {
    struct tcp_config config;
    struct net *net;
    struct tgw_counters *counters;
    uint64_t now_ns;
    uint64_t key[4]; /* two SipHash keys: flow table, ISN */
    uint64_t random;
    struct pool tcbs, ooos;
    struct bq_pools blocks;
    struct timer_wheel wheel;
    struct tcb **bucket;
    uint32_t bucket_mask;
    struct tcb *out_first, *out_last, *dead;
    /* All wait equally long: what began to wait in this period, and in the one before. */
    struct tcp_ack_list ack_young, ack_old;
    uint64_t ack_period_ns; /* when this period began */
    uint32_t half_open, time_wait, challenge_left;
    uint64_t challenge_ns;
    uint32_t next_port;
    struct {
        uint16_t port;
        struct tcp_listener l;
    } listener[TCP_LISTENERS_MAX];
    /* The payload of the segment under way, still in its mbuf, and whose it is. */
    struct tcb *live_tcb;
    const uint8_t *live;
    uint32_t live_len;
};

static inline bool seq_lt(uint32_t a, uint32_t b) {
    return (int32_t)(a - b) < 0;
}
static inline bool seq_le(uint32_t a, uint32_t b) {
    return (int32_t)(a - b) <= 0;
}

/* stack.c */
struct tcb *tcb_find(struct tcp_stack *t, const struct ip_addr *local, uint16_t lport,
                     const struct ip_addr *remote, uint16_t rport);
/* A TCB in the table with addresses, ISS and defaults; NULL when there is none left. */
struct tcb *tcb_make(struct tcp_stack *t, const struct ip_addr *local, uint16_t lport,
                     const struct ip_addr *remote, uint16_t rport, const struct net_route *route);
/* Out of the table and off all timers; memory goes at the flush. Tells nobody. */
void tcb_kill(struct tcb *c);
/* Kill, and tell the owner if there is one. */
void tcb_end(struct tcb *c, enum stream_end why);
void tcb_mark(struct tcb *c);
uint32_t tcp_now_ms(const struct tcp_stack *t);
uint32_t tcp_rcv_space(const struct tcb *c);
void ooo_clear(struct tcb *c);

/* timers.c */
void tcb_deadline(struct tcb *c, enum tcp_deadline which, uint64_t at_ns);
void tcp_timer_fired(void *stack, struct timer *timer);
void tcp_rtt_sample(struct tcb *c, uint64_t rtt_ns);
uint64_t tcp_rto_ns(const struct tcb *c);

/* output.c */
void tcp_output(struct tcb *c);
void tcp_send_rst(struct tcp_stack *t, const struct seg *s);
/* ACK at once, within the limit of RFC 5961 section 7. */
void tcp_challenge(struct tcb *c);

/* ack.c */
/* False: the segment must not be processed further. */
bool tcp_ack(struct tcb *c, const struct seg *s);

/* delack.c */
/* In-order data came: its ACK goes now, or waits for data to ride on. */
void tcp_ack_data(struct tcb *c);
/* The ACKs that have waited long enough. */
void tcp_ack_advance(struct tcp_stack *t);
/* UINT64_MAX: none waits. */
uint64_t tcp_ack_next_ns(const struct tcp_stack *t);

/* recv.c */
void tcp_receive(struct tcb *c, const struct seg *s, struct rte_mbuf *m);

/* input.c */
void tcp_enter_time_wait(struct tcb *c);
/* Leaves for TIME_WAIT or the end when both FINs are through and all is read. */
void tcp_finish_if_done(struct tcb *c);

#endif

/* The side of a connection that exists only while it is busy; private to tcp/. */
#ifndef TGW_TCP_FLIGHT_H
#define TGW_TCP_FLIGHT_H

#include "core/bq.h"
#include "tcp/cc.h"
#include "tcp/rack.h"
#include "tcp/sack.h"

struct rte_mbuf;

enum {
    TCP_OOO_MAX = 256,        /* segments held out of order, a connection */
    TCP_OOO_STACK_MAX = 4096, /* ... and a stack */
    TCP_OOO_RECENT = 4,
};

/* A segment that came before its turn: a reference to the mbuf it lies in. */
struct tcp_ooo {
    struct tcp_ooo *next;
    struct rte_mbuf *m;
    const uint8_t *payload;
    uint32_t seq, len;
};

/* What came out of order: ascending by sequence number, overlaps allowed. */
struct tcp_ooo_list {
    struct tcp_ooo *first, *last;
    uint32_t count;
    uint32_t recent[TCP_OOO_RECENT]; /* where segments came lately, the newest first */
    uint32_t dsack_start, dsack_end; /* a duplicate to be reported; equal: none */
};

enum tcp_phase {
    TCP_OPEN,
    TCP_RECOVERY, /* a loss was found (RFC 6675, RFC 6582) */
    TCP_LOSS,     /* a retransmission timeout was (RFC 6298) */
};

enum tcp_loss_timer { TCP_LT_NONE, TCP_LT_RACK, TCP_LT_PROBE };

/* What is being learnt about the path's MTU. Sizes are MSS: payload and TCP options. */
struct tcp_path {
    uint32_t sized_end; /* an ACK of this says that sized_mss got through */
    uint32_t claim_seq; /* the segment that an ICMP error says did not */
    uint32_t probe_ms;  /* of tcp_now_ms(): when a larger size is tried; 0: not decided */
    uint16_t sized_mss; /* 0: no such segment is out */
    uint16_t sized_len; /* its payload */
    uint16_t claim_mss; /* what that ICMP error asks for, not believed yet; 0: none */
};

/* What a recovery that proves needless gives back (RFC 4015, RFC 3708). */
struct tcp_undo {
    uint32_t cwnd, ssthresh;
    uint32_t first_ms; /* timestamp of the first retransmission */
    uint32_t bytes;    /* retransmitted and not reported as duplicate */
    bool on;           /* a recovery began and nothing proved it right yet */
    bool sent;         /* it has retransmitted */
    bool answered;     /* an ACK has told whether the first of them was needed */
    struct tcp_cc_state cc;
};

/* What a connection has only while it is not quiet: its queues, what is in flight, what
 * came out of order. From a pool of its own. It goes back when a retransmission timeout
 * passes with nothing in flight: the very moment at which RFC 5681 section 4.1 lets the
 * congestion window go as well, so nothing that counts is lost with it. */
struct tcp_flight {
    struct bq snd, rcv;
    struct tcp_ooo_list ooo;
    uint64_t unacked_since_ns;
    uint32_t rtt_seq;     /* an ACK beyond it gives the next sample: one a round trip */
    uint32_t recover;     /* RFC 6582 section 3.2 */
    uint32_t ecn_recover; /* one answer to ECE a window (RFC 3168 section 6.1.2) */
    uint32_t tlp_end;     /* RFC 8985 section 7.1 */
    uint32_t loss_ms;     /* of tcp_now_ms(): when loss_timer is due */
    struct tcp_path path;
    uint8_t phase;      /* enum tcp_phase */
    uint8_t loss_timer; /* enum tcp_loss_timer */
    uint8_t dupacks;
    bool rtx_now : 1;   /* the first retransmission of a recovery waits for no room */
    bool tlp_now : 1;   /* send a tail loss probe */
    bool tlp_out : 1;   /* one is on its way */
    bool tlp_rtx : 1;   /* it was a retransmission */
    bool tlp_reset : 1; /* data went or was acknowledged: the probe's timer starts anew */
    struct tcp_undo undo;
    struct tcp_cc_state cc;
    struct tcp_rack rack;
    struct tcp_board board; /* last: its runs are not cleared */
};

/* It holds nothing that its next life would not start with, its queues aside. */
static inline bool tcp_flight_is_blank(const struct tcp_flight *f) {
    return f->phase == TCP_OPEN && !f->tlp_out && !f->undo.on && !f->cc.in_epoch &&
           !f->rack.reordering_seen && f->rack.window_steps == 1 &&
           f->ooo.dsack_start == f->ooo.dsack_end;
}

#endif

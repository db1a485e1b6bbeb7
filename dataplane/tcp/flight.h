/* The side of a connection that exists only while it is busy; private to tcp/. */
#ifndef TGW_TCP_FLIGHT_H
#define TGW_TCP_FLIGHT_H

#include "core/bq.h"

struct rte_mbuf;

enum {
    TCP_SACKED_MAX = 6,
    TCP_OOO_MAX = 256,        /* segments held out of order, a connection */
    TCP_OOO_STACK_MAX = 4096, /* ... and a stack */
};

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

/* What a connection has only while it is not quiet: its queues, what is in flight, what
 * came out of order. From a pool of its own. It goes back when a retransmission timeout
 * passes with nothing in flight: the very moment at which RFC 5681 section 4.1 lets the
 * congestion window go as well, so nothing that counts is lost with it. */
struct tcp_flight {
    struct bq snd, rcv;
    struct tcp_ooo *ooo;
    uint64_t unacked_since_ns;
    uint64_t rtt_start_ns;
    uint32_t rtt_seq;
    uint32_t recover, high_rxt;
    uint32_t ooo_count;
    struct tcp_range sacked[TCP_SACKED_MAX]; /* ascending, disjoint */
    uint8_t sacked_count;
    uint8_t dupacks;
    bool in_recovery : 1, timing : 1, rtx_now : 1;
};

#endif

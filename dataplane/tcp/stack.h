/* The stack of one core; private to tcp/. */
#ifndef TGW_TCP_STACK_H
#define TGW_TCP_STACK_H

#include "core/timer.h"
#include "tcp/tcp.h"
#include "tcp/timewait.h"

enum { TCP_LISTENERS_MAX = 8 };

/* A connection whose ACK waits. It may have ended since and its TCB be another's: then the
 * ports tell. */
struct tcp_ack_entry {
    uint32_t index, ports;
    uint32_t acked;  /* rcv_acked when the wait, or its second half, began */
    uint32_t due_us; /* when half a delay is over */
    bool again;      /* the second half */
};

struct tcp_record {
    uint32_t who_what; /* place of the TCB in its pool, in units; six bits of event */
    uint16_t ms;       /* low half of tcp_now_ms() */
    uint16_t arg;
};

/* trace.h */
struct tcp_trace {
    struct tcp_record *ring; /* NULL: none */
    uint32_t mask, next;
    uint64_t second_ns; /* start of the second that `told` counts in */
    uint32_t told;
};

struct listener {
    struct tcp_listener l;
    uint64_t second_ns; /* start of the second that syns_left counts in */
    uint64_t cookie_ns; /* when the last cookie went out */
    uint32_t syns_left;
    uint16_t port; /* 0: free */
    bool cookies;  /* one ever went out */
};

struct tcp_stack {
    struct tcp_config config;
    struct net *net;
    struct tgw_counters *counters;
    uint64_t now_ns;
    uint32_t now_ms, now_us; /* the same, and they wrap */
    uint64_t key[4];         /* two SipHash keys: flow table, ISN */
    uint64_t cookie_key[2];
    uint64_t random;
    struct pool tcbs, flights, ooos;
    struct bq_pools blocks;
    struct timer_wheel wheel;
    struct flow_table flows;
    struct tw_table tw;
    uint32_t *out; /* ring of TCB indexes to be looked at by the flush, each once */
    uint32_t out_mask, out_head, out_tail;
    /* A ring, by due time. Beyond its capacity ACKs do not wait. */
    struct tcp_ack_entry *ack;
    uint32_t ack_capacity, ack_head, ack_count;
    uint32_t half_open, answers_left;
    uint64_t answers_ns;
    uint32_t next_port;
    struct listener listener[TCP_LISTENERS_MAX];
    struct tcp_trace trace;
    /* The payload of the segment under way, still in its mbuf, and whose it is. */
    struct tcb *live_tcb;
    const uint8_t *live;
    uint32_t live_len;
};

#endif

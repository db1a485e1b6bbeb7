/* TCP for one core: connections, listeners, timers. RFC 9293 and the list in
 * docs/tcp.md. Single-threaded; time comes in; randomness is seeded.
 *
 * A turn of the worker:
 *   net_input() -> tcp_input_burst()                  (decide: state, marks)
 *   tcp_advance(now)                                  (timers that are due)
 *   tcp_flush()                                       (one output pass, frees the dead)
 *   net_flush()
 *
 * Connections are stream ends (core/stream.h, tcp_stream_ops): owners read, write
 * and close through those ops. Handlers are called from tcp_input and tcp_advance
 * only. */
#ifndef TGW_TCP_TCP_H
#define TGW_TCP_TCP_H

#include "core/bq.h"
#include "core/stream.h"
#include "net/net.h"

struct tcp_stack;
struct tcb; /* a connection; private to tcp/ */

extern const struct stream_ops tcp_stream_ops;

/* A connection that ended by reset, timeout or error, with its last events as text, oldest
 * first: "-1200ms data_in 32, -3ms rst_in 0". */
struct tcp_obituary {
    struct tgw_endpoint local, remote;
    enum stream_end why;
    const char *text;
};

struct tcp_config {
    uint32_t connections_max; /* TCBs; TIME_WAIT entries come on top */
    uint32_t time_wait_max;
    uint32_t backlog_max;  /* half-open connections; beyond it SYN cookies */
    uint32_t syn_rate_max; /* SYNs a second and listener; beyond it SYN cookies; 0: no limit */
    uint32_t small_blocks, large_blocks;
    uint32_t rcv_buffer_bytes;      /* a connection's receive queue and largest window */
    uint32_t snd_buffer_bytes;      /* a connection's send queue */
    uint32_t keepalive_ms;          /* silence before probes; 0: off */
    uint32_t user_timeout_ms;       /* unacknowledged data older than this ends it (RFC 5482) */
    uint32_t time_wait_ms;          /* 2 MSL */
    uint32_t ack_delay_ms;          /* longest wait of an ACK for data to ride on; 0: none */
    uint16_t port_first, port_last; /* ephemeral range */
    bool use_cubic;                 /* else NewReno */
    bool use_ecn;
    bool huge_pages;
    bool long_way;          /* tests: no segment takes the short way of predict.c */
    uint32_t trace_records; /* of 8 bytes, for all connections; a power of two; 0: none */
    /* Told of deaths, ten a second at most; NULL: nobody. No op may be called from it. */
    void (*died)(void *ctx, const struct tcp_obituary *o);
    void *died_ctx;
    uint8_t secret[32]; /* keys ISNs (RFC 6528), cookies (RFC 4987), flow table */
    uint64_t seed;      /* everything else that is random */
    struct tgw_counters *counters;
};

/* Fills in defaults good for a gateway of 10,000 sessions. */
void tcp_config_defaults(struct tcp_config *c);

/* NULL when memory is short. `net` is used for output and must outlive the stack. */
struct tcp_stack *tcp_create(const struct tcp_config *c, struct net *net, uint64_t now_ns);
void tcp_destroy(struct tcp_stack *t);

struct tcp_listener {
    /* A connection reached ESTABLISHED. Returns the owner for the handler calls, or
     * NULL to have it reset. May write at once. */
    void *(*accepted)(void *ctx, struct stream s, const struct tgw_endpoint *local,
                      const struct tgw_endpoint *remote);
    void *ctx;
    const struct stream_handler *handler;
};

/* Listen on `port` of every local address. False: already listening or too many. */
bool tcp_listen(struct tcp_stack *t, uint16_t port, const struct tcp_listener *l);
void tcp_unlisten(struct tcp_stack *t, uint16_t port);

/* Active open. handler->connected or handler->closed follows, never before return.
 * pick_port (may be NULL) says whether a local port is acceptable (RSS).
 * Returns a stream with impl NULL when there is no route, port or TCB. */
struct stream tcp_connect(struct tcp_stack *t, uint64_t now_ns, const struct tgw_endpoint *remote,
                          const struct stream_handler *handler, void *user,
                          bool (*pick_port)(void *ctx, const struct tgw_endpoint *local,
                                            const struct tgw_endpoint *remote),
                          void *pick_ctx);

/* The same from an address and port of the caller's choice (a load rig's many clients). */
struct stream tcp_connect_from(struct tcp_stack *t, uint64_t now_ns,
                               const struct tgw_endpoint *local, const struct tgw_endpoint *remote,
                               const struct stream_handler *handler, void *user);

/* Change the owner (a session handed from one module to another). */
void tcp_set_owner(struct stream s, const struct stream_handler *handler, void *user);

/* For net_ops. */
void tcp_input(void *stack, const struct seg *s, struct rte_mbuf *m);
void tcp_input_burst(void *stack, const struct seg *s, struct rte_mbuf *const *m, uint16_t count);
void tcp_icmp_error(void *stack, const struct net_icmp_error *e);

/* Start of a turn: sets the time that ops and tcp_input use. */
void tcp_begin(struct tcp_stack *t, uint64_t now_ns);
/* Fire due timers; returns how many. */
uint32_t tcp_advance(struct tcp_stack *t, uint64_t now_ns);
/* Output pass over every connection marked since the last one. */
void tcp_flush(struct tcp_stack *t);
/* Earliest time tcp_advance has work; UINT64_MAX: none. Never late. */
uint64_t tcp_next_timer(const struct tcp_stack *t);

struct tcp_usage {
    uint32_t connections, time_wait, half_open;
    uint32_t small_blocks, large_blocks;
    uint32_t flights; /* connections with something queued, in flight or out of order */
    uint64_t bytes;   /* of all that is in use, and the flow table */
};
void tcp_usage(const struct tcp_stack *t, struct tcp_usage *out);
/* Bytes of one connection's state, buffers aside. */
size_t tcp_connection_bytes(void);
/* Tests: walk everything and assert the invariants. */
void tcp_check(const struct tcp_stack *t);

#endif

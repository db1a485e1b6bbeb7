/* The stack under test on a virtual clock, and what it was seen to do: the segments that it
 * sent and the handlers that it called, each with its time. */
#ifndef TESTS_PACKET_HOST_H
#define TESTS_PACKET_HOST_H

#include "tcp/tcp.h"
#include "tests/packet/wire.h"

enum {
    HOST_SEEN_MAX = 1024,
    HOST_EVENTS_MAX = 64,
    HOST_CONNS_MAX = 16,
    HOST_LISTEN_PORT = 80,
    HOST_PEER_PORT = 40000, /* the peer's, where a script names none */
};

struct host_setup {
    bool ipv6;
    bool manual_read; /* the owner reads only when told */
    uint16_t mtu;
    uint32_t peer_iss;
    struct tcp_config tcp;
};

/* A connection as both sides number it; one for each port of the peer. */
struct conn {
    struct host *host;
    uint16_t peer_port, our_port;
    uint32_t peer_iss, our_iss;
    bool our_iss_known, peer_offered_ts, we_offered_ts;
    uint32_t ts_first, ts_last; /* TSval of ours: the first and the latest seen */
    struct stream s;
    uint64_t bytes_read, bytes_written;
    bool eof_told;
};

struct seen {
    uint64_t at_ns;
    struct seg seg;
    struct frame frame;
};

struct happened {
    uint64_t at_ns;
    uint16_t peer_port;
    char text[40];
};

struct host {
    struct host_setup setup;
    struct rte_mempool *mbufs;
    struct tgw_counters *counters;
    struct port *port, *wire;
    struct net *net;
    struct tcp_stack *tcp;
    uint64_t start_ns, now_ns;
    struct conn conn[HOST_CONNS_MAX];
    unsigned conn_count;
    struct seen *seen; /* [seen_first, seen_count) wait to be expected */
    unsigned seen_first, seen_count;
    struct happened event[HOST_EVENTS_MAX];
    unsigned event_first, event_count;
    uint64_t wrong_bytes; /* read, and not what the peer sent */
    bool overflow;        /* more seen than there is room for */
};

/* Byte `i` of a stream, either direction. */
uint8_t host_pattern(uint64_t i);

void host_setup_defaults(struct host_setup *s);
/* NULL when memory is short. */
struct host *host_open(const struct host_setup *s, struct rte_mempool *mbufs, uint64_t start_ns);
/* True when everything the stack held was given back. */
bool host_close(struct host *h);

/* The connection with `peer_port`; NULL when there are too many. */
struct conn *host_conn(struct host *h, uint16_t peer_port);
const char *host_our_addr(const struct host *h);
const char *host_peer_addr(const struct host *h);

void host_listen(struct host *h);
bool host_connect(struct host *h, struct conn *c);
/* Deliver a frame now, and let the stack answer. */
void host_inject(struct host *h, const struct frame *f);
/* One turn of the worker, at this moment. */
void host_turn(struct host *h);
/* Let time pass, timers firing when they are due. Stops early at the first moment that
 * something is seen. */
void host_advance(struct host *h, uint64_t until_ns);
static inline bool host_quiet(const struct host *h) {
    return h->seen_first == h->seen_count && h->event_first == h->event_count;
}
/* Read at most `n` bytes, checking them against the pattern; how many there were. */
uint64_t host_read(struct conn *c, uint64_t n);

#endif

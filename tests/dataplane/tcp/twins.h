/* Two stacks on one wire for tests of one room's inside: the client's side and the
 * server's, which listens on port 80. Segments can also be handed to the server as if
 * they had come from anywhere. */
#ifndef TESTS_TCP_TWINS_H
#define TESTS_TCP_TWINS_H

#include "drivers/sim.h"
#include "tcp/tcp.h"

enum { CLIENT, SERVER };

struct twin {
    struct port *port;
    struct net *net;
    struct tcp_stack *tcp;
    struct tgw_counters *counters;
    unsigned accepted, connected, closed, reset;
    uint64_t received;
    struct stream last; /* accepted last */
    bool refuse;        /* nobody wants what is accepted */
};

struct twins {
    struct twin side[2];
    uint64_t now_ns;
    struct rte_mempool *mbufs;
};

/* Defaults for a few hundred connections; change what the test is about. */
void twins_config(struct tcp_config *c);
/* The client gets the server's configuration too. */
void twins_open(struct twins *w, struct rte_mempool *mbufs, const struct tcp_config *c);
void twins_close(struct twins *w);
void twins_turn(struct twins *w);
void twins_run(struct twins *w, uint32_t ms);
struct stream twins_connect(struct twins *w);
/* A segment from 198.18.0.1, or from any address behind it, to the server's port 80. */
struct seg twins_segment(uint32_t from, uint16_t sport, uint8_t flags, uint32_t seq, uint32_t ack);
void twins_inject(struct twins *w, const struct seg *s);
/* What the server has sent to the wire last; false: nothing. Takes all of it off. */
bool twins_answer(struct twins *w, struct seg *out);
uint64_t twins_count(const struct twins *w, int side, enum tgw_counter id);
uint64_t twins_reason(const struct twins *w, int side, enum tgw_reason id);
void twins_usage(const struct twins *w, int side, struct tcp_usage *out);

#endif

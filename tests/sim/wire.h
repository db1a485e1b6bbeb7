/* A link between two ports on virtual time: packets are events with a time of arrival.
 * It loses, delays, reorders, duplicates, corrupts, truncates, queues behind a bottleneck,
 * has an MTU of its own with and without ICMP, strips options as middleboxes do, goes
 * dark and comes back. */
#ifndef TESTS_SIM_WIRE_H
#define TESTS_SIM_WIRE_H

#include "drivers/port.h"
#include "tests/sim/rng.h"

enum { WIRE_FRAME_MAX = 1600 };

/* What happens to packets that leave by one end. Per mille, ns. */
struct wire_fault {
    uint64_t delay_ns, jitter_ns;
    uint64_t ns_a_byte; /* of the bottleneck; 0: none */
    uint32_t queue_packets;
    uint16_t loss_pm, duplicate_pm, corrupt_pm, truncate_pm;
    uint16_t late_pm; /* held up for up to late_ns: old duplicates */
    uint64_t late_ns;
    uint16_t burst_begin_pm, burst_end_pm; /* Gilbert: runs in which everything is lost */
    uint16_t mtu;                          /* IP bytes; 0: the port's */
    bool icmp;                             /* tell the sender what is too big */
    bool dark;
};

enum wire_strip { STRIP_TIMESTAMPS = 1, STRIP_SACK = 2, STRIP_WSCALE = 4, STRIP_MSS = 8 };

enum wire_fate { FATE_SENT, FATE_LOST, FATE_QUEUE_FULL, FATE_TOO_BIG, FATE_DARK, FATE_NO_MBUF };

struct wire;

/* Told of every packet that leaves by an end, before anything happens to it, and what
 * then does. */
struct wire_watch {
    void (*sent)(void *ctx, unsigned end, const uint8_t *frame, uint32_t len, enum wire_fate fate);
    void *ctx;
};

/* `now_ns` is read whenever the time is wanted. NULL when memory is short. */
struct wire *wire_create(const uint64_t *now_ns, struct rng rng, const struct wire_watch *watch);
/* Closes both ports. */
void wire_destroy(struct wire *w);
/* End 0 or 1; `pool` supplies what it receives. */
struct port *wire_port(struct wire *w, unsigned end, uint16_t mtu, struct rte_mempool *pool);
struct wire_fault *wire_fault(struct wire *w, unsigned end);
/* Both directions: enum wire_strip. */
void wire_strip(struct wire *w, unsigned strip);
/* When something arrives at that end next; UINT64_MAX: nothing is under way. */
uint64_t wire_next(const struct wire *w, unsigned end);
/* Put a packet on the wire as if `end` had sent it. */
void wire_inject(struct wire *w, unsigned end, const uint8_t *frame, uint32_t len);
/* The same, but nobody is told and no fault befalls it: `end` has not sent it. */
void wire_forge(struct wire *w, unsigned end, const uint8_t *frame, uint32_t len);
/* TCP packets that were put on the wire. */
uint64_t wire_segments(const struct wire *w);

#endif

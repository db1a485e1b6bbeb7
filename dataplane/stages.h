/* Where a core's cycles go. Whole stages (rx, timers, rings, tx, idle) are charged as they
 * end. What happens to a burst between port and session is measured for one burst in
 * SAMPLE_EVERY, room by room; the bursts since the last sample are taken to have spent
 * their time alike, so that the sum of all stages is exact.
 *
 * A stretch between two readings of the counter that its work cannot explain is a stall: the
 * hypervisor, the kernel or another thread had the CPU. They are counted, and their time. A
 * stretch may take STAGES_STALL_US, and STAGES_UNIT_US more for each packet, command or timer:
 * several times what a relayed KiB takes. Messages of TLS handshakes may take more than that,
 * so that many of them in one stretch look like a stall. */
#ifndef TGW_DATAPLANE_STAGES_H
#define TGW_DATAPLANE_STAGES_H

#include "core/probe.h"
#include "core/stream.h"
#include "net/net.h"

enum { STAGES_STALL_US = 50, STAGES_UNIT_US = 3 };

struct stages {
    struct tgw_counters *counters;
    struct probe probe;
    uint64_t since_tsc;
    uint64_t stall_ticks, unit_ticks; /* a stall is longer: in any case; for each unit of work */
    bool away;                        /* the stretch holds a sleep */
    bool by_kernel;   /* packets move in system calls: only what moved none can be a stall */
    uint64_t unsplit; /* cycles of bursts since the last sample */
    uint32_t bursts;
    const struct stream_handler *client, *agent, *tls; /* the rooms' own */
    struct stream_handler on_client, on_agent, on_tls; /* in front of them */
};

void stages_init(struct stages *s, struct tgw_counters *counters, uint64_t tsc_hz);
/* Charge what passed since the last call, with so much done in it, to `stage`. */
void stages_charge(struct stages *s, enum tgw_stage stage, uint32_t units);
/* The core gives the CPU away of itself: the stretch under way is no stall. */
void stages_give_away(struct stages *s);
/* Around net_input: charged to net, tcp, tls, ws and relay. */
void stages_burst_begin(struct stages *s);
void stages_burst_end(struct stages *s, uint32_t packets);

/* For net_ops: tcp_input and tcp_input_burst as a stage. Like the handlers, on the core that called
 * stages_use last only. */
void stages_tcp_input(void *stack, const struct seg *seg, struct rte_mbuf *m);
void stages_tcp_input_burst(void *stack, const struct seg *seg, struct rte_mbuf *const *m,
                            uint16_t count);
/* The handler that notes its room and calls the one given. */
const struct stream_handler *stages_wrap(struct stages *s, const struct stream_handler *inner);
/* The samples of this thread are s's: once, before the first burst. */
void stages_use(struct stages *s);

#endif

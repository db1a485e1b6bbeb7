/* The state of a probe under way: net/probe.h. */
#ifndef TGW_NET_PROBE_PRIV_H
#define TGW_NET_PROBE_PRIV_H

#include "net/probe.h"

struct probe {
    struct net_probe_plan plan;
    struct tgw_check_result result[TGW_CHECK_COUNT];
    bool active, answered;
    uint8_t step, attempt;
    uint8_t rung;         /* of the ladder of packet sizes */
    uint8_t tso_seen;     /* bit a segment */
    uint16_t queue;       /* steering: the one being asked */
    uint16_t id, lport;   /* of the packet under way */
    uint16_t answered_on; /* queue */
    uint32_t seq;
    uint32_t judged, misjudged; /* by the port's checksum verdicts */
    uint64_t sent_ns, answered_ns, next_ns;
    struct ip_addr local;
};

#endif

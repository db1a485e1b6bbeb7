/* The packets of one session's two legs, as events to the control process (`tgwctl capture`).
 * Headers only unless the payload is asked for: what people type is theirs. */
#ifndef TGW_DATAPLANE_CAPTURE_H
#define TGW_DATAPLANE_CAPTURE_H

#include "contract/cmd.h"
#include <rte_mbuf.h>

enum { CAPTURE_MS_MAX = 600000 };

/* A leg's connection, both ends as the gateway sees them. */
struct capture_leg {
    struct tgw_endpoint local, peer;
};

struct capture {
    bool on, payload;
    uint32_t seq; /* of the command; its events carry it */
    uint64_t end_ns;
    struct capture_leg leg[2];
    /* False: the ring has no room for this. */
    bool (*emit)(void *ctx, const struct tgw_msg *event);
    void *ctx;
};

/* Begins; one that runs is replaced. `legs` are the session's. */
void capture_start(struct capture *c, uint64_t now_ns, const struct tgw_cmd_capture *cmd,
                   const struct capture_leg legs[2]);
/* A packet that passes: an event if it is the session's. `m` is whole Ethernet and may be
 * anything. */
void capture_see(const struct capture *c, uint64_t now_ns, uint8_t iface, bool out,
                 const struct rte_mbuf *m);

#endif

/* A probe of one interface through its own port: does the neighbour answer, how large a
 * packet passes, and does the port do what its driver says it does? Each offload is tried
 * on a packet that the neighbour answers only if it came right.
 *
 * One probe at a time; net_tick drives it, answers are taken out of net_input before
 * anything above sees them. About 20 small packets; a few seconds when nobody answers. */
#ifndef TGW_NET_PROBE_H
#define TGW_NET_PROBE_H

#include "contract/check.h"
#include "net/net.h"

struct net_probe_plan {
    uint8_t iface;
    uint16_t tcp_port;     /* where the neighbour is asked; 0: discard (9). Closed does as well */
    uint32_t offloads;     /* what the port offers, to be tried */
    struct ip_addr target; /* on-link */
    /* For steering: the queue on which a packet from the target to `local` lands; NULL or
     * one queue: not asked. */
    uint16_t queues;
    uint16_t (*queue_of)(void *ctx, const struct ip_addr *local, uint16_t lport,
                         const struct ip_addr *remote, uint16_t rport);
    void *ctx;
};

/* Replaces a probe under way. */
void net_probe_start(struct net *n, uint64_t now_ns, const struct net_probe_plan *p);
/* False: under way. Else what came of the last one. */
bool net_probe_result(const struct net *n, struct tgw_check_result out[TGW_CHECK_COUNT]);
/* Which queue the packets of the next net_input come from; the interface's own unless said. */
void net_probe_queue(struct net *n, uint16_t queue);

#endif

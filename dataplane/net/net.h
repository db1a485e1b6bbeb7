/* Ethernet to IP for one core: interfaces over ports, ARP and NDP, IPv4 and IPv6,
 * ICMP, routes. Hands validated TCP segments up, takes TCP packets down.
 *
 * Turn: the worker calls net_input() with a burst, then the stack above builds
 * packets through net_tx_alloc()/net_output(), then net_flush() hands everything
 * to the ports. `now` is monotonic ns. */
#ifndef TGW_NET_NET_H
#define TGW_NET_NET_H

#include "contract/counters.h"
#include "contract/limits.h"
#include "drivers/port.h"
#include "net/seg.h"

struct net;

/* An ICMP error that quotes one of our TCP packets (RFC 1122 section 4.2.3.9,
 * RFC 1191, RFC 8201). */
struct net_icmp_error {
    struct ip_addr local, remote; /* of the quoted packet: we are local */
    uint16_t lport, rport;
    uint32_t seq; /* of the quoted segment: to be checked against snd_una..snd_nxt */
    uint16_t mtu; /* next-hop MTU for too-big, else 0 */
    bool too_big;
    bool hard; /* port or protocol unreachable, administratively prohibited */
};

struct net_ops {
    /* The mbuf stays net's and is freed after return unless the callee takes a
     * reference (rte_mbuf_refcnt_update). */
    void (*tcp_segment)(void *ctx, const struct seg *s, struct rte_mbuf *m);
    void (*icmp_error)(void *ctx, const struct net_icmp_error *e);
    /* NULL, or called instead of tcp_segment with all segments of a burst at once, so that
     * memory for the later ones can be fetched while the first are worked on. */
    void (*tcp_burst)(void *ctx, const struct seg *s, struct rte_mbuf *const *m, uint16_t count);
};

struct net_iface_config {
    struct port *port;
    uint16_t queue;
    uint8_t addr_count;
    struct ip_prefix addr[TGW_PORT_ADDRS_MAX]; /* own address with on-link prefix */
    bool has_gateway4, has_gateway6;
    struct ip_addr gateway4, gateway6; /* default routes; the first interface that has one wins */
    bool has_range;
    struct ip_prefix range; /* all of its addresses are ours besides: a rig's many clients */
};

struct net_config {
    uint8_t iface_count;
    struct net_iface_config iface[TGW_PORTS_MAX];
    struct rte_mempool *pool; /* for packets built here and above */
    struct tgw_counters *counters;
    uint64_t seed; /* neighbour probe jitter, IP ids */
};

/* For a net without anything above it. */
void net_ignore_segment(void *ctx, const struct seg *s, struct rte_mbuf *m);
/* NULL when memory is short. */
struct net *net_create(const struct net_config *c, const struct net_ops *up, void *up_ctx,
                       uint64_t now_ns);
void net_destroy(struct net *n);
/* Give `ctx` of net_ops later than at net_create: the stack above needs its net first. */
void net_bind(struct net *n, void *up_ctx);

/* Process `count` received packets of one interface. Takes all of them over.
 * Prefetches across the burst. */
void net_input(struct net *n, uint64_t now_ns, uint8_t iface, struct rte_mbuf **m, uint16_t count);

/* Where packets to `dst` leave, and from which of our addresses.
 * False: no route. mtu in IP bytes. */
struct net_route {
    uint8_t iface;
    uint16_t mtu;
    struct ip_addr src;
};
bool net_route(const struct net *n, const struct ip_addr *dst, struct net_route *out);
/* True if `a` is one of our addresses. */
bool net_is_local(const struct net *n, const struct ip_addr *a);

/* True if the port of `iface` cuts long TCP packets into segments itself. */
bool net_tso(const struct net *n, uint8_t iface);

/* An mbuf with headroom for Ethernet, VLAN and IP; the caller appends TCP header and
 * payload. NULL when the pool is dry (counted). */
struct rte_mbuf *net_tx_alloc(struct net *n);

/* Send a TCP packet whose data starts at the TCP header (checksum field zero; net
 * fills it in or asks the port to). It may be a chain; with net_tso() it may be up to
 * 64 KiB, m->tso_segsz saying the payload of a segment. Takes the mbuf. ecn: 0 or 2 (ECT(0)).
 * `iface` is a hint from net_route (0xff: look up). A packet to an unresolved
 * neighbour waits (at most 4 a neighbour) until ARP/NDP answers. */
void net_output(struct net *n, uint64_t now_ns, struct rte_mbuf *m, const struct ip_addr *src,
                const struct ip_addr *dst, uint8_t ecn, uint8_t iface);

/* Hand everything queued to the ports. */
void net_flush(struct net *n);
/* A link came back, maybe to others than before: tell everybody where our addresses are, and
 * ask for each neighbour anew before the next packet to it. */
void net_link_returned(struct net *n, uint64_t now_ns);
/* Neighbour timers. Call about every 10 ms. */
void net_tick(struct net *n, uint64_t now_ns);
/* When net_tick has something to do next; UINT64_MAX: never. */
uint64_t net_next_timer(const struct net *n);

#endif

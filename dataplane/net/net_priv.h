/* Private to net/. */
#ifndef TGW_NET_PRIV_H
#define TGW_NET_PRIV_H

#include "net/net.h"
#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>

enum {
    NET_TX_BURST = 64,
    NEIGH_SLOTS = 1024, /* power of two */
    NEIGH_WAITING_MAX = 4,
    NEIGH_PROBES_MAX = 3,
};

enum neigh_state { NEIGH_FREE, NEIGH_INCOMPLETE, NEIGH_REACHABLE, NEIGH_PROBE };

/* One next hop (RFC 826). */
struct neigh {
    uint8_t ip[4];
    struct rte_ether_addr mac;
    uint8_t state; /* enum neigh_state */
    uint8_t iface;
    uint8_t probes;
    uint8_t waiting;
    bool used; /* since it was last confirmed */
    uint64_t deadline_ns;
    struct rte_mbuf *queue[NEIGH_WAITING_MAX]; /* whole IP packets */
};

struct iface {
    struct net_iface_config config;
    struct rte_ether_addr mac;
    struct rte_mbuf *tx[NET_TX_BURST];
    uint16_t tx_count;
};

struct net {
    struct net_config config;
    struct net_ops up;
    void *up_ctx;
    struct tgw_counters *counters;
    uint64_t now_ns;
    uint64_t echo_tokens, echo_refill_ns; /* ICMP rate limit */
    uint16_t ip_id;
    struct iface iface[TGW_PORTS_MAX];
    struct neigh neigh[NEIGH_SLOTS];
};

static inline void net_drop(struct net *n, enum tgw_reason r) {
    tgw_count_reason(n->counters, r);
}

/* Own IPv4 address `ip` on any interface; NULL if it is none of ours. */
const struct ip_prefix *net_own4(const struct net *n, const uint8_t ip[4]);

/* Put a finished frame into the interface's transmit array. Takes the mbuf. */
void net_send_frame(struct net *n, uint8_t iface, struct rte_mbuf *m);
/* Prepend Ethernet and send. False: no headroom; the mbuf is still the caller's. */
void net_send_ether(struct net *n, uint8_t iface, struct rte_mbuf *m,
                    const struct rte_ether_addr *dst, uint16_t type);

/* Each input_ function reads `m` from data offset `at` on and never frees it. */
void arp_input(struct net *n, uint8_t iface, struct rte_mbuf *m, uint32_t at);
/* Send an IP packet to the neighbour; takes the mbuf. */
void neigh_output(struct net *n, uint8_t iface, const uint8_t next_hop[4], struct rte_mbuf *m);
void neigh_tick(struct net *n);
void neigh_announce(struct net *n, uint8_t iface);
void neigh_clear(struct net *n);

void ip4_input(struct net *n, uint8_t iface, struct rte_mbuf *m, uint32_t at);
/* Next hop for dst on `iface` (the gateway, or dst itself). False: none. */
bool ip4_next_hop(const struct net *n, uint8_t iface, const uint8_t dst[4], uint8_t out[4]);
void icmp4_input(struct net *n, uint8_t iface, struct rte_mbuf *m, const struct rte_ipv4_hdr *ip,
                 const uint8_t *data, uint32_t len);

/* Parse a TCP segment of `len` bytes whose checksum is known to be good. */
bool seg_parse(struct seg *s, const uint8_t *tcp, uint32_t len);

#endif

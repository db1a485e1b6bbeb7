/* What the files of this room share. Nobody outside includes it. */
#ifndef TGW_NET_PRIV_H
#define TGW_NET_PRIV_H

#include "fast4.h"
#include "net/net.h"
#include "probe_priv.h"
#include <assert.h>
#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_ip.h>

enum {
    IFACE_ADDRS_MAX = TGW_PORT_ADDRS_MAX + 1, /* the link-local one besides */
    IFACE_NONE = 0xff,
    TX_BURST_MAX = 64,
    RX_BURST_MAX = 32, /* segments handed up at once */
    PROTO_ICMP4 = 1,
    PROTO_TCP = 6,
    PROTO_ICMP6 = 58,
    TCP_CHECKSUM_OFFSET = 16,
    HOP_LIMIT = 64,
    NDP_HOP_LIMIT = 255, /* RFC 4861 section 7.1: proves that no router passed it on */
    ICMP_REPLIES_PER_S = 10000,
    ICMP_REPLIES_BURST = 1000,
};
static const uint64_t SECOND_NS = 1000000000;

struct neigh;

struct iface {
    struct port *port;
    uint16_t queue;
    uint8_t index;
    uint8_t addr_count;
    struct fast4 fast4;
    uint16_t vlan;     /* 0: untagged */
    uint32_t offloads; /* of the port, as far as this core uses them */
    struct ip_prefix addr[IFACE_ADDRS_MAX];
    bool has_gateway4, has_gateway6;
    struct ip_addr gateway4, gateway6;
    bool has_range;
    struct ip_prefix range;
    struct neigh *last_hop; /* found last, to be looked at first; NULL: none */
    uint16_t tx_count;
    struct rte_mbuf *tx[TX_BURST_MAX];
};

struct neigh_table;

struct net {
    uint64_t now_ns; /* of the call under way */
    struct net_ops up;
    void *up_ctx;
    struct tgw_counters *counters;
    struct rte_mempool *pool;
    struct neigh_table *neigh;
    uint64_t random; /* splitmix64 state */
    uint64_t icmp_tokens_ns, icmp_filled_ns;
    uint8_t iface_count;
    uint16_t rx_queue; /* of the packets in hand; for the probe alone */
    struct iface iface[TGW_PORTS_MAX];
    /* Segments that wait for the end of their burst. */
    uint16_t burst_count;
    struct rte_mbuf *burst_mbuf[RX_BURST_MAX];
    struct seg burst[RX_BURST_MAX];
    struct probe probe;
};

/* One received packet on its way up. A room that keeps the mbuf sets `m` to NULL. */
struct rx {
    struct iface *in;
    struct rte_mbuf *m;
    uint8_t src_mac[6];
    bool unicast; /* the frame was for our MAC */
    uint8_t ecn;
    uint8_t hop_limit;
    struct ip_addr src, dst;
    const uint8_t *p; /* the layer being looked at, and how much of it there is */
    uint32_t len;
};

static inline uint16_t get16(const uint8_t *p) {
    return (uint16_t)(p[0] << 8 | p[1]);
}
static inline uint32_t get32(const uint8_t *p) {
    return (uint32_t)get16(p) << 16 | get16(p + 2);
}
static inline void put16(uint8_t *p, uint16_t v) {
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

/* net.c */
uint64_t net_random(struct net *n);
void net_drop(struct net *n, struct rte_mbuf *m, enum tgw_reason why);
bool net_icmp_allowed(struct net *n);

/* eth.c */
enum tgw_reason eth_input(struct net *n, struct rx *rx);
void eth_send(struct net *n, struct iface *out, struct rte_mbuf *m, const uint8_t mac[6],
              uint16_t type);
/* A finished frame. */
void iface_send(struct net *n, struct iface *out, struct rte_mbuf *m);
void iface_flush(struct net *n, struct iface *out);

/* arp.c */
enum tgw_reason arp_input(struct net *n, struct rx *rx);
/* To `mac`, or to everybody when NULL. */
void arp_request(struct net *n, struct iface *out, const struct ip_addr *target,
                 const uint8_t *mac);
void arp_announce(struct net *n, struct iface *out, const struct ip_addr *own);

/* neigh.c */
struct neigh_table *neigh_create(void);
void neigh_destroy(struct neigh_table *t);
/* Send an IP packet to an on-link next hop, or let it wait for resolution. */
void neigh_output(struct net *n, struct iface *out, const struct ip_addr *hop, struct rte_mbuf *m);
/* The MAC of a next hop that is known to be reachable and needs no looking after, or NULL. */
const uint8_t *neigh_mac(struct net *n, struct iface *out, const struct ip_addr *hop);
/* A peer that asked for us named its MAC: make or refresh the entry. */
void neigh_learn(struct net *n, struct iface *in, const struct ip_addr *addr, const uint8_t *mac);
/* A peer answered, asked for or not; an entry is never made from it. */
void neigh_answer(struct net *n, struct iface *in, const struct ip_addr *addr, const uint8_t *mac,
                  bool solicited, bool override);
void neigh_tick(struct net *n);
/* Who was known may be another by now: each is asked for before the next packet to it. */
void neigh_doubt_all(struct net *n);
uint64_t neigh_next_timer(const struct neigh_table *t);
/* Is its MAC known? */
bool neigh_is_known(struct net *n, const struct iface *out, const struct ip_addr *hop);

/* ip4.c, ip6.c: input, and the header in front of a payload whose mbuf starts at it */
enum tgw_reason ip4_input(struct net *n, struct rx *rx);
enum tgw_reason ip6_input(struct net *n, struct rx *rx);
bool ip4_push(struct net *n, struct iface *out, struct rte_mbuf *m, const struct ip_addr *src,
              const struct ip_addr *dst, uint8_t proto, uint8_t ecn);
bool ip6_push(struct rte_mbuf *m, const struct ip_addr *src, const struct ip_addr *dst,
              uint8_t proto, uint8_t hop_limit, uint8_t ecn);

/* icmp4.c, icmp6.c, ndp.c */
enum tgw_reason icmp4_input(struct net *n, struct rx *rx);
enum tgw_reason icmp6_input(struct net *n, struct rx *rx);
enum tgw_reason ndp_input(struct net *n, struct rx *rx);
void ndp_solicit(struct net *n, struct iface *out, const struct ip_addr *target,
                 const uint8_t *mac);
void ndp_announce(struct net *n, struct iface *out, const struct ip_addr *own);
uint16_t icmp6_checksum(const struct ip_addr *src, const struct ip_addr *dst, const uint8_t *p,
                        uint32_t len);

/* probe.c */
void probe_tick(struct net *n);
/* True: the answer to our question, and nobody else's business. */
bool probe_took_segment(struct net *n, const struct rx *rx, const struct seg *s);
enum tgw_reason probe_echo_reply(struct net *n, const struct rx *rx);

/* seg.c */
/* The TCP header and options of `p`; addresses and checksum are the caller's. */
enum tgw_reason seg_parse(struct seg *s, const uint8_t *p, uint32_t len);
enum tgw_reason seg_input(struct net *n, struct rx *rx);
/* Hand up what seg_input() has gathered. */
void seg_burst_end(struct net *n);
/* Internet checksums in network byte order as they stand in memory, over pseudo header
 * and segment; 0 over a segment whose checksum field is right. */
uint16_t tcp_checksum(const struct ip_addr *src, const struct ip_addr *dst, const uint8_t *p,
                      uint32_t len);
/* Of the pseudo header alone. */
uint16_t tcp_pseudo_checksum(const struct ip_addr *src, const struct ip_addr *dst, uint32_t len);

/* route.c */
bool iface_is_own(const struct iface *i, const struct ip_addr *a);
/* Our address that `to` is on-link of; NULL: none. */
const struct ip_prefix *iface_on_link(const struct iface *i, const struct ip_addr *to);
/* A source on this interface for an on-link `to`; NULL: no address of that family. */
const struct ip_addr *iface_source(const struct iface *i, const struct ip_addr *to);
/* Next hop on this interface; NULL: `dst` is not reached by it. */
const struct ip_addr *iface_next_hop(const struct iface *i, const struct ip_addr *dst);
/* Can `a` be the source of a packet to us that came in by `i`? */
bool source_is_valid(const struct net *n, const struct iface *i, const struct ip_addr *a);
static inline bool ip6_is_multicast(const struct ip_addr *a) {
    return a->b[0] == 0xff;
}
static inline bool ip6_is_link_local(const struct ip_addr *a) {
    return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}
static inline bool ip_addr_is_unspecified(const struct ip_addr *a) {
    static const struct ip_addr none;
    return ip_addr_eq(a, &none);
}

/* output.c */
/* The checksum of a TCP packet that starts at its header, or the request for it. */
void put_checksum(const struct iface *out, struct rte_mbuf *m, const struct ip_addr *src,
                  const struct ip_addr *dst);
/* Send a packet that starts at its IP header towards `dst` by `out`. */
void ip_send(struct net *n, struct iface *out, struct rte_mbuf *m, const struct ip_addr *dst);

#endif

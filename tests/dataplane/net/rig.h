/* One net with two interfaces over in-memory ports; the test is the peer on either. */
#ifndef TESTS_NET_RIG_H
#define TESTS_NET_RIG_H

#include "drivers/sim.h"
#include "net/net.h"

enum { RIG_FRAME_MAX = 2000 };
static const uint8_t RIG_OUR_MAC[6] = {0x02, 0, 0, 0, 0, 1};
static const uint8_t RIG_PEER_MAC[6] = {0x02, 0, 0, 0, 0, 0x99};

struct frame {
    uint32_t len;
    uint8_t b[RIG_FRAME_MAX];
};

/* Interface 0: 198.18.0.2/24, fd18::2/64. Interface 1: 198.18.1.2/24, fd19::2/64 and the
 * default gateways 198.18.1.1 and fd19::1. */
struct rig {
    struct port *peer[2];
    struct port *ours[2];
    struct net *net;
    struct tgw_counters *counters;
    struct rte_mempool *pool;
    uint64_t now_ns;
    uint64_t rx_verdict;       /* ol_flags that the port gives to what comes in */
    unsigned segments, errors; /* handed up */
    struct seg seg;            /* the last, its payload copied */
    uint8_t payload[RIG_FRAME_MAX];
    struct net_icmp_error error;
};

struct rig *rig_open(struct rte_mempool *pool);
void rig_close(struct rig *r);
/* Deliver a frame to interface `iface`, and send what comes of it. */
void rig_send(struct rig *r, uint8_t iface, const struct frame *f);
/* The next frame that net sent by `iface`; false: none. */
bool rig_recv(struct rig *r, uint8_t iface, struct frame *out);
void rig_drain(struct rig *r);
uint64_t rig_reason(const struct rig *r, enum tgw_reason why);
/* Time passes, a tick of 10 ms after another. */
void rig_wait_ms(struct rig *r, unsigned ms);
struct ip_addr rig_addr(const char *text);
/* A TCP packet of 20 bytes goes from `src` to `dst`. */
void rig_output(struct rig *r, const char *src, const char *dst);
/* The same by an interface that is known, as a connection's packets go. */
void rig_output_by(struct rig *r, const char *src, const char *dst, uint8_t iface);

/* Builders. Ethernet to us from the peer's MAC; checksums right. */
void frame_arp(struct frame *f, uint16_t op, const char *sender, const char *target);
void frame_ip(struct frame *f, const char *src, const char *dst, uint8_t proto, const void *body,
              uint32_t len);
void frame_icmp(struct frame *f, const char *src, const char *dst, const void *body, uint32_t len);
void frame_tcp(struct frame *f, const char *src, const char *dst, const uint8_t *options,
               uint32_t option_bytes, const char *payload);
/* A TCP segment from its header on; fills in the checksum. */
void frame_segment(struct frame *f, const char *src, const char *dst, const void *segment,
                   uint32_t len);
/* Neighbour solicitation (135) or advertisement (136) with its link-layer option. */
void frame_ndp(struct frame *f, const char *src, const char *dst, uint8_t type, uint8_t flags,
               const char *target);
/* After a change to the IPv4 header (at 14) or TCP (IPv4 without options). */
void frame_fix_ip4(struct frame *f);
void frame_fix_tcp4(struct frame *f);

#endif

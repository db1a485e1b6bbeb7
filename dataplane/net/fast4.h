/* The short way of common packets; private to net/. */
#ifndef TGW_NET_FAST4_H
#define TGW_NET_FAST4_H

#include "contract/reason.h"
#include "net/addr.h"

struct iface;
struct net;
struct rx;
struct rte_mbuf;

/* What fast4.c compares with, as it stands on the wire. */
enum { FAST4_ADDRS_MAX = 2 };
struct fast4 {
    uint32_t own[FAST4_ADDRS_MAX], mask[FAST4_ADDRS_MAX];
    uint8_t count;
};

static inline bool mac_eq(const uint8_t *a, const uint8_t *b) {
    uint32_t x, y;
    uint16_t v, w;
    memcpy(&x, a, 4);
    memcpy(&y, b, 4);
    memcpy(&v, a + 4, 2);
    memcpy(&w, b + 4, 2);
    return x == y && v == w;
}

void fast4_init(struct iface *i);
/* True: the packet is dealt with, *why as from eth_input. False: nothing has happened. */
bool fast4_input(struct net *n, struct rx *rx, enum tgw_reason *why);
/* True: on its way. False: nothing has happened. */
bool fast4_output(struct net *n, struct rte_mbuf *m, const struct ip_addr *src,
                  const struct ip_addr *dst, uint8_t ecn, uint8_t iface);

#endif

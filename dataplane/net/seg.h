/* A validated view of one received TCP segment (RFC 9293 section 3.1, RFC 7323,
 * RFC 2018). Host byte order. Points into the mbuf, valid while that lives. */
#ifndef TGW_NET_SEG_H
#define TGW_NET_SEG_H

#include "net/addr.h"

struct rte_mbuf;

enum seg_flag {
    SEG_FIN = 0x01,
    SEG_SYN = 0x02,
    SEG_RST = 0x04,
    SEG_PSH = 0x08,
    SEG_ACK = 0x10,
    SEG_URG = 0x20,
    SEG_ECE = 0x40,
    SEG_CWR = 0x80,
};

enum { SEG_SACK_BLOCKS_MAX = 4 };

struct seg {
    struct ip_addr src, dst;
    uint16_t sport, dport;
    uint32_t seq, ack;
    uint16_t wnd; /* as on the wire, unscaled */
    uint8_t flags;
    uint8_t ecn;   /* IP ECN field: 0 not-ECT, 1 ECT(1), 2 ECT(0), 3 CE */
    uint8_t iface; /* index it came in by */
    bool has_ts, has_wscale, sack_permitted;
    uint8_t wscale;
    uint8_t sack_count;
    uint16_t mss; /* 0: no option */
    uint32_t ts_val, ts_ecr;
    struct {
        uint32_t start, end;
    } sack[SEG_SACK_BLOCKS_MAX];
    const uint8_t *payload;
    uint32_t len; /* payload bytes, without SYN and FIN */
};

#endif

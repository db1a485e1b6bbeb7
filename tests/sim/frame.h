/* Reading and changing frames on the wire: what a middlebox, a router or a tracer does. */
#ifndef TESTS_SIM_FRAME_H
#define TESTS_SIM_FRAME_H

#include "net/seg.h"
#include <stdio.h>

/* The TCP segment of a whole, good frame, checksum included. False: it is none. */
bool frame_segment(const uint8_t *frame, uint32_t len, struct seg *out);
bool frame_is_ip(const uint8_t *frame, uint32_t len);
/* Offset of the TCP header; 0: not TCP. */
uint32_t frame_tcp_at(const uint8_t *frame, uint32_t len);
/* Blank out options of a SYN: enum wire_strip. */
void frame_strip(uint8_t *frame, uint32_t len, unsigned strip);
/* A router's answer to a packet that is too big for `mtu`, addressed to its sender.
 * Returns the length of the frame in `out` (at least 1600 bytes). */
uint32_t frame_too_big(const uint8_t *frame, uint32_t len, uint16_t mtu, uint8_t *out);
/* A SYN of a stranger to the given address and port. */
uint32_t frame_syn(uint8_t *out, const uint8_t to_mac[6], const struct ip_addr *from,
                   const struct ip_addr *to, uint16_t sport, uint16_t dport, uint32_t seq);
/* Any segment, its payload zeros; of the options SACK blocks alone. */
uint32_t frame_tcp(uint8_t *out, const uint8_t to_mac[6], const struct seg *s);
/* A fragment of a TCP packet, `offset` a multiple of 8, with `bytes` zeros in it. One that is
 * the last and the first is none. */
uint32_t frame_fragment(uint8_t *out, const uint8_t to_mac[6], const struct ip_addr *from,
                        const struct ip_addr *to, uint32_t id, uint16_t offset, bool more,
                        uint32_t bytes);
/* One line of a trace, without a newline. */
void frame_print(FILE *to, const uint8_t *frame, uint32_t len);

#endif

/* TCP segments and ICMP errors between bytes and struct seg, by the test's own hand: what
 * the stack reads and writes is not taken from the stack. */
#ifndef TESTS_PACKET_WIRE_H
#define TESTS_PACKET_WIRE_H

#include "net/seg.h"
#include "tests/dataplane/net/rig.h"

/* A window scale option can ask for more than 14, so it is not cut down here. */
void wire_build(struct frame *f, const char *src, const char *dst, const struct seg *s);
/* False when the frame holds no TCP segment. */
bool wire_parse(struct seg *s, const struct frame *f);

struct wire_icmp {
    bool too_big;          /* else port unreachable */
    uint32_t mtu;          /* of the next hop */
    uint32_t seq;          /* of the quoted segment */
    uint16_t sport, dport; /* of the quoted segment */
};
/* From `router` to `to`, quoting a segment from `to` to `peer`. */
void wire_build_icmp(struct frame *f, const char *router, const char *to, const char *peer,
                     const struct wire_icmp *e);

#endif

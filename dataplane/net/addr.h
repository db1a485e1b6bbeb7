/* Addresses: 16 bytes, IPv4 as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2). */
#ifndef TGW_NET_ADDR_H
#define TGW_NET_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct ip_addr {
    uint8_t b[16];
};

struct ip_prefix {
    struct ip_addr addr;
    uint8_t len; /* of 128; an IPv4 /24 is 120 */
};

static inline bool ip_addr_is4(const struct ip_addr *a) {
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return memcmp(a->b, mapped, sizeof(mapped)) == 0;
}
static inline bool ip_addr_eq(const struct ip_addr *a, const struct ip_addr *b) {
    return memcmp(a, b, sizeof(*a)) == 0;
}

struct ip_addr ip_addr_from4(const uint8_t b[4]);
/* "198.18.0.2" or "fd18::2"; no port, no prefix. False if it is neither. */
bool ip_addr_parse(const char *text, struct ip_addr *out);
/* "198.18.0.0/16"; a bare address is a host prefix. Host bits must be zero unless
 * `host_bits` (an interface address) is given. */
bool ip_prefix_parse(const char *text, bool host_bits, struct ip_prefix *out);
bool ip_prefix_has(const struct ip_prefix *p, const struct ip_addr *a);
/* Writes at most 46 bytes; returns out. */
char *ip_addr_text(const struct ip_addr *a, char out[46]);

#endif

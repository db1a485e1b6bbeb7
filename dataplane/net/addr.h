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

/* Compared as words: these stand in the path of every packet. */
static inline uint64_t ip_addr_half(const struct ip_addr *a, int low) {
    uint64_t half;
    memcpy(&half, a->b + 8 * low, sizeof(half));
    return half;
}
static inline bool ip_addr_is4(const struct ip_addr *a) {
    static const uint8_t mapped[4] = {0, 0, 0xff, 0xff};
    return ip_addr_half(a, 0) == 0 && memcmp(a->b + 8, mapped, sizeof(mapped)) == 0;
}
static inline bool ip_addr_eq(const struct ip_addr *a, const struct ip_addr *b) {
    return ((ip_addr_half(a, 0) ^ ip_addr_half(b, 0)) |
            (ip_addr_half(a, 1) ^ ip_addr_half(b, 1))) == 0;
}

static inline struct ip_addr ip_addr_from4(const uint8_t b[4]) {
    struct ip_addr a = {{[10] = 0xff, [11] = 0xff}};
    memcpy(a.b + 12, b, 4);
    return a;
}
/* "198.18.0.2" or "fd18::2"; no port, no prefix. False if it is neither. */
bool ip_addr_parse(const char *text, struct ip_addr *out);
/* "198.18.0.0/16"; a bare address is a host prefix. Host bits must be zero unless
 * `host_bits` (an interface address) is given. */
bool ip_prefix_parse(const char *text, bool host_bits, struct ip_prefix *out);
/* ::/0 holds mapped addresses too, but a route of one family is not for the other. */
static inline bool ip_prefix_has(const struct ip_prefix *p, const struct ip_addr *a) {
    uint64_t high = __builtin_bswap64(ip_addr_half(&p->addr, 0) ^ ip_addr_half(a, 0));
    uint64_t low = __builtin_bswap64(ip_addr_half(&p->addr, 1) ^ ip_addr_half(a, 1));
    if (p->len > 64)
        return high == 0 && low >> (128 - p->len) == 0 && ip_addr_is4(&p->addr) == ip_addr_is4(a);
    return (p->len == 0 || high >> (64 - p->len) == 0) && ip_addr_is4(&p->addr) == ip_addr_is4(a);
}
/* Writes at most 46 bytes; returns out. */
char *ip_addr_text(const struct ip_addr *a, char out[46]);

#endif

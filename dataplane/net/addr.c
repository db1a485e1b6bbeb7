#include "net/addr.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

enum { ADDR_BITS = 128, V4_MAPPED_BITS = 96, ADDR_TEXT_BYTES = 46 };

bool ip_addr_parse(const char *text, struct ip_addr *out) {
    uint8_t v4[4];
    if (inet_pton(AF_INET, text, v4) == 1) {
        *out = ip_addr_from4(v4);
        return true;
    }
    return inet_pton(AF_INET6, text, out->b) == 1;
}

static bool host_bits_zero(const struct ip_prefix *p) {
    for (unsigned bit = p->len; bit < ADDR_BITS; bit++)
        if (p->addr.b[bit / 8] & (0x80u >> (bit % 8)))
            return false;
    return true;
}

/* Decimal, at most three digits, nothing around it. -1: not that. */
static int parse_len(const char *text) {
    size_t n = strlen(text);
    if (n == 0 || n > 3 || strspn(text, "0123456789") != n)
        return -1;
    return atoi(text);
}

bool ip_prefix_parse(const char *text, bool host_bits, struct ip_prefix *out) {
    char addr[ADDR_TEXT_BYTES];
    const char *slash = strchr(text, '/');
    size_t n = slash ? (size_t)(slash - text) : strlen(text);
    if (n >= sizeof(addr))
        return false;
    memcpy(addr, text, n);
    addr[n] = '\0';
    if (!ip_addr_parse(addr, &out->addr))
        return false;
    bool v4 = strchr(addr, ':') == NULL;
    int max = v4 ? ADDR_BITS - V4_MAPPED_BITS : ADDR_BITS;
    int len = slash ? parse_len(slash + 1) : max;
    if (len < 0 || len > max)
        return false;
    out->len = (uint8_t)(v4 ? len + V4_MAPPED_BITS : len);
    return host_bits || host_bits_zero(out);
}

char *ip_addr_text(const struct ip_addr *a, char out[46]) {
    bool v4 = ip_addr_is4(a);
    if (!inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? a->b + 12 : a->b, out, ADDR_TEXT_BYTES))
        out[0] = '\0';
    return out;
}

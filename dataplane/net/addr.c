#include "net/addr.h"
#include <arpa/inet.h>
#include <stdlib.h>

struct ip_addr ip_addr_from4(const uint8_t b[4]) {
    struct ip_addr a = {{[10] = 0xff, [11] = 0xff}};
    memcpy(a.b + 12, b, 4);
    return a;
}

bool ip_addr_parse(const char *text, struct ip_addr *out) {
    uint8_t v4[4];
    if (inet_pton(AF_INET, text, v4) == 1) {
        *out = ip_addr_from4(v4);
        return true;
    }
    return inet_pton(AF_INET6, text, out->b) == 1;
}

static bool bit_is_set(const struct ip_addr *a, unsigned bit) {
    return a->b[bit / 8] >> (7 - bit % 8) & 1;
}

bool ip_prefix_parse(const char *text, bool host_bits, struct ip_prefix *out) {
    char addr[64];
    const char *slash = strchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : strlen(text);
    if (len >= sizeof(addr))
        return false;
    memcpy(addr, text, len);
    addr[len] = 0;
    if (!ip_addr_parse(addr, &out->addr))
        return false;
    unsigned base = ip_addr_is4(&out->addr) ? 96 : 0;
    unsigned long bits = 128 - base;
    if (slash) {
        char *end;
        bits = strtoul(slash + 1, &end, 10);
        if (slash[1] < '0' || slash[1] > '9' || *end || bits > 128 - base)
            return false;
    }
    out->len = (uint8_t)(base + bits);
    for (unsigned bit = out->len; !host_bits && bit < 128; bit++)
        if (bit_is_set(&out->addr, bit))
            return false;
    return true;
}

bool ip_prefix_has(const struct ip_prefix *p, const struct ip_addr *a) {
    unsigned whole = p->len / 8, rest = p->len % 8;
    if (memcmp(p->addr.b, a->b, whole) != 0)
        return false;
    return rest == 0 || (p->addr.b[whole] ^ a->b[whole]) >> (8 - rest) == 0;
}

char *ip_addr_text(const struct ip_addr *a, char out[46]) {
    bool v4 = ip_addr_is4(a);
    if (!inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? a->b + 12 : a->b, out, 46))
        out[0] = 0;
    return out;
}

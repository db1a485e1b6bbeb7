#include "slots.h"
#include <stdlib.h>
#include <string.h>

static uint16_t crc16(const char *p, size_t len) {
    uint32_t crc = 0;
    for (size_t i = 0; i < len; i++) {
        crc ^= (uint32_t)(unsigned char)p[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1;
    }
    return (uint16_t)crc;
}

uint16_t redis_slot(const char *key, size_t len) {
    const char *open = memchr(key, '{', len);
    if (open) {
        size_t rest = len - (size_t)(open + 1 - key);
        const char *close = memchr(open + 1, '}', rest);
        if (close && close > open + 1)
            return crc16(open + 1, (size_t)(close - open - 1)) % REDIS_SLOTS;
    }
    return crc16(key, len) % REDIS_SLOTS;
}

static bool whole(const char *text, unsigned long max, unsigned long *out) {
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    *out = strtoul(text, &end, 10);
    return *out <= max && (*end == 0 || *end == ' ');
}

enum redis_redirect redis_redirect_parse(const char *error, uint16_t *slot,
                                         struct redis_address *out) {
    unsigned long n, port;
    bool moved = strncmp(error, "MOVED ", 6) == 0;
    if (!moved && strncmp(error, "ASK ", 4) != 0)
        return REDIS_STAY;
    const char *at = error + (moved ? 6 : 4);
    const char *host = strchr(at, ' ');
    const char *colon = host ? strrchr(host, ':') : NULL; /* an IPv6 address has several */
    if (!colon || !whole(at, REDIS_SLOTS - 1, &n) || !whole(colon + 1, 65535, &port) || port == 0)
        return REDIS_STAY;
    size_t len = (size_t)(colon - ++host);
    if (len >= sizeof(out->host))
        return REDIS_STAY;
    memcpy(out->host, host, len);
    out->host[len] = 0;
    out->port = (uint16_t)port;
    *slot = (uint16_t)n;
    return moved ? REDIS_MOVED : REDIS_ASK;
}

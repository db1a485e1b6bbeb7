#include "rss.h"
#include "port.h"
#include <string.h>

void rss_symmetric_key(uint8_t *key, size_t bytes) {
    for (size_t i = 0; i < bytes; i++)
        key[i] = i & 1 ? 0x5a : 0x6d;
}

/* 32 bits of the key from bit `at`; beyond its end it has none. */
static uint32_t key_window(const struct port_rss *r, size_t at) {
    uint64_t bits = 0;
    for (size_t k = 0; k < 5; k++) {
        size_t byte = at / 8 + k;
        bits = bits << 8 | (byte < r->key_bytes ? r->key[byte] : 0u);
    }
    return (uint32_t)(bits >> (8 - at % 8));
}

uint32_t rss_hash(const struct port_rss *r, const uint8_t src[16], const uint8_t dst[16],
                  uint16_t sport, uint16_t dport) {
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    bool v4 = memcmp(src, mapped, sizeof(mapped)) == 0;
    size_t skip = v4 ? sizeof(mapped) : 0, n = 0;
    uint8_t input[36];
    uint32_t hash = 0;
    memcpy(input, src + skip, 16 - skip);
    memcpy(input + 16 - skip, dst + skip, 16 - skip);
    n = 2 * (16 - skip);
    if (v4 ? r->ports4 : r->ports6) {
        const uint8_t ports[4] = {(uint8_t)(sport >> 8), (uint8_t)sport, (uint8_t)(dport >> 8),
                                  (uint8_t)dport};
        memcpy(input + n, ports, sizeof(ports));
        n += sizeof(ports);
    }
    for (size_t bit = 0; bit < n * 8; bit++)
        if (input[bit / 8] & (0x80u >> bit % 8))
            hash ^= key_window(r, bit);
    return hash;
}

uint16_t rss_queue(const struct port_rss *r, const uint8_t src[16], const uint8_t dst[16],
                   uint16_t sport, uint16_t dport) {
    return r->table_size ? r->table[rss_hash(r, src, dst, sport, dport) % r->table_size] : 0;
}

uint16_t port_rx_queue(const struct port *p, const uint8_t src[16], const uint8_t dst[16],
                       uint16_t sport, uint16_t dport) {
    return p->rss ? rss_queue(p->rss, src, dst, sport, dport) : 0;
}

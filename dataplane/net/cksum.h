/* The Internet checksum (RFC 1071), eight bytes at a time: a ones' complement sum does not
 * mind how wide its words are, nor their byte order. */
#ifndef TGW_NET_CKSUM_H
#define TGW_NET_CKSUM_H

#include <stdint.h>
#include <string.h>

static inline uint64_t cksum_add(uint64_t sum, uint64_t word) {
    sum += word;
    return sum + (sum < word); /* end-around carry */
}

static inline uint64_t cksum_word(const uint8_t *p) {
    uint64_t word;
    memcpy(&word, p, sizeof(word));
    return word;
}

/* Add `len` bytes to `sum`; an odd last byte counts as if a zero followed. Two sums side by
 * side, so that one's carry does not hold up the other. */
static inline uint64_t cksum_bytes(uint64_t sum, const uint8_t *p, uint32_t len) {
    uint64_t second = 0, last = 0;
    for (; len >= 32; p += 32, len -= 32) {
        sum = cksum_add(sum, cksum_word(p));
        second = cksum_add(second, cksum_word(p + 8));
        sum = cksum_add(sum, cksum_word(p + 16));
        second = cksum_add(second, cksum_word(p + 24));
    }
    for (; len >= 8; p += 8, len -= 8)
        sum = cksum_add(sum, cksum_word(p));
    memcpy(&last, p, len);
    return cksum_add(cksum_add(sum, second), last);
}

/* Folded to 16 bits, as it stands in memory, not complemented. */
static inline uint16_t cksum_fold(uint64_t sum) {
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

#endif

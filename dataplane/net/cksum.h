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

/* 32 bytes. Compilers do not find the carry chain by themselves: five instructions here,
 * sixteen from the C below. */
static inline uint64_t cksum_32(uint64_t sum, const uint8_t *p) {
#ifdef __x86_64__
    struct block {
        uint8_t byte[32];
    };
    __asm__("addq 0(%[p]), %[sum]\n\t"
            "adcq 8(%[p]), %[sum]\n\t"
            "adcq 16(%[p]), %[sum]\n\t"
            "adcq 24(%[p]), %[sum]\n\t"
            "adcq $0, %[sum]"
            : [sum] "+r"(sum)
            : [p] "r"(p), "m"(*(const struct block *)p)
            : "cc");
    return sum;
#else
    sum = cksum_add(cksum_add(sum, cksum_word(p)), cksum_word(p + 8));
    return cksum_add(cksum_add(sum, cksum_word(p + 16)), cksum_word(p + 24));
#endif
}

/* The last 0 to 7 bytes, zeroes behind them. */
static inline uint64_t cksum_tail(const uint8_t *p, uint32_t len) {
    uint64_t sum = 0;
    uint32_t four = 0;
    uint16_t two = 0;
    if (len & 4) {
        memcpy(&four, p, sizeof(four));
        p += 4;
    }
    if (len & 2) {
        memcpy(&two, p, sizeof(two));
        p += 2;
    }
    if (len & 1)
        memcpy(&sum, p, 1);
    return sum + four + two;
}

/* Add `len` bytes to `sum`; an odd last byte counts as if a zero followed. */
static inline uint64_t cksum_bytes(uint64_t sum, const uint8_t *p, uint32_t len) {
    for (; len >= 32; p += 32, len -= 32)
        sum = cksum_32(sum, p);
    for (; len >= 8; p += 8, len -= 8)
        sum = cksum_add(sum, cksum_word(p));
    return cksum_add(sum, cksum_tail(p, len));
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

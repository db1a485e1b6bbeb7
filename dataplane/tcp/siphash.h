/* SipHash (Aumasson and Bernstein): keyed, so that a stranger cannot aim at one bucket of
 * the flow table or guess a sequence number (RFC 6528 section 3). */
#ifndef TGW_TCP_SIPHASH_H
#define TGW_TCP_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct siphash {
    uint64_t v0, v1, v2, v3;
};

static inline struct siphash siphash_begin(const uint64_t key[2]) {
    return (struct siphash){
        key[0] ^ UINT64_C(0x736f6d6570736575), key[1] ^ UINT64_C(0x646f72616e646f6d),
        key[0] ^ UINT64_C(0x6c7967656e657261), key[1] ^ UINT64_C(0x7465646279746573)};
}

static inline uint64_t siphash_rotl(uint64_t x, unsigned n) {
    return x << n | x >> (64 - n);
}

static inline void siphash_round(struct siphash *s) {
    s->v0 += s->v1;
    s->v1 = siphash_rotl(s->v1, 13) ^ s->v0;
    s->v0 = siphash_rotl(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = siphash_rotl(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = siphash_rotl(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = siphash_rotl(s->v1, 17) ^ s->v2;
    s->v2 = siphash_rotl(s->v2, 32);
}

/* SipHash-2-4; `len` must be a multiple of 8. For what is sent out: numbers, cookies. */
uint64_t siphash(const uint64_t key[2], const void *data, size_t len);

/* SipHash-1-3 over `n` words: for a table whose hashes nobody sees, a round a word and three
 * at the end are enough (its authors' own advice, and what kernels and languages use). */
static inline uint64_t siphash13(const uint64_t key[2], const uint64_t *word, unsigned n) {
    struct siphash s = siphash_begin(key);
    uint64_t last = (uint64_t)n << 59;
    for (unsigned i = 0; i < n; i++) {
        s.v3 ^= word[i];
        siphash_round(&s);
        s.v0 ^= word[i];
    }
    s.v3 ^= last;
    siphash_round(&s);
    s.v0 ^= last;
    s.v2 ^= 0xff;
    siphash_round(&s);
    siphash_round(&s);
    siphash_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

#endif

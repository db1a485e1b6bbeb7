#include "siphash.h"
#include <assert.h>
#include <string.h>

uint64_t siphash(const uint64_t key[2], const void *data, size_t len) {
    struct siphash s = siphash_begin(key);
    const uint8_t *at = data;
    assert(len % 8 == 0);
    for (size_t i = 0; i < len; i += 8) {
        uint64_t word;
        memcpy(&word, at + i, sizeof(word));
        s.v3 ^= word;
        siphash_round(&s);
        siphash_round(&s);
        s.v0 ^= word;
    }
    uint64_t last = (uint64_t)len << 56;
    s.v3 ^= last;
    siphash_round(&s);
    siphash_round(&s);
    s.v0 ^= last;
    s.v2 ^= 0xff;
    for (int i = 0; i < 4; i++)
        siphash_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

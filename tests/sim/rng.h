/* Everything random in a simulation comes from one of these, all split from one seed. */
#ifndef TESTS_SIM_RNG_H
#define TESTS_SIM_RNG_H

#include <stdbool.h>
#include <stdint.h>

struct rng {
    uint64_t state;
};

/* splitmix64 */
static inline uint64_t rng_next(struct rng *r) {
    uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* A stream of its own, so that what one part draws does not move another's. */
static inline struct rng rng_split(struct rng *r) {
    return (struct rng){rng_next(r)};
}

/* lo..hi, both included. */
static inline uint64_t rng_range(struct rng *r, uint64_t lo, uint64_t hi) {
    return lo + rng_next(r) % (hi - lo + 1);
}

/* lo..hi, every order of magnitude as likely as the next. */
static inline uint64_t rng_scale(struct rng *r, uint64_t lo, uint64_t hi) {
    uint64_t top = lo + 1;
    while (top < hi && rng_next(r) % 24)
        top = top < hi / 2 ? top * 2 : hi;
    return rng_range(r, lo, top < hi ? top : hi);
}

static inline bool rng_chance(struct rng *r, uint32_t per_mille) {
    return rng_next(r) % 1000 < per_mille;
}

#endif

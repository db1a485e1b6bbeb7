/* The machine's own clock, for what runs against it: benchmarks, real peers. */
#ifndef TESTS_REAL_TIME_H
#define TESTS_REAL_TIME_H

#include <stdint.h>
#include <time.h>

/* Of a clock that never goes back. */
static inline uint64_t real_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#endif

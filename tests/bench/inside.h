/* The gateway's core and rigs in one process over in-memory wires: what the benches that
 * play on them share. */
#ifndef TESTS_BENCH_INSIDE_H
#define TESTS_BENCH_INSIDE_H

#include "hw/rig/pace.h"
#include "hw/rig/watch.h"
#include "shm_region.h"
#include "wire.h"
#include "worker.h"

enum { CORES_MAX = 4, ERROR_BYTES = 300 };

enum way { WAY_spread, WAY_rss, WAY_threads, WAY_handover, WAY_apart, WAYS };
/* A rig; of two, each has half of the clients and of the agents. */
struct half {
    struct rig rig;
    struct pace pace;
    uint64_t now_ns; /* virtual, but with threads: a run repeats to the instruction */
    struct rte_mempool *mbufs;
    struct port *port[2];
    cJSON *file;
};

/* Ticks a unit of each stretch; churn: of some stretches together, as a session's frames fall
 * into other ones than what it took to get there. */
struct result {
    double *v;
    uint32_t count;
    uint64_t units;
    uint64_t group_cycles, group_units; /* of the value that is not whole yet */
    uint32_t group_stretches;
};

struct inside {
    struct half half[WIRE_HALVES];
    uint16_t halves;
    struct watch watch;
    struct shm_region region;
    uint32_t cores;
    enum way way;
    struct worker_signals signals[CORES_MAX];
    struct worker *worker[CORES_MAX];
    struct result result[CORES_MAX];
    uint32_t stretches;
    uint64_t threads_tsc; /* when real time began */
    uint64_t threads_ns;
    _Atomic uint32_t threads_done;
    const char *tls_dir; /* NULL: plain */
    struct tls_context *tls_context;
    struct tls_workers *handshakes;
    struct rte_mempool *mbufs;
    struct port *port[CORES_MAX][2]; /* apart: a pair for each core; else the first is all cores' */
    char path[64], err[ERROR_BYTES];
};

/* What a rig plays, all halves together. */
struct act {
    const char *scenario, *frame_bytes;
    uint64_t sessions, typing, rate_per_s, settle_ms, duration_ms;
};

/* Ends the program where it is not good. */
void inside_check(bool good, const char *what);
void inside_start_rig(struct inside *b, uint16_t half, const struct act *act);
void inside_start_watch(struct inside *b);
/* load.c: what a keystroke takes through the gateway at parts of its capacity, on a clock that
 * runs only while the gateway does; ms of it at each. */
void load_play(struct inside *b, const char *frame_bytes, uint64_t sessions, uint64_t ms);

#endif

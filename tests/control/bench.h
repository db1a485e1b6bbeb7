/* A gateway on virtual time and a dataplane of the test's own behind the real region. */
#ifndef TESTS_CONTROL_BENCH_H
#define TESTS_CONTROL_BENCH_H

#include "control/gateway.h"
#include "dataplane/shm_region.h"
#include "tests/lib/suite.h"

enum { BENCH_CORES = 2 };

struct bench {
    struct gateway g;
    struct shm_region region;
    struct tgw_ring_end cmd[BENCH_CORES], event[BENCH_CORES];
    uint64_t now_ns;
    char dir[64], file[80];
};

extern struct bench *bench;

/* `more` stands behind the configuration's keys; a store without ops: the embedded one. */
void bench_begin(const char *more, struct token_store store);
void bench_end(void);
void bench_turn(uint64_t after_ns);
void bench_say(uint32_t core, struct tgw_msg *m, uint16_t type, size_t len, uint32_t seq);
/* The next command of that type; older ones of other types are dropped. */
bool bench_command(uint32_t core, uint16_t type, union tgw_cmd *out);

/* The parts of bench_begin, for tests of restarts. */
void bench_start_dataplane(void);
void bench_start_gateway(struct token_store store);
const char *bench_config(const char *more);
void bench_write(const char *path, const char *text);

#endif

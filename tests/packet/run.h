/* A script under way; private to script.c and verbs.c. */
#ifndef TESTS_PACKET_RUN_H
#define TESTS_PACKET_RUN_H

#include "tests/packet/segment.h"

struct run {
    struct rte_mempool *mbufs;
    struct host_setup setup;
    struct host *host; /* NULL before the first timed line */
    uint64_t start_ns;
    bool trace;
    bool has_our_iss, finding_iss; /* config our_iss: a first pass finds out the ISS */
    uint32_t our_iss;
    const char *path; /* where we are */
    unsigned line;
    char text[256]; /* of that line */
    bool failed;
    unsigned failed_line;
    char message[1024];
};

/* Notes why the script fails here; always false. */
__attribute__((format(printf, 2, 3))) bool run_fail(struct run *r, const char *format, ...);

/* A timed line, its time cut off and passed. */
bool verb_run(struct run *r, struct words *w);
/* Something that was seen and not expected, for run_fail; NULL when all is quiet. */
const char *verb_unexpected(struct run *r, char text[SEGMENT_TEXT_MAX + 64]);
/* The configuration words of a `config` line. */
bool verb_config(struct run *r, struct words *w);

#endif

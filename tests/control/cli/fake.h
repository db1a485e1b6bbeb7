/* A control process of the tests: answers one connection after another with fixed lines. */
#ifndef TESTS_CONTROL_CLI_FAKE_H
#define TESTS_CONTROL_CLI_FAKE_H

#include <pthread.h>
#include <stdbool.h>

struct fake {
    char path[108], dir[64];
    /* Lines for the requests in turn, "%ID%" standing for the request's id; NULL ends: the
     * connection is closed without an answer. */
    const char *const *replies;
    char seen[8192]; /* the request lines received */
    int listener, stop[2];
    pthread_t thread;
};

bool fake_start(struct fake *f, const char *const *replies);
void fake_stop(struct fake *f);

#endif

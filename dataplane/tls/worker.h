/* Handshake threads and their rings to and from the cores. A storm of handshakes fills
 * these, not the cores' turns. */
#ifndef TGW_TLS_WORKER_H
#define TGW_TLS_WORKER_H

#include "contract/ring.h"
#include "tls/context.h"
#include <semaphore.h>

struct tls_workers;
struct tls_job;

/* A core's ends of the rings that it shares with one thread. */
struct tls_link {
    struct tgw_ring_end to, from;
    sem_t *wake;
    uint32_t load; /* jobs that are over there */
};

/* `handshakes_max` is the most jobs that a core has; rings hold them all, so that no push
 * fails. Without `threads` nothing runs but tls_workers_turn(): tests. NULL: no memory. */
struct tls_workers *tls_workers_create(struct tls_context *x, uint32_t workers, uint32_t cores,
                                       uint32_t handshakes_max, bool threads);
/* After the cores are gone. */
void tls_workers_destroy(struct tls_workers *w);
uint32_t tls_workers_count(const struct tls_workers *w);
bool tls_workers_threaded(const struct tls_workers *w);
struct tls_context *tls_workers_context(const struct tls_workers *w);
void tls_workers_link(struct tls_workers *w, uint32_t worker, uint32_t core, struct tls_link *out);
/* Do one worker's waiting jobs on this thread; returns how many. */
uint32_t tls_workers_turn(struct tls_workers *w, uint32_t worker);

void tls_link_push(struct tls_link *l, struct tls_job *job);
/* NULL: nothing there. */
struct tls_job *tls_link_pop(struct tls_link *l);

#endif

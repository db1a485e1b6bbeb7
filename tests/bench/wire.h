/* A pair of ports joined by two rings of slots, copying in and out as memif does, so that
 * each end's packets stay in its own pool and cache. Single-threaded. */
#ifndef TESTS_BENCH_WIRE_H
#define TESTS_BENCH_WIRE_H

#include "drivers/port.h"

/* False: no memory. */
bool wire_pair(struct port *out[2], struct rte_mempool *pool[2]);

#endif

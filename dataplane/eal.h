/* Starts DPDK's environment from the configuration. */
#ifndef TGW_DATAPLANE_EAL_H
#define TGW_DATAPLANE_EAL_H

#include "config/config.h"

/* Huge pages where they are asked for and there are any, ordinary memory otherwise;
 * one lcore for the main thread (it sleeps) and one a worker. False with one line in
 * err. */
bool eal_start(const struct config *c, char *err, size_t err_bytes);

/* The workers' threads run at SCHED_FIFO as worker_priority says; before privileges are given up.
 * False with one line in err: the kernel refuses. */
bool eal_raise_workers(const struct config *c, char *err, size_t err_bytes);

/* Worker CPUs: configured ones, else the last one of the machine. */
uint32_t eal_cores(const struct config *c, uint32_t cpu[TGW_CORES_MAX]);

#endif

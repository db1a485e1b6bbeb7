/* DPDK's environment for a test: ordinary memory, no devices. Once a process. */
#ifndef TESTS_LIB_EAL_INIT_H
#define TESTS_LIB_EAL_INIT_H

#include <rte_mbuf.h>

/* A packet pool of `mbufs`; exits when DPDK does not start. */
struct rte_mempool *test_eal_init(unsigned mbufs);

#endif

#include "tests/lib/eal_init.h"
#include <rte_eal.h>
#include <stdio.h>
#include <stdlib.h>

struct rte_mempool *test_eal_init(unsigned mbufs) {
    static char *args[] = {"test",
                           "--no-huge",
                           "-m",
                           "256",
                           "--no-pci",
                           "--no-telemetry",
                           "--no-shconf",
                           "--iova-mode=va",
                           "--log-level=error",
                           "--lcores=0@(0)",
                           NULL};
    if (rte_eal_init(10, args) < 0) {
        puts("Bail out! DPDK did not start");
        exit(1);
    }
    struct rte_mempool *pool =
        rte_pktmbuf_pool_create("test", mbufs, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    if (!pool)
        exit(1);
    return pool;
}

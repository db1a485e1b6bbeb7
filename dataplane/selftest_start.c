#include "log.h"
#include "selftest.h"
#include <stdio.h>

enum { LINK_WAIT_MS = 3000 }; /* what a copper link takes to come up */

/* The log of what a port said it did and does not. */
static void tell_refused(const struct port *p, const struct tgw_check_result *result) {
    for (unsigned k = 0; k < TGW_CHECK_COUNT; k++)
        if (result[k].state == TGW_CHECK_OFF)
            log_line(LOG_WARN, "offload_off", "port %s: %s: offered and wrong, done in software",
                     p->name, tgw_check_info(k)->title);
}

/* Several cores share a port only if what the hash says is where packets land: an agent's
 * answer would come to a core that knows nothing of it. */
static bool steers_right(uint32_t cores, uint32_t i, const struct port *p,
                         const struct tgw_check_result *steering, char *err, size_t err_bytes) {
    if (cores == 1 || steering->state != TGW_CHECK_FAIL)
        return true;
    snprintf(err, err_bytes,
             "ports[%u]: %s: packets for queue %u land elsewhere: configure one core, or see "
             "docs/porting.md",
             i, p->name, steering->value);
    return false;
}

bool selftest_ports(const struct config *c, uint32_t cores, struct port *const port[],
                    struct rte_mempool *mbufs, struct tgw_check_result steering[TGW_PORTS_MAX],
                    char *err, size_t err_bytes) {
    for (uint32_t i = 0; c->self_test && i < c->port_count; i++) {
        struct tgw_check_result result[TGW_CHECK_COUNT];
        if (!selftest_is_due(port[i]))
            continue;
        if (!selftest_run(c, i, port[i], mbufs, LINK_WAIT_MS, result, err, err_bytes))
            return false;
        tell_refused(port[i], result);
        steering[i] = result[TGW_CHECK_steering];
        if (!steers_right(cores, i, port[i], &steering[i], err, err_bytes))
            return false;
    }
    return true;
}

/* The ports of a configuration on the wire, before any gateway has them. */
#include "bringup.h"
#include "eal.h"
#include "ports.h"
#include "selftest.h"
#include <rte_eal.h>
#include <string.h>

enum { MBUFS = 4095, MBUF_BYTES = 9344, LINK_WAIT_MS = 5000 };

static const enum bringup_state states[TGW_CHECK_STATES] = {
    [TGW_CHECK_NOT_RUN] = BRINGUP_NOTE, [TGW_CHECK_PASS] = BRINGUP_PASS,
    [TGW_CHECK_FAIL] = BRINGUP_FAIL,    [TGW_CHECK_OFF] = BRINGUP_NOTE,
    [TGW_CHECK_ABSENT] = BRINGUP_NOTE,  [TGW_CHECK_UNVERIFIED] = BRINGUP_NOTE,
};

static const char *words(enum tgw_check_state state) {
    static const char *const text[TGW_CHECK_STATES] = {
        [TGW_CHECK_NOT_RUN] = "not asked: the port has no gateway or agent on its network",
        [TGW_CHECK_PASS] = "works on the wire",
        [TGW_CHECK_FAIL] = "does not work",
        [TGW_CHECK_OFF] = "offered and wrong: done in software",
        [TGW_CHECK_ABSENT] = "not offered: done in software",
        [TGW_CHECK_UNVERIFIED] = "nobody answered what would show it",
    };
    return text[state];
}

static void add_result(struct report *r, const char *port, unsigned check,
                       const struct tgw_check_result *result) {
    const struct tgw_check_info *info = tgw_check_info(check);
    enum tgw_check_state state = result->state;
    const char *unit = check == TGW_CHECK_link                             ? "Mbit/s"
                       : check == TGW_CHECK_mtu                            ? "bytes"
                       : check == TGW_CHECK_echo || check == TGW_CHECK_tcp ? "us"
                                                                           : NULL;
    struct finding *f = unit && result->value
                            ? report_add(r, port, info->title, states[state], "%s, %u %s",
                                         words(state), result->value, unit)
                            : report_add(r, port, info->title, states[state], "%s", words(state));
    if (state == TGW_CHECK_FAIL)
        report_fix(f, "%s", info->fix);
}

static bool probe_all(struct report *r, const struct config *c, struct port *port[],
                      struct rte_mempool *mbufs, char *err, size_t err_bytes) {
    for (uint32_t i = 0; i < c->port_count; i++) {
        struct tgw_check_result result[TGW_CHECK_COUNT];
        if (!selftest_run(c, i, port[i], mbufs, LINK_WAIT_MS, result, err, err_bytes))
            return false;
        report_add(r, port[i]->name, "device", BRINGUP_NOTE,
                   "%s, %u queue(s), mtu %u, %02x:%02x:%02x:%02x:%02x:%02x", port[i]->driver,
                   port[i]->queues, port[i]->mtu, port[i]->mac[0], port[i]->mac[1], port[i]->mac[2],
                   port[i]->mac[3], port[i]->mac[4], port[i]->mac[5]);
        for (unsigned k = 0; k < TGW_CHECK_COUNT; k++)
            add_result(r, port[i]->name, k, &result[k]);
    }
    return true;
}

bool probe_ports(struct report *r, const struct config *c, char *err, size_t err_bytes) {
    uint32_t cpu[TGW_CORES_MAX], cores = eal_cores(c, cpu);
    struct port *port[TGW_PORTS_MAX] = {0};
    if (!eal_start(c, err, err_bytes))
        return false;
    struct rte_mempool *mbufs =
        rte_pktmbuf_pool_create("bringup", MBUFS * cores, 0, 0, MBUF_BYTES, SOCKET_ID_ANY);
    if (!mbufs)
        snprintf(err, err_bytes, "memory_mb: too little for the packet buffers");
    bool good = mbufs && ports_open(c, cores, mbufs, port, err, err_bytes);
    if (good) {
        good = probe_all(r, c, port, mbufs, err, err_bytes);
        ports_close(port, c->port_count);
    }
    rte_mempool_free(mbufs);
    rte_eal_cleanup();
    return good;
}

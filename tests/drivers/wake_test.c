/* A device that does not start with receive interrupts, or not at all. The calls to DPDK are
 * caught (--wrap, in meson.build) and go on to a port that stays inside the process. */
#include "drivers/port.h"
#include "tests/lib/eal_init.h"
#include "tests/lib/suite.h"
#include <errno.h>
#include <rte_ethdev.h>
#include <string.h>

int __real_rte_eth_dev_configure(uint16_t id, uint16_t rx, uint16_t tx,
                                 const struct rte_eth_conf *conf);
int __wrap_rte_eth_dev_configure(uint16_t id, uint16_t rx, uint16_t tx,
                                 const struct rte_eth_conf *conf);
int __real_rte_eth_dev_start(uint16_t id);
int __wrap_rte_eth_dev_start(uint16_t id);
int __wrap_rte_eth_dev_rx_intr_ctl_q_get_fd(uint16_t id, uint16_t queue);

static struct rte_mempool *pool;

/* What fails, with and without interrupts; -errno. */
static struct {
    int configure[2], start[2], fd;
    bool interrupts;
    int starts;
} device;

int __wrap_rte_eth_dev_configure(uint16_t id, uint16_t rx, uint16_t tx,
                                 const struct rte_eth_conf *conf) {
    struct rte_eth_conf plain = *conf;
    device.interrupts = conf->intr_conf.rxq;
    plain.intr_conf.rxq = 0;
    int rc = device.configure[device.interrupts];
    return rc ? rc : __real_rte_eth_dev_configure(id, rx, tx, &plain);
}

int __wrap_rte_eth_dev_start(uint16_t id) {
    int rc = device.start[device.interrupts];
    device.starts++;
    return rc ? rc : __real_rte_eth_dev_start(id);
}

int __wrap_rte_eth_dev_rx_intr_ctl_q_get_fd(uint16_t id, uint16_t queue) {
    (void)id;
    (void)queue;
    return device.fd;
}

static struct port *open_port(char err[256]) {
    const struct port_config c = {.name = "inside", .driver = "ring", .queues = 1, .rx_wake = true};
    err[0] = 0;
    return port_open(&c, pool, err, 256);
}

static void begin(void) {
    memset(&device, 0, sizeof(device));
}

static void with_interrupts_it_can_be_waited_for(void) {
    char err[256];
    begin();
    struct port *p = open_port(err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    CU_ASSERT_PTR_NOT_NULL(p->wake);
    CU_ASSERT_STRING_EQUAL(p->no_wake, "");
    CU_ASSERT_EQUAL(device.starts, 1);
    p->ops->close(p);
}

/* It runs, cannot be waited for, and says why. */
static void falls_back(const char *why) {
    char err[256];
    struct rte_mbuf *m = rte_pktmbuf_alloc(pool), *back = NULL;
    struct port *p = open_port(err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    CU_ASSERT_PTR_NULL(p->wake);
    CU_ASSERT_PTR_NOT_NULL(strstr(p->no_wake, why));
    rte_pktmbuf_append(m, 64);
    CU_ASSERT_EQUAL(port_tx(p, 0, &m, 1), 1);
    CU_ASSERT_EQUAL(port_rx(p, 0, &back, 1), 1);
    rte_pktmbuf_free(back);
    p->ops->close(p);
}

static void a_device_that_does_not_start_with_them_starts_without(void) {
    begin();
    device.start[1] = -EIO;
    falls_back("start: Input/output error");
    CU_ASSERT_EQUAL(device.starts, 2);
    CU_ASSERT_FALSE(device.interrupts);
}

static void a_device_that_takes_no_such_configuration_starts_without(void) {
    begin();
    device.configure[1] = -ENOTSUP;
    falls_back("configure: Operation not supported");
    CU_ASSERT_EQUAL(device.starts, 1);
}

static void a_queue_without_a_file_to_wait_for_is_looked_at(void) {
    begin();
    device.fd = -1;
    falls_back("ring has none here");
    CU_ASSERT_EQUAL(device.starts, 1);
}

static void a_device_that_does_not_start_at_all_is_refused(void) {
    char err[256];
    begin();
    device.start[0] = device.start[1] = -EIO;
    CU_ASSERT_PTR_NULL(open_port(err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "start: Input/output error"));
    begin();
    struct port *p = open_port(err); /* nothing of it is left */
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    p->ops->close(p);
}

int main(void) {
    static const struct suite_case cases[] = {
        {"with interrupts it can be waited for", with_interrupts_it_can_be_waited_for},
        {"a device that does not start with them starts without",
         a_device_that_does_not_start_with_them_starts_without},
        {"a device that takes no such configuration starts without",
         a_device_that_takes_no_such_configuration_starts_without},
        {"a queue without a file to wait for is looked at",
         a_queue_without_a_file_to_wait_for_is_looked_at},
        {"a device that does not start at all is refused",
         a_device_that_does_not_start_at_all_is_refused},
    };
    pool = test_eal_init(2047);
    return suite_run("drivers/wake", cases, sizeof(cases) / sizeof(cases[0]));
}

#include "wake.h"
#include <rte_ethdev.h>
#include <rte_interrupts.h>

static bool watch(const struct port_wake *wake, uint16_t queue) {
    const struct ethdev_wake *w = (const struct ethdev_wake *)wake;
    return rte_eth_dev_rx_intr_ctl_q(w->id, queue, RTE_EPOLL_PER_THREAD, RTE_INTR_EVENT_ADD,
                                     NULL) == 0;
}

/* Some devices have nothing to switch: their queue is a file that is readable or not. */
static void arm(const struct port_wake *wake, uint16_t queue, bool on) {
    const struct ethdev_wake *w = (const struct ethdev_wake *)wake;
    (void)(on ? rte_eth_dev_rx_intr_enable(w->id, queue)
              : rte_eth_dev_rx_intr_disable(w->id, queue));
}

bool wake_init(struct ethdev_wake *w, uint16_t id, uint16_t queues) {
    *w = (struct ethdev_wake){{watch, arm}, id};
    for (uint16_t q = 0; q < queues; q++)
        if (rte_eth_dev_rx_intr_ctl_q_get_fd(id, q) < 0)
            return false;
    return true;
}

bool port_wait(uint32_t timeout_ms) {
    enum { EVENTS = 8 };
    struct rte_epoll_event event[EVENTS];
    return rte_epoll_wait(RTE_EPOLL_PER_THREAD, event, EVENTS, (int)timeout_ms) > 0;
}

/* Receive interrupts of an ethdev, as what a core may wait for. */
#ifndef TGW_DRIVERS_WAKE_H
#define TGW_DRIVERS_WAKE_H

#include "drivers/port.h"

struct ethdev_wake {
    struct port_wake wake;
    uint16_t id;
};

/* Of a device that was configured with interrupts and started. False: it has none for some
 * of its queues. */
bool wake_init(struct ethdev_wake *w, uint16_t id, uint16_t queues);

#endif

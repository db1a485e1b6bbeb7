/* What a core does with a turn that had nothing to do. */
#ifndef TGW_DATAPLANE_REST_H
#define TGW_DATAPLANE_REST_H

#include "drivers/port.h"

enum idle_mode {
    IDLE_spin,      /* on at once */
    IDLE_pause,     /* pauses of up to some microseconds; the CPU is never given away */
    IDLE_sleep,     /* sleeps that grow from 20 us to 0.25 ms; 0.5 ms after a quiet second, 1 ms
                       after ten */
    IDLE_interrupt, /* as sleep; when quiet, until a packet comes, 10 ms at most */
};

enum { REST_QUEUES_MAX = 4 };

struct rest {
    enum idle_mode mode;
    uint32_t idle_turns;
    uint64_t busy_ns; /* when there was last something to do */
    uint32_t queues;
    struct {
        const struct port_wake *wake;
        uint16_t queue;
    } queue[REST_QUEUES_MAX];
    bool armed; /* the turn after it is the last look before the wait */
};

enum rest_way { REST_on, REST_pause, REST_sleep, REST_arm, REST_wait };
struct rest_plan {
    enum rest_way way;
    uint32_t amount; /* of pauses; us; ms */
};

/* Does the kernel get the CPU meanwhile? */
static inline bool rest_gives_away(const struct rest_plan *p) {
    return p->way >= REST_sleep;
}

/* The mode of that name; sleep for any other. */
enum idle_mode rest_mode(const char *name);
/* Add a queue that ends a wait. Its port must have a wake. */
void rest_add(struct rest *r, const struct port *port, uint16_t queue);
/* In the core's own thread, before its first turn. Where the queues cannot be waited for
 * it sleeps instead. */
void rest_begin(struct rest *r);
/* What comes after a turn at now_ns that had so much to do. Decides; rest_do does it. */
struct rest_plan rest_next(struct rest *r, uint64_t now_ns, uint32_t work);
void rest_do(struct rest *r, const struct rest_plan *p);

#endif

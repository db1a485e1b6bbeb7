/* What befalls hosts besides their wires: memory runs out, they sleep, they reboot, they
 * are flooded. */
#ifndef TESTS_SIM_STRESS_H
#define TESTS_SIM_STRESS_H

#include "tests/sim/world.h"

struct stress {
    struct world *world;
    struct rng rng;
    uint64_t next_ns;
    unsigned reboots_left;
    bool over, flooded;
};

void stress_begin(struct stress *s, struct world *w, struct rng rng);
/* Before each step. Returns a host that is to be rebooted, or NULL. */
struct host *stress_turn(struct stress *s);
void stress_end(struct stress *s);
/* Old duplicates may draw a connection from a cookie or from a host that forgot. */
bool stress_excuses_strangers(const struct stress *s);

#endif

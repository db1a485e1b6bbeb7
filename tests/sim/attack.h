/* Somebody before the gateway who knows addresses and, one time in ten, ports, and sends what
 * he likes: floods of SYNs, segments with guessed numbers, fragments. */
#ifndef TESTS_SIM_ATTACK_H
#define TESTS_SIM_ATTACK_H

#include "tests/sim/world.h"

struct attack {
    struct world *world;
    const struct host *victim; /* at end 1 of wire 0 */
    struct rng rng;
    uint64_t next_ns, sent;
    bool over;
};

void attack_begin(struct attack *a, struct world *w, const struct host *victim, struct rng rng);
/* Before each step; `ports` are those that real clients have just now. */
void attack_turn(struct attack *a, const uint16_t *ports, unsigned count);
void attack_end(struct attack *a);
/* Memory is bounded and what was thrown away has a name. */
void attack_judge(struct attack *a);

#endif

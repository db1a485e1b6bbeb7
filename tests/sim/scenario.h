/* What is simulated: a table of scenarios; a seed draws the rest. */
#ifndef TESTS_SIM_SCENARIO_H
#define TESTS_SIM_SCENARIO_H

#include "tests/sim/world.h"

enum feature {
    SIM_LENIENT = 1,      /* any connection may end in an error; bytes and ends still count */
    SIM_SIMULTANEOUS = 2, /* both ends connect at once */
    SIM_REBOOT = 4,       /* a host forgets everything */
    SIM_STARVE = 8,       /* packet buffers run out for a while */
    SIM_TINY = 16,        /* few blocks and connections */
    SIM_FLOOD = 32,       /* strangers send SYNs */
    SIM_SLEEPY = 64,      /* hosts do nothing for a while */
    SIM_STRIP = 128,      /* middleboxes take options out of SYNs */
    SIM_ONE_PORT = 256,   /* connections follow each other on one pair of ports */
    SIM_ATTACK = 1024,    /* floods, guessed numbers, fragments */
    SIM_CONTROL = 512,    /* the control process refuses, is silent, dies, kills and drains */
};

/* What the owners of connections may do, at most. */
struct conduct {
    uint32_t connections;
    uint64_t bytes;
    uint32_t think_ms, pause_ms, hold_ms;
    uint16_t abort_pm, release_pm;
};

struct scenario {
    const char *name, *what;
    void (*run)(struct world *w);
    struct climate climate;
    struct conduct conduct;
    unsigned features;
};

extern const struct scenario scenarios[];
extern const unsigned scenario_count;

/* Seeds that failed once. */
struct find {
    const char *scenario;
    uint64_t seed;
    const char *what;
};

extern const struct find finds[];
extern const unsigned find_count;

/* peers.c: two hosts that connect to each other */
void peers_run(struct world *w);
/* gateway.c: browsers, a gateway and node agents */
void gateway_run(struct world *w);

#endif

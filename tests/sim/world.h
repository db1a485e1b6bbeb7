/* Hosts (net + tcp) joined by wires, on one virtual clock that jumps from event to event.
 * What runs on the hosts is given as a struct world_app. */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include "tcp/tcp.h"
#include "tests/sim/referee.h"
#include "tests/sim/weather.h"
#include "tests/sim/wire.h"

enum { WORLD_HOSTS_MAX = 3, WORLD_WIRES_MAX = 2, HOST_MBUFS = 8191 };

struct world;
struct scenario;

/* Where a host stands: an end of a wire, with the addresses 198.18.W.E/24 and fd18:W::E/64. */
struct standing {
    unsigned wire, end;
};

struct host {
    struct world *world;
    struct standing at[WORLD_WIRES_MAX];
    unsigned number;
    struct rte_mempool *pool;
    struct net *net;
    struct tcp_stack *tcp;
    struct tgw_counters counters;
    struct net_config net_config;
    struct tcp_config tcp_config;
    struct rte_mbuf **hoard; /* taken away, so that allocation fails */
    uint32_t hoarded;
    uint64_t asleep_until_ns; /* its core is busy elsewhere */
    uint64_t timer_ns;        /* when the stack's next timer is due, if timers_known */
    bool timers_known;        /* nothing but a turn changes it */
    bool rebooted;
};

struct world_app {
    /* A host's turn, after its packets came in: may call stream ops. */
    void (*turn)(void *ctx, struct host *h);
    /* When `turn` has something to do on that host next; UINT64_MAX: never. */
    uint64_t (*next)(void *ctx, const struct host *h);
    void *ctx;
    /* Before packets come in; NULL: nothing. */
    void (*begin)(void *ctx, struct host *h);
};

struct world {
    const struct scenario *scenario;
    uint64_t seed, now_ns, steps;
    struct rng rng;
    struct rte_mempool *const *pools;
    unsigned hosts, wires;
    struct host host[WORLD_HOSTS_MAX];
    struct wire *wire[WORLD_WIRES_MAX];
    struct weather weather[WORLD_WIRES_MAX];
    struct referee *referee[WORLD_WIRES_MAX];
    struct wire_side {
        struct world *world;
        unsigned wire;
    } side[WORLD_WIRES_MAX];
    struct world_app app;
    bool verbose, failed;
    bool long_way; /* its hosts do without header prediction */
    uint64_t segments, trace_hash;
    uint64_t tried, got_in; /* under attack */
};

void world_init(struct world *w, const struct scenario *s, uint64_t seed,
                struct rte_mempool *const *pools, bool verbose);
/* A wire; its ends get ports as hosts are made. */
unsigned world_wire(struct world *w, const struct climate *climate);
/* Middleboxes on the wire take these options out of SYNs: enum wire_strip. */
void world_strip(struct world *w, unsigned wire, unsigned strip);
struct host *world_host(struct world *w, const struct standing *at, unsigned count,
                        const struct tcp_config *tcp);
/* The stack forgets everything and starts anew; owners are not told. */
void host_reboot(struct host *h);
/* Leave the host `left` packet buffers; 0xffffffff: all. */
void host_starve(struct host *h, uint32_t left);
struct tgw_endpoint world_endpoint(unsigned wire, unsigned end, bool v6, uint16_t port);

/* One event. False: nothing will ever happen. */
bool world_step(struct world *w);
/* The faults stop for good and memory comes back. */
void world_heal(struct world *w);
/* Runs on until no host holds a connection; fails when that takes longer than it may. */
void world_settle(struct world *w, uint64_t most_ns);
/* Destroys everything and checks that pools are whole again. */
void world_fini(struct world *w);

/* Something does not hold. The first one counts. */
__attribute__((format(printf, 2, 3))) void world_fail(struct world *w, const char *format, ...);
/* A line of the trace when verbose. */
__attribute__((format(printf, 2, 3))) void world_say(struct world *w, const char *format, ...);

#endif

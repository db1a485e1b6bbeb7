#include "tests/sim/world.h"
#include "tests/sim/frame.h"
#include "tests/sim/scenario.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

enum { BURST = 32, HASHED_BYTES = 96 /* all headers */ };
static const uint64_t START_NS = UINT64_C(5000000000);
/* More events than this without an end are a storm. */
static const uint64_t STEPS_MAX = 1000000;

void world_fail(struct world *w, const char *format, ...) {
    if (w->failed)
        return;
    w->failed = true;
    va_list args;
    printf("# scenario %s seed %" PRIu64 " at %.6f s: ", w->scenario->name, w->seed,
           (double)(w->now_ns - START_NS) / 1e9);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n# replay: build/tests/test-sim --scenario %s --seed %" PRIu64 " --verbose\n",
           w->scenario->name, w->seed);
    fflush(stdout);
}

void world_say(struct world *w, const char *format, ...) {
    if (!w->verbose)
        return;
    va_list args;
    printf("# %12.6f ", (double)(w->now_ns - START_NS) / 1e9);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

void world_init(struct world *w, const struct scenario *s, uint64_t seed,
                struct rte_mempool *const *pools, bool verbose) {
    *w = (struct world){.scenario = s,
                        .seed = seed,
                        .now_ns = START_NS,
                        .rng = {seed},
                        .pools = pools,
                        .verbose = verbose,
                        .trace_hash = 14695981039346656037u};
}

/* FNV-1a over what was sent, when and by whom: two runs of a seed must agree. */
static void hash_trace(struct world *w, const void *data, size_t len) {
    for (const uint8_t *at = data; len--; at++)
        w->trace_hash = (w->trace_hash ^ *at) * 1099511628211u;
}

static void on_sent(void *ctx, unsigned end, const uint8_t *frame, uint32_t len,
                    enum wire_fate fate) {
    static const char *const fates[] = {"",           " (lost)", " (queue full)",
                                        " (too big)", " (dark)", " (no mbuf)"};
    const struct wire_side *side = ctx;
    struct world *w = side->world;
    const char *complaint = referee_sent(w->referee[side->wire], end, frame, len);
    uint64_t stamp[2] = {w->now_ns, (uint64_t)len << 8 | side->wire << 1 | end};
    hash_trace(w, stamp, sizeof(stamp));
    hash_trace(w, frame, len < HASHED_BYTES ? len : HASHED_BYTES);
    if (w->verbose) {
        printf("  %12.6f %u%c ", (double)(w->now_ns - START_NS) / 1e9, side->wire, end ? '<' : '>');
        frame_print(stdout, frame, len);
        puts(fates[fate]);
    }
    if (complaint)
        world_fail(w, "end %u of wire %u sent what it must not: %s", end, side->wire, complaint);
}

unsigned world_wire(struct world *w, const struct climate *climate) {
    unsigned i = w->wires++;
    w->side[i] = (struct wire_side){w, i};
    const struct wire_watch watch = {on_sent, &w->side[i]};
    w->wire[i] = wire_create(&w->now_ns, rng_split(&w->rng), &watch);
    w->referee[i] = referee_create();
    if (!w->wire[i] || !w->referee[i])
        abort();
    weather_begin(&w->weather[i], climate, rng_split(&w->rng), w->wire[i], w->now_ns);
    return i;
}

void world_strip(struct world *w, unsigned wire, unsigned strip) {
    wire_strip(w->wire[wire], strip);
    referee_strip(w->referee[wire], strip);
}

static void address(struct net_iface_config *f, unsigned wire, unsigned end) {
    const uint8_t v4[4] = {198, 18, (uint8_t)wire, (uint8_t)(end + 1)};
    f->addr[0] = (struct ip_prefix){ip_addr_from4(v4), 120};
    f->addr[1] =
        (struct ip_prefix){{{0xfd, 0x18, 0, (uint8_t)wire, [15] = (uint8_t)(end + 1)}}, 64};
    f->addr_count = 2;
}

struct tgw_endpoint world_endpoint(unsigned wire, unsigned end, bool v6, uint16_t port) {
    struct net_iface_config f;
    struct tgw_endpoint to = {.port = port};
    address(&f, wire, end);
    memcpy(to.addr, f.addr[v6].addr.b, sizeof(to.addr));
    return to;
}

static void host_start(struct host *h) {
    static const struct net_ops up = {tcp_input, tcp_icmp_error, tcp_input_burst};
    struct world *w = h->world;
    for (unsigned i = 0; i < sizeof(h->tcp_config.secret); i++)
        h->tcp_config.secret[i] = (uint8_t)rng_next(&w->rng);
    h->tcp_config.seed = rng_next(&w->rng);
    h->net_config.seed = rng_next(&w->rng);
    h->net = net_create(&h->net_config, &up, NULL, w->now_ns);
    h->tcp = h->net ? tcp_create(&h->tcp_config, h->net, w->now_ns) : NULL;
    if (!h->tcp)
        abort();
    net_bind(h->net, h->tcp);
    h->timers_known = false;
}

struct host *world_host(struct world *w, const struct standing *at, unsigned count,
                        const struct tcp_config *tcp) {
    struct host *h = &w->host[w->hosts];
    *h = (struct host){.world = w, .number = w->hosts, .pool = w->pools[w->hosts]};
    w->hosts++;
    h->hoard = malloc(HOST_MBUFS * sizeof(struct rte_mbuf *));
    if (!h->hoard)
        abort();
    h->tcp_config = *tcp;
    h->tcp_config.long_way = w->long_way;
    h->tcp_config.counters = &h->counters;
    h->tcp_config.trace_records = 1024; /* memory that is not touched costs no page faults */
    h->net_config = (struct net_config){
        .iface_count = (uint8_t)count, .pool = h->pool, .counters = &h->counters};
    for (unsigned i = 0; i < count; i++) {
        h->at[i] = at[i];
        h->net_config.iface[i].port = wire_port(w->wire[at[i].wire], at[i].end, 1500, h->pool);
        address(&h->net_config.iface[i], at[i].wire, at[i].end);
    }
    host_start(h);
    return h;
}

static void host_stop(struct host *h) {
    tcp_destroy(h->tcp);
    net_destroy(h->net);
}

void host_reboot(struct host *h) {
    world_say(h->world, "host %u reboots", h->number);
    host_stop(h);
    host_start(h);
    h->rebooted = true;
}

void host_starve(struct host *h, uint32_t left) {
    if (h->hoarded)
        rte_mempool_put_bulk(h->pool, (void **)h->hoard, h->hoarded);
    h->hoarded = 0;
    uint32_t there = left == UINT32_MAX ? 0 : rte_mempool_avail_count(h->pool);
    if (there > left && rte_mempool_get_bulk(h->pool, (void **)h->hoard, there - left) == 0)
        h->hoarded = there - left;
}

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static uint64_t host_next(struct host *h) {
    const struct world_app *app = &h->world->app;
    if (!h->timers_known)
        h->timer_ns = least(tcp_next_timer(h->tcp), net_next_timer(h->net));
    h->timers_known = true;
    uint64_t next = least(h->timer_ns, app->next(app->ctx, h));
    for (uint8_t i = 0; i < h->net_config.iface_count; i++)
        next = least(next, wire_next(h->world->wire[h->at[i].wire], h->at[i].end));
    return next > h->asleep_until_ns || next == UINT64_MAX ? next : h->asleep_until_ns;
}

static void host_turn(struct host *h) {
    struct world *w = h->world;
    struct rte_mbuf *m[BURST];
    if (w->now_ns < h->asleep_until_ns)
        return;
    h->timers_known = false;
    tcp_begin(h->tcp, w->now_ns);
    if (w->app.begin)
        w->app.begin(w->app.ctx, h);
    for (uint8_t i = 0; i < h->net_config.iface_count; i++) {
        uint16_t n = port_rx(h->net_config.iface[i].port, 0, m, BURST);
        if (n)
            net_input(h->net, w->now_ns, i, m, n);
    }
    w->app.turn(w->app.ctx, h);
    tcp_advance(h->tcp, w->now_ns);
    net_tick(h->net, w->now_ns);
    tcp_flush(h->tcp);
    net_flush(h->net);
    tcp_check(h->tcp);
}

bool world_step(struct world *w) {
    uint64_t next = UINT64_MAX, due[WORLD_HOSTS_MAX];
    for (unsigned i = 0; i < w->hosts; i++)
        next = least(next, due[i] = host_next(&w->host[i]));
    for (unsigned i = 0; i < w->wires; i++)
        next = least(next, weather_next(&w->weather[i]));
    if (next == UINT64_MAX)
        return false;
    w->now_ns = next > w->now_ns ? next : w->now_ns + 1000;
    for (unsigned i = 0; i < w->wires; i++)
        weather_turn(&w->weather[i], w->wire[i], w->now_ns);
    /* A host whose timers and packets are not due has no turn: nothing it does may hang
     * on being looked at more often than it asks for. */
    for (unsigned i = 0; i < w->hosts; i++)
        if (due[i] <= w->now_ns)
            host_turn(&w->host[i]);
    if (++w->steps > STEPS_MAX)
        world_fail(w, "%" PRIu64 " events and no end", w->steps);
    return !w->failed;
}

void world_heal(struct world *w) {
    world_say(w, "all faults heal");
    for (unsigned i = 0; i < w->wires; i++)
        weather_heal(&w->weather[i], w->wire[i]);
    for (unsigned i = 0; i < w->hosts; i++) {
        host_starve(&w->host[i], UINT32_MAX);
        w->host[i].asleep_until_ns = 0;
        w->host[i].timers_known = false; /* owners may act between two steps now */
    }
}

static uint32_t connections(const struct world *w) {
    uint32_t n = 0;
    for (unsigned i = 0; i < w->hosts; i++) {
        struct tcp_usage u;
        tcp_usage(w->host[i].tcp, &u);
        n += u.connections + u.time_wait + u.half_open;
    }
    return n;
}

void world_settle(struct world *w, uint64_t most_ns) {
    uint64_t until_ns = w->now_ns + most_ns;
    while (!w->failed && connections(w) && w->now_ns < until_ns)
        if (!world_step(w))
            break;
    if (!w->failed && connections(w))
        world_fail(w, "%u connections outlive their timeouts", connections(w));
}

static void check_host(struct world *w, struct host *h) {
    struct tcp_usage u;
    tcp_usage(h->tcp, &u);
    if (u.connections + u.time_wait + u.half_open + u.small_blocks + u.large_blocks)
        world_fail(w, "host %u holds %u connections, %u in TIME_WAIT, %u half open, %u+%u blocks",
                   h->number, u.connections, u.time_wait, u.half_open, u.small_blocks,
                   u.large_blocks);
}

void world_fini(struct world *w) {
    for (unsigned i = 0; i < w->hosts; i++) {
        struct host *h = &w->host[i];
        host_starve(h, UINT32_MAX);
        check_host(w, h);
        host_stop(h);
        free(h->hoard);
    }
    for (unsigned i = 0; i < w->wires; i++) {
        w->segments += wire_segments(w->wire[i]);
        wire_destroy(w->wire[i]);
        referee_destroy(w->referee[i]);
    }
    for (unsigned i = 0; i < w->hosts; i++)
        if (rte_mempool_in_use_count(w->host[i].pool))
            world_fail(w, "host %u leaks %u packet buffers", i,
                       rte_mempool_in_use_count(w->host[i].pool));
}

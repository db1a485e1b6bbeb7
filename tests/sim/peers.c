/* Two hosts that connect to each other, many times, over one wire. */
#include "tests/sim/frame.h"
#include "tests/sim/peer.h"
#include "tests/sim/scenario.h"
#include "tests/sim/stress.h"
#include <stdlib.h>

enum { PAIRS_MAX = 64, PORT = 80, ONE_PORT = 5000 };
static const uint64_t MS = 1000000, SECOND = 1000000000;

struct peers {
    struct world *world;
    struct peer peer[PAIRS_MAX][2]; /* [1] accepts, but in a simultaneous open */
    unsigned pairs;
    struct stress stress;
};

static void peers_turn(void *ctx, struct host *h) {
    struct peers *t = ctx;
    for (unsigned i = 0; i < t->pairs; i++)
        for (unsigned side = 0; side < 2; side++)
            if (t->peer[i][side].host == h)
                peer_turn(&t->peer[i][side]);
}

static uint64_t peers_next(void *ctx, const struct host *h) {
    struct peers *t = ctx;
    uint64_t next = UINT64_MAX;
    for (unsigned i = 0; i < t->pairs; i++) {
        for (unsigned side = 0; side < 2; side++) {
            uint64_t at = t->peer[i][side].host == h ? peer_next(&t->peer[i][side]) : UINT64_MAX;
            next = at < next ? at : next;
        }
    }
    return next;
}

static bool same(const struct tgw_endpoint *a, const struct tgw_endpoint *b) {
    return a->port == b->port && memcmp(a->addr, b->addr, sizeof(a->addr)) == 0;
}

/* The end that waits for a connection from there; NULL: nobody opened one. */
static struct peer *waiting_for(struct peers *t, const struct host *h,
                                const struct tgw_endpoint *remote) {
    struct peer *found = NULL;
    for (unsigned i = 0; i < t->pairs; i++) {
        struct peer *p = &t->peer[i][1];
        bool fits = p->host == h && p->other->opened && !p->opened && !p->lost &&
                    same(&p->other->local, remote);
        if (fits && (!found || p->other->connected))
            found = p;
    }
    return found;
}

static void *on_accepted(void *ctx, struct stream s, const struct tgw_endpoint *local,
                         const struct tgw_endpoint *remote) {
    struct host *h = ctx;
    struct peers *t = h->world->app.ctx;
    struct peer *p = waiting_for(t, h, remote);
    (void)local;
    if (p)
        peer_accepted(p, s);
    else if (!stress_excuses_strangers(&t->stress))
        world_fail(h->world, "host %u accepts a connection that nobody opened", h->number);
    return p;
}

/* Over when both ends are, or when the opener failed before anybody accepted. */
static bool pair_is_over(const struct peer pair[2]) {
    return peer_is_over(&pair[0]) && (peer_is_over(&pair[1]) || !pair[1].opened);
}

static bool all_over(const struct peers *t) {
    for (unsigned i = 0; i < t->pairs; i++)
        if (!pair_is_over(t->peer[i]))
            return false;
    return true;
}

/* Only one of the two may wait for the other to close first; one that never closes by
 * itself would wait for ever on a peer that was lost. */
static void draw_pair(struct peers *t, struct rng *r, unsigned i) {
    struct world *w = t->world;
    const struct scenario *s = w->scenario;
    bool swap = rng_chance(r, 300), v6 = rng_chance(r, 500);
    bool both = s->features & SIM_SIMULTANEOUS;
    uint64_t start_ns = w->now_ns + rng_scale(r, 0, 2000 * MS);
    for (unsigned side = 0; side < 2; side++) {
        struct peer *p = &t->peer[i][side];
        *p = (struct peer){.host = &w->host[side ^ swap], .other = &t->peer[i][!side]};
        peer_draw(p, r, &s->conduct);
        p->connect_ns = side == 0 || both ? start_ns : UINT64_MAX;
        p->lossy = s->climate.loss_pm || s->climate.dark_ms || s->climate.mtu_min;
        p->to = world_endpoint(0, !side ^ swap, v6, both ? ONE_PORT : PORT);
        if (both && side)
            p->connect_ns += rng_scale(r, 0, 5 * MS);
    }
    if (t->peer[i][0].plan.ending == END_SHUTDOWN && rng_chance(r, 300))
        t->peer[i][1].plan.ending = END_SECOND;
}

/* One connection after another, each as soon as the last is over. */
static void chain(struct peers *t) {
    for (unsigned i = 1; i < t->pairs; i++) {
        struct peer *p = &t->peer[i][0];
        if (p->connect_ns == UINT64_MAX && !p->opened && pair_is_over(t->peer[i - 1]))
            p->connect_ns = t->world->now_ns + 10 * MS;
    }
}

static void draw_tcp(struct rng *r, const struct scenario *s, struct tcp_config *c) {
    tcp_config_defaults(c);
    c->connections_max = 128;
    c->time_wait_max = 128;
    c->backlog_max = s->features & SIM_FLOOD ? 4 : 128;
    c->small_blocks = c->large_blocks = 16384;
    c->rcv_buffer_bytes = (uint32_t)rng_scale(r, 512, 262144);
    c->snd_buffer_bytes = (uint32_t)rng_scale(r, 512, 262144);
    c->keepalive_ms = (uint32_t)rng_range(r, 30000, 90000);
    c->ack_delay_ms = (uint32_t)rng_range(r, 0, 2) * 20;
    c->user_timeout_ms = (uint32_t)rng_range(r, 90000, 150000);
    /* Where nobody may be told of an error, the last ACK may be lost a few times though the
     * peer's FIN comes a minute apart by then. */
    c->time_wait_ms = s->features & SIM_LENIENT ? (uint32_t)rng_scale(r, 100, 60000) : 300000;
    if (s->climate.dark_ms && !(s->features & SIM_LENIENT)) { /* patient with outages */
        c->keepalive_ms = c->user_timeout_ms = 900000;
    }
    c->use_cubic = rng_chance(r, 500);
    c->use_ecn = rng_chance(r, 500);
    if (s->features & SIM_TINY) {
        c->small_blocks = (uint32_t)rng_scale(r, 2, 128);
        c->large_blocks = (uint32_t)rng_scale(r, 2, 128);
        c->connections_max = (uint32_t)rng_range(r, 2, 16);
        c->time_wait_max = (uint32_t)rng_range(r, 0, 4);
    }
    if (s->features & (SIM_SIMULTANEOUS | SIM_ONE_PORT))
        c->port_first = c->port_last = ONE_PORT;
}

static struct peers *begin(struct world *w, struct rng *r) {
    const struct scenario *s = w->scenario;
    struct peers *t = calloc(1, sizeof(*t));
    if (!t)
        abort();
    t->world = w;
    w->app = (struct world_app){peers_turn, peers_next, t, NULL};
    world_wire(w, &s->climate);
    if (s->features & SIM_STRIP)
        world_strip(w, 0, (unsigned)rng_range(r, 0, 15));
    for (unsigned end = 0; end < 2; end++) {
        struct tcp_config c;
        draw_tcp(r, s, &c);
        struct host *h = world_host(w, &(struct standing){0, end}, 1, &c);
        const struct tcp_listener l = {on_accepted, h, &peer_handler};
        tcp_listen(h->tcp, PORT, &l);
    }
    t->pairs = (unsigned)rng_range(r, 1, s->conduct.connections);
    for (unsigned i = 0; i < t->pairs; i++) {
        draw_pair(t, r, i);
        if (i && (s->features & (SIM_ONE_PORT | SIM_SIMULTANEOUS)))
            t->peer[i][0].connect_ns = UINT64_MAX;
    }
    stress_begin(&t->stress, w, rng_split(r));
    return t;
}

static void lose_host(struct peers *t, struct host *h) {
    const struct tcp_listener l = {on_accepted, h, &peer_handler};
    for (unsigned i = 0; i < t->pairs; i++)
        for (unsigned side = 0; side < 2; side++)
            if (t->peer[i][side].host == h)
                peer_lose(&t->peer[i][side]);
    host_reboot(h);
    tcp_listen(h->tcp, PORT, &l);
}

static void run_until(struct peers *t, uint64_t until_ns) {
    struct world *w = t->world;
    while (!all_over(t) && w->now_ns < until_ns && !w->failed) {
        struct host *reboot = stress_turn(&t->stress);
        if (reboot)
            lose_host(t, reboot);
        chain(t);
        if (!world_step(w))
            break;
    }
}

static void complain(struct peers *t) {
    char line[2][300];
    for (unsigned i = 0; i < t->pairs; i++) {
        if (pair_is_over(t->peer[i]))
            continue;
        for (unsigned side = 0; side < 2; side++)
            peer_describe(&t->peer[i][side], line[side], sizeof(line[side]));
        world_fail(t->world, "does not end\n#   %s\n#   %s", line[0], line[1]);
    }
}

void peers_run(struct world *w) {
    struct rng r = rng_split(&w->rng);
    struct peers *t = begin(w, &r);
    run_until(t, w->now_ns + rng_scale(&r, 100 * MS, 600 * SECOND));
    world_heal(w);
    stress_end(&t->stress);
    run_until(t, w->now_ns + 3600 * SECOND);
    complain(t);
    world_settle(w, 600 * SECOND);
    free(t);
}

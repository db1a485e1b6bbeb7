#include "tests/sim/stress.h"
#include "tests/sim/frame.h"
#include "tests/sim/scenario.h"

static const uint64_t MS = 1000000;

void stress_begin(struct stress *s, struct world *w, struct rng rng) {
    *s = (struct stress){.world = w, .rng = rng, .next_ns = w->now_ns};
    s->reboots_left = w->scenario->features & SIM_REBOOT ? 2 : 0;
}

/* SYNs that nobody will follow up. */
static void flood(struct stress *s, unsigned end) {
    struct world *w = s->world;
    const struct host *victim = &w->host[end];
    uint8_t frame[WIRE_FRAME_MAX];
    uint64_t n = rng_scale(&s->rng, 1, 200);
    bool v6 = rng_chance(&s->rng, 500);
    struct ip_addr to = victim->net_config.iface[0].addr[v6].addr, from = to;
    while (n--) {
        from.b[15] = (uint8_t)rng_range(&s->rng, 10, 250);
        uint32_t len =
            frame_syn(frame, victim->net_config.iface[0].port->mac, &from, &to,
                      (uint16_t)rng_range(&s->rng, 1024, 65535), 80, (uint32_t)rng_next(&s->rng));
        wire_inject(w->wire[0], !end, frame, len);
    }
    s->flooded = true;
}

static struct host *strike(struct stress *s) {
    struct world *w = s->world;
    unsigned features = w->scenario->features;
    struct host *h = &w->host[rng_next(&s->rng) % w->hosts];
    if ((features & SIM_STARVE) && rng_chance(&s->rng, 500))
        host_starve(h, rng_chance(&s->rng, 400) ? HOST_MBUFS : (uint32_t)rng_scale(&s->rng, 0, 64));
    if ((features & SIM_SLEEPY) && rng_chance(&s->rng, 500))
        h->asleep_until_ns = w->now_ns + rng_scale(&s->rng, 0, 400 * MS);
    if (features & SIM_FLOOD)
        flood(s, h->number);
    if (s->reboots_left && rng_chance(&s->rng, 50)) {
        s->reboots_left--;
        return h;
    }
    return NULL;
}

struct host *stress_turn(struct stress *s) {
    if (s->over || s->world->now_ns < s->next_ns)
        return NULL;
    s->next_ns = s->world->now_ns + rng_scale(&s->rng, MS, 2000 * MS);
    return strike(s);
}

void stress_end(struct stress *s) {
    s->over = true;
}

bool stress_excuses_strangers(const struct stress *s) {
    return s->flooded || (s->world->scenario->features & SIM_REBOOT);
}

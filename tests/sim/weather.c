#include "tests/sim/weather.h"

static const uint64_t MS = 1000000;

static uint16_t up_to(struct rng *r, uint16_t most) {
    return most && rng_chance(r, 600) ? (uint16_t)rng_range(r, 0, most) : 0;
}

/* What one direction is like from now on. */
static void draw(struct weather *v, struct wire_fault *f) {
    const struct climate *c = &v->climate;
    struct rng *r = &v->rng;
    *f = (struct wire_fault){.delay_ns = 1000 + rng_scale(r, 0, c->delay_ms * MS),
                             .loss_pm = up_to(r, c->loss_pm),
                             .duplicate_pm = up_to(r, c->duplicate_pm),
                             .corrupt_pm = up_to(r, c->corrupt_pm),
                             .truncate_pm = up_to(r, c->truncate_pm),
                             .late_pm = up_to(r, c->late_pm),
                             .late_ns = c->late_ms * MS + 1,
                             .icmp = true};
    if (c->jitter_ms && rng_chance(r, 500))
        f->jitter_ns = rng_scale(r, 0, c->jitter_ms * MS);
    if (c->burst_pm && rng_chance(r, 300)) {
        f->burst_begin_pm = (uint16_t)rng_range(r, 1, c->burst_pm);
        f->burst_end_pm = (uint16_t)rng_range(r, 100, 900);
    }
    if (c->bottleneck && rng_chance(r, 500)) {
        f->ns_a_byte = rng_scale(r, 1, 80000); /* 8 Gbit/s to 100 kbit/s */
        f->queue_packets = (uint32_t)rng_range(r, 4, 100);
    }
}

static void draw_mtu(struct weather *v, struct wire *w) {
    uint16_t low = v->climate.mtu_min;
    if (!low || rng_chance(&v->rng, 300))
        return;
    uint16_t mtu = (uint16_t)rng_range(&v->rng, low, 1500);
    bool icmp = !v->climate.icmp_silent || rng_chance(&v->rng, 500);
    for (unsigned end = 0; end < 2; end++) {
        wire_fault(w, end)->mtu = mtu;
        wire_fault(w, end)->icmp = icmp;
    }
}

static void darken(struct weather *v, struct wire *w, uint64_t now_ns) {
    if (!v->climate.dark_ms || rng_chance(&v->rng, 600))
        return;
    uint64_t dark_ns = rng_scale(&v->rng, MS, v->climate.dark_ms * MS);
    unsigned which = (unsigned)rng_range(&v->rng, 1, 3); /* one direction or both */
    for (unsigned end = 0; end < 2; end++)
        wire_fault(w, end)->dark = which >> end & 1;
    v->dark_total_ns += dark_ns;
    v->light_ns = now_ns + dark_ns;
}

static void change(struct weather *v, struct wire *w, uint64_t now_ns) {
    for (unsigned end = 0; end < 2; end++)
        draw(v, wire_fault(w, end));
    draw_mtu(v, w);
    v->change_ns = UINT64_MAX;
    if (v->climate.change_ms)
        v->change_ns = now_ns + rng_scale(&v->rng, MS, v->climate.change_ms * MS);
}

void weather_begin(struct weather *v, const struct climate *c, struct rng rng, struct wire *w,
                   uint64_t now_ns) {
    *v = (struct weather){.climate = *c, .rng = rng};
    change(v, w, now_ns);
}

uint64_t weather_next(const struct weather *v) {
    if (v->healed)
        return UINT64_MAX;
    return v->light_ns ? v->light_ns : v->change_ns;
}

void weather_turn(struct weather *v, struct wire *w, uint64_t now_ns) {
    if (weather_next(v) > now_ns)
        return;
    if (v->light_ns) {
        v->light_ns = 0;
        for (unsigned end = 0; end < 2; end++)
            wire_fault(w, end)->dark = false;
        v->change_ns = v->change_ns < now_ns ? now_ns + MS : v->change_ns;
        return;
    }
    change(v, w, now_ns);
    darken(v, w, now_ns);
}

void weather_heal(struct weather *v, struct wire *w) {
    v->healed = true;
    for (unsigned end = 0; end < 2; end++)
        *wire_fault(w, end) = (struct wire_fault){.delay_ns = MS};
}

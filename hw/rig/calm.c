#include "calm.h"

static const uint64_t QUEUE_LOOK_NS = 1000000;

static void see_gateway(struct calm *c, uint64_t *count, uint64_t *ticks) {
    *count = *ticks = 0;
    for (uint32_t i = 0; i < c->cores; i++) {
        *ticks += tgw_counter_get(c->gateway[i], TGW_C_stall_ticks);
        *count += tgw_counter_get(c->gateway[i], TGW_C_stalls);
    }
}

/* One that ended by now_ns, or several of that length together. Queues add up. */
static void note(struct calm *c, struct stalls *s, uint64_t now_ns, uint64_t took_ns,
                 uint64_t count) {
    uint64_t from_ns = now_ns - took_ns;
    s->count += count;
    s->total_ns += took_ns;
    s->longest_ns = took_ns > s->longest_ns ? took_ns : s->longest_ns;
    c->release_ns = (from_ns > c->release_ns ? from_ns : c->release_ns);
    c->release_ns += took_ns * (1 + CALM_RECOVERY);
}

static void look(struct calm *c, uint64_t now_ns) {
    uint64_t count, ticks;
    see_gateway(c, &count, &ticks);
    if (ticks > c->ticks && c->tsc_hz) {
        double ns = (double)(ticks - c->ticks) / (double)c->tsc_hz * 1e9;
        note(c, &c->by_gateway, now_ns, (uint64_t)ns, count - c->count);
    }
    c->ticks = ticks;
    c->count = count;
}

void calm_init(struct calm *c) {
    c->turn_ns = c->release_ns = 0;
    c->under_way = 0;
    c->rig = c->by_gateway = (struct stalls){0};
    see_gateway(c, &c->count, &c->ticks);
}

void calm_clear(struct calm *c, uint64_t now_ns) {
    look(c, now_ns);
    c->rig = c->by_gateway = (struct stalls){0};
}

/* While there is a queue the end of the disturbance moves on. */
static void see_queue(struct calm *c, uint64_t now_ns, uint64_t under_way) {
    const double now = (double)under_way;
    if (now_ns >= c->release_ns)
        c->under_way += (now - c->under_way) / 256;
    else if (now > 2 * c->under_way + CALM_QUEUE_MORE && c->release_ns < now_ns + QUEUE_LOOK_NS)
        c->release_ns = now_ns + QUEUE_LOOK_NS;
}

void calm_turn(struct calm *c, uint64_t now_ns, uint64_t segments, uint64_t under_way) {
    uint64_t took_ns = now_ns - c->turn_ns;
    uint64_t work_us = CALM_STALL_US + (segments - c->segments) * CALM_SEGMENT_US;
    if (c->turn_ns && took_ns > work_us * 1000)
        note(c, &c->rig, now_ns, took_ns, 1);
    c->turn_ns = now_ns;
    c->segments = segments;
    see_queue(c, now_ns, under_way);
}

/* The gateway counts a stall before it sends what the stall held up: the turn's first answer
 * has come in, and with it all of that port's burst. No more often, since the gateway writes
 * to that line in every turn of its own. */
bool calm_kept(struct calm *c, uint64_t now_ns, uint64_t due_ns) {
    if (c->looked_ns != now_ns)
        look(c, now_ns);
    c->looked_ns = now_ns;
    return due_ns >= c->release_ns;
}

#include "tests/sim/attack.h"
#include "tests/sim/frame.h"
#include <inttypes.h>

enum { CLIENT_END = 0, PORT = 80, BURST_MAX = 64, STRANGERS = 240 };
static const uint64_t MS = 1000000;

void attack_begin(struct attack *a, struct world *w, const struct host *victim, struct rng rng) {
    *a = (struct attack){.world = w, .victim = victim, .rng = rng, .next_ns = w->now_ns};
}

static void put(struct attack *a, const uint8_t *frame, uint32_t len) {
    wire_forge(a->world->wire[0], CLIENT_END, frame, len);
    a->sent++;
}

static struct ip_addr to_victim(const struct attack *a, bool v6) {
    return a->victim->net_config.iface[0].addr[v6].addr;
}

static const uint8_t *victim_mac(const struct attack *a) {
    return a->victim->net_config.iface[0].port->mac;
}

static void syns(struct attack *a, bool v6) {
    uint8_t frame[WIRE_FRAME_MAX];
    struct ip_addr to = to_victim(a, v6), from = to;
    from.b[15] = (uint8_t)(10 + rng_next(&a->rng) % STRANGERS);
    uint32_t len =
        frame_syn(frame, victim_mac(a), &from, &to, (uint16_t)rng_range(&a->rng, 1024, 65535), PORT,
                  (uint32_t)rng_next(&a->rng));
    put(a, frame, len);
}

/* As if a real client had sent it, but for the numbers. */
static void blind(struct attack *a, bool v6, uint16_t sport) {
    static const uint8_t flags[] = {SEG_RST,           SEG_RST | SEG_ACK, SEG_ACK,
                                    SEG_ACK | SEG_PSH, SEG_FIN | SEG_ACK, SEG_SYN};
    uint8_t frame[WIRE_FRAME_MAX];
    struct ip_addr to = to_victim(a, v6), from = to;
    from.b[15] = 1;
    struct seg s = {.src = from,
                    .dst = to,
                    .sport = sport,
                    .dport = PORT,
                    .seq = (uint32_t)rng_next(&a->rng),
                    .ack = (uint32_t)rng_next(&a->rng),
                    .wnd = (uint16_t)rng_next(&a->rng),
                    .flags = flags[rng_next(&a->rng) % sizeof(flags)]};
    /* A SYN with a real client's port and nobody at it would open a connection in his name. */
    s.len = s.flags & (SEG_RST | SEG_SYN) ? 0 : (uint32_t)rng_range(&a->rng, 0, 1000);
    for (unsigned i = 0; (s.flags & SEG_ACK) && i < 3; i++) {
        s.sack[i].start = (uint32_t)rng_next(&a->rng);
        s.sack[i].end = s.sack[i].start + (uint32_t)rng_range(&a->rng, 1, 100000);
        s.sack_count = (uint8_t)(i + 1);
    }
    put(a, frame, frame_tcp(frame, victim_mac(a), &s));
}

/* Tiny ones, overlapping ones, firsts without lasts and lasts without firsts. */
static void fragment(struct attack *a, bool v6) {
    uint8_t frame[WIRE_FRAME_MAX];
    struct ip_addr to = to_victim(a, v6), from = to;
    from.b[15] = (uint8_t)(10 + rng_next(&a->rng) % STRANGERS);
    uint16_t at = (uint16_t)(rng_next(&a->rng) % 8 * 8);
    uint32_t bytes = rng_chance(&a->rng, 500) ? 8 : (uint32_t)rng_range(&a->rng, 1, 180) * 8;
    uint32_t len = frame_fragment(frame, victim_mac(a), &from, &to, (uint32_t)rng_next(&a->rng) % 4,
                                  at, rng_chance(&a->rng, 700), bytes);
    put(a, frame, len);
}

static void strike(struct attack *a, uint16_t port) {
    bool v6 = rng_chance(&a->rng, 500);
    switch (rng_next(&a->rng) % 4) {
    case 0:
        blind(a, v6, port);
        break;
    case 1:
        fragment(a, v6);
        break;
    default:
        syns(a, v6);
    }
}

void attack_turn(struct attack *a, const uint16_t *ports, unsigned count) {
    struct tcp_usage u;
    if (a->over || a->world->now_ns < a->next_ns)
        return;
    a->next_ns = a->world->now_ns + rng_scale(&a->rng, MS / 10, 20 * MS);
    for (uint64_t n = rng_scale(&a->rng, 1, BURST_MAX); n--;) {
        bool knows = count && rng_chance(&a->rng, 100);
        strike(a, knows ? ports[rng_next(&a->rng) % count]
                        : (uint16_t)rng_range(&a->rng, 1024, 65535));
    }
    tcp_usage(a->victim->tcp, &u);
    if (u.half_open > a->victim->tcp_config.backlog_max)
        world_fail(a->world, "%u connections half open", u.half_open);
}

void attack_end(struct attack *a) {
    a->over = true;
}

void attack_judge(struct attack *a) {
    static const enum tgw_reason names[] = {TGW_R_ip4_fragment, TGW_R_ip6_fragment,
                                            TGW_R_tcp_no_connection};
    const struct tgw_counters *c = &a->victim->counters;
    world_say(a->world, "%" PRIu64 " forged frames, %" PRIu64 " cookies", a->sent,
              tgw_counter_get(c, TGW_C_tcp_syn_cookies_sent));
    if (a->sent < 5000) /* too little for each of them to have come */
        return;
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (!c->reason[names[i]])
            world_fail(a->world, "%" PRIu64 " forged frames and none dropped as %u", a->sent,
                       names[i]);
    if (!tgw_counter_get(c, TGW_C_tcp_syn_cookies_sent))
        world_fail(a->world, "a flood and no cookie");
}

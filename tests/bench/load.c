/* What a keystroke and its echo take through the gateway alone, open loop, at parts of the
 * capacity, which is measured anew before each: this machine's CPUs change their pace. One
 * clock for all: it runs while the gateway works or looks in vain, and stands while the rig
 * has the thread, so that a keystroke waits for the gateway and for nothing else. The rig looks
 * every LOOK_NS of it: its own caches are to be in the gateway's way no more often than a rig of
 * another core would hand over packets.
 *
 * A turn that is out of line with those that took in and sent as many segments (over twice
 * their median and 5 us more) counts as their median, so that the queue behind a gap of the
 * machine's is in no latency; such turns are counted, and with them how often a loop that only
 * reads the clock is held up so long: what is above that the gateway does itself. */
#include "inside.h"
#include <rte_cycles.h>
#include <stdio.h>

enum {
    SETTLE_MS = 20,
    MS_MIN = 100,
    HURRY_NS = 10000,
    LOOK_NS = 5000,
    WORK_MAX = 256,
    GAP_US = 5,
    GAPS_MS = 300,
};

struct clocked {
    struct inside *b;
    uint64_t hz, base_ns, ticks;   /* the gateway's time since base_ns */
    double median[WORK_MAX];       /* ticks of a turn with so many segments */
    uint64_t gaps, gap_ticks;      /* taken out, in the window */
    uint64_t look_ns;              /* when the rig last did */
    uint64_t frames, frames_ticks; /* relayed in the window, and its length */
    uint64_t busy_ticks;           /* of turns with work */
    struct hist turn;              /* ns of those turns that had work */
    struct {
        uint64_t work, ns;
    } worst; /* the longest of them */
};

static uint64_t counter(const struct clocked *c, enum tgw_counter id) {
    return tgw_counter_get(shm_region_counters(&c->b->region, 0), id);
}

static uint64_t relayed(const struct clocked *c) {
    return counter(c, TGW_C_relay_frames_to_agent) + counter(c, TGW_C_relay_frames_to_client);
}

static uint64_t segments(const struct clocked *c) {
    return counter(c, TGW_C_tcp_segments_in) + counter(c, TGW_C_tcp_segments_out);
}

static void note_turn(struct clocked *c, uint32_t work, uint64_t ticks) {
    uint64_t ns = ticks * 1000000000 / c->hz;
    if (work == 0)
        return;
    hist_add(&c->turn, ns);
    if (ns > c->worst.ns) {
        c->worst.ns = ns;
        c->worst.work = work;
    }
}

/* What of a turn's ticks was its own; the medians are followed in steps. */
static uint64_t in_line(struct clocked *c, uint64_t moved, uint64_t ticks) {
    double *median = &c->median[moved < WORK_MAX ? moved : WORK_MAX - 1], t = (double)ticks;
    const double allowed = 2 * *median + (double)(c->hz / 1000000 * GAP_US);
    if (*median == 0)
        *median = t;
    *median *= t > *median ? 1.02 : 0.98;
    return t > allowed ? (uint64_t)*median : ticks;
}

static void gateway_turn(struct clocked *c, bool measuring) {
    struct inside *b = c->b;
    uint64_t frames = relayed(c), moved = segments(c), from = rte_rdtsc();
    uint32_t work = worker_turn(b->worker[0], b->half[0].now_ns);
    uint64_t all = rte_rdtsc() - from, ticks = in_line(c, segments(c) - moved, all);
    c->ticks += ticks;
    b->half[0].now_ns = c->base_ns + (uint64_t)((double)c->ticks / (double)c->hz * 1e9);
    if (!measuring)
        return;
    c->gaps += ticks < all;
    c->gap_ticks += all - ticks;
    c->busy_ticks += work ? ticks : 0;
    c->frames += relayed(c) - frames;
    c->frames_ticks += ticks;
    note_turn(c, work, ticks);
}

static void rig_turn(struct inside *b) {
    struct half *h = &b->half[0];
    rig_begin(&h->rig, h->now_ns);
    watch_turn(&b->watch, h->now_ns);
    pace_turn(&h->pace);
    rig_end(&h->rig);
}

/* From the first session's dial to the last one's end. */
static void play(struct clocked *c, const struct act *act) {
    struct inside *b = c->b;
    struct half *h = &b->half[0];
    inside_start_rig(b, 0, act);
    if (!b->watch.bridge.shm)
        inside_start_watch(b);
    while (h->pace.phase != PHASE_DONE) {
        if (h->now_ns - c->look_ns >= LOOK_NS) {
            c->look_ns = h->now_ns;
            rig_turn(b);
        }
        gateway_turn(c, h->rig.measuring);
        if (h->pace.phase < PHASE_SETTLE) { /* nobody waits for links and neighbours */
            c->base_ns += HURRY_NS;
            h->now_ns += HURRY_NS;
        }
    }
    const struct tally *t = &h->rig.tally;
    inside_check(t->opened == act->sessions && t->refused + t->failed + t->lost == 0,
                 "load: sessions were refused or lost");
}

static void stop_rig(struct inside *b) {
    struct half *h = &b->half[0];
    rig_stop(&h->rig);
    cJSON_Delete(h->file);
    h->rig = (struct rig){0};
}

static double us(const struct hist *h, uint32_t per_million) {
    return (double)hist_quantile(h, per_million) / 1e3;
}

static double rate_per_s(const struct clocked *c) {
    return (double)c->frames / (double)c->frames_ticks * (double)c->hz;
}

static void print_level(const struct clocked *c, const char *what) {
    const struct hist *echo = &c->b->half[0].rig.latency, *turn = &c->turn;
    const double s = (double)(c->frames_ticks + c->gap_ticks) / (double)c->hz;
    printf("load   %-8s  frames/s %8.0f busy %3.0f %%  echo us p50 %.1f p99 %.1f p99.9 %.1f max "
           "%.1f  turn us p50 %.1f p99.9 %.1f max %.1f (of %lu)  gaps/s %.0f, %.2f %%\n",
           what, rate_per_s(c), (double)c->busy_ticks / (double)c->frames_ticks * 100,
           us(echo, 500000), us(echo, 990000), us(echo, 999000), (double)echo->max / 1e3,
           us(turn, 500000), us(turn, 999000), (double)turn->max / 1e3, c->worst.work,
           (double)c->gaps / s, (double)c->gap_ticks / (double)c->hz / s * 100);
}

/* What the machine does to anybody. */
static void print_gaps(uint64_t hz) {
    const uint64_t begin = rte_rdtsc(), end = begin + hz / 1000 * GAPS_MS;
    uint64_t gaps = 0, ticks = 0;
    for (uint64_t last = begin, now; (now = rte_rdtsc()) < end; last = now) {
        if (now - last <= hz / 1000000 * GAP_US)
            continue;
        gaps++;
        ticks += now - last;
    }
    printf("load   a loop that reads the clock: gaps/s %.0f, %.2f %%\n",
           (double)gaps * 1000 / GAPS_MS, (double)ticks / (double)(end - begin) * 100);
}

static void level(struct clocked *c, const struct act *act, const char *what) {
    c->base_ns = c->b->half[0].now_ns;
    c->ticks = c->gaps = c->gap_ticks = c->busy_ticks = c->frames = c->frames_ticks = 0;
    c->worst.ns = 0;
    hist_clear(&c->turn);
    play(c, act);
    inside_check(c->frames > 0, "load: nothing was relayed");
    print_level(c, what);
}

/* Frames a second in a closed loop. */
static double capacity(struct clocked *c, struct act *act, uint64_t ms) {
    act->rate_per_s = 0;
    act->duration_ms = ms > MS_MIN ? ms : MS_MIN;
    level(c, act, "capacity");
    double rate = rate_per_s(c);
    stop_rig(c->b);
    return rate;
}

void load_play(struct inside *b, const char *frame_bytes, uint64_t sessions, uint64_t ms) {
    static struct clocked c;
    static const uint64_t percents[] = {50, 70, 90};
    struct act act = {.scenario = "echo",
                      .frame_bytes = frame_bytes,
                      .sessions = sessions,
                      .settle_ms = SETTLE_MS};
    c = (struct clocked){.b = b, .hz = rte_get_timer_hz()};
    for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
        char what[16];
        print_gaps(c.hz);
        const double all = capacity(&c, &act, ms / 4);
        act.rate_per_s = (uint64_t)(all / 2 * (double)percents[i] / 100);
        act.duration_ms = ms;
        snprintf(what, sizeof(what), "%lu %%", percents[i]);
        level(&c, &act, what);
        if (i + 1 < sizeof(percents) / sizeof(percents[0]))
            stop_rig(b);
    }
}

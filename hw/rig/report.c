#include "report.h"
#include "clock.h"
#include "stages.h"
#include <stdio.h>
#include <stdlib.h>

enum { STEP_MS = 100, POINTS_MAX = 600 };
static const uint64_t SECOND_NS = 1000000000;

bool report_start(struct report *r, struct rig *rig, struct watch *watch, struct pace *pace) {
    uint64_t step_ms = rig->plan.duration_ms / POINTS_MAX;
    *r = (struct report){.rig = rig,
                         .watch = watch,
                         .pace = pace,
                         .start_ns = rig->now_ns,
                         .line_ns = rig->now_ns,
                         .points_max = POINTS_MAX + 16,
                         .step_ns = (step_ms > STEP_MS ? step_ms : STEP_MS) * 1000000};
    r->point = calloc(r->points_max, sizeof(*r->point));
    r->rss_before = watch_rss_bytes(watch);
    return r->point != NULL;
}

void report_free(struct report *r) {
    free(r->point);
}

static double ratio(uint64_t a, uint64_t b) {
    return b ? (double)a / (double)b : 0;
}

static void show_line(struct report *r) {
    const struct tally *t = &r->rig->tally;
    struct sample now;
    double s = (double)(r->rig->now_ns - r->line_ns) / 1e9;
    watch_sample(r->watch, &now);
    fprintf(stderr,
            "%6.1f s %-7s open %lu refused %lu failed %lu lost %lu | %.0f setups/s %.0f echoes/s "
            "%.2f Gb/s p99 %.1f us",
            (double)(r->rig->now_ns - r->start_ns) / 1e9, phase_names[r->pace->phase],
            t->opened - t->closed - t->lost, t->refused, t->failed, t->lost,
            (double)(t->opened - r->line_tally.opened) / s,
            (double)(t->answered - r->line_tally.answered) / s,
            (double)(t->bytes_received - r->line_tally.bytes_received) * 8 / 1e9 / s,
            (double)hist_quantile(&r->rig->latency, 990000) / 1000);
    if (watch_sees(r->watch))
        fprintf(
            stderr, " | gateway %.0f cycles a frame",
            ratio(watch_busy_cycles(&r->line_sample, &now), watch_frames(&r->line_sample, &now)));
    fputc('\n', stderr);
    r->line_ns = r->rig->now_ns;
    r->line_tally = *t;
    r->line_sample = now;
}

static void add_point(struct report *r) {
    const struct tally *t = &r->rig->tally, *was = &r->last_tally;
    struct sample now;
    watch_sample(r->watch, &now);
    if (r->points < r->points_max)
        r->point[r->points++] =
            (struct point){.t_s = (double)(r->rig->now_ns - r->begin_ns) / 1e9,
                           .answered = t->answered - was->answered,
                           .opened = t->opened - was->opened,
                           .bytes = t->bytes_received - was->bytes_received,
                           .frames = watch_frames(&r->last_sample, &now),
                           .busy_cycles = watch_busy_cycles(&r->last_sample, &now)};
    r->last_tally = *t;
    r->last_sample = now;
}

static void end_window(struct report *r) {
    r->end_ns = r->rig->now_ns;
    r->tally_end = r->rig->tally;
    r->by_rig = r->rig->calm.rig;
    r->by_gateway = r->rig->calm.by_gateway;
    watch_sample(r->watch, &r->sample_end);
}

static void enter(struct report *r, enum phase phase) {
    enum phase was = r->phase;
    r->phase = phase;
    if (phase == PHASE_MEASURE) {
        r->begin_ns = r->rig->now_ns;
        r->rss_open = watch_rss_bytes(r->watch);
        r->tally_begin = r->last_tally = r->rig->tally;
        watch_sample(r->watch, &r->sample_begin);
        r->last_sample = r->sample_begin;
    } else if (was == PHASE_MEASURE) {
        end_window(r);
    }
}

void report_turn(struct report *r) {
    if (r->pace->phase != r->phase)
        enter(r, r->pace->phase);
    if (r->phase == PHASE_MEASURE && r->rig->now_ns - r->begin_ns >= (r->points + 1) * r->step_ns)
        add_point(r);
    if (r->rig->now_ns - r->line_ns >= SECOND_NS)
        show_line(r);
}

static void put(cJSON *o, const char *name, double value) {
    cJSON_AddNumberToObject(o, name, value);
}

static void put_hist(cJSON *root, const char *name, const struct hist *h) {
    cJSON *o = cJSON_AddObjectToObject(root, name);
    put(o, "count", (double)h->count);
    put(o, "min", h->count ? (double)h->min : 0);
    put(o, "mean", hist_mean(h));
    put(o, "p50", (double)hist_quantile(h, 500000));
    put(o, "p90", (double)hist_quantile(h, 900000));
    put(o, "p99", (double)hist_quantile(h, 990000));
    put(o, "p99_9", (double)hist_quantile(h, 999000));
    put(o, "p99_99", (double)hist_quantile(h, 999900));
    put(o, "max", (double)h->max);
    cJSON *buckets = cJSON_AddArrayToObject(o, "histogram");
    for (uint32_t i = 0; i < HIST_BUCKETS; i++) {
        if (!h->bucket[i])
            continue;
        const double pair[2] = {(double)hist_bucket_top(i), (double)h->bucket[i]};
        cJSON_AddItemToArray(buckets, cJSON_CreateDoubleArray(pair, 2));
    }
}

/* The share is of the time of so many cores. */
static void put_stalls(const struct report *r, cJSON *to, const char *name, const struct stalls *s,
                       double over_us, uint32_t cores) {
    cJSON *o = cJSON_AddObjectToObject(to, name);
    put(o, "over_us", over_us);
    put(o, "count", (double)s->count);
    put(o, "share", ratio(s->total_ns, (r->end_ns - r->begin_ns) * cores));
    put(o, "longest_us", (double)s->longest_ns / 1e3);
}

/* What of the latencies no stall reached, and how much that is. */
static void put_undisturbed(const struct report *r, cJSON *root) {
    const struct rig *rig = r->rig;
    put_hist(root, "undisturbed_ns", &rig->undisturbed);
    cJSON *o = cJSON_AddObjectToObject(root, "undisturbed");
    put(o, "share", ratio(rig->undisturbed.count, rig->latency.count));
    put(o, "recovery", CALM_RECOVERY);
    cJSON_AddBoolToObject(o, "gateway_seen", watch_sees(r->watch));
    put_stalls(r, o, "gateway_stalls", &r->by_gateway, STAGES_STALL_US, rig->calm.cores);
}

static void put_sessions(const struct report *r, cJSON *root) {
    const struct tally *t = &r->tally_end;
    cJSON *o = cJSON_AddObjectToObject(root, "sessions");
    put(o, "opened", (double)t->opened);
    put(o, "refused", (double)t->refused);
    put(o, "failed", (double)t->failed);
    put(o, "lost", (double)t->lost);
    put(o, "closed", (double)t->closed);
    put(o, "corrupt", (double)t->corrupt);
    put(o, "tls_handshakes", (double)tgw_counter_get(r->rig->counters, TGW_C_tls_handshakes_13));
    put(o, "tls_resumed", (double)tgw_counter_get(r->rig->counters, TGW_C_tls_resumptions));
    put(o, "pings_answered", (double)(t->pings + t->agent_pings));
    put(o, "agent_sessions", (double)t->agent_sessions);
    put(o, "agent_refused", (double)t->agent_refused);
}

static void put_rates(const struct report *r, cJSON *root) {
    const struct tally *a = &r->tally_begin, *b = &r->tally_end;
    double s = (double)(r->end_ns - r->begin_ns) / 1e9;
    cJSON *o = cJSON_AddObjectToObject(root, "rates");
    put(o, "window_s", s);
    put(o, "typed_per_s", (double)(b->typed - a->typed) / s);
    put(o, "answered_per_s", (double)(b->answered - a->answered) / s);
    put(o, "setups_per_s", (double)(b->opened - a->opened) / s);
    put(o, "closes_per_s", (double)(b->closed - a->closed) / s);
    put(o, "output_gbit_per_s", (double)(b->bytes_received - a->bytes_received) * 8 / 1e9 / s);
    put(o, "paste_gbit_per_s",
        (double)(b->agent_bytes_received - a->agent_bytes_received) * 8 / 1e9 / s);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Cycles a frame over the steps of the window: a neighbour on the same machine only ever
 * adds, so the low end is what the gateway itself needs. */
static void put_steps(const struct report *r, cJSON *o) {
    double *v = calloc(r->points + 1, sizeof(*v));
    uint32_t n = 0;
    for (uint32_t i = 0; v && i < r->points; i++)
        if (r->point[i].frames > 1000)
            v[n++] = ratio(r->point[i].busy_cycles, r->point[i].frames);
    if (n) {
        qsort(v, n, sizeof(*v), by_value);
        put(o, "cycles_a_frame_min", v[0]);
        put(o, "cycles_a_frame_p10", v[n / 10]);
        put(o, "cycles_a_frame_median", v[n / 2]);
    }
    free(v);
}

static void put_cycles(const struct report *r, cJSON *o) {
    cJSON *stages = cJSON_AddObjectToObject(o, "cycles");
    for (int i = 0; i < TGW_STAGE_COUNT; i++)
        put(stages, tgw_stage_name((enum tgw_stage)i),
            (double)(r->sample_end.cycles[i] - r->sample_begin.cycles[i]));
}

/* By core: how sessions and frames came to be spread. */
static void put_cores(const struct report *r, cJSON *o) {
    const struct bridge *b = &r->watch->bridge;
    cJSON *cores = cJSON_AddArrayToObject(o, "cores");
    for (uint32_t i = 0; i < b->cores; i++) {
        const struct tgw_counters *c = b->core[i].counters;
        cJSON *core = cJSON_CreateObject();
        cJSON_AddItemToArray(cores, core);
        put(core, "sessions_accepted", (double)tgw_counter_get(c, TGW_C_sessions_accepted));
        put(core, "frames",
            (double)(tgw_counter_get(c, TGW_C_relay_frames_to_agent) +
                     tgw_counter_get(c, TGW_C_relay_frames_to_client)));
    }
}

static void put_counters(const struct report *r, cJSON *o) {
    static const char *const names[] = {
#define TGW_COUNTER(id, help) #id,
#include "contract/counters.def"
#undef TGW_COUNTER
    };
    cJSON *counters = cJSON_AddObjectToObject(o, "counters");
    for (int i = 0; i < TGW_COUNTER_COUNT; i++)
        if (r->sample_end.counter[i])
            put(counters, names[i],
                (double)(r->sample_end.counter[i] - r->sample_begin.counter[i]));
    cJSON *reasons = cJSON_AddObjectToObject(o, "reasons");
    for (unsigned i = 0; i < TGW_REASON_COUNT; i++)
        if (r->sample_end.reason[i] > r->sample_begin.reason[i])
            put(reasons, tgw_reason_info(i)->label,
                (double)(r->sample_end.reason[i] - r->sample_begin.reason[i]));
}

static void put_gateway(const struct report *r, cJSON *root) {
    uint64_t busy = watch_busy_cycles(&r->sample_begin, &r->sample_end);
    uint64_t frames = watch_frames(&r->sample_begin, &r->sample_end);
    uint64_t setups = r->tally_end.opened - r->tally_begin.opened;
    uint64_t live = r->sample_begin.counter[TGW_C_sessions];
    if (!watch_sees(r->watch))
        return;
    cJSON *o = cJSON_AddObjectToObject(root, "gateway");
    put(o, "tsc_hz", (double)r->watch->bridge.shm->tsc_hz);
    put(o, "busy_cycles", (double)busy);
    put(o, "frames", (double)frames);
    put(o, "cycles_a_frame", ratio(busy, frames));
    put_steps(r, o);
    put(o, "cycles_a_setup", setups ? ratio(busy, setups) : 0);
    put(o, "cycles_a_kib",
        ratio(busy * 1024, r->tally_end.bytes_received - r->tally_begin.bytes_received));
    put(o, "rss_before_bytes", (double)r->rss_before);
    put(o, "rss_open_bytes", (double)r->rss_open);
    put(o, "sessions_open", (double)live);
    put(o, "rss_bytes_a_session",
        r->rss_open > r->rss_before ? ratio(r->rss_open - r->rss_before, live) : 0);
    put_cycles(r, o);
    put_cores(r, o);
    put_counters(r, o);
}

static void put_series(const struct report *r, cJSON *root) {
    cJSON *series = cJSON_AddArrayToObject(root, "series");
    for (uint32_t i = 0; i < r->points; i++) {
        const struct point *p = &r->point[i];
        cJSON *o = cJSON_CreateObject();
        cJSON_AddItemToArray(series, o);
        put(o, "t_s", p->t_s);
        put(o, "answered", (double)p->answered);
        put(o, "opened", (double)p->opened);
        put(o, "bytes", (double)p->bytes);
        put(o, "frames", (double)p->frames);
        put(o, "busy_cycles", (double)p->busy_cycles);
    }
}

static void show_stalls(const struct report *r, const char *who, const struct stalls *s) {
    if (s->count)
        printf("  %s stood still %lu times, %.2f %% of the time, %.1f ms at most\n", who, s->count,
               100 * ratio(s->total_ns, r->end_ns - r->begin_ns), (double)s->longest_ns / 1e6);
}

static void show_undisturbed(const struct report *r) {
    const struct hist *h = &r->rig->undisturbed;
    show_stalls(r, "the rig itself", &r->by_rig);
    show_stalls(r, "the gateway", &r->by_gateway);
    if (h->count)
        printf(
            "  echo us where nobody stood still, %.1f %% of them: p50 %.1f p99 %.1f p99.9 %.1f\n",
            100 * ratio(h->count, r->rig->latency.count), (double)hist_quantile(h, 500000) / 1e3,
            (double)hist_quantile(h, 990000) / 1e3, (double)hist_quantile(h, 999000) / 1e3);
}

static void show_summary(const struct report *r) {
    const struct tally *a = &r->tally_begin, *b = &r->tally_end;
    const struct hist *h = &r->rig->latency, *setup = &r->rig->setup;
    double s = (double)(r->end_ns - r->begin_ns) / 1e9;
    uint64_t busy = watch_busy_cycles(&r->sample_begin, &r->sample_end);
    printf("%s: %lu sessions opened, %lu refused, %lu failed, %lu lost\n", r->rig->plan.name,
           b->opened, b->refused, b->failed, b->lost);
    if (r->rig->refusal[0])
        printf("  first refusal: %s\n", r->rig->refusal);
    printf("  %.0f echoes/s, %.0f setups/s, output %.2f Gb/s, paste %.2f Gb/s\n",
           (double)(b->answered - a->answered) / s, (double)(b->opened - a->opened) / s,
           (double)(b->bytes_received - a->bytes_received) * 8 / 1e9 / s,
           (double)(b->agent_bytes_received - a->agent_bytes_received) * 8 / 1e9 / s);
    printf("  echo us: p50 %.1f p99 %.1f p99.9 %.1f max %.1f | setup us: p50 %.1f p99 %.1f\n",
           (double)hist_quantile(h, 500000) / 1e3, (double)hist_quantile(h, 990000) / 1e3,
           (double)hist_quantile(h, 999000) / 1e3, (double)h->max / 1e3,
           (double)hist_quantile(setup, 500000) / 1e3, (double)hist_quantile(setup, 990000) / 1e3);
    show_undisturbed(r);
    if (watch_sees(r->watch))
        printf("  gateway: %.0f cycles a frame, %.0f a setup\n",
               ratio(busy, watch_frames(&r->sample_begin, &r->sample_end)),
               ratio(busy, b->opened - a->opened));
}

bool report_finish(struct report *r, const cJSON *file, char *err, size_t err_bytes) {
    const char *path = r->rig->plan.report;
    cJSON *root = cJSON_CreateObject();
    if (r->end_ns == 0) /* interrupted before or in the window */
        end_window(r);
    cJSON_AddStringToObject(root, "name", r->rig->plan.name);
    cJSON_AddStringToObject(root, "version", TGW_VERSION);
    cJSON_AddItemToObject(root, "plan", cJSON_Duplicate(file, true));
    put_sessions(r, root);
    put_rates(r, root);
    put_hist(root, "latency_ns", &r->rig->latency);
    put_hist(root, "setup_ns", &r->rig->setup);
    put_undisturbed(r, root);
    put_stalls(r, root, "rig_stalls", &r->by_rig, CALM_STALL_US, 1);
    put_gateway(r, root);
    put_series(r, root);
    show_summary(r);
    char *text = cJSON_PrintUnformatted(root);
    cJSON_Delete(root);
    FILE *f = path[0] && text ? fopen(path, "we") : NULL;
    bool good = !path[0] || (f && fputs(text, f) >= 0);
    if (f && fclose(f) != 0)
        good = false;
    if (!good)
        snprintf(err, err_bytes, "report: %s cannot be written", path);
    free(text);
    return good;
}

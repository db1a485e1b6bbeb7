/* The gateway's core and the rig in one thread over in-memory ports: only the gateway's
 * turns are timed, so that a busy machine disturbs little, and callgrind counts the same
 * instructions every time (it collects inside measured_turns alone). Prints cycles a
 * frame as the minimum, the tenth and the half of many short stretches.
 *
 *   bench-inside SESSIONS SCENARIO FRAME_BYTES STRETCHES [TYPING [TLS_DIR [CORES]]]
 *
 * TLS_DIR: browsers speak TLS, with what platform/lab/certificates.sh has put there; "-":
 * plain. CORES: so many workers take turns, their ports spread in software. */
#include "drivers/spread.h"
#include "hw/rig/pace.h"
#include "hw/rig/watch.h"
#include "ports.h"
#include "shm_region.h"
#include "wire.h"
#include "worker.h"
#include <rte_cycles.h>
#include <rte_eal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { MBUFS = 16383, RIG_TURNS = 4, TURN_NS = 10000, ERROR_BYTES = 300, CORES_MAX = 4 };

struct inside {
    struct rig rig;
    struct watch watch;
    struct pace pace;
    uint64_t now_ns; /* virtual: a run repeats to the instruction */
    struct shm_region region;
    uint32_t cores;
    struct worker_signals signals[CORES_MAX];
    struct worker *worker[CORES_MAX];
    const char *tls_dir; /* NULL: plain */
    struct tls_context *tls_context;
    struct tls_workers *handshakes;
    struct rte_mempool *mbufs[2];     /* gateway's, rig's */
    struct port *ours[2], *theirs[2]; /* gateway's ends, rig's ends */
    cJSON *file;
    char path[64], err[ERROR_BYTES];
};

static void check(bool good, const char *what) {
    if (good)
        return;
    fprintf(stderr, "bench-inside: %s\n", what);
    exit(2);
}

static void start_eal(struct inside *b) {
    char prefix[64];
    snprintf(prefix, sizeof(prefix), "--file-prefix=inside%d", (int)getpid());
    char *args[] = {"inside",
                    "--no-huge",
                    "-m",
                    "512",
                    "--no-pci",
                    "--no-shconf",
                    "--no-telemetry",
                    "--iova-mode=va",
                    "--log-level=error",
                    prefix,
                    NULL};
    check(rte_eal_init(10, args) >= 0, "DPDK does not start");
    for (int i = 0; i < 2; i++) {
        b->mbufs[i] = rte_pktmbuf_pool_create(i ? "rig" : "gateway", MBUFS, 256, 0,
                                              RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
        check(b->mbufs[i] != NULL, "no packet buffers");
    }
    for (int i = 0; i < 2; i++) {
        struct port *pair[2];
        check(wire_pair(pair, b->mbufs), "no ports");
        b->ours[i] = pair[0];
        b->theirs[i] = pair[1];
    }
    b->now_ns = UINT64_C(1000000000);
}

static void start_tls(struct inside *b, uint32_t sessions, struct worker_config *c) {
    struct tls_context_config *files = calloc(1, sizeof(*files));
    char text[2 * TLS_PATH_BYTES];
    check(files != NULL, "no memory");
    snprintf(text, sizeof(text), "%s/gateway.pem:%s/gateway.key", b->tls_dir, b->tls_dir);
    check(tls_certificate_parse(text, &files->certificate[0]), "TLS_DIR: too long");
    files->certificates = 1;
    files->ticket_period_s = 43200;
    b->tls_context = tls_context_create(files, (uint64_t)time(NULL), b->err, sizeof(b->err));
    check(b->tls_context != NULL, b->err);
    tls_config_defaults(&c->tls);
    c->tls.connections_max = sessions * 4;
    c->tls.counters = c->counters;
    b->handshakes = tls_workers_create(b->tls_context, 1, 1, c->tls.handshakes_max, true);
    check(b->handshakes != NULL, "no handshake threads");
    c->handshakes = b->handshakes;
    c->tls_port = 443;
    free(files);
}

static void start_worker(struct inside *b, uint32_t core, uint32_t sessions) {
    static const char *const addr[2] = {"198.18.0.2/24", "198.18.1.2/24"};
    struct tgw_counters *counters = shm_region_counters(&b->region, core);
    struct worker_config c = {.core = core,
                              .cores = b->cores,
                              .public_port = 80,
                              .spin = true,
                              .counters = counters,
                              .cmd_ring = shm_region_cmd_ring(&b->region, core),
                              .event_ring = shm_region_event_ring(&b->region, core),
                              .signals = &b->signals[core]};
    c.net = (struct net_config){.iface_count = 2, .pool = b->mbufs[0], .counters = counters};
    for (int i = 0; i < 2; i++) {
        c.net.iface[i] =
            (struct net_iface_config){.port = b->ours[i], .queue = (uint16_t)core, .addr_count = 1};
        ip_prefix_parse(addr[i], true, &c.net.iface[i].addr[0]);
    }
    c.net.iface[0].has_gateway4 = ip_addr_parse("198.18.0.1", &c.net.iface[0].gateway4);
    worker_tcp_config(&c.tcp, sessions, counters);
    c.session = (struct session_config){
        .core = core, .sessions_max = sessions, .relay_buffer_bytes = 262144, .counters = counters};
    if (b->tls_dir)
        start_tls(b, sessions, &c);
    b->worker[core] = worker_create(&c, b->now_ns, b->err, sizeof(b->err));
    check(b->worker[core] != NULL, b->err);
}

static void start_gateway(struct inside *b, uint32_t sessions) {
    snprintf(b->path, sizeof(b->path), "/dev/shm/tgw-inside.%d", (int)getpid());
    check(shm_region_create(&b->region, b->path, b->cores, b->err, sizeof(b->err)), b->err);
    for (int i = 0; b->cores > 1 && i < 2; i++) {
        b->ours[i] =
            port_spread_wrap(b->ours[i], (uint16_t)b->cores, b->mbufs[0], b->err, sizeof(b->err));
        check(b->ours[i] != NULL, b->err);
    }
    shm_region_publish(&b->region);
    for (uint32_t core = 0; core < b->cores; core++)
        start_worker(b, core, sessions);
    b->region.shm->tsc_hz = rte_get_timer_hz();
}

static void start_rig(struct inside *b, const char *sessions, const char *scenario,
                      const char *frame_bytes, const char *typing) {
    char text[1024], tls[400] = "";
    if (b->tls_dir)
        snprintf(tls, sizeof(tls), "\"gateway\":\"198.18.0.2:443\",\"tls_ca\":\"%s/ca.pem\",",
                 b->tls_dir);
    snprintf(text, sizeof(text),
             "{%s\"scenario\":\"%s\",\"sessions\":%s,\"typing_sessions\":%s,\"frame_bytes\":%s,"
             "\"verdicts\":true,\"region\":\"%s\",\"opening_max\":128,\"ramp_per_s\":200000,"
             "\"settle_ms\":5,\"duration_ms\":3600000,\"machine\":{\"ports\":["
             "{\"name\":\"client\",\"driver\":\"sim\",\"addresses\":[\"198.18.0.1/24\"]},"
             "{\"name\":\"node\",\"driver\":\"sim\",\"addresses\":[\"198.18.1.1/24\"]}]}}",
             tls, scenario, sessions, typing, frame_bytes, b->path);
    check(plan_parse(&b->rig.plan, text, NULL, &b->file, b->err, sizeof(b->err)), b->err);
    b->rig.now_ns = b->now_ns;
    check(rig_start(&b->rig, b->theirs, b->mbufs[1], b->err, sizeof(b->err)), b->err);
    check(watch_start(&b->watch, &b->rig.plan, b->rig.now_ns, b->err, sizeof(b->err)), b->err);
    for (uint32_t i = 0; i < b->cores; i++)
        atomic_store(&b->signals[i].control_epoch, atomic_load(&b->region.shm->control_epoch));
    pace_init(&b->pace, &b->rig);
}

static void rig_turns(struct inside *b) {
    for (int i = 0; i < RIG_TURNS; i++) {
        rig_begin(&b->rig, b->now_ns += TURN_NS);
        watch_turn(&b->watch, b->rig.now_ns);
        pace_turn(&b->pace);
        rig_end(&b->rig);
    }
}

static uint64_t real_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Handshake threads live in real time: while sessions are set up the virtual clock is not to
 * run ahead of it, or deadlines pass and pings are due that nobody would see. */
static void keep_pace(const struct inside *b, uint64_t virtual_ns, uint64_t from_ns) {
    while (b->tls_dir && b->now_ns - virtual_ns > real_ns() - from_ns)
        usleep(50);
}

/* Until all that came in is out. What callgrind collects. */
__attribute__((noinline)) uint64_t measured_turns(const struct inside *b);
uint64_t measured_turns(const struct inside *b) {
    uint64_t from = rte_rdtsc();
    uint32_t work = 1;
    while (work) {
        work = 0;
        for (uint32_t i = 0; i < b->cores; i++)
            work += worker_turn(b->worker[i], b->now_ns);
    }
    return rte_rdtsc() - from;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Cycles a frame (flood: a KiB of output) over a stretch too short to be interrupted. */
static double stretch(struct inside *b, uint64_t *units) {
    struct sample from, to;
    uint64_t bytes = b->rig.tally.bytes_received;
    watch_sample(&b->watch, &from);
    rig_turns(b);
    uint64_t cycles = measured_turns(b);
    watch_sample(&b->watch, &to);
    *units = b->rig.plan.scenario == SCENARIO_flood ? (b->rig.tally.bytes_received - bytes) / 1024
                                                    : watch_frames(&from, &to);
    return *units ? (double)cycles / (double)*units : 0;
}

static uint64_t rss_kb(void) {
    char line[128];
    uint64_t kb = 0;
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof(line), f))
        sscanf(line, "VmRSS: %lu", &kb);
    if (f)
        fclose(f);
    return kb;
}

/* What went wrong on the way, if anything did. */
static void print_reasons(const struct tgw_counters *c) {
    for (int i = 1; i < TGW_REASON_COUNT; i++)
        if (c->reason[i])
            fprintf(stderr, "%s %lu ", tgw_reason_info((unsigned)i)->label, c->reason[i]);
    fprintf(stderr, "\n");
}

static void measure(struct inside *b, uint32_t stretches) {
    double *v = calloc(stretches, sizeof(*v));
    uint64_t units = 0, all = 0;
    struct sample from, to;
    check(v != NULL, "no memory");
    watch_sample(&b->watch, &from);
    for (uint32_t i = 0; i < stretches; i++, all += units)
        v[i] = stretch(b, &units);
    watch_sample(&b->watch, &to);
    qsort(v, stretches, sizeof(*v), by_value);
    printf(
        "%-6s sessions %7lu  %s %lu  cycles min %.0f p10 %.0f median %.0f  segments out %.2f  "
        "rss %lu MiB\n",
        scenario_names[b->rig.plan.scenario], b->rig.tally.opened,
        b->rig.plan.scenario == SCENARIO_flood ? "KiB" : "frames", all, v[0], v[stretches / 10],
        v[stretches / 2],
        all ? (double)(to.counter[TGW_C_tcp_segments_out] - from.counter[TGW_C_tcp_segments_out]) /
                  (double)all
            : 0,
        rss_kb() / 1024);
    free(v);
}

int main(int argc, char **argv) {
    static struct inside b;
    if (argc < 5 || argc > 8) {
        fprintf(stderr, "usage: bench-inside SESSIONS SCENARIO FRAME_BYTES STRETCHES "
                        "[TYPING [TLS_DIR [CORES]]]\n");
        return 2;
    }
    b.tls_dir = argc >= 7 && strcmp(argv[6], "-") != 0 ? argv[6] : NULL;
    b.cores = argc == 8 ? (uint32_t)strtoul(argv[7], NULL, 10) : 1;
    check(b.cores >= 1 && b.cores <= CORES_MAX && (b.cores == 1 || !b.tls_dir), "CORES");
    start_eal(&b);
    start_gateway(&b, (uint32_t)strtoul(argv[1], NULL, 10));
    start_rig(&b, argv[1], argv[2], argv[3], argc >= 6 ? argv[5] : "0");
    const uint64_t virtual_ns = b.now_ns, from_ns = real_ns();
    while (b.pace.phase < PHASE_MEASURE) {
        rig_turns(&b);
        keep_pace(&b, virtual_ns, from_ns);
        for (uint32_t i = 0; i < b.cores; i++)
            worker_turn(b.worker[i], b.now_ns);
    }
    fprintf(stderr, "opened %lu refused %lu failed %lu %s\n", b.rig.tally.opened,
            b.rig.tally.refused, b.rig.tally.failed, b.rig.refusal);
    const struct tgw_counters *counters = shm_region_counters(&b.region, 0);
    if (b.tls_dir)
        fprintf(stderr, "%lu handshakes, %lu of them resumed, in %.0f s\n",
                tgw_counter_get(counters, TGW_C_tls_handshakes_13),
                tgw_counter_get(counters, TGW_C_tls_resumptions),
                (double)(real_ns() - from_ns) / 1e9);
    print_reasons(counters);
    print_reasons(b.rig.counters);
    measure(&b, (uint32_t)strtoul(argv[4], NULL, 10));
    watch_stop(&b.watch);
    uint64_t all_kb = rss_kb();
    for (uint32_t i = 0; i < b.cores; i++)
        worker_destroy(b.worker[i]);
    printf("gateway %lu MiB resident, %lu bytes a session\n", (all_kb - rss_kb()) / 1024,
           b.rig.tally.opened ? (all_kb - rss_kb()) * 1024 / b.rig.tally.opened : 0);
    tls_workers_destroy(b.handshakes);
    tls_context_destroy(b.tls_context);
    rig_stop(&b.rig);
    shm_region_destroy(&b.region);
    cJSON_Delete(b.file);
    return 0;
}

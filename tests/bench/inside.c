/* The gateway's core and the rig in one thread over in-memory ports: only the gateway's
 * turns are timed, so that a busy machine disturbs little, and callgrind counts the same
 * instructions every time (it collects inside measured_turns alone). Prints cycles a
 * frame as the minimum, the tenth and the half of many short stretches.
 *
 *   bench-inside SESSIONS SCENARIO FRAME_BYTES STRETCHES [TYPING [TLS_DIR [CORES [WAY]]]]
 *   bench-inside SESSIONS load FRAME_BYTES MS      latency, by part of the capacity: load.c
 *
 * TLS_DIR: browsers speak TLS, with what platform/lab/certificates.sh has put there; "-":
 * plain. CORES: workers. WAY: how their ports are shared:
 *   spread   one queue, distributed in software; the workers take turns (the standard)
 *   rss      a queue each by the Toeplitz hash, as of a NIC; each worker has some hundred
 *            stretches before the next, so that caches are its own
 *   threads  the same, a thread and a rig of its own for each of two workers; real time
 *   handover as threads, with one queue and software distribution
 *   apart    two threads with ports and a rig each, as two gateways in one process: what
 *            they then cost over one is what they share without need */
#include "inside.h"
#include "drivers/spread.h"
#include "ports.h"
#include "tests/lib/real_time.h"
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    MBUFS = 16383,
    RIG_TURNS = 4,
    TURN_NS = 10000,
    STRETCHES_A_TURN = 200,
    CHURN_STRETCHES = 50,
    TURNS_MAX = 64, /* of a stretch, while others feed the worker */
};

static const char *const way_names[WAYS] = {"spread", "rss", "threads", "handover", "apart"};

void inside_check(bool good, const char *what) {
    if (good)
        return;
    fprintf(stderr, "bench-inside: %s\n", what);
    exit(2);
}

static struct rte_mempool *make_mbufs(const char *name) {
    struct rte_mempool *pool =
        rte_pktmbuf_pool_create(name, MBUFS, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    inside_check(pool != NULL, "no packet buffers");
    return pool;
}

static bool is_hashed(const struct inside *b) {
    return b->way == WAY_rss || b->way == WAY_threads;
}

static bool is_threaded(const struct inside *b) {
    return b->way == WAY_threads || b->way == WAY_handover || b->way == WAY_apart;
}

/* Cores of one gateway: what a worker is told. */
static uint32_t cores_together(const struct inside *b) {
    return b->way == WAY_apart ? 1 : b->cores;
}

static void make_wires_apart(struct inside *b) {
    for (uint32_t core = 0; core < b->cores; core++) {
        struct port *theirs[WIRE_HALVES];
        const struct wire_plan plan = {
            .queues = 1, .halves = 1, .ours = b->mbufs, .theirs = {b->half[core].mbufs}};
        for (int i = 0; i < 2; i++) {
            inside_check(wire_make(&plan, &b->port[core][i], theirs), "no ports");
            b->half[core].port[i] = theirs[0];
        }
    }
}

static void make_wires(struct inside *b) {
    struct port *theirs[WIRE_HALVES];
    struct wire_plan plan = {
        .queues = is_hashed(b) ? (uint16_t)b->cores : 1, .halves = b->halves, .ours = b->mbufs};
    for (uint16_t h = 0; h < b->halves; h++)
        plan.theirs[h] = b->half[h].mbufs;
    for (int i = 0; i < 2; i++) {
        plan.half_bit = i == 0 ? 0x8000 : 0x20; /* start_rig's clients and agents */
        inside_check(wire_make(&plan, &b->port[0][i], theirs), "no ports");
        for (uint16_t h = 0; h < b->halves; h++)
            b->half[h].port[i] = theirs[h];
    }
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
    inside_check(rte_eal_init(10, args) >= 0, "DPDK does not start");
    b->mbufs = make_mbufs("gateway");
    for (uint16_t h = 0; h < b->halves; h++) {
        b->half[h].mbufs = make_mbufs(h ? "rig1" : "rig0");
        b->half[h].now_ns = UINT64_C(1000000000);
    }
    if (b->way == WAY_apart)
        make_wires_apart(b);
    else
        make_wires(b);
}

static void start_tls(struct inside *b, uint32_t sessions, struct worker_config *c) {
    struct tls_context_config *files = calloc(1, sizeof(*files));
    char text[2 * TLS_PATH_BYTES];
    inside_check(files != NULL, "no memory");
    snprintf(text, sizeof(text), "%s/gateway.pem:%s/gateway.key", b->tls_dir, b->tls_dir);
    inside_check(tls_certificate_parse(text, &files->certificate[0]), "TLS_DIR: too long");
    files->certificates = 1;
    files->ticket_period_s = 43200;
    b->tls_context = tls_context_create(files, (uint64_t)time(NULL), b->err, sizeof(b->err));
    inside_check(b->tls_context != NULL, b->err);
    tls_config_defaults(&c->tls);
    c->tls.connections_max = sessions * 4;
    c->tls.counters = c->counters;
    b->handshakes = tls_workers_create(b->tls_context, 1, 1, c->tls.handshakes_max, true);
    inside_check(b->handshakes != NULL, "no handshake threads");
    c->handshakes = b->handshakes;
    c->tls_port = 443;
    free(files);
}

static void start_worker(struct inside *b, uint32_t core, uint32_t sessions) {
    static const char *const addr[2] = {"198.18.0.2/24", "198.18.1.2/24"};
    struct tgw_counters *counters = shm_region_counters(&b->region, core);
    struct worker_config c = {.core = core,
                              .cores = cores_together(b),
                              .public_port = 80,
                              .idle_mode = IDLE_spin,
                              .counters = counters,
                              .cmd_ring = shm_region_cmd_ring(&b->region, core),
                              .event_ring = shm_region_event_ring(&b->region, core),
                              .signals = &b->signals[core]};
    c.net = (struct net_config){.iface_count = 2, .pool = b->mbufs, .counters = counters};
    const bool apart = b->way == WAY_apart;
    for (int i = 0; i < 2; i++) {
        c.net.iface[i] = (struct net_iface_config){.port = b->port[apart ? core : 0][i],
                                                   .queue = apart ? 0 : (uint16_t)core,
                                                   .addr_count = 1};
        ip_prefix_parse(addr[i], true, &c.net.iface[i].addr[0]);
    }
    c.net.iface[0].has_gateway4 = ip_addr_parse("198.18.0.1", &c.net.iface[0].gateway4);
    worker_tcp_config(&c.tcp, sessions, counters);
    c.session = (struct session_config){
        .core = core, .sessions_max = sessions, .relay_buffer_bytes = 262144, .counters = counters};
    if (b->tls_dir)
        start_tls(b, sessions, &c);
    b->worker[core] = worker_create(&c, b->half[0].now_ns, b->err, sizeof(b->err));
    inside_check(b->worker[core] != NULL, b->err);
}

static void start_gateway(struct inside *b, uint32_t sessions) {
    snprintf(b->path, sizeof(b->path), "/dev/shm/tgw-inside.%d", (int)getpid());
    inside_check(shm_region_create(&b->region, b->path, b->cores, b->err, sizeof(b->err)), b->err);
    for (int i = 0; cores_together(b) > 1 && i < 2; i++) {
        b->port[0][i] =
            port_spread_wrap(b->port[0][i], (uint16_t)b->cores, b->mbufs, b->err, sizeof(b->err));
        inside_check(b->port[0][i] != NULL, b->err);
    }
    shm_region_publish(&b->region);
    for (uint32_t core = 0; core < b->cores; core++)
        start_worker(b, core, sessions);
    b->region.shm->tsc_hz = rte_get_timer_hz();
}

/* The control process's part is the first rig's, for all agents. */
void inside_start_watch(struct inside *b) {
    struct plan all = b->half[0].rig.plan;
    if (b->halves > 1)
        snprintf(all.agents, sizeof(all.agents), "198.18.1.128/26");
    inside_check(watch_start(&b->watch, &all, b->half[0].now_ns, b->err, sizeof(b->err)), b->err);
    for (uint32_t i = 0; i < b->cores; i++)
        atomic_store(&b->signals[i].control_epoch, atomic_load(&b->region.shm->control_epoch));
}

void inside_start_rig(struct inside *b, uint16_t half, const struct act *act) {
    static const char *const ranges[] = {
        "\"clients\":\"10.64.0.0/17\",\"agents\":\"198.18.1.128/27\",",
        "\"clients\":\"10.64.128.0/17\",\"agents\":\"198.18.1.160/27\","};
    struct half *h = &b->half[half];
    char text[1200], tls[400] = "";
    if (b->tls_dir)
        snprintf(tls, sizeof(tls), "\"gateway\":\"198.18.0.2:443\",\"tls_ca\":\"%s/ca.pem\",",
                 b->tls_dir);
    snprintf(text, sizeof(text),
             "{%s%s\"scenario\":\"%s\",\"sessions\":%lu,\"typing_sessions\":%lu,\"frame_bytes\":%s,"
             "\"rate_per_s\":%lu,\"settle_ms\":%lu,\"duration_ms\":%lu,"
             "\"verdicts\":true,\"region\":\"%s\",\"opening_max\":128,\"ramp_per_s\":200000,"
             "\"machine\":{\"ports\":["
             "{\"name\":\"client\",\"driver\":\"sim\",\"addresses\":[\"198.18.0.1/24\"]},"
             "{\"name\":\"node\",\"driver\":\"sim\",\"addresses\":[\"198.18.1.1/24\"]}]}}",
             tls, b->halves > 1 && b->way != WAY_apart ? ranges[half] : "", act->scenario,
             act->sessions / b->halves, act->typing / b->halves, act->frame_bytes, act->rate_per_s,
             act->settle_ms, act->duration_ms, b->path);
    inside_check(plan_parse(&h->rig.plan, text, NULL, &h->file, b->err, sizeof(b->err)), b->err);
    h->rig.now_ns = h->now_ns;
    inside_check(rig_start(&h->rig, h->port, h->mbufs, b->err, sizeof(b->err)), b->err);
    pace_init(&h->pace, &h->rig);
}

static uint64_t later(struct inside *b, struct half *h) {
    if (!b->threads_tsc)
        return h->now_ns += TURN_NS;
    double ticks = (double)(rte_rdtsc() - b->threads_tsc);
    return h->now_ns = b->threads_ns + (uint64_t)(ticks / (double)rte_get_timer_hz() * 1e9);
}

static void rig_turns(struct inside *b, struct half *h) {
    for (int i = 0; i < RIG_TURNS; i++) {
        rig_begin(&h->rig, later(b, h));
        if (h == b->half)
            watch_turn(&b->watch, h->rig.now_ns);
        pace_turn(&h->pace);
        rig_end(&h->rig);
    }
}

/* Handshake threads live in real time: while sessions are set up the virtual clock is not to
 * run ahead of it, or deadlines pass and pings are due that nobody would see. */
static void keep_pace(const struct inside *b, uint64_t virtual_ns, uint64_t from_ns) {
    while (b->tls_dir && b->half[0].now_ns - virtual_ns > real_ns() - from_ns)
        usleep(50);
}

/* The workers first..last until all that came in is out. What callgrind collects. */
__attribute__((noinline)) uint64_t measured_turns(const struct inside *b, uint64_t now_ns,
                                                  uint32_t first, uint32_t last);
uint64_t measured_turns(const struct inside *b, uint64_t now_ns, uint32_t first, uint32_t last) {
    uint64_t from = rte_rdtsc();
    uint32_t work = 1;
    for (int turn = 0; work && turn < TURNS_MAX; turn++) {
        work = 0;
        for (uint32_t i = first; i <= last; i++)
            work += worker_turn(b->worker[i], now_ns);
    }
    return rte_rdtsc() - from;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Frames that the workers have relayed; flood: KiB of output. */
static uint64_t units(struct inside *b, const struct half *h, uint32_t first, uint32_t last) {
    uint64_t n = 0;
    if (h->rig.plan.scenario == SCENARIO_flood)
        return h->rig.tally.bytes_received / 1024;
    for (uint32_t i = first; i <= last; i++) {
        const struct tgw_counters *c = shm_region_counters(&b->region, i);
        n += tgw_counter_get(c, TGW_C_relay_frames_to_agent) +
             tgw_counter_get(c, TGW_C_relay_frames_to_client);
    }
    return n;
}

/* Cycles a unit over a stretch too short to be interrupted. */
static void stretch(struct inside *b, struct half *h, uint32_t first, uint32_t last) {
    struct result *r = &b->result[first];
    uint64_t before = units(b, h, first, last);
    rig_turns(b, h);
    uint64_t cycles = measured_turns(b, h->now_ns, first, last);
    uint64_t done = units(b, h, first, last) - before;
    uint32_t together = h->rig.plan.scenario == SCENARIO_churn ? CHURN_STRETCHES : 1;
    if ((done == 0 && together == 1) || r->count == b->stretches)
        return;
    r->units += done;
    r->group_cycles += cycles;
    r->group_units += done;
    if (++r->group_stretches < together)
        return;
    if (r->group_units)
        r->v[r->count++] = (double)r->group_cycles / (double)r->group_units;
    r->group_cycles = r->group_units = r->group_stretches = 0;
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

/* A thread of two: its rig and its worker in turn, and on until the other is through too. */
static int run_thread(void *arg) {
    struct inside *b = arg;
    uint32_t core = rte_lcore_index(-1) == 0 ? 0 : 1;
    bool told = false;
    while (atomic_load(&b->threads_done) < b->cores) {
        stretch(b, &b->half[core], core, core);
        if (told || b->result[core].count < b->stretches)
            continue;
        told = true;
        atomic_fetch_add(&b->threads_done, 1);
    }
    return 0;
}

static void measure_in_threads(struct inside *b) {
    unsigned second = rte_get_next_lcore(-1, 1, 0);
    inside_check(second < RTE_MAX_LCORE, "threads want two CPUs");
    b->threads_ns = b->half[0].now_ns > b->half[1].now_ns ? b->half[0].now_ns : b->half[1].now_ns;
    b->threads_tsc = rte_rdtsc();
    rte_eal_remote_launch(run_thread, b, second);
    run_thread(b);
    rte_eal_wait_lcore(second);
}

static void measure_in_turns(struct inside *b) {
    bool own = b->way == WAY_rss; /* each worker for itself */
    for (uint32_t done = 0; done < b->stretches; done += STRETCHES_A_TURN)
        for (uint32_t i = 0; i < (own ? b->cores : 1); i++)
            for (uint32_t k = done; k < done + STRETCHES_A_TURN && k < b->stretches; k++)
                stretch(b, &b->half[0], i, own ? i : b->cores - 1);
}

static void print_result(const struct inside *b, struct result *r, const char *who) {
    enum scenario scenario = b->half[0].rig.plan.scenario;
    inside_check(r->count > 0, "nothing was relayed");
    qsort(r->v, r->count, sizeof(*r->v), by_value);
    printf("%-6s %s  %s %lu  cycles min %.0f p10 %.0f median %.0f", scenario_names[scenario], who,
           scenario == SCENARIO_flood ? "KiB" : "frames", r->units, r->v[0], r->v[r->count / 10],
           r->v[r->count / 2]);
}

static void measure(struct inside *b) {
    struct sample from, to;
    uint64_t all = 0, opened = 0;
    char who[40];
    for (uint32_t i = 0; i < b->cores; i++) {
        b->result[i].v = calloc(b->stretches, sizeof(double));
        inside_check(b->result[i].v != NULL, "no memory");
    }
    for (uint16_t h = 0; h < b->halves; h++)
        opened += b->half[h].rig.tally.opened;
    watch_sample(&b->watch, &from);
    if (is_threaded(b))
        measure_in_threads(b);
    else
        measure_in_turns(b);
    watch_sample(&b->watch, &to);
    for (uint32_t i = 0; i < (b->way == WAY_spread ? 1 : b->cores); i++) {
        snprintf(who, sizeof(who), "sessions %7lu", opened);
        if (b->cores > 1 && b->way != WAY_spread)
            snprintf(who, sizeof(who), "worker %u %s", i, way_names[b->way]);
        print_result(b, &b->result[i], who);
        all += b->result[i].units;
        if (i + 1 < b->cores && b->way != WAY_spread)
            printf("\n");
    }
    uint64_t segments = to.counter[TGW_C_tcp_segments_out] - from.counter[TGW_C_tcp_segments_out];
    printf("  segments out %.2f  rss %lu MiB\n", (double)segments / (double)all, rss_kb() / 1024);
    for (uint32_t i = 0; i < b->cores; i++)
        free(b->result[i].v);
}

static void open_sessions(struct inside *b) {
    const uint64_t virtual_ns = b->half[0].now_ns, from_ns = real_ns();
    for (uint16_t ready = 0; ready < b->halves;) {
        ready = 0;
        keep_pace(b, virtual_ns, from_ns);
        for (uint16_t h = 0; h < b->halves; h++) {
            rig_turns(b, &b->half[h]);
            ready = (uint16_t)(ready + (b->half[h].pace.phase >= PHASE_MEASURE));
        }
        for (uint32_t i = 0; i < b->cores; i++)
            worker_turn(b->worker[i], b->half[0].now_ns);
    }
    const struct tgw_counters *c = shm_region_counters(&b->region, 0);
    if (b->tls_dir)
        fprintf(stderr, "%lu handshakes, %lu of them resumed, in %.0f s\n",
                tgw_counter_get(c, TGW_C_tls_handshakes_13),
                tgw_counter_get(c, TGW_C_tls_resumptions), (double)(real_ns() - from_ns) / 1e9);
}

static void print_opened(struct inside *b) {
    for (uint16_t h = 0; h < b->halves; h++) {
        const struct rig *rig = &b->half[h].rig;
        fprintf(stderr, "opened %lu refused %lu failed %lu %s\n", rig->tally.opened,
                rig->tally.refused, rig->tally.failed, rig->refusal);
        print_reasons(rig->counters);
    }
    for (uint32_t i = 0; i < b->cores; i++)
        print_reasons(shm_region_counters(&b->region, i));
}

/* What of the process's memory was the workers'. */
static void end_gateway(struct inside *b) {
    uint64_t all_kb = rss_kb(), opened = b->half[0].rig.tally.opened;
    for (uint32_t i = 0; i < b->cores; i++)
        worker_destroy(b->worker[i]);
    if (b->halves == 1)
        printf("gateway %lu MiB resident, %lu bytes a session\n", (all_kb - rss_kb()) / 1024,
               opened ? (all_kb - rss_kb()) * 1024 / opened : 0);
    tls_workers_destroy(b->handshakes);
    tls_context_destroy(b->tls_context);
}

static void end_rigs(struct inside *b) {
    for (uint16_t h = 0; h < b->halves; h++) {
        rig_stop(&b->half[h].rig);
        cJSON_Delete(b->half[h].file);
        for (int i = 0; i < 2; i++)
            b->half[h].port[i]->ops->close(b->half[h].port[i]);
    }
    for (uint32_t core = 0; core < b->cores; core++)
        for (int i = 0; i < 2; i++)
            if (b->port[core][i])
                b->port[core][i]->ops->close(b->port[core][i]);
}

static void take_arguments(struct inside *b, int argc, char **argv) {
    if (argc < 5 || argc > 9) {
        fprintf(stderr, "usage: bench-inside SESSIONS SCENARIO FRAME_BYTES STRETCHES "
                        "[TYPING [TLS_DIR [CORES [spread|rss|threads|handover|apart]]]]\n"
                        "       bench-inside SESSIONS load FRAME_BYTES MS\n");
        exit(2);
    }
    b->stretches = (uint32_t)strtoul(argv[4], NULL, 10);
    b->tls_dir = argc >= 7 && strcmp(argv[6], "-") != 0 ? argv[6] : NULL;
    b->cores = argc >= 8 ? (uint32_t)strtoul(argv[7], NULL, 10) : 1;
    inside_check(b->cores >= 1 && b->cores <= CORES_MAX && (b->cores == 1 || !b->tls_dir), "CORES");
    while (argc == 9 && b->way < WAYS && strcmp(argv[8], way_names[b->way]) != 0)
        b->way++;
    inside_check(b->way < WAYS && (!is_threaded(b) || b->cores == WIRE_HALVES), "WAY");
    b->halves = is_threaded(b) ? WIRE_HALVES : 1;
    inside_check(strcmp(argv[2], "load") != 0 || argc == 5, "load takes no more than MS");
}

static void play(struct inside *b, int argc, char **argv, uint64_t sessions) {
    const struct act act = {.scenario = argv[2],
                            .frame_bytes = argv[3],
                            .sessions = sessions,
                            .typing = argc >= 6 ? strtoul(argv[5], NULL, 10) : 0,
                            .settle_ms = 5,
                            .duration_ms = 3600000};
    for (uint16_t h = 0; h < b->halves; h++)
        inside_start_rig(b, h, &act);
    inside_start_watch(b);
    open_sessions(b);
    print_opened(b);
    measure(b);
}

int main(int argc, char **argv) {
    static struct inside b;
    take_arguments(&b, argc, argv);
    uint64_t sessions = strtoul(argv[1], NULL, 10);
    start_eal(&b);
    start_gateway(&b, (uint32_t)sessions);
    if (strcmp(argv[2], "load") == 0)
        load_play(&b, argv[3], sessions, b.stretches);
    else
        play(&b, argc, argv, sessions);
    watch_stop(&b.watch);
    end_gateway(&b);
    end_rigs(&b);
    shm_region_destroy(&b.region);
    return 0;
}

/* tgw-dataplane: composition root. Everything that lives as long as the process is in
 * struct app; parts start in the order of the table and end in reverse. */
#include "config/config.h"
#include "confine.h"
#include "eal.h"
#include "log.h"
#include "notify.h"
#include "ports.h"
#include "revision.h"
#include "selftest.h"
#include "shm_region.h"
#include "tls/heap.h"
#include "tls_service.h"
#include "worker.h"
#include <errno.h>
#include <openssl/rand.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    EXIT_USAGE = 2,
    MBUFS_A_CORE = 16384,
    MBUF_CACHE = 256,
    FRAME_OVERHEAD = 22, /* Ethernet, a VLAN tag, the check sequence */
    PULSE_MS = 50,
    STATS_EVERY_PULSES = 10,
};

struct app {
    struct config config;
    struct rte_mempool *mbufs;
    struct port *port[TGW_PORTS_MAX];
    struct tgw_check_result steering[TGW_PORTS_MAX];
    struct shm_region region;
    struct tls_service tls;
    struct worker *worker[TGW_CORES_MAX];
    struct worker_signals signals[TGW_CORES_MAX];
    uint32_t cores;
    uint64_t drain_end_ms; /* 0: not draining for an exit */
    uint64_t drained_ms;   /* when the last session was gone; 0: not yet */
    uint64_t epoch;
    struct notify notify;
    uint64_t turns_tsc[TGW_CORES_MAX]; /* at the last sign of life */
    char err[CONFIG_ERROR_BYTES];
};

static uint64_t monotonic_ns(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static bool fail(struct app *a, const char *text) {
    snprintf(a->err, sizeof(a->err), "%s", text);
    return false;
}

static bool start_eal(struct app *a) {
    uint32_t cpu[TGW_CORES_MAX];
    a->cores = eal_cores(&a->config, cpu);
    return eal_start(&a->config, a->err, sizeof(a->err));
}

static void stop_eal(struct app *a) {
    (void)a;
    rte_eal_cleanup();
}

static void stop_nothing(struct app *a) {
    (void)a;
}

/* A packet is one buffer: as large as the largest MTU asked for. */
static uint16_t mbuf_bytes(const struct config *c) {
    uint32_t bytes = RTE_MBUF_DEFAULT_BUF_SIZE;
    for (uint32_t i = 0; i < c->port_count; i++) {
        uint32_t want = RTE_ALIGN_CEIL(c->ports[i].mtu + FRAME_OVERHEAD + RTE_PKTMBUF_HEADROOM, 64);
        bytes = want > bytes ? want : bytes;
    }
    return (uint16_t)bytes;
}

static bool start_mbufs(struct app *a) {
    a->mbufs = rte_pktmbuf_pool_create("mbufs", MBUFS_A_CORE * a->cores, MBUF_CACHE, 0,
                                       mbuf_bytes(&a->config), SOCKET_ID_ANY);
    return a->mbufs || fail(a, "memory_mb: too little for the packet buffers");
}

static void stop_mbufs(struct app *a) {
    rte_mempool_free(a->mbufs);
}

static void stop_ports(struct app *a) {
    ports_close(a->port, a->config.port_count);
}

/* One port that must be looked at keeps a core from waiting for the others. */
static void tell_no_interrupts(const struct app *a) {
    if (rest_mode(a->config.idle_mode) != IDLE_interrupt)
        return;
    for (uint32_t i = 0; i < a->config.port_count; i++)
        if (!a->port[i]->wake)
            log_line(LOG_WARN, "no_rx_interrupts",
                     "port %s: none from %s here: cores sleep between looks instead",
                     a->port[i]->name, a->port[i]->driver);
}

static bool start_ports(struct app *a) {
    if (!ports_open(&a->config, a->cores, a->mbufs, a->port, a->err, sizeof(a->err)))
        return false;
    tell_no_interrupts(a);
    return true;
}

static bool start_selftest(struct app *a) {
    return selftest_ports(&a->config, a->cores, a->port, a->mbufs, a->steering, a->err,
                          sizeof(a->err));
}

static void describe_port(struct tgw_port_stats *s, const struct port *p) {
    snprintf(s->name, sizeof(s->name), "%s", p->name);
    snprintf(s->driver, sizeof(s->driver), "%s", p->driver);
    snprintf(s->mac, sizeof(s->mac), "%02x:%02x:%02x:%02x:%02x:%02x", p->mac[0], p->mac[1],
             p->mac[2], p->mac[3], p->mac[4], p->mac[5]);
    atomic_store(&s->mtu, p->mtu);
}

static bool start_region(struct app *a) {
    if (!shm_region_create(&a->region, a->config.shm_path, a->cores, a->err, sizeof(a->err)))
        return false;
    struct tgw_shm *shm = a->region.shm;
    snprintf(shm->build_version, sizeof(shm->build_version), "%s", TGW_VERSION);
    snprintf(shm->build_revision, sizeof(shm->build_revision), "%s", TGW_REVISION);
    shm->tsc_hz = rte_get_timer_hz();
    shm->sessions_max = (uint32_t)a->config.sessions_max;
    shm->port_count = a->config.port_count;
    for (uint32_t i = 0; i < a->config.port_count; i++)
        describe_port(&shm->port[i], a->port[i]);
    shm_region_publish(&a->region);
    return true;
}

static void stop_region(struct app *a) {
    shm_region_destroy(&a->region);
}

static void fill_tcp(const struct app *a, struct tcp_config *t, struct tgw_counters *counters) {
    worker_tcp_config(t, (uint32_t)(a->config.sessions_max / a->cores) + 1, counters);
    t->keepalive_ms = (uint32_t)a->config.keepalive_seconds * 1000;
    t->use_ecn = a->config.ecn;
    t->snd_buffer_bytes = (uint32_t)a->config.relay_buffer_bytes;
    t->huge_pages = a->config.huge_pages;
}

static bool start_tls(struct app *a) {
    return tls_service_start(&a->tls, &a->config, a->cores, a->region.shm, a->err, sizeof(a->err));
}

static void stop_tls(struct app *a) {
    tls_service_stop(&a->tls);
}

static bool start_worker(struct app *a, uint32_t core) {
    struct tgw_counters *counters = shm_region_counters(&a->region, core);
    struct worker_config c = {.core = core,
                              .cores = a->cores,
                              .public_port = (uint16_t)a->config.public_port,
                              .handshakes = a->tls.workers,
                              .tls_port = tls_service_port(&a->config),
                              .tls_agent = a->config.tls_agent_ca[0] != 0,
                              .idle_mode = rest_mode(a->config.idle_mode),
                              .counters = counters,
                              .cmd_ring = shm_region_cmd_ring(&a->region, core),
                              .event_ring = shm_region_event_ring(&a->region, core),
                              .signals = &a->signals[core]};
    c.net = (struct net_config){
        .iface_count = (uint8_t)a->config.port_count, .pool = a->mbufs, .counters = counters};
    RAND_bytes((unsigned char *)&c.net.seed, sizeof(c.net.seed));
    for (uint32_t i = 0; i < a->config.port_count; i++)
        if (!ports_iface(&a->config, i, a->port[i], (uint16_t)core, &c.net.iface[i], a->err,
                         sizeof(a->err)))
            return false;
    for (uint32_t i = 0; i < a->config.port_count; i++)
        c.neighbour[i] = selftest_neighbour(&a->config, &c.net.iface[i]);
    memcpy(c.steering, a->steering, sizeof(c.steering));
    fill_tcp(a, &c.tcp, counters);
    tls_service_fill(&a->config, a->cores, core, counters, &c.tls);
    c.session =
        (struct session_config){.core = core,
                                .sessions_max = (uint32_t)(a->config.sessions_max / a->cores) + 1,
                                .relay_buffer_bytes = (uint32_t)a->config.relay_buffer_bytes,
                                .huge_pages = a->config.huge_pages,
                                .counters = counters};
    a->worker[core] = worker_create(&c, monotonic_ns(), a->err, sizeof(a->err));
    return a->worker[core] != NULL;
}

static void stop_workers(struct app *a) {
    for (uint32_t i = 0; i < a->cores; i++)
        atomic_store(&a->signals[i].stop, true);
    rte_eal_mp_wait_lcore();
    for (uint32_t i = 0; i < a->cores; i++)
        worker_destroy(a->worker[i]);
}

static int run_worker(void *worker) {
    tls_heap_hide_stack();
    worker_run(worker);
    return 0;
}

static bool start_workers(struct app *a) {
    for (uint32_t i = 0; i < a->cores; i++) {
        if (!start_worker(a, i)) {
            stop_workers(a);
            return false;
        }
    }
    for (uint32_t i = 0; i < a->cores; i++)
        rte_eal_remote_launch(run_worker, a->worker[i], i + 1);
    return true;
}

/* After the threads that are to stay as they are have been started. */
static bool start_priority(struct app *a) {
    return eal_raise_workers(&a->config, a->err, sizeof(a->err));
}

static bool start_confinement(struct app *a) {
    return confine(&a->config, a->err, sizeof(a->err));
}

static const struct part {
    const char *name;
    bool (*start)(struct app *a);
    void (*stop)(struct app *a);
} parts[] = {
    {"eal", start_eal, stop_eal},
    {"mbufs", start_mbufs, stop_mbufs},
    {"ports", start_ports, stop_ports},
    {"selftest", start_selftest, stop_nothing},
    {"region", start_region, stop_region},
    {"tls", start_tls, stop_tls},
    {"priority", start_priority, stop_nothing},
    {"workers", start_workers, stop_workers},
    {"confinement", start_confinement, stop_nothing},
};
enum { PARTS = sizeof(parts) / sizeof(parts[0]) };

static size_t start_parts(struct app *a) {
    for (size_t i = 0; i < PARTS; i++)
        if (!parts[i].start(a))
            return i;
    return PARTS;
}

static void on_link(struct app *a, const struct port *p, bool up) {
    log_line(up ? LOG_INFO : LOG_WARN, up ? "link_up" : "link_down", "port %s", p->name);
    for (uint32_t i = 0; up && i < a->cores; i++)
        atomic_fetch_add(&a->signals[i].links_returned, 1);
}

static void publish_port(struct app *a, struct tgw_port_stats *out, struct port *p) {
    struct port_stats s = {0};
    struct port_link link = {0};
    p->ops->stats(p, &s);
    p->ops->link(p, &link);
    uint64_t was_up = atomic_exchange(&out->link_up, link.up);
    if (was_up != link.up)
        on_link(a, p, link.up);
    atomic_store(&out->link_mbps, link.mbps);
    atomic_store(&out->rx_packets, s.rx_packets);
    atomic_store(&out->tx_packets, s.tx_packets);
    atomic_store(&out->rx_bytes, s.rx_bytes);
    atomic_store(&out->tx_bytes, s.tx_bytes);
    atomic_store(&out->rx_missed, s.rx_missed);
    atomic_store(&out->rx_errors, s.rx_errors);
    atomic_store(&out->tx_errors, s.tx_errors);
    atomic_store(&out->rx_nombuf, s.rx_nombuf);
}

static void publish_stats(struct app *a) {
    struct tgw_shm *shm = a->region.shm;
    for (uint32_t i = 0; i < a->config.port_count; i++)
        publish_port(a, &shm->port[i], a->port[i]);
    atomic_store(&shm->mbufs_free, rte_mempool_avail_count(a->mbufs));
    atomic_store(&shm->mbufs_total, a->mbufs->size);
}

/* Tell the workers whether a control process is there: its beat is fresh. */
static void watch_control(struct app *a, uint64_t now_ns) {
    struct tgw_shm *shm = a->region.shm;
    uint64_t beat_ns = atomic_load(&shm->control_beat_ns);
    uint64_t epoch = atomic_load(&shm->control_epoch);
    bool fresh = beat_ns <= now_ns + 1000000000u &&
                 now_ns < beat_ns + TGW_HEARTBEAT_LOST_MS * UINT64_C(1000000);
    uint64_t seen = epoch && fresh ? epoch : 0;
    if (seen != a->epoch) {
        a->epoch = seen;
        log_line(seen ? LOG_INFO : LOG_WARN, seen ? "control_attached" : "control_lost",
                 seen ? "control process attached" : "no beat: new sessions are refused");
    }
    for (uint32_t i = 0; i < a->cores; i++)
        atomic_store_explicit(&a->signals[i].control_epoch, seen, memory_order_relaxed);
}

static uint32_t sessions_left(const struct app *a) {
    uint32_t left = 0;
    for (uint32_t i = 0; i < a->cores; i++)
        left += atomic_load(&a->signals[i].sessions_left);
    return left;
}

static bool all_drained(const struct app *a) {
    for (uint32_t i = 0; i < a->cores; i++)
        if (!atomic_load(&a->signals[i].drained))
            return false;
    return true;
}

static void begin_drain(struct app *a, uint64_t now_ms) {
    uint32_t timeout_ms = (uint32_t)a->config.drain_timeout_seconds * 1000;
    atomic_fetch_add(&a->region.shm->dataplane_term, 1);
    if (a->drain_end_ms)
        return; /* a second SIGTERM does not shorten it */
    a->drain_end_ms = now_ms + timeout_ms + TGW_DRAIN_EXIT_MS;
    for (uint32_t i = 0; i < a->cores; i++)
        atomic_store(&a->signals[i].drain_deadline_ms, timeout_ms ? timeout_ms : 1);
    log_line(LOG_INFO, "drain_started", "SIGTERM: %u sessions, %u ms", sessions_left(a),
             timeout_ms);
}

static bool all_finished(const struct app *a) {
    for (uint32_t i = 0; i < a->cores; i++)
        if (atomic_load(&a->signals[i].connections))
            return false;
    return true;
}

/* True when the process may go: the sessions are gone, and their FINs are answered or have
 * had their time. Whoever only asks for our health must not hold it up. */
static bool drain_over(struct app *a, uint64_t now_ms) {
    bool by_control = atomic_load(&a->region.shm->control_drained);
    if (!a->drain_end_ms && !by_control)
        return false;
    if (!a->drained_ms && (by_control || all_drained(a)))
        a->drained_ms = now_ms;
    if (a->drained_ms && (all_finished(a) || now_ms >= a->drained_ms + TGW_DRAIN_FIN_MS))
        return true;
    return a->drain_end_ms && now_ms >= a->drain_end_ms;
}

static uint64_t turns_tsc(struct tgw_counters *c) {
    uint64_t sum = 0;
    for (size_t s = 0; s < TGW_STAGE_COUNT; s++)
        sum += atomic_load_explicit(&c->cycles[s], memory_order_relaxed);
    return sum;
}

/* Every core's loop has turned since it last had: one that hangs does not count its cycles. */
static bool cores_alive(struct app *a) {
    uint64_t now_tsc[TGW_CORES_MAX];
    for (uint32_t i = 0; i < a->cores; i++) {
        now_tsc[i] = turns_tsc(shm_region_counters(&a->region, i));
        if (now_tsc[i] == a->turns_tsc[i])
            return false;
    }
    memcpy(a->turns_tsc, now_tsc, sizeof(now_tsc[0]) * a->cores);
    return true;
}

static void main_loop(struct app *a, const sigset_t *signals) {
    const struct timespec pulse = {0, PULSE_MS * 1000000};
    for (uint64_t n = 0;; n++) {
        int signal = sigtimedwait(signals, NULL, &pulse);
        uint64_t now_ns = monotonic_ns();
        atomic_store(&a->region.shm->dataplane_beat_ns, now_ns);
        watch_control(a, now_ns);
        if (notify_due(&a->notify, now_ns) && cores_alive(a))
            notify_beat(&a->notify, now_ns);
        if (n % STATS_EVERY_PULSES == 0) {
            publish_stats(a);
            tls_service_watch(&a->tls, a->region.shm);
        }
        if (signal == SIGINT)
            return;
        if (signal == SIGTERM)
            begin_drain(a, now_ns / 1000000);
        if (drain_over(a, now_ns / 1000000))
            return;
    }
}

static int usage(FILE *to, int status) {
    fputs("usage: tgw-dataplane --config FILE\n"
          "       tgw-dataplane --version\n",
          to);
    return status;
}

static int run(struct app *a, const sigset_t *signals) {
    size_t started = start_parts(a);
    if (started == PARTS) {
        log_line(LOG_INFO, "dataplane_started", "%u core(s), %u port(s), %lu sessions at most",
                 a->cores, a->config.port_count, a->config.sessions_max);
        notify_open(&a->notify, getenv("NOTIFY_SOCKET"), getenv("WATCHDOG_USEC"));
        notify_send(&a->notify, "READY=1");
        main_loop(a, signals);
        notify_send(&a->notify, "STOPPING=1");
        notify_close(&a->notify);
        log_line(LOG_INFO, "dataplane_stopping", "%u sessions left", sessions_left(a));
    } else {
        fprintf(stderr, "tgw-dataplane: %s\n", a->err);
    }
    for (size_t i = started; i-- > 0;)
        parts[i].stop(a);
    return started == PARTS ? 0 : EXIT_USAGE;
}

int main(int argc, char **argv, char **envp) {
    static struct app app;
    sigset_t signals;
    if (!tls_heap_install()) {
        fputs("tgw-dataplane: OpenSSL does not take another heap\n", stderr);
        return 1;
    }
    tls_heap_hide_stack();
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return printf("tgw-dataplane %s (%s)\n", TGW_VERSION, TGW_REVISION) < 0;
    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return usage(stdout, 0);
    if (argc != 3 || strcmp(argv[1], "--config") != 0)
        return usage(stderr, EXIT_USAGE);
    if (!config_load(&app.config, argv[2], envp, app.err, sizeof(app.err))) {
        fprintf(stderr, "tgw-dataplane: %s\n", app.err);
        return EXIT_USAGE;
    }
    app.tls.config_path = argv[2];
    app.tls.envp = envp;
    /* Before EAL makes threads, so that they inherit the mask. */
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    return run(&app, &signals);
}

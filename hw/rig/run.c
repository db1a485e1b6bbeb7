#include "run.h"
#include "clock.h"
#include "eal.h"
#include "ports.h"
#include "report.h"
#include <rte_eal.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MBUFS = 65535, MBUF_CACHE = 256, ERROR_BYTES = 300, WAIT_US = 10000 };
enum { STATUS_DONE = 0, STATUS_LOSSES = 1, STATUS_UNABLE = 2 };

struct machine {
    struct rig rig;
    cJSON *file;
    struct clock clock;
    struct rte_mempool *mbufs;
    struct port *port[TGW_PORTS_MAX];
    struct watch watch;
    struct pace pace;
    struct report report;
    char err[ERROR_BYTES];
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number) {
    (void)number;
    interrupted = 1;
}

static bool start_eal(struct machine *m) {
    if (!eal_start(&m->rig.plan.machine, m->err, sizeof(m->err)))
        return false;
    clock_init(&m->clock);
    m->rig.now_ns = clock_ns(&m->clock);
    return true;
}

static void stop_eal(struct machine *m) {
    (void)m;
    rte_eal_cleanup();
}

static bool start_ports(struct machine *m) {
    m->mbufs = rte_pktmbuf_pool_create("rig", MBUFS, MBUF_CACHE, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
                                       SOCKET_ID_ANY);
    if (!m->mbufs) {
        snprintf(m->err, sizeof(m->err), "machine.memory_mb: too little for the packet buffers");
        return false;
    }
    return ports_open(&m->rig.plan.machine, 1, m->mbufs, m->port, m->err, sizeof(m->err));
}

static void stop_ports(struct machine *m) {
    ports_close(m->port, m->rig.plan.machine.port_count);
    rte_mempool_free(m->mbufs);
}

static bool start_cast(struct machine *m) {
    return rig_start(&m->rig, m->port, m->mbufs, m->err, sizeof(m->err));
}

static void stop_cast(struct machine *m) {
    rig_stop(&m->rig);
}

static bool start_report(struct machine *m) {
    m->rig.now_ns = clock_ns(&m->clock); /* the parts before took their time */
    if (!watch_start(&m->watch, &m->rig.plan, m->rig.now_ns, m->err, sizeof(m->err)))
        return false;
    pace_init(&m->pace, &m->rig);
    watch_calm(&m->watch, &m->rig.calm);
    hist_clear(&m->rig.latency);
    hist_clear(&m->rig.undisturbed);
    hist_clear(&m->rig.setup);
    return report_start(&m->report, &m->rig, &m->watch, &m->pace);
}

static void stop_report(struct machine *m) {
    report_free(&m->report);
    watch_stop(&m->watch);
}

static const struct part {
    bool (*start)(struct machine *m);
    void (*stop)(struct machine *m);
} parts[] = {
    {start_eal, stop_eal},
    {start_ports, stop_ports},
    {start_cast, stop_cast},
    {start_report, stop_report},
};
enum { PARTS = sizeof(parts) / sizeof(parts[0]) };

static void turn(struct machine *m) {
    uint64_t now_ns = clock_ns(&m->clock);
    const struct tally *t = &m->rig.tally;
    calm_turn(&m->rig.calm, now_ns, rig_segments(&m->rig), t->typed - t->answered);
    rig_begin(&m->rig, now_ns);
    watch_turn(&m->watch, m->rig.now_ns);
    pace_turn(&m->pace);
    rig_end(&m->rig);
    report_turn(&m->report);
}

static int loop(void *machine) {
    struct machine *m = machine;
    while (m->pace.phase != PHASE_DONE) {
        m->pace.interrupted = interrupted;
        turn(m);
    }
    return 0;
}

/* The loop runs on the CPU that the plan names; this thread only waits, asleep:
 * rte_eal_wait_lcore spins, which would take half a CPU from the gateway or the loop. */
static int play(struct machine *m) {
    const struct tally *t = &m->rig.tally;
    rte_eal_remote_launch(loop, m, 1);
    while (rte_eal_get_lcore_state(1) == RUNNING)
        usleep(WAIT_US);
    rte_eal_wait_lcore(1);
    if (m->pace.starved)
        fprintf(stderr, "tgw-rig: tokens: all of them are used up\n");
    if (!report_finish(&m->report, m->file, m->err, sizeof(m->err))) {
        fprintf(stderr, "tgw-rig: %s\n", m->err);
        return STATUS_UNABLE;
    }
    return t->refused + t->failed + t->lost ? STATUS_LOSSES : STATUS_DONE;
}

int run_file(const char *file, char *const overrides[]) {
    struct machine *m = calloc(1, sizeof(*m));
    size_t started = 0;
    int status = STATUS_UNABLE;
    if (!m)
        return status;
    if (plan_load(&m->rig.plan, file, overrides, &m->file, m->err, sizeof(m->err))) {
        signal(SIGINT, on_signal);
        signal(SIGTERM, on_signal);
        while (started < PARTS && parts[started].start(m))
            started++;
    }
    if (started == PARTS)
        status = play(m);
    else
        fprintf(stderr, "tgw-rig: %s\n", m->err[0] ? m->err : "no memory");
    if (started < PARTS && started > 0)
        started++; /* what began and failed has things to give back too */
    for (size_t i = started; i-- > 0;)
        parts[i].stop(m);
    cJSON_Delete(m->file);
    free(m);
    return status;
}

#include "run.h"
#include "clock.h"
#include "eal.h"
#include "ports.h"
#include "report.h"
#include "web/ws.h"
#include <openssl/rand.h>
#include <rte_eal.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { BURST = 64, MBUFS = 65535, MBUF_CACHE = 256, TICK_MS = 10, ERROR_BYTES = 300 };
enum { STATUS_DONE = 0, STATUS_LOSSES = 1, STATUS_UNABLE = 2 };

struct machine {
    struct rig rig;
    cJSON *file;
    struct clock clock;
    struct rte_mempool *mbufs;
    struct port *port[TGW_PORTS_MAX];
    struct net_config net_config;
    struct net *net;
    struct watch watch;
    struct pace pace;
    struct report report;
    uint64_t tick_ns;
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

/* The interface that a range belongs to: agents' addresses lie on a link of ours, the
 * browsers' behind the first port. */
static bool add_ranges(struct machine *m) {
    struct net_config *c = &m->net_config;
    const struct plan *p = &m->rig.plan;
    struct ip_prefix clients, agents;
    ip_prefix_parse(p->clients, false, &clients);
    ip_prefix_parse(p->agents, false, &agents);
    if (p->play != PLAY_agents) {
        c->iface[0].range = clients;
        c->iface[0].has_range = true;
    }
    if (p->play == PLAY_browsers)
        return true;
    for (uint8_t i = 0; i < c->iface_count; i++) {
        for (uint8_t k = 0; k < c->iface[i].addr_count; k++) {
            if (!ip_prefix_has(&c->iface[i].addr[k], &agents.addr) || c->iface[i].has_range)
                continue;
            c->iface[i].range = agents;
            return c->iface[i].has_range = true;
        }
    }
    snprintf(m->err, sizeof(m->err), "agents: %s lies on no port's network (one range a port)",
             p->agents);
    return false;
}

static void fill_tcp(const struct machine *m, struct tcp_config *t) {
    uint32_t sessions = (uint32_t)m->rig.plan.sessions;
    tcp_config_defaults(t);
    t->connections_max = sessions * 4 + 65536;
    t->time_wait_max = sessions + 32768;
    t->backlog_max = UINT32_MAX;
    t->small_blocks = sessions * 4 + 65536;
    t->large_blocks = 262144;
    t->keepalive_ms = 0;
    t->time_wait_ms = 1000; /* four-tuples come back much later */
    t->counters = m->rig.counters;
    RAND_bytes(t->secret, sizeof(t->secret));
    RAND_bytes((unsigned char *)&t->seed, sizeof(t->seed));
}

static bool start_stack(struct machine *m) {
    static const struct net_ops up = {tcp_input, tcp_icmp_error};
    const struct config *c = &m->rig.plan.machine;
    struct tcp_config tcp;
    m->rig.counters = aligned_alloc(64, (sizeof(*m->rig.counters) + 63) & ~(size_t)63);
    if (!m->rig.counters)
        return false;
    memset(m->rig.counters, 0, sizeof(*m->rig.counters));
    m->net_config = (struct net_config){.iface_count = (uint8_t)c->port_count,
                                        .pool = m->mbufs,
                                        .counters = m->rig.counters,
                                        .seed = 1};
    for (uint32_t i = 0; i < c->port_count; i++)
        if (!ports_iface(c, i, m->port[i], 0, &m->net_config.iface[i], m->err, sizeof(m->err)))
            return false;
    if (!add_ranges(m))
        return false;
    fill_tcp(m, &tcp);
    m->net = net_create(&m->net_config, &up, NULL, m->rig.now_ns);
    m->rig.tcp = m->net ? tcp_create(&tcp, m->net, m->rig.now_ns) : NULL;
    if (!m->rig.tcp) {
        snprintf(m->err, sizeof(m->err), "sessions: not enough memory for so many");
        return false;
    }
    net_bind(m->net, m->rig.tcp);
    return true;
}

static void stop_stack(struct machine *m) {
    if (m->rig.tcp)
        tcp_destroy(m->rig.tcp);
    if (m->net)
        net_destroy(m->net);
    free(m->rig.counters);
}

/* One frame of output; its first byte is no answer to a keystroke. */
static bool make_output(struct rig *rig) {
    size_t bytes = rig->plan.output_bytes;
    rig->output_frame = malloc(WS_HEADER_BYTES_MAX + bytes);
    if (!rig->output_frame)
        return false;
    size_t head = ws_header(rig->output_frame, WS_BINARY, bytes, NULL);
    for (size_t i = 0; i < bytes; i++)
        rig->output_frame[head + i] = i % 80 == 79 ? '\n' : (uint8_t)('A' + i % 26);
    rig->output_frame_bytes = head + bytes;
    return true;
}

static bool start_cast(struct machine *m) {
    struct rig *rig = &m->rig;
    bool good = make_output(rig);
    if (good && rig->plan.play != PLAY_browsers)
        good = (rig->agents = agents_create(rig, m->err, sizeof(m->err))) != NULL;
    if (good && rig->plan.play != PLAY_agents)
        good = (rig->browsers = browsers_create(rig, m->err, sizeof(m->err))) != NULL;
    return good;
}

static void stop_cast(struct machine *m) {
    browsers_destroy(m->rig.browsers);
    agents_destroy(m->rig.agents);
    free(m->rig.output_frame);
}

static bool start_report(struct machine *m) {
    m->rig.now_ns = clock_ns(&m->clock); /* the parts before took their time */
    if (!watch_start(&m->watch, &m->rig.plan, m->rig.now_ns, m->err, sizeof(m->err)))
        return false;
    pace_init(&m->pace, &m->rig);
    hist_clear(&m->rig.latency);
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
    {start_eal, stop_eal},   {start_ports, stop_ports},   {start_stack, stop_stack},
    {start_cast, stop_cast}, {start_report, stop_report},
};
enum { PARTS = sizeof(parts) / sizeof(parts[0]) };

static void receive(struct machine *m) {
    struct rte_mbuf *burst[BURST];
    for (uint8_t i = 0; i < m->net_config.iface_count; i++) {
        uint16_t n = port_rx(m->net_config.iface[i].port, 0, burst, BURST);
        if (n)
            net_input(m->net, m->rig.now_ns, i, burst, n);
    }
}

static void turn(struct machine *m) {
    m->rig.now_ns = clock_ns(&m->clock);
    tcp_begin(m->rig.tcp, m->rig.now_ns);
    receive(m);
    watch_turn(&m->watch, m->rig.now_ns);
    tcp_advance(m->rig.tcp, m->rig.now_ns);
    pace_turn(&m->pace);
    if (m->rig.now_ns - m->tick_ns >= TICK_MS * UINT64_C(1000000)) {
        m->tick_ns = m->rig.now_ns;
        net_tick(m->net, m->rig.now_ns);
    }
    tcp_flush(m->rig.tcp);
    net_flush(m->net);
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

/* The loop runs on the CPU that the plan names; this thread only waits. */
static int play(struct machine *m) {
    const struct tally *t = &m->rig.tally;
    rte_eal_remote_launch(loop, m, 1);
    rte_eal_wait_lcore(1);
    if (m->pace.starved)
        fprintf(stderr, "tgw-rig: tokens: all of them are used up\n");
    if (!report_finish(&m->report, m->file, m->err, sizeof(m->err))) {
        fprintf(stderr, "tgw-rig: %s\n", m->err);
        return STATUS_UNABLE;
    }
    return t->refused + t->failed + t->lost ? STATUS_LOSSES : STATUS_DONE;
}

int run_file(const char *file) {
    struct machine *m = calloc(1, sizeof(*m));
    size_t started = 0;
    int status = STATUS_UNABLE;
    if (!m)
        return status;
    if (plan_load(&m->rig.plan, file, &m->file, m->err, sizeof(m->err))) {
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

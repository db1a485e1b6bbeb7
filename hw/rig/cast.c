/* The stack of the rig and who plays on it. */
#include "ports.h"
#include "rig.h"
#include "web/ws.h"
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

enum { BURST = 64, TICK_MS = 10 };

/* The interface that a range belongs to: agents' addresses lie on a link of ours, the
 * browsers' behind the first port. */
static bool add_ranges(struct rig *rig, char *err, size_t err_bytes) {
    struct net_config *c = &rig->net_config;
    const struct plan *p = &rig->plan;
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
    snprintf(err, err_bytes, "agents: %s lies on no port's network (one range a port)", p->agents);
    return false;
}

static void fill_tcp(const struct rig *rig, struct tcp_config *t) {
    uint32_t sessions = (uint32_t)rig->plan.sessions;
    tcp_config_defaults(t);
    t->connections_max = sessions * 4 + 65536;
    t->time_wait_max = sessions + 32768;
    t->backlog_max = UINT32_MAX;
    t->small_blocks = sessions * 4 + 65536;
    t->large_blocks = 262144;
    t->keepalive_ms = 0;
    t->ack_delay_ms = 40;   /* as the stacks of browsers and agents do */
    t->time_wait_ms = 1000; /* four-tuples come back much later */
    t->counters = rig->counters;
    RAND_bytes(t->secret, sizeof(t->secret));
    RAND_bytes((unsigned char *)&t->seed, sizeof(t->seed));
}

static bool start_stack(struct rig *rig, struct port *port[], struct rte_mempool *mbufs, char *err,
                        size_t err_bytes) {
    static const struct net_ops up = {tcp_input, tcp_icmp_error, tcp_input_burst};
    const struct config *c = &rig->plan.machine;
    struct tcp_config tcp;
    rig->counters = aligned_alloc(64, (sizeof(*rig->counters) + 63) & ~(size_t)63);
    if (!rig->counters)
        return false;
    memset(rig->counters, 0, sizeof(*rig->counters));
    rig->net_config = (struct net_config){
        .iface_count = (uint8_t)c->port_count, .pool = mbufs, .counters = rig->counters, .seed = 1};
    for (uint32_t i = 0; i < c->port_count; i++)
        if (!ports_iface(c, i, port[i], 0, &rig->net_config.iface[i], err, err_bytes))
            return false;
    if (!add_ranges(rig, err, err_bytes))
        return false;
    fill_tcp(rig, &tcp);
    rig->net = net_create(&rig->net_config, &up, NULL, rig->now_ns);
    rig->tcp = rig->net ? tcp_create(&tcp, rig->net, rig->now_ns) : NULL;
    if (!rig->tcp) {
        snprintf(err, err_bytes, "sessions: not enough memory for so many");
        return false;
    }
    net_bind(rig->net, rig->tcp);
    return true;
}

static void stop_stack(struct rig *rig) {
    if (rig->tcp)
        tcp_destroy(rig->tcp);
    if (rig->net)
        net_destroy(rig->net);
    free(rig->counters);
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

static bool start_cast(struct rig *rig, char *err, size_t err_bytes) {
    bool good = make_output(rig);
    if (good && rig->plan.play != PLAY_browsers)
        good = (rig->agents = agents_create(rig, err, err_bytes)) != NULL;
    if (good && rig->plan.play != PLAY_agents)
        good = (rig->browsers = browsers_create(rig, err, err_bytes)) != NULL;
    return good;
}

static void stop_cast(struct rig *rig) {
    browsers_destroy(rig->browsers);
    agents_destroy(rig->agents);
    free(rig->output_frame);
}

static void receive(struct rig *rig) {
    struct rte_mbuf *burst[BURST];
    for (uint8_t i = 0; i < rig->net_config.iface_count; i++) {
        uint16_t n = port_rx(rig->net_config.iface[i].port, 0, burst, BURST);
        if (n)
            net_input(rig->net, rig->now_ns, i, burst, n);
    }
}

bool rig_start(struct rig *rig, struct port *port[], struct rte_mempool *mbufs, char *err,
               size_t err_bytes) {
    err[0] = 0;
    if (start_stack(rig, port, mbufs, err, err_bytes) && secure_start(rig, err, err_bytes) &&
        start_cast(rig, err, err_bytes))
        return true;
    if (!err[0])
        snprintf(err, err_bytes, "sessions: not enough memory for so many");
    return false;
}

void rig_stop(struct rig *rig) {
    stop_cast(rig);
    secure_stop(rig);
    stop_stack(rig);
}

void rig_begin(struct rig *rig, uint64_t now_ns) {
    rig->now_ns = now_ns;
    tcp_begin(rig->tcp, now_ns);
    if (rig->tls)
        tls_begin(rig->tls, now_ns);
    receive(rig);
    if (rig->tls)
        tls_poll(rig->tls);
}

void rig_end(struct rig *rig) {
    tcp_advance(rig->tcp, rig->now_ns);
    if (rig->tls)
        tls_advance(rig->tls, rig->now_ns);
    if (rig->now_ns - rig->tick_ns >= TICK_MS * UINT64_C(1000000)) {
        rig->tick_ns = rig->now_ns;
        net_tick(rig->net, rig->now_ns);
    }
    if (rig->tls)
        tls_flush(rig->tls);
    tcp_flush(rig->tcp);
    net_flush(rig->net);
}

uint64_t rig_segments(const struct rig *rig) {
    return tgw_counter_get(rig->counters, TGW_C_tcp_segments_in) +
           tgw_counter_get(rig->counters, TGW_C_tcp_segments_out);
}

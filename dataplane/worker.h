/* One core: its ports' queues, its stack, its sessions, its rings. */
#ifndef TGW_DATAPLANE_WORKER_H
#define TGW_DATAPLANE_WORKER_H

#include "contract/shm.h"
#include "rest.h"
#include "selftest.h"
#include "session/session.h"
#include "tcp/tcp.h"
#include "tls/tls.h"

struct worker;

/* What the main thread tells its workers and hears from them. One writer a field. */
struct worker_signals {
    _Alignas(64) _Atomic uint64_t control_epoch; /* 0: control process away */
    _Atomic uint32_t drain_deadline_ms;          /* not 0: drain, control or no control */
    _Atomic uint32_t links_returned;             /* counts; of any port */
    _Atomic bool stop;
    _Alignas(64) _Atomic uint32_t sessions_left; /* written by the worker */
    _Atomic bool drained;
    _Atomic uint32_t connections; /* of TCP, TIME_WAIT aside */
};

struct worker_config {
    uint32_t core, cores;
    struct net_config net;
    struct tcp_config tcp;
    struct session_config session;
    struct tls_config tls;
    struct tls_workers *handshakes; /* NULL: no TLS */
    uint16_t public_port;
    uint16_t tls_port; /* 0: none */
    bool tls_agent;    /* agents are dialled with TLS */
    enum idle_mode idle_mode;
    struct selftest_neighbour neighbour[TGW_PORTS_MAX]; /* for probes on command */
    struct tgw_check_result steering[TGW_PORTS_MAX];
    struct tgw_counters *counters;
    struct tgw_ring *cmd_ring, *event_ring;
    struct worker_signals *signals;
};

/* TCP for so many sessions, with fresh secrets; what a site may choose is left at its
 * default. */
void worker_tcp_config(struct tcp_config *t, uint32_t sessions_max, struct tgw_counters *counters);

/* NULL with one line in err. */
struct worker *worker_create(const struct worker_config *c, uint64_t now_ns, char *err,
                             size_t err_bytes);
/* One turn of the loop; returns how much there was to do. For benches, which bring their
 * own time; a core runs. */
uint32_t worker_turn(struct worker *w, uint64_t now_ns);
/* What passed since the last turn was not the worker's. For benches. */
void worker_resume(struct worker *w);
/* Runs until signals->stop. */
void worker_run(struct worker *w);
void worker_destroy(struct worker *w);

#endif

/* The shared region: one file (config key shm_path), created by the dataplane,
 * mapped by the control process. Offsets, never pointers; one writer a field.
 *
 *   [ struct tgw_shm ][ core 0: counters, cmd ring, event ring ][ core 1 ... ]
 *
 * The control process attaches by writing a new control_epoch (its start time in
 * CLOCK_MONOTONIC ns) and then beats control_beat_ns every
 * TGW_HEARTBEAT_PERIOD_MS. A core that sees a beat older than
 * TGW_HEARTBEAT_LOST_MS refuses new sessions with control_unavailable; live
 * sessions go on. A new epoch makes each core refuse what waited for the old one. */
#ifndef TGW_CONTRACT_SHM_H
#define TGW_CONTRACT_SHM_H

#include "contract/cmd.h"
#include "contract/counters.h"

#define TGW_SHM_MAGIC UINT64_C(0x314d4853575447) /* "TGWSHM1" */
enum { TGW_SHM_VERSION = 2 };

/* Written by the dataplane's main thread about once a second. */
struct tgw_port_stats {
    char name[32];
    char driver[32];
    char mac[24];
    _Atomic uint64_t link_up, link_mbps, mtu;
    _Atomic uint64_t rx_packets, tx_packets, rx_bytes, tx_bytes;
    _Atomic uint64_t rx_missed, rx_errors, tx_errors, rx_nombuf;
};

struct tgw_shm_core {
    uint64_t counters_off, cmd_ring_off, event_ring_off; /* bytes from the start */
};

struct tgw_shm {
    _Atomic uint64_t magic; /* see tgw_shm_publish() */
    uint32_t version;
    uint32_t layout; /* tgw_shm_layout(): both sides were built from the same headers */
    uint64_t total_bytes;
    uint32_t core_count;
    uint32_t port_count;
    char build_version[32], build_revision[48];
    uint64_t tsc_hz;
    uint32_t dataplane_pid;
    uint32_t sessions_max;                           /* all cores */
    _Alignas(64) _Atomic uint64_t dataplane_beat_ns; /* CLOCK_MONOTONIC, main thread */
    _Atomic uint32_t dataplane_term;                 /* SIGTERMs seen by the dataplane */
    _Atomic uint64_t mbufs_total, mbufs_free;
    _Atomic uint64_t tls_not_after_s; /* unix: when the first certificate expires; 0: no TLS */
    _Atomic uint64_t tls_loads, tls_load_failures; /* of certificates */
    struct tgw_port_stats port[TGW_PORTS_MAX];
    _Alignas(64) _Atomic uint64_t control_epoch; /* written by the control process */
    _Atomic uint64_t control_beat_ns;
    _Atomic uint32_t control_drained; /* drain over: the dataplane may exit */
    _Atomic uint32_t control_applied; /* configurations put in force: the file is to be read anew */
    _Alignas(64) struct tgw_shm_core core[TGW_CORES_MAX];
};

/* The region is filled in before its magic shows: whoever sees it sees the rest. */
static inline void tgw_shm_publish(struct tgw_shm *s) {
    atomic_store_explicit(&s->magic, TGW_SHM_MAGIC, memory_order_release);
}

static inline bool tgw_shm_is_published(const struct tgw_shm *s) {
    return atomic_load_explicit(&s->magic, memory_order_acquire) == TGW_SHM_MAGIC;
}

/* Its maker goes: whoever still has it mapped lets go. */
static inline void tgw_shm_withdraw(struct tgw_shm *s) {
    atomic_store_explicit(&s->magic, 0, memory_order_release);
}

/* A number that differs when the two sides disagree about any layout. */
static inline uint32_t tgw_shm_layout(void) {
    uint32_t h = 2166136261u;
    const uint32_t parts[] = {sizeof(struct tgw_shm),
                              sizeof(struct tgw_counters),
                              sizeof(union tgw_event),
                              sizeof(union tgw_cmd),
                              sizeof(struct tgw_ident),
                              TGW_COUNTER_COUNT,
                              TGW_REASON_COUNT,
                              TGW_CMD_SLOTS,
                              TGW_EVENT_SLOTS,
                              sizeof(struct tgw_ev_session),
                              sizeof(struct tgw_ev_port),
                              sizeof(struct tgw_cmd_verdict)};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        h = (h ^ parts[i]) * 16777619u;
    return h;
}

#endif

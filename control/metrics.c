#include "metrics.h"
#include "log.h"
#include "revision.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void family(FILE *out, const char *name, const char *type, const char *help) {
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void single(FILE *out, const char *name, const char *type, const char *help,
                   uint64_t value) {
    family(out, name, type, help);
    fprintf(out, "%s %lu\n", name, value);
}

/* Two samples of one family that differ in one label. */
static void pair(FILE *out, const char *name, const char *type, const char *help, const char *label,
                 const char *first, uint64_t first_value, const char *second,
                 uint64_t second_value) {
    family(out, name, type, help);
    fprintf(out, "%s{%s=\"%s\"} %lu\n", name, label, first, first_value);
    fprintf(out, "%s{%s=\"%s\"} %lu\n", name, label, second, second_value);
}

static void events(const struct gateway *g, FILE *out) {
    static const char name[] = "terminal_gateway_ws_events_total";
    family(out, name, "counter", "WebSocket requests and sessions by outcome and reason");
    fprintf(out, "%s{outcome=\"accepted\",reason=\"ok\"} %lu\n", name,
            bridge_counter(&g->bridge, TGW_C_sessions_accepted));
    for (unsigned r = 1; r < TGW_REASON_COUNT; r++) {
        const struct tgw_reason_info *info = tgw_reason_info(r);
        if (info->kind == TGW_KIND_REFUSE || info->kind == TGW_KIND_CLOSE)
            fprintf(out, "%s{outcome=\"%s\",reason=\"%s\"} %lu\n", name,
                    info->kind == TGW_KIND_REFUSE ? "rejected" : "closed", info->label,
                    bridge_reason(&g->bridge, (enum tgw_reason)r));
    }
}

static void tokens(const struct gateway *g, FILE *out) {
    static const enum tgw_reason results[] = {
        TGW_OK,
        TGW_R_token_invalid,
        TGW_R_token_expired,
        TGW_R_token_replayed,
        TGW_R_token_allocation_mismatch,
        TGW_R_token_store_unavailable,
    };
    static const char name[] = "terminal_token_consume_total";
    single(out, "terminal_token_replay_rejected_total", "counter",
           "requests refused because their token was consumed before",
           bridge_reason(&g->bridge, TGW_R_token_replayed));
    family(out, name, "counter", "token consumptions by result");
    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++)
        fprintf(out, "%s{result=\"%s\"} %lu\n", name, tgw_reason_info(results[i])->label,
                g->consumed[results[i]]);
    histogram_print(&g->consume_time, out, "terminal_token_consume_duration_seconds",
                    "from the request for a verdict to the store's answer");
}

static void relay(const struct bridge *b, FILE *out) {
    pair(out, "terminal_stream_relay_setup_total", "counter", "agent dials by result", "result",
         "ok", bridge_counter(b, TGW_C_relay_setup_ok), "failed",
         bridge_counter(b, TGW_C_relay_setup_failed));
    pair(out, "terminal_stream_relay_bytes_total", "counter", "payload bytes relayed", "direction",
         "to_agent", bridge_counter(b, TGW_C_relay_bytes_to_agent), "to_client",
         bridge_counter(b, TGW_C_relay_bytes_to_client));
    pair(out, "terminal_stream_relay_frames_total", "counter", "frames relayed", "direction",
         "to_agent", bridge_counter(b, TGW_C_relay_frames_to_agent), "to_client",
         bridge_counter(b, TGW_C_relay_frames_to_client));
    family(out, "terminal_stream_relay_write_errors_total", "counter",
           "writes to a leg that failed");
    fprintf(out,
            "terminal_stream_relay_write_errors_total{leg=\"client\",reason=\"stream\"} %lu\n"
            "terminal_stream_relay_write_errors_total{leg=\"agent\",reason=\"stream\"} %lu\n",
            bridge_counter(b, TGW_C_relay_write_errors_client),
            bridge_counter(b, TGW_C_relay_write_errors_agent));
    family(out, "terminal_stream_relay_dropped_bytes_total", "counter",
           "payload bytes read from one leg that could not reach the other");
    fprintf(out, "terminal_stream_relay_dropped_bytes_total{reason=\"leg_lost\"} %lu\n",
            bridge_counter(b, TGW_C_relay_dropped_bytes));
    pair(out, "terminal_stream_relay_stalled_sessions", "gauge", "sessions waiting for a reader",
         "by", "client", bridge_counter(b, TGW_C_stalled_by_client), "agent",
         bridge_counter(b, TGW_C_stalled_by_agent));
}

static void gateway(const struct gateway *g, FILE *out) {
    single(out, "terminal_gateway_sessions", "gauge", "live sessions",
           bridge_counter(&g->bridge, TGW_C_sessions));
    single(out, "terminal_gateway_draining", "gauge", "1 while the gateway drains", g->draining);
    family(out, "terminal_gateway_drain_deadline_timestamp_seconds", "gauge",
           "unix time of the drain's deadline, 0 when not draining");
    fprintf(out, "terminal_gateway_drain_deadline_timestamp_seconds %lu\n",
            g->draining ? g->state.drain_deadline_s : 0);
    single(out, "terminal_gateway_admit_percent", "gauge", "share of allocations admitted",
           g->state.admit_percent);
    single(out, "terminal_gateway_control_restarts_total", "counter",
           "starts of the control process after the first", g->state.starts - 1);
    single(out, "terminal_gateway_dataplane_up", "gauge", "1 while a dataplane is attached",
           g->bridge.shm != NULL);
    family(out, "terminal_gateway_build_info", "gauge", "1, with the build in its labels");
    fprintf(out, "terminal_gateway_build_info{version=\"%s\",revision=\"%s\"} 1\n", TGW_VERSION,
            TGW_REVISION);
}

static void port_family(const struct tgw_shm *shm, FILE *out, const char *name, const char *type,
                        const char *help, size_t offset) {
    family(out, name, type, help);
    for (uint32_t i = 0; i < shm->port_count && i < TGW_PORTS_MAX; i++) {
        char label[sizeof(shm->port[i].name)] = "";
        strncpy(label, shm->port[i].name, sizeof(label) - 1);
        if (!tgw_text_valid(label, sizeof(label)))
            continue; /* the dataplane's memory: never quoted unchecked */
        const _Atomic uint64_t *value =
            (const _Atomic uint64_t *)((const char *)&shm->port[i] + offset);
        fprintf(out, "%s{port=\"%s\"} %lu\n", name, label, atomic_load(value));
    }
}

static void ports(const struct tgw_shm *shm, FILE *out) {
    static const struct {
        const char *name, *type, *help;
        size_t offset;
    } families[] = {
#define FIELD(name, type, help, field)                                                             \
    {"dataplane_port_" name, type, help, offsetof(struct tgw_port_stats, field)}
        FIELD("link_up", "gauge", "1 while the link is up", link_up),
        FIELD("rx_packets_total", "counter", "packets received", rx_packets),
        FIELD("tx_packets_total", "counter", "packets sent", tx_packets),
        FIELD("rx_bytes_total", "counter", "bytes received", rx_bytes),
        FIELD("tx_bytes_total", "counter", "bytes sent", tx_bytes),
        FIELD("rx_missed_total", "counter", "packets the device dropped for want of descriptors",
              rx_missed),
        FIELD("rx_errors_total", "counter", "packets received with errors", rx_errors),
        FIELD("tx_errors_total", "counter", "packets that could not be sent", tx_errors),
        FIELD("rx_nombuf_total", "counter", "packets lost for want of a buffer", rx_nombuf),
#undef FIELD
    };
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
        port_family(shm, out, families[i].name, families[i].type, families[i].help,
                    families[i].offset);
    uint64_t total = atomic_load(&shm->mbufs_total), free = atomic_load(&shm->mbufs_free);
    family(out, "dataplane_mbufs", "gauge", "packet buffers");
    fprintf(out,
            "dataplane_mbufs{pool=\"mbufs\",state=\"used\"} %lu\n"
            "dataplane_mbufs{pool=\"mbufs\",state=\"free\"} %lu\n",
            total > free ? total - free : 0, free);
}

static void blocks(const struct bridge *b, FILE *out) {
    pair(out, "dataplane_blocks_used", "gauge", "data blocks of queued and unread bytes", "pool",
         "small", bridge_counter(b, TGW_C_small_blocks_used), "large",
         bridge_counter(b, TGW_C_large_blocks_used));
}

/* The counter's rate comes from the dataplane, as its counters do: 0 is not divided by. */
static void stalls(const struct bridge *b, FILE *out) {
    const uint64_t hz = b->shm->tsc_hz;
    family(out, "dataplane_core_stalls_total", "counter",
           "times the core was taken from its loop by hypervisor, kernel or another thread");
    for (uint32_t i = 0; i < b->cores; i++)
        fprintf(out, "dataplane_core_stalls_total{core=\"%u\"} %lu\n", i,
                tgw_counter_get(b->core[i].counters, TGW_C_stalls));
    family(out, "dataplane_core_stall_seconds_total", "counter", "how long those were");
    for (uint32_t i = 0; i < b->cores; i++)
        fprintf(out, "dataplane_core_stall_seconds_total{core=\"%u\"} %.6f\n", i,
                hz ? (double)tgw_counter_get(b->core[i].counters, TGW_C_stall_ticks) / (double)hz
                   : 0);
}

static void cores(const struct gateway *g, FILE *out) {
    const struct bridge *b = &g->bridge;
    family(out, "dataplane_core_busy_ratio", "gauge", "share of the last second not idle");
    for (uint32_t i = 0; i < b->cores; i++)
        fprintf(out, "dataplane_core_busy_ratio{core=\"%u\"} %.4f\n", i, g->busy_ratio[i]);
    family(out, "dataplane_cycles_total", "counter", "time stamp counter ticks by stage");
    for (uint32_t i = 0; i < b->cores; i++)
        for (int s = 0; s < TGW_STAGE_COUNT; s++)
            fprintf(out, "dataplane_cycles_total{core=\"%u\",stage=\"%s\"} %lu\n", i,
                    tgw_stage_name(s),
                    atomic_load_explicit(&b->core[i].counters->cycles[s], memory_order_relaxed));
    stalls(b, out);
    family(out, "dataplane_ring_used", "gauge", "messages that wait in a shared ring");
    for (uint32_t i = 0; i < b->cores; i++)
        fprintf(out,
                "dataplane_ring_used{core=\"%u\",ring=\"command\"} %u\n"
                "dataplane_ring_used{core=\"%u\",ring=\"event\"} %u\n",
                i, tgw_ring_used(&b->core[i].cmd), i, tgw_ring_used(&b->core[i].event));
    pair(out, "dataplane_ring_messages_total", "counter", "messages taken from shared rings",
         "ring", "command", bridge_counter(b, TGW_C_commands), "event",
         bridge_counter(b, TGW_C_events_sent));
    single(out, "dataplane_ring_lost_total", "counter", "events shed because the ring was full",
           bridge_counter(b, TGW_C_events_lost));
}

static void drops(const struct bridge *b, FILE *out) {
    family(out, "dataplane_drops_total", "counter", "packets and messages not taken further");
    for (unsigned r = 1; r < TGW_REASON_COUNT; r++)
        if (tgw_reason_info(r)->kind == TGW_KIND_DROP)
            fprintf(out, "dataplane_drops_total{reason=\"%s\"} %lu\n", tgw_reason_info(r)->label,
                    bridge_reason(b, (enum tgw_reason)r));
}

/* Every counter of the dataplane whose name starts with `prefix`, under its own name. */
static void counters(const struct bridge *b, FILE *out, const char *prefix) {
    static const struct {
        const char *name, *help;
    } table[TGW_COUNTER_COUNT] = {
#define TGW_COUNTER(id, help) {#id, help},
#include "contract/counters.def"
#undef TGW_COUNTER
    };
    static const char gauge[] = "gauge: ";
    for (unsigned i = 0; i < TGW_COUNTER_COUNT; i++) {
        char name[80];
        bool is_gauge = strncmp(table[i].help, gauge, sizeof(gauge) - 1) == 0;
        if (strncmp(table[i].name, prefix, strlen(prefix)) != 0)
            continue;
        snprintf(name, sizeof(name), "%s%s", table[i].name, is_gauge ? "" : "_total");
        single(out, name, is_gauge ? "gauge" : "counter",
               table[i].help + (is_gauge ? sizeof(gauge) - 1 : 0),
               bridge_counter(b, (enum tgw_counter)i));
    }
}

static void certificates(const struct tgw_shm *shm, FILE *out) {
    single(out, "terminal_gateway_tls_certificate_expiry_timestamp_seconds", "gauge",
           "unix time at which the first certificate expires, 0 without TLS",
           atomic_load(&shm->tls_not_after_s));
    single(out, "terminal_gateway_tls_certificate_loads_total", "counter",
           "certificates loaded, at start and when their files changed",
           atomic_load(&shm->tls_loads));
    single(out, "terminal_gateway_tls_certificate_load_failures_total", "counter",
           "changed certificates that were refused, the old ones kept",
           atomic_load(&shm->tls_load_failures));
}

static void dataplane(const struct gateway *g, FILE *out) {
    ports(g->bridge.shm, out);
    blocks(&g->bridge, out);
    cores(g, out);
    drops(&g->bridge, out);
    counters(&g->bridge, out, "tcp_");
    counters(&g->bridge, out, "tls_");
    certificates(g->bridge.shm, out);
    single(out, "tcp_checksum_errors_total", "counter", "TCP segments with a wrong checksum",
           bridge_reason(&g->bridge, TGW_R_tcp_checksum));
}

char *metrics_text(const struct gateway *g) {
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return NULL;
    gateway(g, out);
    events(g, out);
    tokens(g, out);
    relay(&g->bridge, out);
    histogram_print(&g->setup_time, out, "terminal_stream_relay_setup_duration_seconds",
                    "from accept to 101");
    histogram_print(&g->session_time, out, "terminal_gateway_session_duration_seconds",
                    "from 101 to the end");
    single(out, "ws_notifications_write_errors_total", "counter",
           "notice frames that could not be written",
           bridge_counter(&g->bridge, TGW_C_notice_write_errors));
    if (g->bridge.shm)
        dataplane(g, out);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

void metrics_sample(struct gateway *g) {
    for (uint32_t i = 0; i < g->bridge.cores; i++) {
        uint64_t idle = 0, total = 0;
        for (int s = 0; s < TGW_STAGE_COUNT; s++) {
            uint64_t n =
                atomic_load_explicit(&g->bridge.core[i].counters->cycles[s], memory_order_relaxed);
            total += n;
            idle += s == TGW_STAGE_idle ? n : 0;
        }
        uint64_t span = total - g->sampled_total[i];
        g->busy_ratio[i] =
            span ? 1 - (double)(idle - g->sampled_idle[i]) / (double)span : g->busy_ratio[i];
        g->sampled_total[i] = total;
        g->sampled_idle[i] = idle;
    }
}

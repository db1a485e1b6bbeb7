/* One bulk transfer over a wire with loss, on virtual time, against what theory allows:
 * bytes a virtual second, and as a share of the formula. Reports; asserts nothing.
 *
 *   build/tests/bench/bench-tcp-loss [SECONDS]
 *
 * Reno: MSS / RTT * sqrt(3 / 2 / p) (RFC 3649 section 3 with b = 1). CUBIC: RFC 9438 section
 * 5.1, the larger of that and the Reno it is friendly to. */
#include "drivers/sim.h"
#include "tcp/tcp.h"
#include "tests/lib/eal_init.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { QUEUE = 8192, BUFFER_BYTES = 1024 * 1024, STEP_US = 100, MSS = 1448 };

struct flying {
    uint64_t at_ns;
    struct rte_mbuf *m;
};

/* One direction: what left one host reaches the other half a round trip later. */
struct way {
    struct flying slot[QUEUE];
    uint32_t head, tail;
};

struct host {
    struct port *port, *wire;
    struct net *net;
    struct tcp_stack *tcp;
    struct tgw_counters counters;
    struct stream s;
    uint64_t received;
    bool sends;
};

static struct rte_mempool *mbufs;
static struct host hosts[2];
static struct way ways[2];
static uint64_t now_ns, delay_ns, draws;
static double loss;

static bool is_lost(void) { /* splitmix64 */
    uint64_t z = (draws += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (double)(z >> 11) / 9007199254740992.0 < loss;
}

static void fill(struct host *h) {
    static const uint8_t zeros[65536];
    while (h->sends && h->s.ops->write(h->s.impl, zeros, sizeof(zeros)) == sizeof(zeros))
        ;
}

static void on_open(void *user) {
    fill(user);
}

static void on_readable(void *user) {
    struct host *h = user;
    const uint8_t *data;
    for (size_t n; (n = h->s.ops->peek(h->s.impl, &data)) > 0; h->received += n)
        h->s.ops->consume(h->s.impl, n);
}

static void on_closed(void *user, enum stream_end end) {
    (void)user;
    fprintf(stderr, "the connection ended: %d\n", end);
    exit(1);
}

static const struct stream_handler handler = {on_open, on_readable, on_open, on_closed};

static void *on_accepted(void *ctx, struct stream s, const struct tgw_endpoint *local,
                         const struct tgw_endpoint *remote) {
    struct host *h = ctx;
    (void)local;
    (void)remote;
    h->s = s;
    return h;
}

static void make_host(int i, bool cubic) {
    static const struct net_ops up = {tcp_input, tcp_icmp_error};
    struct host *h = &hosts[i];
    struct port *pair[2];
    char text[32];
    struct net_config nc = {.iface_count = 1, .pool = mbufs, .counters = &h->counters, .seed = 1};
    struct tcp_config tc;
    memset(h, 0, sizeof(*h));
    if (!port_sim_pair(pair, 1500, QUEUE))
        exit(1);
    h->port = pair[0];
    h->wire = pair[1];
    h->port->mac[5] = (uint8_t)(i + 1);
    nc.iface[0] = (struct net_iface_config){.port = h->port, .addr_count = 1};
    snprintf(text, sizeof(text), "198.18.0.%d/24", i + 1);
    ip_prefix_parse(text, true, &nc.iface[0].addr[0]);
    h->net = net_create(&nc, &up, NULL, now_ns);
    tcp_config_defaults(&tc);
    tc.connections_max = tc.time_wait_max = 16;
    tc.rcv_buffer_bytes = tc.snd_buffer_bytes = BUFFER_BYTES;
    tc.use_cubic = cubic;
    tc.counters = &h->counters;
    tc.seed = (uint64_t)i + 1;
    h->tcp = h->net ? tcp_create(&tc, h->net, now_ns) : NULL;
    if (!h->tcp)
        exit(1);
    net_bind(h->net, h->tcp);
    const struct tcp_listener l = {on_accepted, h, &handler};
    tcp_listen(h->tcp, 80, &l);
}

static void carry(int from) {
    struct way *w = &ways[from];
    struct rte_mbuf *m[64];
    uint16_t n;
    while ((n = port_rx(hosts[from].wire, 0, m, 64)) > 0)
        for (uint16_t i = 0; i < n; i++) {
            if (w->tail - w->head == QUEUE || (m[i]->pkt_len > 200 && is_lost()))
                rte_pktmbuf_free(m[i]);
            else
                w->slot[w->tail++ % QUEUE] = (struct flying){now_ns + delay_ns, m[i]};
        }
    for (; w->head != w->tail && w->slot[w->head % QUEUE].at_ns <= now_ns; w->head++)
        if (port_tx(hosts[!from].wire, 0, &w->slot[w->head % QUEUE].m, 1) == 0)
            rte_pktmbuf_free(w->slot[w->head % QUEUE].m);
}

static void turn(struct host *h) {
    struct rte_mbuf *m[64];
    uint16_t n;
    tcp_begin(h->tcp, now_ns);
    while ((n = port_rx(h->port, 0, m, 64)) > 0)
        net_input(h->net, now_ns, 0, m, n);
    tcp_advance(h->tcp, now_ns);
    net_tick(h->net, now_ns);
    tcp_flush(h->tcp);
    net_flush(h->net);
}

static void run_until(uint64_t end_ns) {
    for (; now_ns < end_ns; now_ns += (uint64_t)STEP_US * 1000)
        for (int i = 0; i < 2; i++) {
            turn(&hosts[i]);
            carry(i);
        }
}

static void drop_all(void) {
    for (int i = 0; i < 2; i++) {
        for (; ways[i].head != ways[i].tail; ways[i].head++)
            rte_pktmbuf_free(ways[i].slot[ways[i].head % QUEUE].m);
        tcp_destroy(hosts[i].tcp);
        net_destroy(hosts[i].net);
        hosts[i].port->ops->close(hosts[i].port);
        hosts[i].wire->ops->close(hosts[i].wire);
    }
}

static double theory(bool cubic, double p, double rtt_s) {
    double reno = MSS / rtt_s * sqrt(1.5 / p), most = BUFFER_BYTES / rtt_s;
    double segments = pow(0.4 * 3.7 / (4 * 0.3), 0.25) * pow(rtt_s, 0.75) / pow(p, 0.75);
    double rate = cubic && segments * MSS / rtt_s > reno ? segments * MSS / rtt_s : reno;
    return rate < most ? rate : most;
}

static void measure(bool cubic, double p, uint32_t rtt_ms, uint32_t seconds) {
    struct tgw_endpoint to = {.port = 80};
    struct ip_addr a;
    ip_addr_parse("198.18.0.2", &a);
    memcpy(to.addr, a.b, sizeof(to.addr));
    now_ns = UINT64_C(5000000000);
    delay_ns = (uint64_t)rtt_ms * 500000;
    loss = p;
    draws = 7;
    for (int i = 0; i < 2; i++)
        make_host(i, cubic);
    hosts[0].sends = true;
    hosts[0].s = tcp_connect(hosts[0].tcp, now_ns, &to, &handler, &hosts[0], NULL, NULL);
    run_until(now_ns + UINT64_C(10000000000)); /* past the slow start */
    uint64_t before = hosts[1].received;
    run_until(now_ns + (uint64_t)seconds * 1000000000);
    double rate = (double)(hosts[1].received - before) / seconds;
    double most = theory(cubic, p, rtt_ms / 1000.0);
    struct tgw_counters *c = &hosts[0].counters;
    printf("%-8s %5.2f %% %4u ms %10.0f B/s %10.0f B/s %5.2f %6lu rto %6lu tlp\n",
           cubic ? "cubic" : "newreno", p * 100, rtt_ms, rate, most, rate / most,
           tgw_counter_get(c, TGW_C_tcp_rto), tgw_counter_get(c, TGW_C_tcp_tlp));
    fflush(stdout);
    drop_all();
}

int main(int argc, char **argv) {
    static const double losses[] = {0.0001, 0.001, 0.01, 0.03, 0.10};
    static const uint32_t rtts_ms[] = {10, 50};
    uint32_t seconds = argc > 1 ? (uint32_t)atoi(argv[1]) : 60;
    mbufs = test_eal_init(16383);
    printf("%-8s %7s %7s %14s %14s %5s\n", "control", "loss", "rtt", "measured", "theory", "share");
    for (int cubic = 0; cubic < 2; cubic++)
        for (size_t r = 0; r < 2; r++)
            for (size_t i = 0; i < sizeof(losses) / sizeof(losses[0]); i++)
                measure(cubic, losses[i], rtts_ms[r], seconds);
    return 0;
}

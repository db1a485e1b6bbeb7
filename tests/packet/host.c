#include "tests/packet/host.h"
#include "core/timer.h"
#include "drivers/sim.h"
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { BURST = 64, TURNS_MAX = 64 };

uint8_t host_pattern(uint64_t i) {
    return (uint8_t)(i * 7 + (i >> 8) * 3);
}

void host_setup_defaults(struct host_setup *s) {
    *s = (struct host_setup){.mtu = 1500, .peer_iss = 1000};
    tcp_config_defaults(&s->tcp);
    s->tcp.use_cubic = false;
    s->tcp.connections_max = 64;
    s->tcp.time_wait_max = 16;
    s->tcp.small_blocks = s->tcp.large_blocks = 1024;
    s->tcp.keepalive_ms = 0;
    s->tcp.seed = 1;
    memset(s->tcp.secret, 7, sizeof(s->tcp.secret));
}

const char *host_our_addr(const struct host *h) {
    return h->setup.ipv6 ? "fd18::2" : "198.18.0.2";
}

const char *host_peer_addr(const struct host *h) {
    return h->setup.ipv6 ? "fd18::1" : "198.18.0.1";
}

static bool make_stack(struct host *h) {
    static const struct net_ops up = {tcp_input, tcp_icmp_error};
    struct port *pair[2];
    if (!port_sim_pair(pair, h->setup.mtu, HOST_SEEN_MAX))
        return false;
    h->port = pair[0];
    h->wire = pair[1];
    struct net_config nc = {.iface_count = 1, .pool = h->mbufs, .counters = h->counters, .seed = 1};
    nc.iface[0] = (struct net_iface_config){.port = h->port, .addr_count = 2};
    ip_prefix_parse("198.18.0.2/24", true, &nc.iface[0].addr[0]);
    ip_prefix_parse("fd18::2/64", true, &nc.iface[0].addr[1]);
    h->net = net_create(&nc, &up, NULL, h->now_ns);
    h->setup.tcp.counters = h->counters;
    h->tcp = h->net ? tcp_create(&h->setup.tcp, h->net, h->now_ns) : NULL;
    if (h->tcp)
        net_bind(h->net, h->tcp);
    return h->tcp != NULL;
}

struct host *host_open(const struct host_setup *s, struct rte_mempool *mbufs, uint64_t start_ns) {
    struct host *h = calloc(1, sizeof(*h));
    size_t bytes = (sizeof(*h->counters) + 63) / 64 * 64;
    if (!h)
        return NULL;
    h->setup = *s;
    h->mbufs = mbufs;
    h->start_ns = h->now_ns = start_ns;
    h->seen = calloc(HOST_SEEN_MAX, sizeof(*h->seen));
    h->counters = aligned_alloc(64, bytes);
    if (h->counters)
        memset(h->counters, 0, bytes);
    if (h->seen && h->counters && make_stack(h))
        return h;
    host_close(h);
    return NULL;
}

bool host_close(struct host *h) {
    if (h->tcp)
        tcp_destroy(h->tcp);
    if (h->net)
        net_destroy(h->net);
    if (h->port) {
        h->port->ops->close(h->port);
        h->wire->ops->close(h->wire);
    }
    bool clean = rte_mempool_in_use_count(h->mbufs) == 0;
    free(h->counters);
    free(h->seen);
    free(h);
    return clean;
}

struct conn *host_conn(struct host *h, uint16_t peer_port) {
    for (unsigned i = 0; i < h->conn_count; i++)
        if (h->conn[i].peer_port == peer_port)
            return &h->conn[i];
    if (h->conn_count == HOST_CONNS_MAX)
        return NULL;
    struct conn *c = &h->conn[h->conn_count++];
    *c = (struct conn){.host = h,
                       .peer_port = peer_port,
                       .our_port = HOST_LISTEN_PORT,
                       .peer_iss = h->setup.peer_iss};
    return c;
}

/* What the stack tells the owner. */

__attribute__((format(printf, 2, 3))) static void happen(struct conn *c, const char *format, ...) {
    struct host *h = c->host;
    if (h->event_count == HOST_EVENTS_MAX) {
        h->overflow = true;
        return;
    }
    struct happened *e = &h->event[h->event_count++];
    va_list ap;
    va_start(ap, format);
    vsnprintf(e->text, sizeof(e->text), format, ap);
    va_end(ap);
    e->data_bytes = 0;
    e->at_ns = h->now_ns;
    e->peer_port = c->peer_port;
}

static void happen_data(struct conn *c, uint64_t n) {
    struct host *h = c->host;
    struct happened *last = h->event_count ? &h->event[h->event_count - 1] : NULL;
    bool joins = h->event_first < h->event_count && last->data_bytes && last->at_ns == h->now_ns &&
                 last->peer_port == c->peer_port;
    if (!joins) {
        happen(c, "data");
        last = &h->event[h->event_count - 1];
    }
    last->data_bytes += n;
    snprintf(last->text, sizeof(last->text), "data %lu", last->data_bytes);
}

uint64_t host_read(struct conn *c, uint64_t n) {
    const uint8_t *data;
    uint64_t done = 0;
    size_t got;
    while (done < n && (got = c->s.ops->peek(c->s.impl, &data)) > 0) {
        if (got > n - done)
            got = n - done;
        for (size_t i = 0; i < got; i++)
            c->host->wrong_bytes += data[i] != host_pattern(c->bytes_read + i);
        c->bytes_read += got;
        done += got;
        c->s.ops->consume(c->s.impl, got);
    }
    return done;
}

static void on_connected(void *user) {
    happen(user, "connected");
}

static void on_readable(void *user) {
    struct conn *c = user;
    uint64_t n = 0;
    if (c->host->setup.manual_read)
        happen(c, "readable");
    else if ((n = host_read(c, UINT64_MAX)) > 0)
        happen_data(c, n);
    if (!c->eof_told && c->s.ops->at_eof(c->s.impl)) {
        c->eof_told = true;
        happen(c, "eof");
    }
}

static void on_writable(void *user) {
    happen(user, "writable");
}

static void on_closed(void *user, enum stream_end why) {
    static const char *const names[] = {"ok", "reset", "refused", "timeout", "error"};
    struct conn *c = user;
    c->s.impl = NULL;
    happen(c, "closed %s", names[why]);
}

static const struct stream_handler handler = {on_connected, on_readable, on_writable, on_closed};

static void *on_accepted(void *ctx, struct stream s, const struct tgw_endpoint *local,
                         const struct tgw_endpoint *remote) {
    struct conn *c = host_conn(ctx, remote->port);
    (void)local;
    if (!c)
        return NULL;
    c->s = s;
    happen(c, "accepted");
    return c;
}

void host_listen(struct host *h) {
    const struct tcp_listener l = {on_accepted, h, &handler};
    bool ok = tcp_listen(h->tcp, HOST_LISTEN_PORT, &l);
    assert(ok);
    (void)ok;
}

bool host_connect(struct host *h, struct conn *c) {
    struct tgw_endpoint to = {.port = c->peer_port};
    struct ip_addr a = rig_addr(host_peer_addr(h));
    memcpy(to.addr, a.b, sizeof(to.addr));
    c->our_port = 0;
    c->s = tcp_connect(h->tcp, h->now_ns, &to, &handler, c, NULL, NULL);
    return c->s.impl != NULL;
}

/* The wire. */

static void to_stack(struct host *h, const struct frame *f) {
    struct rte_mbuf *m = rte_pktmbuf_alloc(h->mbufs);
    assert(m);
    memcpy(rte_pktmbuf_append(m, (uint16_t)f->len), f->b, f->len);
    uint16_t sent = port_tx(h->wire, 0, &m, 1);
    assert(sent == 1);
    (void)sent;
}

/* The peer answers ARP and neighbour solicitations by itself. */
static bool answer_neighbour(struct host *h, const struct frame *f) {
    enum { ARP = 0x06, NDP_SOLICITATION = 135, SOLICITED_OVERRIDE = 0x60 };
    struct frame reply;
    if (f->b[12] == 0x08 && f->b[13] == ARP) {
        if (f->b[21] == 1)
            frame_arp(&reply, 2, "198.18.0.1", "198.18.0.2");
    } else if (f->b[12] == 0x86 && f->b[20] == 58 && f->b[54] == NDP_SOLICITATION) {
        frame_ndp(&reply, "fd18::1", "fd18::2", NDP_SOLICITATION + 1, SOLICITED_OVERRIDE,
                  "fd18::1");
    } else {
        return false;
    }
    to_stack(h, &reply);
    return true;
}

static void learn(struct host *h, const struct seg *s) {
    struct conn *c = host_conn(h, s->dport);
    if (!c)
        return;
    if (!c->our_port)
        c->our_port = s->sport;
    if (!c->our_iss_known && (s->flags & SEG_SYN)) {
        c->our_iss = s->seq;
        c->our_iss_known = true;
        c->we_offered_ts = s->has_ts;
        c->ts_first = s->ts_val;
    }
    if (s->has_ts)
        c->ts_last = s->ts_val;
}

/* False when there was nothing on the wire. */
static bool look_at_wire(struct host *h) {
    struct rte_mbuf *m;
    if (port_rx(h->wire, 0, &m, 1) == 0)
        return false;
    if (h->seen_count == HOST_SEEN_MAX) {
        h->overflow = true;
        rte_pktmbuf_free(m);
        return true;
    }
    struct seen *s = &h->seen[h->seen_count];
    s->at_ns = h->now_ns;
    s->frame.len = m->pkt_len;
    assert(m->pkt_len <= sizeof(s->frame.b));
    const void *whole = rte_pktmbuf_read(m, 0, m->pkt_len, s->frame.b);
    if (whole != s->frame.b)
        memcpy(s->frame.b, whole, m->pkt_len);
    rte_pktmbuf_free(m);
    if (!answer_neighbour(h, &s->frame) && wire_parse(&s->seg, &s->frame)) {
        learn(h, &s->seg);
        h->seen_count++;
    }
    return true;
}

void host_turn(struct host *h) {
    struct rte_mbuf *m[BURST];
    bool busy = true;
    for (unsigned i = 0; busy && i < TURNS_MAX; i++) {
        tcp_begin(h->tcp, h->now_ns);
        uint16_t n = port_rx(h->port, 0, m, BURST);
        if (n)
            net_input(h->net, h->now_ns, 0, m, n);
        tcp_advance(h->tcp, h->now_ns);
        net_tick(h->net, h->now_ns);
        tcp_flush(h->tcp);
        net_flush(h->net);
        busy = n > 0;
        while (look_at_wire(h))
            busy = true;
    }
}

void host_inject(struct host *h, const struct frame *f) {
    to_stack(h, f);
    host_turn(h);
    tcp_check(h->tcp);
}

void host_advance(struct host *h, uint64_t until_ns) {
    while (h->now_ns < until_ns && host_quiet(h)) {
        uint64_t next = tcp_next_timer(h->tcp), net = net_next_timer(h->net);
        next = net < next ? net : next;
        next = next > h->now_ns ? next : h->now_ns + TIMER_TICK_NS;
        h->now_ns = next < until_ns ? next : until_ns;
        host_turn(h);
    }
}

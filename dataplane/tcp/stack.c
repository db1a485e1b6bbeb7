#include "core/lines.h"
#include "core/region.h"
#include "ooo.h"
#include "siphash.h"
#include "trace.h"
#include <rte_mbuf.h>
#include <stdlib.h>

void tcp_config_defaults(struct tcp_config *c) {
    *c = (struct tcp_config){.connections_max = 40000,
                             .time_wait_max = 262144,
                             .backlog_max = 4096,
                             .syn_rate_max = 200000,
                             .small_blocks = 65536,
                             .large_blocks = 65536,
                             .rcv_buffer_bytes = 256 * 1024,
                             .snd_buffer_bytes = 256 * 1024,
                             .keepalive_ms = 60000,
                             .user_timeout_ms = 120000,
                             .time_wait_ms = 60000,
                             .use_cubic = true,
                             .trace_records = 32768,
                             .port_first = 20000,
                             .port_last = 60999};
}

static bool make_pools(struct tcp_stack *t) {
    const struct tcp_config *c = &t->config;
    while (t->out_mask < c->connections_max)
        t->out_mask = t->out_mask * 2 + 1;
    t->out = region_map(((size_t)t->out_mask + 1) * sizeof(*t->out), c->huge_pages);
    return t->out && flow_table_init(&t->flows, c->connections_max, c->huge_pages) &&
           tw_init(&t->tw, c->time_wait_max, c->huge_pages) &&
           pool_init(&t->tcbs, sizeof(struct tcb), c->connections_max, c->huge_pages) &&
           pool_init(&t->flights, sizeof(struct tcp_flight), c->connections_max, c->huge_pages) &&
           tcp_trace_init(&t->trace, c->trace_records, c->huge_pages) &&
           pool_init(&t->ooos, sizeof(struct tcp_ooo), TCP_OOO_STACK_MAX, false) &&
           bq_pools_init(&t->blocks, c->small_blocks, c->large_blocks, c->huge_pages);
}

/* Independent of the two keys that the secret is made of. */
static void derive_cookie_key(struct tcp_stack *t) {
    static const char label[2][9] = {"cookie 0", "cookie 1"};
    for (int i = 0; i < 2; i++)
        t->cookie_key[i] = siphash(t->key + 2, label[i], 8);
}

static void set_time(struct tcp_stack *t, uint64_t now_ns) {
    t->now_ns = now_ns;
    t->now_us = (uint32_t)(now_ns / 1000);
    t->now_ms = (uint32_t)(now_ns / 1000000);
}

struct tcp_stack *tcp_create(const struct tcp_config *c, struct net *net, uint64_t now_ns) {
    struct tcp_stack *t = lines_zalloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->config = *c;
    t->net = net;
    t->counters = c->counters;
    set_time(t, now_ns);
    t->random = c->seed;
    t->next_port = (uint32_t)c->seed;
    memcpy(t->key, c->secret, sizeof(t->key));
    derive_cookie_key(t);
    if (make_pools(t) && tcp_ack_init(t)) {
        timer_wheel_init(&t->wheel, now_ns, t->tcbs.base, tcp_timer_fired, t);
        return t;
    }
    tcp_destroy(t);
    return NULL;
}

static void kill_all(struct tcp_stack *t) {
    struct flow_table *f = &t->flows;
    for (uint32_t b = 0; f->used && b < f->buckets + f->spare_touched; b++)
        for (int i = 0; i < FLOW_SLOTS; i++)
            if (f->bucket[b].tag[i])
                tcb_kill(pool_at(&t->tcbs, f->bucket[b].index[i]));
}

void tcp_destroy(struct tcp_stack *t) {
    if (t->flows.bucket)
        kill_all(t);
    pool_fini(&t->tcbs);
    pool_fini(&t->flights);
    pool_fini(&t->ooos);
    bq_pools_fini(&t->blocks);
    tw_fini(&t->tw);
    tcp_trace_fini(&t->trace);
    flow_table_fini(&t->flows);
    region_unmap(t->out, ((size_t)t->out_mask + 1) * sizeof(*t->out));
    tcp_ack_fini(t);
    free(t);
}

uint64_t tcb_hash(const struct tcb *c) {
    const struct flow_key k = {c->local, c->remote, c->lport, c->rport, 0};
    return flow_hash(c->stack->key, &k);
}

struct lookup {
    const struct pool *tcbs;
    const struct flow_key *key;
};

static bool is_tcb(const void *ctx, uint32_t index) {
    const struct lookup *l = ctx;
    const struct tcb *c = pool_at(l->tcbs, index);
    const struct flow_key *k = l->key;
    return c->lport == k->lport && c->rport == k->rport && ip_addr_eq(&c->remote, &k->remote) &&
           ip_addr_eq(&c->local, &k->local);
}

struct tcb *tcb_find_hashed(struct tcp_stack *t, const struct flow_key *k, uint64_t hash) {
    const struct lookup l = {&t->tcbs, k};
    uint32_t index = flow_find(&t->flows, hash, is_tcb, &l);
    return index == FLOW_NONE ? NULL : pool_at(&t->tcbs, index);
}

struct tcb *tcb_find(struct tcp_stack *t, const struct ip_addr *local, uint16_t lport,
                     const struct ip_addr *remote, uint16_t rport) {
    const struct flow_key k = {*local, *remote, lport, rport, 0};
    return tcb_find_hashed(t, &k, flow_hash(t->key, &k));
}

/* RFC 6528 section 3: a 4 us clock plus a keyed hash of the four-tuple. */
static uint32_t initial_sequence(const struct tcp_stack *t, const struct tcb *c) {
    const struct flow_key k = {c->local, c->remote, c->lport, c->rport, 0};
    return (uint32_t)(t->now_ns / 4000) + (uint32_t)siphash(t->key + 2, &k, sizeof(k));
}

struct tcb *tcb_make(struct tcp_stack *t, const struct ip_addr *local, uint16_t lport,
                     const struct ip_addr *remote, uint16_t rport, const struct net_route *route) {
    struct tcb *c = pool_alloc(&t->tcbs);
    if (!c)
        return NULL;
    *c = (struct tcb){.stack = t,
                      .local = *local,
                      .remote = *remote,
                      .lport = lport,
                      .rport = rport,
                      .iface = route->iface,
                      .ssthresh = UINT32_MAX / 2,
                      .last_in_ms = tcp_now_ms(t)};
    c->mss = (uint16_t)(route->mtu - (ip_addr_is4(remote) ? 40 : 60));
    c->iss = initial_sequence(t, c);
    c->snd_una = c->snd_nxt = c->snd_max = c->iss;
    if (!flow_insert(&t->flows, tcb_hash(c), pool_index(&t->tcbs, c))) {
        pool_free(&t->tcbs, c);
        return NULL;
    }
    tgw_gauge(t->counters, TGW_C_tcp_connections, t->tcbs.used);
    tcp_note(c, TCP_EV_NEW, lport);
    return c;
}

struct tcp_flight *tcb_flight(struct tcb *c) {
    if (c->flight)
        return c->flight;
    struct tcp_flight *f = pool_alloc(&c->stack->flights);
    if (!f)
        return NULL;
    memset(f, 0, offsetof(struct tcp_flight, board));
    f->recover = f->ecn_recover = f->rtt_seq = c->snd_una;
    tcp_rack_init(&f->rack, c->snd_una);
    tcp_board_init(&f->board, c->snd_una);
    c->flight = f;
    return f;
}

bool tcb_is_quiet(const struct tcb *c) {
    const struct tcp_flight *f = c->flight;
    return c->snd_una == c->snd_max && !c->fin_queued &&
           (!f || (!f->snd.bytes && !f->rcv.bytes && !f->ooo.first));
}

void tcb_rest(struct tcb *c) {
    struct tcp_stack *t = c->stack;
    if (!c->flight)
        return;
    uint32_t restart = tcp_initial_cwnd(c);
    bq_clear(&c->flight->snd, &t->blocks);
    bq_clear(&c->flight->rcv, &t->blocks);
    ooo_clear(c);
    pool_free(&t->flights, c->flight);
    c->flight = NULL;
    if (c->cwnd > restart)
        c->cwnd = restart;
}

void tcb_kill(struct tcb *c) {
    struct tcp_stack *t = c->stack;
    if (c->dead)
        return;
    t->half_open -= c->state == TCP_SYN_RECEIVED;
    c->dead = true;
    c->state = TCP_CLOSED;
    c->user = NULL;
    c->ack_now = c->ack_later = c->probe_now = c->keepalive_now = false;
    timer_cancel(&t->wheel, &c->timer);
    flow_remove(&t->flows, tcb_hash(c), pool_index(&t->tcbs, c));
    tcb_rest(c);
    tcb_mark(c);
}

void tcb_end(struct tcb *c, enum stream_end why) {
    tcp_trace_died(c, why);
    void *user = c->user;
    const struct stream_handler *handler = c->handler;
    tcb_kill(c);
    if (user)
        handler->closed(user, why);
}

void tcb_mark(struct tcb *c) {
    struct tcp_stack *t = c->stack;
    if (c->marked)
        return;
    c->marked = true;
    t->out[t->out_tail++ & t->out_mask] = pool_index(&t->tcbs, c);
}

void tcp_flush(struct tcp_stack *t) {
    while (t->out_head != t->out_tail) {
        struct tcb *c = pool_at(&t->tcbs, t->out[t->out_head++ & t->out_mask]);
        c->marked = false;
        if (!c->dead || c->ack_now) /* the dead: the last ACK of what went to TIME_WAIT */
            tcp_output(c);
        if (!c->dead)
            continue;
        pool_free(&t->tcbs, c);
        tgw_gauge(t->counters, TGW_C_tcp_connections, t->tcbs.used);
    }
    t->out_head = t->out_tail = 0; /* touch no more of the ring than a burst needs */
}

void tcp_begin(struct tcp_stack *t, uint64_t now_ns) {
    set_time(t, now_ns);
}

uint32_t tcp_advance(struct tcp_stack *t, uint64_t now_ns) {
    set_time(t, now_ns);
    tcp_ack_advance(t);
    return tw_expire(t) + timer_wheel_advance(&t->wheel, now_ns, 1024);
}

uint64_t tcp_next_timer(const struct tcp_stack *t) {
    uint64_t at_ns = timer_wheel_next(&t->wheel), ack_ns = tcp_ack_next_ns(t);
    uint64_t tw_ns = tw_next_ns(t);
    at_ns = ack_ns < at_ns ? ack_ns : at_ns;
    return tw_ns < at_ns ? tw_ns : at_ns;
}

static bool port_is_taken(struct tcp_stack *t, const struct net_route *route, uint16_t port,
                          const struct ip_addr *remote, uint16_t rport) {
    const struct flow_key k = {route->src, *remote, port, rport, 0};
    uint64_t hash = flow_hash(t->key, &k);
    flow_prefetch(&t->flows, hash); /* nobody has looked there lately: both at once */
    flow_prefetch(&t->tw.flows, hash);
    return tcp_is_listening(t, port) || tcb_find_hashed(t, &k, hash) || tw_find(&t->tw, hash);
}

static struct stream open_actively(struct tcp_stack *t, const struct net_route *route,
                                   uint16_t port, const struct ip_addr *to, uint16_t rport,
                                   const struct stream_handler *handler, void *user) {
    struct tcb *c = tcb_make(t, &route->src, port, to, rport, route);
    if (c) {
        c->state = TCP_SYN_SENT;
        c->handler = handler;
        c->user = user;
        tcb_mark(c);
    } else {
        tgw_count(t->counters, TGW_C_tcp_connect_failures, 1);
    }
    return (struct stream){&tcp_stream_ops, c};
}

struct stream tcp_connect_from(struct tcp_stack *t, uint64_t now_ns,
                               const struct tgw_endpoint *local, const struct tgw_endpoint *remote,
                               const struct stream_handler *handler, void *user) {
    struct net_route route;
    struct ip_addr to;
    set_time(t, now_ns);
    memcpy(to.b, remote->addr, sizeof(to.b));
    if (net_route(t->net, &to, &route)) {
        memcpy(route.src.b, local->addr, sizeof(route.src.b));
        if (!port_is_taken(t, &route, local->port, &to, remote->port))
            return open_actively(t, &route, local->port, &to, remote->port, handler, user);
    }
    tgw_count(t->counters, TGW_C_tcp_connect_failures, 1);
    return (struct stream){&tcp_stream_ops, NULL};
}

struct stream tcp_connect(struct tcp_stack *t, uint64_t now_ns, const struct tgw_endpoint *remote,
                          const struct stream_handler *handler, void *user,
                          bool (*pick_port)(void *ctx, const struct tgw_endpoint *local,
                                            const struct tgw_endpoint *remote),
                          void *pick_ctx) {
    struct net_route route;
    struct ip_addr to;
    uint32_t span = (uint32_t)(t->config.port_last - t->config.port_first) + 1;
    set_time(t, now_ns);
    memcpy(to.b, remote->addr, sizeof(to.b));
    bool routed = net_route(t->net, &to, &route);
    for (uint32_t tries = 0; routed && tries < span; tries++) {
        uint16_t port = (uint16_t)(t->config.port_first + t->next_port++ % span);
        struct tgw_endpoint local = {.port = port};
        memcpy(local.addr, route.src.b, sizeof(local.addr));
        if (port_is_taken(t, &route, port, &to, remote->port) ||
            (pick_port && !pick_port(pick_ctx, &local, remote)))
            continue;
        return open_actively(t, &route, port, &to, remote->port, handler, user);
    }
    tgw_count(t->counters, TGW_C_tcp_connect_failures, 1);
    return (struct stream){&tcp_stream_ops, NULL};
}

void tcp_set_owner(struct stream s, const struct stream_handler *handler, void *user) {
    struct tcb *c = s.impl;
    c->handler = handler;
    c->user = user;
}

void tcp_usage(const struct tcp_stack *t, struct tcp_usage *out) {
    *out = (struct tcp_usage){.connections = t->tcbs.used,
                              .time_wait = tw_count(&t->tw),
                              .half_open = t->half_open,
                              .small_blocks = t->blocks.small.used,
                              .large_blocks = t->blocks.large.used,
                              .flights = t->flights.used};
    out->bytes = pool_used_bytes(&t->tcbs) + pool_used_bytes(&t->flights) +
                 pool_used_bytes(&t->ooos) + pool_used_bytes(&t->blocks.small) +
                 pool_used_bytes(&t->blocks.large) + t->flows.mapped_bytes +
                 out->time_wait * sizeof(struct tw_entry);
}

size_t tcp_connection_bytes(void) {
    return (sizeof(struct tcb) + 63) & ~(size_t)63;
}

static void check_tcb(const struct tcb *c) {
    assert(!c->dead && c->state != TCP_CLOSED);
    assert(seq_le(c->snd_una, c->snd_nxt) && seq_le(c->snd_nxt, c->snd_max));
    assert(tcb_queued(c) <= c->stack->config.snd_buffer_bytes);
    assert(tcb_unread(c) <= c->stack->config.rcv_buffer_bytes);
    assert(!c->flight || c->flight->ooo.count <= TCP_OOO_MAX);
    assert(!c->flight ||
           (tcp_board_good(&c->flight->board) && c->flight->board.start == c->snd_una &&
            tcp_board_end(&c->flight->board) == c->snd_max));
    /* A flight goes back some time. */
    assert(!c->flight || c->marked || !tcb_is_quiet(c) || timer_is_set(&c->timer));
    /* Nothing waits for ever: unacknowledged data has a timer. */
    assert(c->snd_una == c->snd_max || c->marked || timer_is_set(&c->timer));
}

static uint32_t check_bucket(const struct tcp_stack *t, const struct flow_bucket *b) {
    static const uint16_t none[FLOW_SLOTS];
    uint32_t found = 0;
    if (memcmp(b->tag, none, sizeof(none)) == 0)
        return 0;
    for (int i = 0; i < FLOW_SLOTS; i++) {
        if (!b->tag[i])
            continue;
        check_tcb(pool_at(&t->tcbs, b->index[i]));
        found++;
    }
    return found;
}

void tcp_check(const struct tcp_stack *t) {
    const struct flow_table *f = &t->flows;
    uint32_t found = 0;
    for (uint32_t b = 0; b < f->buckets + f->spare_touched; b++)
        found += check_bucket(t, &f->bucket[b]);
    assert(found == f->used && found <= t->tcbs.used);
}

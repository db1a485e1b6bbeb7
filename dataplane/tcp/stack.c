#include "siphash.h"
#include "tcb.h"
#include <rte_mbuf.h>
#include <stdlib.h>

void tcp_config_defaults(struct tcp_config *c) {
    *c = (struct tcp_config){.connections_max = 40000,
                             .time_wait_max = 40000,
                             .backlog_max = 4096,
                             .small_blocks = 65536,
                             .large_blocks = 65536,
                             .rcv_buffer_bytes = 256 * 1024,
                             .snd_buffer_bytes = 256 * 1024,
                             .keepalive_ms = 60000,
                             .user_timeout_ms = 120000,
                             .time_wait_ms = 60000,
                             .port_first = 20000,
                             .port_last = 60999};
}

static uint32_t power_of_two(uint32_t n) {
    uint32_t p = 64;
    while (p < n)
        p *= 2;
    return p;
}

static bool make_pools(struct tcp_stack *t) {
    const struct tcp_config *c = &t->config;
    uint32_t buckets = power_of_two(c->connections_max);
    t->bucket = calloc(buckets, sizeof(struct tcb *));
    t->bucket_mask = buckets - 1;
    t->out = calloc(buckets, sizeof(*t->out));
    t->out_mask = buckets - 1;
    return t->bucket && t->out &&
           pool_init(&t->tcbs, sizeof(struct tcb), c->connections_max, c->huge_pages) &&
           pool_init(&t->flights, sizeof(struct tcp_flight), c->connections_max, c->huge_pages) &&
           pool_init(&t->ooos, sizeof(struct tcp_ooo), TCP_OOO_STACK_MAX, false) &&
           bq_pools_init(&t->blocks, c->small_blocks, c->large_blocks, c->huge_pages);
}

struct tcp_stack *tcp_create(const struct tcp_config *c, struct net *net, uint64_t now_ns) {
    struct tcp_stack *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->config = *c;
    t->net = net;
    t->counters = c->counters;
    t->now_ns = now_ns;
    t->random = c->seed;
    t->next_port = (uint32_t)c->seed;
    t->ack_young = t->ack_old = (struct tcp_ack_list){POOL_NONE, POOL_NONE};
    memcpy(t->key, c->secret, sizeof(t->key));
    timer_wheel_init(&t->wheel, now_ns, tcp_timer_fired, t);
    if (make_pools(t))
        return t;
    tcp_destroy(t);
    return NULL;
}

void tcp_destroy(struct tcp_stack *t) {
    for (uint32_t i = 0; t->bucket && i <= t->bucket_mask; i++)
        while (t->bucket[i])
            tcb_kill(t->bucket[i]);
    tcp_flush(t);
    pool_fini(&t->tcbs);
    pool_fini(&t->flights);
    pool_fini(&t->ooos);
    bq_pools_fini(&t->blocks);
    free(t->bucket);
    free(t->out);
    free(t);
}

bool tcp_listen(struct tcp_stack *t, uint16_t port, const struct tcp_listener *l) {
    size_t slot = TCP_LISTENERS_MAX;
    for (size_t i = 0; i < TCP_LISTENERS_MAX; i++) {
        if (t->listener[i].port == port)
            return false;
        if (!t->listener[i].port && slot == TCP_LISTENERS_MAX)
            slot = i;
    }
    if (slot == TCP_LISTENERS_MAX || port == 0)
        return false;
    t->listener[slot].port = port;
    t->listener[slot].l = *l;
    return true;
}

void tcp_unlisten(struct tcp_stack *t, uint16_t port) {
    for (size_t i = 0; i < TCP_LISTENERS_MAX; i++)
        if (t->listener[i].port == port)
            t->listener[i].port = 0;
}

struct four_tuple {
    struct ip_addr local, remote;
    uint16_t lport, rport;
    uint32_t zero;
};
_Static_assert(sizeof(struct four_tuple) == 40, "hashed as a whole: no padding");

static uint64_t hash(const uint64_t key[2], const struct ip_addr *local, uint16_t lport,
                     const struct ip_addr *remote, uint16_t rport) {
    const struct four_tuple tuple = {*local, *remote, lport, rport, 0};
    return siphash(key, &tuple, sizeof(tuple));
}

static struct tcb **bucket_of(struct tcp_stack *t, const struct ip_addr *local, uint16_t lport,
                              const struct ip_addr *remote, uint16_t rport) {
    return &t->bucket[hash(t->key, local, lport, remote, rport) & t->bucket_mask];
}

struct tcb *tcb_find(struct tcp_stack *t, const struct ip_addr *local, uint16_t lport,
                     const struct ip_addr *remote, uint16_t rport) {
    struct tcb *c = *bucket_of(t, local, lport, remote, rport);
    while (c && !(c->lport == lport && c->rport == rport && ip_addr_eq(&c->remote, remote) &&
                  ip_addr_eq(&c->local, local)))
        c = c->hash_next;
    return c;
}

uint32_t tcp_now_ms(const struct tcp_stack *t) {
    return (uint32_t)(t->now_ns / 1000000);
}

/* RFC 6528 section 3: a 4 us clock plus a keyed hash of the four-tuple. */
static uint32_t initial_sequence(const struct tcp_stack *t, const struct tcb *c) {
    return (uint32_t)(t->now_ns / 4000) +
           (uint32_t)hash(t->key + 2, &c->local, c->lport, &c->remote, c->rport);
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
    struct tcb **bucket = bucket_of(t, local, lport, remote, rport);
    c->hash_next = *bucket;
    *bucket = c;
    tgw_gauge(t->counters, TGW_C_tcp_connections, t->tcbs.used);
    return c;
}

void ooo_clear(struct tcb *c) {
    struct tcp_flight *f = c->flight;
    while (f && f->ooo) {
        struct tcp_ooo *o = f->ooo;
        f->ooo = o->next;
        rte_pktmbuf_free(o->m);
        pool_free(&c->stack->ooos, o);
    }
    if (f)
        f->ooo_count = 0;
}

struct tcp_flight *tcb_flight(struct tcb *c) {
    if (c->flight)
        return c->flight;
    struct tcp_flight *f = pool_alloc(&c->stack->flights);
    if (!f)
        return NULL;
    *f = (struct tcp_flight){.recover = c->snd_una, .high_rxt = c->snd_una};
    c->flight = f;
    return f;
}

bool tcb_is_quiet(const struct tcb *c) {
    const struct tcp_flight *f = c->flight;
    return c->snd_una == c->snd_max && !c->fin_queued &&
           (!f || (!f->snd.bytes && !f->rcv.bytes && !f->ooo));
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

static void unlink_from_table(struct tcb *c) {
    struct tcb **at = bucket_of(c->stack, &c->local, c->lport, &c->remote, c->rport);
    while (*at != c)
        at = &(*at)->hash_next;
    *at = c->hash_next;
}

void tcb_kill(struct tcb *c) {
    struct tcp_stack *t = c->stack;
    if (c->dead)
        return;
    t->half_open -= c->state == TCP_SYN_RECEIVED;
    t->time_wait -= c->state == TCP_TIME_WAIT;
    c->dead = true;
    c->state = TCP_CLOSED;
    c->user = NULL;
    timer_cancel(&t->wheel, &c->timer);
    unlink_from_table(c);
    tcb_rest(c);
    tcb_mark(c);
}

void tcb_end(struct tcb *c, enum stream_end why) {
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
        if (!c->dead)
            tcp_output(c);
        if (!c->dead || c->ack_listed) /* the list's turn marks the dead again */
            continue;
        pool_free(&t->tcbs, c);
        tgw_gauge(t->counters, TGW_C_tcp_connections, t->tcbs.used);
    }
}

void tcp_begin(struct tcp_stack *t, uint64_t now_ns) {
    t->now_ns = now_ns;
}

uint32_t tcp_advance(struct tcp_stack *t, uint64_t now_ns) {
    t->now_ns = now_ns;
    tcp_ack_advance(t);
    return timer_wheel_advance(&t->wheel, now_ns, 1024);
}

uint64_t tcp_next_timer(const struct tcp_stack *t) {
    uint64_t wheel_ns = timer_wheel_next(&t->wheel), ack_ns = tcp_ack_next_ns(t);
    return wheel_ns < ack_ns ? wheel_ns : ack_ns;
}

static bool port_is_taken(struct tcp_stack *t, const struct net_route *route, uint16_t port,
                          const struct ip_addr *remote, uint16_t rport) {
    for (size_t i = 0; i < TCP_LISTENERS_MAX; i++)
        if (t->listener[i].port == port)
            return true;
    return tcb_find(t, &route->src, port, remote, rport) != NULL;
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
    t->now_ns = now_ns;
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
    t->now_ns = now_ns;
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
    *out = (struct tcp_usage){.connections = t->tcbs.used - t->time_wait,
                              .time_wait = t->time_wait,
                              .half_open = t->half_open,
                              .small_blocks = t->blocks.small.used,
                              .large_blocks = t->blocks.large.used};
}

size_t tcp_connection_bytes(void) {
    return (sizeof(struct tcb) + 63) & ~(size_t)63;
}

static void check_tcb(const struct tcb *c) {
    assert(!c->dead && c->state != TCP_CLOSED);
    assert(seq_le(c->snd_una, c->snd_nxt) && seq_le(c->snd_nxt, c->snd_max));
    assert(tcb_queued(c) <= c->stack->config.snd_buffer_bytes);
    assert(tcb_unread(c) <= c->stack->config.rcv_buffer_bytes);
    assert(!c->flight || c->flight->ooo_count <= TCP_OOO_MAX);
    /* A flight goes back some time. */
    assert(!c->flight || c->marked || !tcb_is_quiet(c) || timer_is_set(&c->timer));
    /* Nothing waits for ever: unacknowledged data has a timer. */
    assert(c->snd_una == c->snd_max || c->marked || timer_is_set(&c->timer));
}

void tcp_check(const struct tcp_stack *t) {
    uint32_t found = 0;
    for (uint32_t i = 0; i <= t->bucket_mask; i++)
        for (const struct tcb *c = t->bucket[i]; c; c = c->hash_next, found++)
            check_tcb(c);
    assert(found <= t->tcbs.used);
}

/* See probe.h. A question is a packet that its target answers by its nature: an ICMP echo,
 * or a TCP segment to a port, open or closed. */
#include "net_priv.h"

enum {
    TRIES = 3,
    WAIT_NS = 200000000,
    DISCARD_PORT = 9,
    LPORT_FIRST = 61000, /* above those that connections use */
    LPORTS = 4000,
    STEER_PORTS_TRIED = 512,
    TCP_HDR_BYTES = 20,
    ICMP_HDR_BYTES = 8,
    TSO_MSS = 400,
    TSO_SEGMENTS = 2,
    TSO_ALL = (1 << TSO_SEGMENTS) - 1,
};

/* Where the path takes less than the port, the largest of these that passes is told. */
static const uint16_t ladder[] = {8000, 4000, 2000, 1500, 1492, 1450, 1400, 1280, 1024, 576};
enum { RUNGS = sizeof(ladder) / sizeof(ladder[0]) };

static void set(struct probe *b, enum tgw_check check, enum tgw_check_state state, uint64_t value) {
    b->result[check] = (struct tgw_check_result){
        .state = (uint8_t)state, .value = value > UINT32_MAX ? UINT32_MAX : (uint32_t)value};
}

static bool passed(const struct probe *b, enum tgw_check check) {
    return b->result[check].state == TGW_CHECK_PASS;
}

/* Send what starts at its transport header, the port doing `with` and software the rest. */
static void emit(struct net *n, struct rte_mbuf *m, uint8_t proto, uint32_t with) {
    const struct probe *b = &n->probe;
    struct iface *out = &n->iface[b->plan.iface];
    uint32_t usual = out->offloads;
    bool v4 = ip_addr_is4(&b->local);
    m->ol_flags &= ~(uint64_t)RTE_MBUF_F_TX_OFFLOAD_MASK;
    out->offloads = with | (usual & PORT_TX_VLAN);
    if (proto == PROTO_TCP)
        put_checksum(out, m, &b->local, &b->plan.target);
    bool pushed = v4 ? ip4_push(n, out, m, &b->local, &b->plan.target, proto, 0)
                     : ip6_push(m, &b->local, &b->plan.target, proto, HOP_LIMIT, 0);
    if (pushed)
        ip_send(n, out, m, &b->plan.target);
    else
        net_drop(n, m, TGW_R_mbuf_exhausted);
    out->offloads = usual;
}

static void send_echo_of(struct net *n, uint16_t ip_bytes, uint32_t with) {
    struct probe *b = &n->probe;
    bool v4 = ip_addr_is4(&b->local);
    uint16_t bytes = (uint16_t)(ip_bytes - (v4 ? 20 : 40));
    struct rte_mbuf *m = net_tx_alloc(n);
    uint8_t *p = m ? (uint8_t *)rte_pktmbuf_append(m, bytes) : NULL;
    if (!p) {
        rte_pktmbuf_free(m);
        return;
    }
    memset(p, 0x5a, bytes);
    memset(p, 0, ICMP_HDR_BYTES);
    p[0] = v4 ? 8 : 128;
    put16(p + 4, b->id);
    put16(p + 6, (uint16_t)b->seq);
    uint16_t sum = v4 ? (uint16_t)~rte_raw_cksum(p, bytes)
                      : icmp6_checksum(&b->local, &b->plan.target, p, bytes);
    memcpy(p + 2, &sum, sizeof(sum));
    emit(n, m, v4 ? PROTO_ICMP4 : PROTO_ICMP6, with);
}

static void send_tcp(struct net *n, uint8_t flags, uint32_t seq, uint16_t payload, uint32_t with) {
    const struct probe *b = &n->probe;
    struct rte_mbuf *m = net_tx_alloc(n);
    uint8_t *p = m ? (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(TCP_HDR_BYTES + payload)) : NULL;
    if (!p) {
        rte_pktmbuf_free(m);
        return;
    }
    memset(p, 0, TCP_HDR_BYTES);
    memset(p + TCP_HDR_BYTES, 0x5a, payload);
    put16(p, b->lport);
    put16(p + 2, b->plan.tcp_port);
    put16(p + 4, (uint16_t)(seq >> 16));
    put16(p + 6, (uint16_t)seq);
    p[12] = TCP_HDR_BYTES / 4 << 4;
    p[13] = flags;
    put16(p + 14, 1024);
    m->tso_segsz = with & PORT_TX_TSO ? TSO_MSS : 0;
    emit(n, m, PROTO_TCP, with);
}

static void ask_echo(struct net *n, uint32_t with) {
    send_echo_of(n, 84, with);
}

static void ask_syn(struct net *n, uint32_t with) {
    send_tcp(n, SEG_SYN, n->probe.seq, 0, with);
}

static void ask_either(struct net *n, uint32_t with) {
    if (passed(&n->probe, TGW_CHECK_echo))
        ask_echo(n, with);
    else
        ask_syn(n, with);
}

static uint16_t rung_bytes(const struct net *n) {
    const struct probe *b = &n->probe;
    return b->rung ? ladder[b->rung - 1] : n->iface[b->plan.iface].port->mtu;
}

static void ask_large_echo(struct net *n, uint32_t with) {
    send_echo_of(n, rung_bytes(n), with);
}

/* Without ACK, a closed port answers each segment with the number that follows it
 * (RFC 9293 section 3.10.7.1). */
static void ask_segments(struct net *n, uint32_t with) {
    n->probe.tso_seen = 0;
    send_tcp(n, SEG_PSH, n->probe.seq, TSO_MSS * TSO_SEGMENTS, with | PORT_TX_L4_CKSUM);
}

/* From a port whose answer should land on the queue that is being asked. */
static void ask_queue(struct net *n, uint32_t with) {
    struct probe *b = &n->probe;
    for (uint16_t k = 0; k < STEER_PORTS_TRIED; k++) {
        b->lport = (uint16_t)(LPORT_FIRST + (b->lport - LPORT_FIRST + 1) % LPORTS);
        if (b->plan.queue_of(b->plan.ctx, &b->local, b->lport, &b->plan.target, b->plan.tcp_port) ==
            b->queue)
            break;
    }
    ask_syn(n, with);
}

static const struct step {
    enum tgw_check check;
    uint32_t with;               /* done by the port; a port without it is not asked */
    enum tgw_check first;        /* what must have passed; itself: nothing */
    bool either;                 /* ... or the other round trip instead */
    enum tgw_check_state silent; /* nobody answered */
    void (*ask)(struct net *n, uint32_t with);
} steps[] = {
    {TGW_CHECK_echo, 0, TGW_CHECK_echo, false, TGW_CHECK_FAIL, ask_echo},
    {TGW_CHECK_tcp, 0, TGW_CHECK_tcp, false, TGW_CHECK_FAIL, ask_syn},
    {TGW_CHECK_mtu, 0, TGW_CHECK_echo, false, TGW_CHECK_FAIL, ask_large_echo},
    {TGW_CHECK_tx_ip_cksum, PORT_TX_IP_CKSUM, TGW_CHECK_tcp, true, TGW_CHECK_OFF, ask_either},
    {TGW_CHECK_tx_l4_cksum, PORT_TX_L4_CKSUM, TGW_CHECK_tcp, false, TGW_CHECK_OFF, ask_syn},
    {TGW_CHECK_tx_tso, PORT_TX_TSO, TGW_CHECK_tx_l4_cksum, false, TGW_CHECK_OFF, ask_segments},
    {TGW_CHECK_steering, 0, TGW_CHECK_tcp, false, TGW_CHECK_UNVERIFIED, ask_queue},
};
enum { STEPS = sizeof(steps) / sizeof(steps[0]) };

/* PASS: to be asked. Else the result without asking. */
static enum tgw_check_state applies(const struct probe *b, const struct step *s) {
    bool v6_ip = s->check == TGW_CHECK_tx_ip_cksum && !ip_addr_is4(&b->local);
    bool one_queue = s->check == TGW_CHECK_steering && (b->plan.queues < 2 || !b->plan.queue_of);
    if ((s->with & ~b->plan.offloads) || v6_ip || one_queue)
        return TGW_CHECK_ABSENT;
    bool ready =
        s->first == s->check || passed(b, s->first) || (s->either && passed(b, TGW_CHECK_echo));
    return ready ? TGW_CHECK_PASS : TGW_CHECK_UNVERIFIED;
}

static void ask(struct net *n) {
    struct probe *b = &n->probe;
    b->attempt++;
    b->answered = false;
    b->id++;
    b->seq = (uint32_t)net_random(n);
    b->lport = (uint16_t)(LPORT_FIRST + (b->lport - LPORT_FIRST + 1) % LPORTS);
    b->sent_ns = n->now_ns;
    b->next_ns = n->now_ns + WAIT_NS;
    steps[b->step].ask(n, steps[b->step].with);
}

static void judge_verdicts(struct probe *b) {
    if (!(b->plan.offloads & PORT_RX_L4_CKSUM))
        set(b, TGW_CHECK_rx_cksum, TGW_CHECK_ABSENT, 0);
    else if (b->misjudged)
        set(b, TGW_CHECK_rx_cksum, TGW_CHECK_OFF, b->misjudged);
    else
        set(b, TGW_CHECK_rx_cksum, b->judged ? TGW_CHECK_PASS : TGW_CHECK_UNVERIFIED, b->judged);
}

/* A round trip that is filtered is no fault of the port where the other one works. */
static void finish(struct net *n) {
    struct probe *b = &n->probe;
    struct iface *out = &n->iface[b->plan.iface];
    bool known = neigh_is_known(n, out, &b->plan.target);
    b->active = false;
    set(b, TGW_CHECK_neighbour, known ? TGW_CHECK_PASS : TGW_CHECK_FAIL, 0);
    if (passed(b, TGW_CHECK_tcp) && !passed(b, TGW_CHECK_echo))
        set(b, TGW_CHECK_echo, TGW_CHECK_UNVERIFIED, 0);
    if (passed(b, TGW_CHECK_echo) && !passed(b, TGW_CHECK_tcp))
        set(b, TGW_CHECK_tcp, TGW_CHECK_UNVERIFIED, 0);
    judge_verdicts(b);
}

/* On to the next step that is to be asked. */
static void advance(struct net *n) {
    struct probe *b = &n->probe;
    b->attempt = 0;
    for (; b->step < STEPS; b->step++) {
        enum tgw_check_state state = applies(b, &steps[b->step]);
        if (state == TGW_CHECK_PASS) {
            ask(n);
            return;
        }
        set(b, steps[b->step].check, state, 0);
    }
    finish(n);
}

static void next_step(struct net *n) {
    n->probe.step++;
    advance(n);
}

static void on_answer(struct net *n) {
    struct probe *b = &n->probe;
    enum tgw_check check = steps[b->step].check;
    if (check == TGW_CHECK_steering) {
        if (b->answered_on != b->queue) {
            set(b, check, TGW_CHECK_FAIL, b->queue);
        } else if (++b->queue < b->plan.queues) {
            b->attempt = 0;
            ask(n);
            return;
        } else {
            set(b, check, TGW_CHECK_PASS, b->plan.queues);
        }
    } else if (check == TGW_CHECK_mtu) {
        set(b, check, b->rung ? TGW_CHECK_FAIL : TGW_CHECK_PASS, rung_bytes(n));
    } else if (check == TGW_CHECK_tx_tso) {
        set(b, check, TGW_CHECK_PASS, TSO_SEGMENTS);
    } else {
        set(b, check, TGW_CHECK_PASS, (b->answered_ns - b->sent_ns) / 1000);
    }
    next_step(n);
}

/* The next smaller size; false: there is none. */
static bool climb_down(struct net *n) {
    struct probe *b = &n->probe;
    uint16_t now_bytes = rung_bytes(n);
    while (b->rung < RUNGS && (b->rung == 0 || ladder[b->rung - 1] >= now_bytes)) {
        b->rung++;
        if (ladder[b->rung - 1] < now_bytes)
            break;
    }
    if (rung_bytes(n) >= now_bytes)
        return false;
    b->attempt = 0;
    ask(n);
    return true;
}

static void on_silence(struct net *n) {
    struct probe *b = &n->probe;
    const struct step *s = &steps[b->step];
    if (b->attempt < TRIES && b->rung == 0) {
        ask(n);
        return;
    }
    if (s->check == TGW_CHECK_mtu && climb_down(n))
        return;
    set(b, s->check, s->silent, 0);
    next_step(n);
}

void net_probe_start(struct net *n, uint64_t now_ns, const struct net_probe_plan *p) {
    struct probe *b = &n->probe;
    struct iface *out = &n->iface[p->iface];
    const struct ip_addr *source = iface_source(out, &p->target);
    n->now_ns = now_ns;
    *b = (struct probe){.plan = *p, .id = (uint16_t)net_random(n), .lport = LPORT_FIRST};
    b->lport = (uint16_t)(LPORT_FIRST + net_random(n) % LPORTS);
    if (!b->plan.tcp_port)
        b->plan.tcp_port = DISCARD_PORT;
    if (!source || !iface_on_link(out, &p->target))
        return; /* nothing was run */
    b->local = *source;
    b->active = true;
    advance(n);
}

bool net_probe_result(const struct net *n, struct tgw_check_result out[TGW_CHECK_COUNT]) {
    memcpy(out, n->probe.result, sizeof(n->probe.result));
    return !n->probe.active;
}

void net_probe_queue(struct net *n, uint16_t queue) {
    n->rx_queue = queue;
}

void probe_tick(struct net *n) {
    struct probe *b = &n->probe;
    if (!b->active)
        return;
    if (b->answered)
        on_answer(n);
    else if (n->now_ns >= b->next_ns)
        on_silence(n);
}

static bool is_target(const struct probe *b, const struct rx *rx) {
    return b->active && rx->in->index == b->plan.iface && ip_addr_eq(&rx->src, &b->plan.target) &&
           ip_addr_eq(&rx->dst, &b->local);
}

/* What the port says of the packet, against the packet. */
static bool judge(struct probe *b, const struct rx *rx) {
    bool right = tcp_checksum(&rx->src, &rx->dst, rx->p, rx->len) == 0;
    uint64_t verdict = rx->m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
    if (verdict == RTE_MBUF_F_RX_L4_CKSUM_NONE)
        right = true;
    b->judged += verdict == RTE_MBUF_F_RX_L4_CKSUM_GOOD || verdict == RTE_MBUF_F_RX_L4_CKSUM_NONE;
    b->misjudged += verdict == (right ? RTE_MBUF_F_RX_L4_CKSUM_BAD : RTE_MBUF_F_RX_L4_CKSUM_GOOD);
    return right;
}

bool probe_took_segment(struct net *n, const struct rx *rx, const struct seg *s) {
    struct probe *b = &n->probe;
    if (!is_target(b, rx) || s->sport != b->plan.tcp_port || s->dport != b->lport)
        return false;
    if (!judge(b, rx) || b->answered || !(s->flags & SEG_ACK))
        return true;
    if (steps[b->step].check == TGW_CHECK_tx_tso) {
        for (uint32_t k = 0; k < TSO_SEGMENTS; k++)
            if (s->ack == b->seq + (k + 1) * TSO_MSS)
                b->tso_seen |= (uint8_t)(1u << k);
        b->answered = b->tso_seen == TSO_ALL;
        return true;
    }
    b->answered = s->ack == b->seq + 1;
    b->answered_ns = n->now_ns;
    b->answered_on = n->rx_queue;
    if ((s->flags & SEG_SYN) && b->answered) /* open: do not leave it half so */
        send_tcp(n, SEG_RST, b->seq + 1, 0, 0);
    return true;
}

enum tgw_reason probe_echo_reply(struct net *n, const struct rx *rx) {
    struct probe *b = &n->probe;
    if (!is_target(b, rx) || get16(rx->p + 4) != b->id || get16(rx->p + 6) != (uint16_t)b->seq)
        return TGW_R_icmp_unhandled;
    b->answered = true;
    b->answered_ns = n->now_ns;
    return TGW_OK;
}

/* Passive open: half-open connections while there are few, SYN cookies (RFC 4987 section
 * 3.6) when there are many. A cookie is an ISS from which the ACK of our SYN tells what the
 * SYN said: three bits of MSS, one of time, 28 of a keyed hash over those, the four-tuple,
 * the peer's ISS and the options that stand in the low bits of our timestamp. */
#include "reply.h"
#include "siphash.h"
#include "tcb.h"

enum {
    STEP_MS = 64000, /* a cookie holds for this step and the next */
    MSS_BITS = 3,
    STEP_BIT = 1 << MSS_BITS,
    MAC_SHIFT = MSS_BITS + 1,
    OPT_WSCALE_MASK = 15,
    OPT_WSCALE_NONE = 15,
    OPT_SACK = 16,
    OPT_ECN = 32,
    OPT_MASK = 63,
    OPT_NO_TS = 64, /* never on the wire: the hash tells it from a timestamp without options */
};

/* Common path MTUs less headers, and the least that is safe. */
static const uint16_t mss_of[1 << MSS_BITS] = {
    TCP_MSS_DEFAULT, 1220, 1300, 1360, 1400, 1440, 1460, 8940};

static struct listener *listener_of(struct tcp_stack *t, uint16_t port) {
    for (size_t i = 0; i < TCP_LISTENERS_MAX; i++)
        if (t->listener[i].port && t->listener[i].port == port)
            return &t->listener[i];
    return NULL;
}

bool tcp_is_listening(const struct tcp_stack *t, uint16_t port) {
    return listener_of((struct tcp_stack *)t, port) != NULL;
}

bool tcp_listen(struct tcp_stack *t, uint16_t port, const struct tcp_listener *l) {
    struct listener *slot = NULL;
    if (port == 0 || listener_of(t, port))
        return false;
    for (size_t i = 0; i < TCP_LISTENERS_MAX && !slot; i++)
        if (!t->listener[i].port)
            slot = &t->listener[i];
    if (slot)
        *slot = (struct listener){.l = *l, .syns_left = t->config.syn_rate_max, .port = port};
    return slot != NULL;
}

void tcp_unlisten(struct tcp_stack *t, uint16_t port) {
    struct listener *l = listener_of(t, port);
    if (l)
        l->port = 0;
}

/* A SYN this second that may take memory. */
static bool within_rate(struct tcp_stack *t, struct listener *l) {
    if (t->config.syn_rate_max == 0)
        return true;
    if (t->now_ns - l->second_ns >= UINT64_C(1000000000)) {
        l->second_ns = t->now_ns;
        l->syns_left = t->config.syn_rate_max;
    }
    if (l->syns_left == 0)
        return false;
    l->syns_left--;
    return true;
}

static uint32_t step_now(const struct tcp_stack *t) {
    return (uint32_t)(t->now_ns / 1000000 / STEP_MS);
}

/* The 28 bits that nobody else can make. */
static uint32_t cookie_mac(const struct tcp_stack *t, const struct seg *s, uint32_t peer_iss,
                           uint32_t step, uint32_t mss_index, uint32_t options) {
    const struct {
        struct flow_key flow;
        uint32_t peer_iss, step, mss_index, options;
    } said = {{s->dst, s->src, s->dport, s->sport, 0}, peer_iss, step, mss_index, options};
    _Static_assert(sizeof(said) == 56, "hashed as a whole: no padding");
    return (uint32_t)siphash(t->cookie_key, &said, sizeof(said)) >> MAC_SHIFT;
}

static uint32_t mss_index_of(uint16_t mss) {
    uint32_t i = (1 << MSS_BITS) - 1;
    while (i > 0 && mss_of[i] > mss)
        i--;
    return i;
}

static uint32_t options_of(const struct tcp_stack *t, const struct seg *s) {
    bool ecn = t->config.use_ecn && (s->flags & SEG_ECE) && (s->flags & SEG_CWR);
    if (!s->has_ts)
        return OPT_NO_TS;
    return (s->has_wscale ? s->wscale : (uint32_t)OPT_WSCALE_NONE) |
           (s->sack_permitted ? OPT_SACK : 0) | (ecn ? OPT_ECN : 0);
}

/* Our clock with the options in its low bits, never ahead of the time. */
static uint32_t cookie_timestamp(const struct tcp_stack *t, uint32_t options) {
    uint32_t now_ms = tcp_now_ms(t), ts = (now_ms & ~(uint32_t)OPT_MASK) | options;
    return (int32_t)(ts - now_ms) > 0 ? ts - (OPT_MASK + 1) : ts;
}

static bool send_cookie(struct tcp_stack *t, const struct seg *s, const struct net_route *route) {
    uint16_t ours = (uint16_t)(route->mtu - (ip_addr_is4(&s->src) ? 40 : 60));
    uint16_t theirs = s->mss ? s->mss : TCP_MSS_DEFAULT;
    uint32_t mss_index = mss_index_of(theirs < ours ? theirs : ours);
    uint32_t options = options_of(t, s), step = step_now(t);
    uint32_t mac = cookie_mac(t, s, s->seq, step, mss_index, options);
    struct tcp_reply r = {.seq = mac << MAC_SHIFT | (step & 1) << MSS_BITS | mss_index,
                          .ack = s->seq + 1,
                          .wnd = (uint16_t)tcp_syn_window(t),
                          .mss = ours,
                          .flags = SEG_SYN | SEG_ACK};
    if (s->has_ts) { /* without them the options would be forgotten: not offered */
        r.has_ts = true;
        r.ts_val = cookie_timestamp(t, options);
        r.ts_ecr = s->ts_val;
        r.wscale = s->has_wscale ? TCP_WSCALE : 0;
        r.sack_permitted = s->sack_permitted;
        r.flags |= options & OPT_ECN ? SEG_ECE : 0;
    }
    return tcp_reply(t, s, &r);
}

/* The step of the cookie's time bit, no later than now. */
static uint32_t cookie_step(const struct tcp_stack *t, uint32_t cookie) {
    uint32_t step = step_now(t);
    return step - ((step ^ cookie >> MSS_BITS) & 1);
}

/* The SYN again, as far as the cookie has kept it. False: it is none of ours. */
static bool read_cookie(const struct tcp_stack *t, const struct seg *s, struct seg *syn) {
    uint32_t cookie = s->ack - 1, mss_index = cookie & (STEP_BIT - 1);
    uint32_t options = s->has_ts ? s->ts_ecr & OPT_MASK : (uint32_t)OPT_NO_TS;
    uint32_t mac = cookie_mac(t, s, s->seq - 1, cookie_step(t, cookie), mss_index, options);
    *syn = (struct seg){.src = s->src,
                        .dst = s->dst,
                        .sport = s->sport,
                        .dport = s->dport,
                        .seq = s->seq - 1,
                        .wnd = s->wnd,
                        .flags = SEG_SYN,
                        .mss = mss_of[mss_index],
                        .has_ts = s->has_ts,
                        .ts_val = s->ts_val};
    if (s->has_ts) {
        uint32_t wscale = options & OPT_WSCALE_MASK;
        syn->has_wscale = wscale != OPT_WSCALE_NONE;
        syn->wscale = (uint8_t)(syn->has_wscale ? wscale : 0);
        syn->sack_permitted = options & OPT_SACK;
        syn->flags |= options & OPT_ECN ? SEG_ECE | SEG_CWR : 0;
    }
    return ((mac ^ cookie >> MAC_SHIFT) & (UINT32_MAX >> MAC_SHIFT)) == 0;
}

static struct tcb *half_open(struct tcp_stack *t, const struct seg *syn,
                             const struct net_route *route) {
    struct tcb *c = tcb_make(t, &syn->dst, syn->dport, &syn->src, syn->sport, route);
    if (!c) {
        tgw_count_reason(t->counters, TGW_R_tcp_no_memory);
        return NULL;
    }
    tcp_take_syn(c, syn);
    c->state = TCP_SYN_RECEIVED;
    c->passive = true;
    t->half_open++;
    return c;
}

void tcp_passive_open(struct tcp_stack *t, const struct seg *s, uint32_t iss_min) {
    struct listener *l = listener_of(t, s->dport);
    struct net_route route;
    if (!net_route(t->net, &s->src, &route)) {
        tgw_count_reason(t->counters, TGW_R_no_route);
        return;
    }
    if (!within_rate(t, l) || t->half_open >= t->config.backlog_max) {
        if (send_cookie(t, s, &route)) {
            l->cookie_ns = t->now_ns;
            l->cookies = true;
            tgw_count(t->counters, TGW_C_tcp_syn_cookies_sent, 1);
        } else {
            tgw_count_reason(t->counters, TGW_R_tcp_backlog_full);
        }
        return;
    }
    struct tcb *c = half_open(t, s, &route);
    if (!c)
        return;
    if (iss_min && !seq_lt(iss_min, c->iss)) /* RFC 6191 section 2: above what was */
        c->iss = c->snd_una = c->snd_nxt = c->snd_max = iss_min + 1;
    tcb_mark(c);
}

/* Cookies are believed only while some may be about. */
static bool may_be_cookie(const struct tcp_stack *t, const struct listener *l,
                          const struct seg *s) {
    const uint64_t life_ns = UINT64_C(2000000) * STEP_MS;
    return l && l->cookies && t->now_ns - l->cookie_ns < life_ns &&
           (s->flags & (SEG_SYN | SEG_ACK | SEG_RST)) == SEG_ACK;
}

struct tcb *tcp_cookie_open(struct tcp_stack *t, const struct seg *s, bool *drop) {
    struct net_route route;
    struct seg syn;
    *drop = false;
    if (!may_be_cookie(t, listener_of(t, s->dport), s))
        return NULL;
    if (!read_cookie(t, s, &syn)) {
        tgw_count(t->counters, TGW_C_tcp_syn_cookies_bad, 1);
        *drop = s->len > 0; /* perhaps the second segment, and the first will come again */
        return NULL;
    }
    *drop = true;
    struct tcb *c = net_route(t->net, &s->src, &route) ? half_open(t, &syn, &route) : NULL;
    if (!c)
        return NULL;
    tgw_count(t->counters, TGW_C_tcp_syn_cookies_ok, 1);
    c->iss = c->snd_una = s->ack - 1;
    c->snd_nxt = c->snd_max = s->ack;
    c->snd_wraps = s->ack == 0;
    c->rcv_adv = c->rcv_nxt + tcp_syn_window(t);
    return c;
}

bool tcp_accept(struct tcb *c, const struct seg *s) {
    struct tcp_stack *t = c->stack;
    const struct listener *l = listener_of(t, c->lport);
    struct tgw_endpoint local = {.port = c->lport}, remote = {.port = c->rport};
    memcpy(local.addr, c->local.b, sizeof(local.addr));
    memcpy(remote.addr, c->remote.b, sizeof(remote.addr));
    tgw_count(t->counters, TGW_C_tcp_accepts, 1);
    c->handler = l ? l->l.handler : NULL;
    void *user =
        l ? l->l.accepted(l->l.ctx, (struct stream){&tcp_stream_ops, c}, &local, &remote) : NULL;
    if (c->dead)
        return false;
    if (!user) {
        tcp_send_rst(t, s);
        tcb_kill(c);
        return false;
    }
    if (!c->user && !c->deadline_ms[TCP_D_LIFE]) /* accepted() has not set or released it */
        c->user = user;
    return true;
}

/* A whole connection, or several on one pair of addresses, fed by a peer that knows the
 * numbers and does as it likes: 12 bytes an act. Whatever it does, the bytes that the owner
 * reads are those of the peer's stream, the stack's own invariants hold after every act,
 * and once the owner has let go everything is given back within the timeouts. */
#include "tests/lib/eal_init.h"
#include "tests/packet/host.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ACT_BYTES = 12, ACTS_MAX = 400, PEER_ISS = 0xfffffa00u, PAYLOAD_MAX = 1400 };
static const uint64_t MS = 1000000;
static const uint64_t LETS_GO_NS = UINT64_C(400000000000);

struct play {
    struct host *h;
    struct conn *c;
    uint32_t sent, heard; /* after the highest number of the peer's, of the stack's */
    bool other_iss;       /* a SYN began elsewhere: the pattern does not tell any more */
};

static void check(bool holds) {
    if (!holds)
        abort();
}

static uint32_t two(const uint8_t *b) {
    return (uint32_t)b[0] << 8 | b[1];
}

/* Near the number, or anywhere. */
static uint32_t about(uint32_t number, uint8_t how, uint8_t by) {
    if (how < 128)
        return number;
    if (how < 192)
        return number + (uint32_t)(int8_t)by;
    if (how < 240)
        return number + (uint32_t)((int8_t)by * 257);
    return number + ((uint32_t)by << 24);
}

static void take_seen(struct play *p) {
    struct host *h = p->h;
    for (unsigned i = 0; i < h->seen_count; i++) {
        const struct seg *s = &h->seen[i].seg;
        uint32_t end = s->seq + s->len + ((s->flags & SEG_SYN) != 0) + ((s->flags & SEG_FIN) != 0);
        if ((s->flags & SEG_SYN) || (int32_t)(end - p->heard) > 0)
            p->heard = end;
    }
    h->seen_first = h->seen_count = 0;
    h->event_first = h->event_count = 0;
    h->overflow = false;
    check(p->other_iss || h->wrong_bytes == 0);
}

static void options(struct seg *s, const struct play *p, uint8_t bits, uint8_t a, uint8_t b) {
    if (s->flags & SEG_SYN) {
        s->mss = bits & 1 ? (uint16_t)(a * 8) : 0;
        s->has_wscale = bits & 2;
        s->wscale = b & 15;
        s->sack_permitted = bits & 4;
    } else if (bits & 4) {
        s->sack_count = 1 + (bits >> 3 & 1);
        for (uint8_t i = 0; i < s->sack_count; i++) {
            s->sack[i].start = p->heard - (uint32_t)(a + i * b) * 16;
            s->sack[i].end = s->sack[i].start + b * 8u;
        }
    }
    s->has_ts = bits & 16;
    s->ts_val = (uint32_t)(p->h->now_ns / MS) + (bits & 32 ? (uint32_t)(int8_t)a : 0);
    s->ts_ecr = p->c->ts_last - (bits & 64 ? b : 0);
}

static void segment(struct play *p, const uint8_t *b) {
    static uint8_t payload[PAYLOAD_MAX];
    struct host *h = p->h;
    struct frame f;
    struct seg s = {.sport = p->c->peer_port,
                    .dport = p->c->our_port,
                    .flags = b[1],
                    .seq = about(p->sent, b[2], b[3]),
                    .ack = about(p->heard, b[4], b[5]),
                    .wnd = (uint16_t)two(b + 6),
                    .ecn = b[8] & 3,
                    .len = b[9] < 32 ? b[9] : two(b + 8) % PAYLOAD_MAX,
                    .payload = payload};
    if (s.flags & SEG_SYN)
        s.len = b[9] & 1 ? s.len : 0;
    else if ((b[0] & 0xe0) == 0) /* most segments acknowledge */
        s.flags |= SEG_ACK;
    p->other_iss |= (s.flags & SEG_SYN) && s.seq != PEER_ISS;
    for (uint32_t i = 0; i < s.len; i++)
        payload[i] = host_pattern((uint32_t)(s.seq + i - PEER_ISS - 1));
    options(&s, p, b[10], b[11], b[3]);
    wire_build(&f, host_peer_addr(h), host_our_addr(h), &s);
    uint32_t end = s.seq + s.len + ((s.flags & SEG_SYN) != 0) + ((s.flags & SEG_FIN) != 0);
    if ((int32_t)(end - p->sent) > 0 && b[2] < 192)
        p->sent = end;
    host_inject(h, &f);
}

static void icmp(struct play *p, const uint8_t *b) {
    struct host *h = p->h;
    struct frame f;
    struct wire_icmp e = {.too_big = b[1] & 1,
                          .mtu = two(b + 2),
                          .seq = about(p->heard, b[4], b[5]),
                          .sport = p->c->our_port,
                          .dport = p->c->peer_port};
    const char *router = h->setup.ipv6 ? "fd18::fe" : "198.18.0.254";
    wire_build_icmp(&f, router, host_our_addr(h), host_peer_addr(h), &e);
    host_inject(h, &f);
}

static void owner(struct play *p, const uint8_t *b) {
    static const uint8_t bytes[8192];
    struct stream *s = &p->c->s;
    if (!s->impl) {
        if ((b[1] & 7) == 7)
            host_connect(p->h, p->c);
        return;
    }
    switch (b[1] & 7) {
    case 0:
        s->ops->shutdown(s->impl);
        break;
    case 1:
        if ((b[2] & 3) == 0) {
            s->ops->abort(s->impl);
            s->impl = NULL;
        }
        break;
    case 2:
        if ((b[2] & 3) == 0) {
            s->ops->release(s->impl);
            s->impl = NULL;
        }
        break;
    case 3:
        host_read(p->c, two(b + 2));
        break;
    default:
        s->ops->write(s->impl, bytes, two(b + 2) % sizeof(bytes));
    }
}

static void wait(struct play *p, uint64_t ns) {
    uint64_t until_ns = p->h->now_ns + ns;
    while (p->h->now_ns < until_ns) {
        host_advance(p->h, until_ns);
        take_seen(p);
    }
}

static void act(struct play *p, const uint8_t *b) {
    switch (b[0] & 7) {
    case 5:
        wait(p, (1 + two(b + 1)) * MS >> (b[3] & 15));
        break;
    case 6:
        owner(p, b);
        break;
    case 7:
        icmp(p, b);
        break;
    default:
        segment(p, b);
    }
    host_turn(p->h);
    tcp_check(p->h->tcp);
    take_seen(p);
}

static void let_go(struct play *p) {
    struct tcp_usage u;
    struct stream *s = &p->c->s;
    if (s->impl)
        s->ops->release(s->impl);
    s->impl = NULL;
    wait(p, LETS_GO_NS);
    tcp_usage(p->h->tcp, &u);
    check(u.connections + u.time_wait + u.half_open == 0);
    check(u.small_blocks + u.large_blocks == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct rte_mempool *pool;
    struct host_setup setup;
    if (!pool)
        pool = test_eal_init(4095);
    if (size < 4)
        return 0;
    host_setup_defaults(&setup);
    setup.ipv6 = data[0] & 1;
    setup.manual_read = data[0] & 2;
    setup.peer_iss = PEER_ISS;
    setup.tcp.use_ecn = data[0] & 4;
    setup.tcp.use_cubic = data[0] & 8;
    setup.tcp.backlog_max = data[0] & 16 ? 0 : 8;
    setup.tcp.ack_delay_ms = data[0] & 32 ? 40 : 0;
    setup.tcp.keepalive_ms = data[0] & 64 ? 30000 : 0;
    setup.tcp.rcv_buffer_bytes = 512u << (data[1] & 7);
    setup.tcp.snd_buffer_bytes = 512u << (data[1] >> 4 & 7);
    struct play p = {.h = host_open(&setup, pool, UINT64_C(5000000000)), .sent = PEER_ISS};
    check(p.h != NULL);
    p.c = host_conn(p.h, HOST_PEER_PORT);
    host_listen(p.h);
    if (data[0] & 128)
        host_connect(p.h, p.c);
    host_turn(p.h);
    take_seen(&p);
    for (size_t at = 2, n = 0; at + ACT_BYTES <= size && n < ACTS_MAX; at += ACT_BYTES, n++)
        act(&p, data + at);
    let_go(&p);
    check(host_close(p.h));
    return 0;
}

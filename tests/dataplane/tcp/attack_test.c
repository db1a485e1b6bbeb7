/* Attacks by somebody who knows the addresses and ports, in memory and on virtual time: real
 * connections go on, memory stays bounded, and what is thrown away has a name. */
#include "tests/lib/eal_init.h"
#include "tests/lib/suite.h"
#include "tests/packet/host.h"
#include <stdlib.h>

enum { ISS = 5000, FLOOD = 100000, REAL_EVERY = 100, TYPED = 10 };

static struct rte_mempool *mbufs;
static struct host *h;
static uint32_t random_state = 1;

static uint32_t rnd(void) {
    random_state = random_state * 1664525 + 1013904223;
    return random_state >> 4;
}

static void open_host(uint32_t backlog) {
    struct host_setup s;
    host_setup_defaults(&s);
    s.tcp.backlog_max = backlog;
    s.peer_iss = ISS;
    h = host_open(&s, mbufs, UINT64_C(5000000000));
    CU_ASSERT_PTR_NOT_NULL_FATAL(h);
    host_listen(h);
    host_turn(h);
}

static void forget_seen(void) {
    h->seen_first = h->seen_count = h->event_first = h->event_count = 0;
    h->overflow = false;
}

static void close_host(void) {
    forget_seen();
    CU_ASSERT_EQUAL(h->wrong_bytes, 0);
    CU_ASSERT_TRUE(host_close(h));
}

static uint64_t counted(enum tgw_counter c) {
    return tgw_counter_get(h->counters, c);
}

/* The answer to the segment; NULL: none. */
static const struct seg *send_from(const char *addr, const struct seg *s) {
    struct frame f;
    forget_seen();
    wire_build(&f, addr, host_our_addr(h), s);
    host_inject(h, &f);
    return h->seen_count ? &h->seen[0].seg : NULL;
}

static const struct seg *send(const struct seg *s) {
    return send_from(host_peer_addr(h), s);
}

static struct seg bare(const struct conn *c, uint8_t flags, uint32_t seq, uint32_t ack) {
    return (struct seg){.sport = c->peer_port,
                        .dport = HOST_LISTEN_PORT,
                        .seq = seq,
                        .ack = ack,
                        .wnd = 60000,
                        .flags = flags};
}

/* A real client's handshake and a few keystrokes, each acknowledged. */
static bool connect_and_type(uint16_t port, struct conn **out) {
    uint8_t keys[TYPED];
    struct conn who = {.peer_port = port};
    struct seg syn = bare(&who, SEG_SYN, ISS, 0);
    syn.mss = 1460;
    syn.has_ts = syn.sack_permitted = syn.has_wscale = true;
    syn.wscale = 7;
    syn.ts_val = 1;
    const struct seg *answer = send(&syn);
    if (!answer || answer->flags != (SEG_SYN | SEG_ACK))
        return false;
    uint32_t ack = answer->seq + 1;
    struct seg s = bare(&who, SEG_ACK, ISS + 1, ack);
    s.has_ts = true;
    s.ts_val = 2;
    s.ts_ecr = answer->ts_val;
    send(&s);
    for (uint32_t i = 0; i < TYPED; i++) {
        keys[0] = host_pattern(i);
        s.seq = ISS + 1 + i;
        s.len = 1;
        s.payload = keys;
        s.flags = SEG_ACK | SEG_PSH;
        answer = send(&s);
        if (!answer || answer->ack != s.seq + 1)
            return false;
    }
    for (unsigned i = 0; i < h->conn_count; i++)
        if (h->conn[i].peer_port == port)
            *out = &h->conn[i];
    return true;
}

static void abort_conn(struct conn *c) {
    if (c->s.impl)
        c->s.ops->abort(c->s.impl);
    c->s.impl = NULL;
    host_turn(h);
}

/* SYNs from everywhere for ten seconds; every real client gets in and types. */
static void a_syn_flood_keeps_nobody_out(void) {
    unsigned tried = 0, failed = 0;
    open_host(16);
    for (uint32_t i = 1; i <= FLOOD; i++) {
        char from[20];
        snprintf(from, sizeof(from), "198.18.0.%u", 3 + rnd() % 250);
        struct seg s = {.sport = (uint16_t)(1024 + rnd() % 60000),
                        .dport = HOST_LISTEN_PORT,
                        .seq = rnd(),
                        .wnd = 8192,
                        .flags = SEG_SYN};
        send_from(from, &s);
        if (i % REAL_EVERY == 0) {
            struct conn *c = NULL;
            tried++;
            failed += !connect_and_type((uint16_t)(50000 + tried % 500), &c) || !c;
            if (c)
                abort_conn(c);
            h->conn_count = 0; /* the host's own table is small */
        }
        h->now_ns += 100000;
    }
    CU_ASSERT_EQUAL(tried, FLOOD / REAL_EVERY);
    CU_ASSERT_EQUAL(failed, 0);
    CU_ASSERT_TRUE(counted(TGW_C_tcp_syn_cookies_sent) > FLOOD / 2);
    struct tcp_usage u;
    tcp_usage(h->tcp, &u);
    CU_ASSERT_TRUE(u.half_open <= 16);
    close_host();
}

/* RSTs, SYNs and data with guessed numbers: no effect but challenge ACKs, and those are
 * limited. */
static void blind_injection_does_nothing(void) {
    struct conn *c = NULL;
    open_host(16);
    CU_ASSERT_TRUE_FATAL(connect_and_type(40001, &c) && c != NULL);
    uint32_t ack = h->seen[0].seg.seq, next = ISS + 1 + TYPED;
    uint64_t read = c->bytes_read;
    static const uint8_t flags[] = {SEG_RST, SEG_SYN, SEG_ACK, SEG_RST | SEG_ACK,
                                    SEG_FIN | SEG_ACK};
    static const uint8_t evil[100] = {0xee};
    for (uint32_t i = 0; i < 50000; i++) {
        struct seg s = bare(c, flags[i % sizeof(flags)], rnd() << 4 ^ rnd(), rnd() << 4 ^ rnd());
        if (s.seq == next)
            continue; /* who hits that one number of 2^32 has won */
        s.len = s.flags & (SEG_SYN | SEG_RST) ? 0 : sizeof(evil);
        s.payload = evil;
        send(&s);
        h->now_ns += 100000;
    }
    CU_ASSERT_PTR_NOT_NULL(c->s.impl);
    CU_ASSERT_EQUAL(c->bytes_read, read);
    CU_ASSERT_TRUE(counted(TGW_C_tcp_challenge_acks) > 0);
    uint8_t key = host_pattern(TYPED);
    struct seg s = bare(c, SEG_ACK | SEG_PSH, next, ack);
    s.has_ts = true;
    s.ts_val = 10;
    s.len = 1;
    s.payload = &key;
    send(&s);
    CU_ASSERT_EQUAL(c->bytes_read, read + 1);
    abort_conn(c);
    close_host();
}

/* Segments out of order, every other byte, overlapping, without end: what is held is
 * bounded, and all of it goes when the gap is filled. */
static void an_out_of_order_flood_is_bounded(void) {
    static uint8_t data[600];
    struct conn *c = NULL;
    unsigned most = 0;
    open_host(16);
    CU_ASSERT_TRUE_FATAL(connect_and_type(40001, &c) && c != NULL);
    uint32_t ack = h->seen[0].seg.seq, first = ISS + 1 + TYPED;
    for (uint32_t i = 0; i < 20000; i++) {
        struct seg s = bare(c, SEG_ACK, first + 2 + rnd() % 60000, ack);
        s.len = 1 + (i % 3 ? 0 : rnd() % 500);
        for (uint32_t k = 0; k < s.len; k++)
            data[k] = host_pattern(s.seq + k - ISS - 1);
        s.payload = data;
        s.has_ts = true;
        s.ts_val = 10;
        send(&s);
        unsigned held = rte_mempool_in_use_count(mbufs);
        most = held > most ? held : most;
    }
    CU_ASSERT_TRUE(most > 0 && most <= 300);
    abort_conn(c);
    forget_seen();
    CU_ASSERT_EQUAL(rte_mempool_in_use_count(mbufs), 0);
    close_host();
}

/* SACK blocks that tell of everything and nothing while data waits in a tiny window. */
static void sack_bombs_and_a_tiny_window_cost_little(void) {
    static const uint8_t out[60000];
    struct conn *c = NULL;
    struct tcp_usage before, after;
    open_host(16);
    CU_ASSERT_TRUE_FATAL(connect_and_type(40001, &c) && c != NULL);
    uint32_t una = h->seen[0].seg.seq;
    c->s.ops->write(c->s.impl, out, sizeof(out));
    host_turn(h);
    tcp_usage(h->tcp, &before);
    uint64_t sent = counted(TGW_C_tcp_segments_out);
    for (uint32_t i = 0; i < 20000; i++) {
        struct seg s = bare(c, SEG_ACK, ISS + 1 + TYPED, una);
        s.wnd = (uint16_t)(rnd() % 3);
        s.has_ts = true;
        s.ts_val = 10;
        s.sack_count = 3;
        for (int k = 0; k < 3; k++) {
            s.sack[k].start = una + rnd() % 100000;
            s.sack[k].end = s.sack[k].start + rnd() % 2000;
        }
        send(&s);
        h->now_ns += 10000;
    }
    tcp_usage(h->tcp, &after);
    CU_ASSERT_TRUE(after.small_blocks + after.large_blocks <=
                   before.small_blocks + before.large_blocks);
    CU_ASSERT_TRUE(counted(TGW_C_tcp_segments_out) - sent < 20000);
    tcp_check(h->tcp);
    abort_conn(c);
    close_host();
}

int main(void) {
    static const struct suite_case cases[] = {
        {"a SYN flood keeps nobody out", a_syn_flood_keeps_nobody_out},
        {"blind injection does nothing", blind_injection_does_nothing},
        {"an out-of-order flood is bounded", an_out_of_order_flood_is_bounded},
        {"SACK bombs and a tiny window cost little", sack_bombs_and_a_tiny_window_cost_little},
    };
    mbufs = test_eal_init(4095);
    return suite_run("tcp-attack", cases, sizeof(cases) / sizeof(cases[0]));
}

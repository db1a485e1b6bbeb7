/* Our stack on a kernel's device, for interop_test.py and bench/loss.py: an echo server on
 * port 7, one on 9 that drops what comes, one on 19 that sends as many bytes as the line it
 * is sent says; and a client of echo servers by command.
 *
 *   interop-stack DEVICE MTU LOSS_PM REORDER_PM DUPLICATE_PM
 *
 * Addresses 198.18.0.2/24 and fd18::2/64. Commands on standard input:
 *   echo ADDRESS PORT BYTES CONNECTIONS PARALLEL    answered by "done GOOD BAD BYTES"
 *   hold ADDRESS PORT    "held"; a second line "poke" sends a byte; "ended HOW" when it ends
 *   usage    "usage CONNECTIONS BLOCKS RETRANSMITS" */
#include "tcp/tcp.h"
#include "tests/lib/eal_init.h"
#include "tests/lib/real_time.h"
#include <fcntl.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    BURST = 32,
    ECHO_PORT = 7,
    DROP_PORT = 9,
    SOURCE_PORT = 19,
    MBUFS = 4095,
    MBUF_BYTES = 16384 + RTE_PKTMBUF_HEADROOM,
    PATTERN = 65536,
    SLEEP_US = 50
};

struct program;

struct conn {
    struct program *p;
    struct stream s;
    uint16_t port; /* that it was accepted on; 0: a client */
    bool client, holds, shut, good;
    uint64_t to_send, sent, received;
};

struct program {
    struct port *port;
    struct net *net;
    struct tcp_stack *tcp;
    struct tgw_counters *counters;
    uint64_t now_ns;
    struct tgw_endpoint to;
    uint64_t bytes;
    unsigned left, open, parallel, good, bad;
    uint64_t received;
    bool working;
    struct conn *held;
    uint8_t pattern[2 * PATTERN];
    char line[200];
    size_t line_len;
};

static void say(const char *text) {
    puts(text);
    fflush(stdout);
}

static void echo(struct conn *c) {
    const uint8_t *data;
    size_t n;
    while ((n = c->s.ops->peek(c->s.impl, &data)) > 0) {
        size_t took = c->s.ops->write(c->s.impl, data, n);
        c->s.ops->consume(c->s.impl, took);
        if (took < n)
            return;
    }
    if (!c->shut && c->s.ops->at_eof(c->s.impl)) {
        c->shut = true;
        c->s.ops->shutdown(c->s.impl);
    }
}

static void drop(struct conn *c) {
    c->s.ops->consume(c->s.impl, c->s.ops->unread(c->s.impl));
    if (!c->shut && c->s.ops->at_eof(c->s.impl)) {
        c->shut = true;
        c->s.ops->shutdown(c->s.impl);
    }
}

/* False: what is under way waits for room. */
static bool send_pattern(struct conn *c) {
    while (c->sent < c->to_send) {
        uint64_t left = c->to_send - c->sent;
        size_t n = left < PATTERN ? left : PATTERN;
        size_t took = c->s.ops->write(c->s.impl, c->p->pattern + c->sent % PATTERN, n);
        c->sent += took;
        if (took < n)
            return false;
    }
    return true;
}

static void source(struct conn *c) {
    char line[24] = "";
    size_t n = c->s.ops->copy(c->s.impl, line, sizeof(line) - 1);
    c->s.ops->consume(c->s.impl, n);
    if (n)
        c->to_send = strtoull(line, NULL, 10);
    if (c->to_send && send_pattern(c) && !c->shut) {
        c->shut = true;
        c->s.ops->shutdown(c->s.impl);
    }
}

static void client(struct conn *c) {
    const uint8_t *data;
    size_t n;
    while ((n = c->s.ops->peek(c->s.impl, &data)) > 0) {
        n = n < PATTERN ? n : PATTERN;
        c->good &= memcmp(data, c->p->pattern + c->received % PATTERN, n) == 0;
        c->received += n;
        c->s.ops->consume(c->s.impl, n);
    }
    if (send_pattern(c) && !c->shut && !c->holds) {
        c->shut = true;
        c->s.ops->shutdown(c->s.impl);
    }
}

static void on_event(void *user) {
    struct conn *c = user;
    if (c->client)
        client(c);
    else if (c->port == DROP_PORT)
        drop(c);
    else if (c->port == SOURCE_PORT)
        source(c);
    else
        echo(c);
}

static void on_connected(void *user) {
    struct conn *c = user;
    if (c->holds)
        say("held");
    on_event(user);
}

static void on_closed(void *user, enum stream_end end) {
    static const char *const names[] = {"ok", "reset", "refused", "timeout", "error"};
    struct conn *c = user;
    struct program *p = c->p;
    char text[40];
    if (c->holds) {
        snprintf(text, sizeof(text), "ended %s", names[end]);
        say(text);
        p->held = NULL;
    } else if (c->client) {
        bool good = c->good && end == STREAM_END_OK && c->received == c->to_send;
        p->good += good;
        p->bad += !good;
        p->received += c->received;
        p->open--;
    }
    free(c);
}

static const struct stream_handler handler = {on_connected, on_event, on_event, on_closed};

static struct conn *make(struct program *p, bool is_client) {
    struct conn *c = calloc(1, sizeof(*c));
    if (!c)
        abort();
    *c = (struct conn){.p = p, .client = is_client, .good = true};
    return c;
}

static void *on_accepted(void *ctx, struct stream s, const struct tgw_endpoint *local,
                         const struct tgw_endpoint *remote) {
    struct conn *c = make(ctx, false);
    (void)remote;
    c->s = s;
    c->port = local->port;
    return c;
}

static bool dial(struct program *p, bool holds) {
    struct conn *c = make(p, true);
    c->holds = holds;
    c->to_send = holds ? 0 : p->bytes;
    c->s = tcp_connect(p->tcp, p->now_ns, &p->to, &handler, c, NULL, NULL);
    if (!c->s.impl) {
        free(c);
        return false;
    }
    p->held = holds ? c : p->held;
    return true;
}

static bool take_address(struct program *p, const char *address, unsigned port) {
    struct ip_addr a;
    if (!ip_addr_parse(address, &a))
        return false;
    memcpy(p->to.addr, a.b, sizeof(p->to.addr));
    p->to.port = (uint16_t)port;
    return true;
}

static void usage(const struct program *p) {
    struct tcp_usage u;
    char text[100];
    tcp_usage(p->tcp, &u);
    snprintf(text, sizeof(text), "usage %u %u %lu", u.connections, u.small_blocks + u.large_blocks,
             tgw_counter_get(p->counters, TGW_C_tcp_retransmits));
    say(text);
}

static void obey(struct program *p, const char *line) {
    char address[64];
    unsigned port, connections, parallel;
    unsigned long bytes;
    if (sscanf(line, "echo %63s %u %lu %u %u", address, &port, &bytes, &connections, &parallel) ==
            5 &&
        take_address(p, address, port)) {
        p->bytes = bytes;
        p->left = connections;
        p->parallel = parallel;
        p->good = p->bad = 0;
        p->received = 0;
        p->working = true;
    } else if (sscanf(line, "hold %63s %u", address, &port) == 2 &&
               take_address(p, address, port)) {
        dial(p, true);
    } else if (strcmp(line, "poke") == 0 && p->held) {
        p->held->to_send++;
        client(p->held);
    } else if (strcmp(line, "usage") == 0) {
        usage(p);
    } else {
        say("what?");
    }
}

/* False: standard input has ended. */
static bool commands(struct program *p) {
    char *end;
    ssize_t n = read(STDIN_FILENO, p->line + p->line_len, sizeof(p->line) - 1 - p->line_len);
    p->line_len += n > 0 ? (size_t)n : 0;
    p->line[p->line_len] = 0;
    while ((end = strchr(p->line, '\n')) != NULL) {
        *end = 0;
        obey(p, p->line);
        p->line_len -= (size_t)(end + 1 - p->line);
        memmove(p->line, end + 1, p->line_len + 1);
    }
    return n != 0;
}

static void work(struct program *p) {
    char text[80];
    while (p->working && p->left && p->open < p->parallel && dial(p, false)) {
        p->left--;
        p->open++;
    }
    if (!p->working || p->left || p->open)
        return;
    p->working = false;
    snprintf(text, sizeof(text), "done %u %u %lu", p->good, p->bad, p->received);
    say(text);
}

static bool turn(struct program *p) {
    struct rte_mbuf *m[BURST];
    p->now_ns = real_ns();
    tcp_begin(p->tcp, p->now_ns);
    uint16_t n = port_rx(p->port, 0, m, BURST);
    if (n)
        net_input(p->net, p->now_ns, 0, m, n);
    work(p);
    uint32_t fired = tcp_advance(p->tcp, p->now_ns);
    net_tick(p->net, p->now_ns);
    tcp_flush(p->tcp);
    net_flush(p->net);
    return n || fired;
}

static void start(struct program *p, char **argv, struct rte_mempool *pool) {
    static const struct net_ops up = {tcp_input, tcp_icmp_error, tcp_input_burst};
    const struct tcp_listener l = {on_accepted, p, &handler};
    struct port_config pc = {.name = "peer",
                             .driver = "af_packet",
                             .queues = 1,
                             .mtu = (uint16_t)atoi(argv[2]),
                             .loss_pm = (uint16_t)atoi(argv[3]),
                             .reorder_pm = (uint16_t)atoi(argv[4]),
                             .duplicate_pm = (uint16_t)atoi(argv[5]),
                             .fault_seed = 1};
    char err[300] = "no memory";
    snprintf(pc.device, sizeof(pc.device), "%s", argv[1]);
    p->port = port_open(&pc, pool, err, sizeof(err));
    p->counters = aligned_alloc(64, (sizeof(*p->counters) + 63) / 64 * 64);
    struct net_config nc = {.iface_count = 1, .pool = pool, .counters = p->counters, .seed = 1};
    struct tcp_config tc;
    tcp_config_defaults(&tc);
    tc.counters = p->counters;
    tc.time_wait_ms = 1000;
    tc.ack_delay_ms = 40;
    tc.use_cubic = true;
    if (p->counters)
        memset(p->counters, 0, sizeof(*p->counters));
    if (RAND_bytes(tc.secret, sizeof(tc.secret)) != 1)
        abort();
    nc.iface[0] = (struct net_iface_config){.port = p->port, .addr_count = 2};
    ip_prefix_parse("198.18.0.2/24", true, &nc.iface[0].addr[0]);
    ip_prefix_parse("fd18::2/64", true, &nc.iface[0].addr[1]);
    p->now_ns = real_ns();
    p->net = p->port ? net_create(&nc, &up, NULL, p->now_ns) : NULL;
    p->tcp = p->net ? tcp_create(&tc, p->net, p->now_ns) : NULL;
    if (!p->tcp || !tcp_listen(p->tcp, ECHO_PORT, &l) || !tcp_listen(p->tcp, DROP_PORT, &l) ||
        !tcp_listen(p->tcp, SOURCE_PORT, &l)) {
        fprintf(stderr, "interop-stack: %s\n", err);
        exit(1);
    }
    net_bind(p->net, p->tcp);
}

int main(int argc, char **argv) {
    static struct program p;
    if (argc != 6) {
        fprintf(stderr, "usage: interop-stack DEVICE MTU LOSS_PM REORDER_PM DUPLICATE_PM\n");
        return 2;
    }
    for (uint64_t i = 0; i < sizeof(p.pattern); i++)
        p.pattern[i] = (uint8_t)(i % PATTERN * 7 + (i % PATTERN >> 8) * 3);
    test_eal_init(1);
    struct rte_mempool *pool =
        rte_pktmbuf_pool_create("interop", MBUFS, 256, 0, MBUF_BYTES, SOCKET_ID_ANY);
    if (!pool) {
        fprintf(stderr, "interop-stack: no packet buffers\n");
        return 1;
    }
    start(&p, argv, pool);
    fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    say("ready");
    for (unsigned idle = 0; idle || commands(&p); idle = (idle + 1) % 16)
        if (!turn(&p))
            usleep(SLEEP_US);
    tcp_destroy(p.tcp);
    net_destroy(p.net);
    p.port->ops->close(p.port);
    free(p.counters);
    return 0;
}

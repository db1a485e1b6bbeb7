/* A kernel client and a kernel agent for comparisons: WebSocket echo over ordinary sockets,
 * one thread each, so that any proxy can stand between them.
 *
 *   wsload agent ADDRESS PORT
 *   wsload client ADDRESS PORT SESSIONS BYTES SECONDS [TOKENS]
 *
 * The client keeps one frame under way a session and prints one JSON line. TOKENS: a file
 * of "ALLOCATION TOKEN" lines. */
#include "tests/lib/real_time.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNS_MAX = 20000, BUFFER = 4096, HEAD_MAX = 2048, EVENTS = 256, SAMPLES = 1 << 20 };
enum { PAYLOAD_MAX = 2048 };
static const char KEY[] = "dGhlIHNhbXBsZSBub25jZQ==";

struct conn {
    int fd;
    bool upgraded;
    uint32_t have;
    uint64_t sent_ns;
    uint8_t buffer[BUFFER];
};

static struct conn *conns;
static int epoll;
static uint8_t frame[BUFFER];
static size_t frame_bytes;
static uint32_t payload_bytes, *sample, samples, open_sessions;
static uint64_t echoes;
static bool measuring;

_Noreturn static void die(const char *what) {
    fprintf(stderr, "wsload: %s: %s\n", what, strerror(errno));
    exit(1);
}

static struct sockaddr_in address(const char *host, const char *port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    if (inet_pton(AF_INET, host, &a.sin_addr) != 1)
        die(host);
    return a;
}

static void watch(struct conn *c, int fd) {
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    int on = 1;
    c->fd = fd;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    fcntl(fd, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) != 0)
        die("epoll");
}

static void put(struct conn *c, const void *data, size_t len) {
    if (write(c->fd, data, len) != (ssize_t)len)
        die("write");
}

static void take(struct conn *c, size_t n) {
    c->have -= (uint32_t)n;
    memmove(c->buffer, c->buffer + n, c->have);
}

static void answer_upgrade(struct conn *c) {
    char out[256];
    uint8_t *end = memmem(c->buffer, c->have, "\r\n\r\n", 4);
    if (!end)
        return;
    *end = 0; /* a proxy may have made the names lower case */
    const char *key = strcasestr((const char *)c->buffer, "\r\nSec-WebSocket-Key: ");
    if (!key || strlen(key) < 21 + 24)
        die("request without a key");
    char text[64];
    unsigned char digest[SHA_DIGEST_LENGTH], accept[32];
    snprintf(text, sizeof(text), "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key + 21);
    SHA1((unsigned char *)text, strlen(text), digest);
    EVP_EncodeBlock(accept, digest, sizeof(digest));
    int n = snprintf(out, sizeof(out),
                     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                     accept);
    take(c, (size_t)(end + 4 - c->buffer));
    put(c, out, (size_t)n);
    c->upgraded = true;
}

/* Head of a binary frame, without a masking key; returns its bytes. */
static uint32_t put_head(uint8_t *out, uint32_t n, uint8_t mask) {
    out[0] = 0x82;
    out[1] = (uint8_t)(mask | (n < 126 ? n : 126));
    out[2] = (uint8_t)(n >> 8);
    out[3] = (uint8_t)n;
    return n < 126 ? 2 : 4;
}

/* Of the frame that `c` holds: bytes of its head, key aside, and of its payload. False: it
 * is not whole. Frames are at most PAYLOAD_MAX here. */
static bool whole_frame(const struct conn *c, uint32_t *head, uint32_t *payload) {
    if (c->have < 4 && (c->have < 2 || (c->buffer[1] & 0x7f) == 126))
        return false;
    uint32_t n = c->buffer[1] & 0x7f, mask = c->buffer[1] & 0x80 ? 4 : 0;
    *head = n == 126 ? 4 : 2;
    *payload = n == 126 ? (uint32_t)(c->buffer[2] << 8 | c->buffer[3]) : n;
    if (*payload > PAYLOAD_MAX)
        die("a frame too long");
    return c->have >= *head + mask + *payload;
}

static void echo_frames(struct conn *c) {
    uint32_t head, n;
    while (whole_frame(c, &head, &n)) {
        const uint8_t *key = c->buffer + head, *payload = key + 4;
        uint8_t out[4 + PAYLOAD_MAX];
        if ((c->buffer[0] & 0x0f) == 2) {
            uint32_t at = put_head(out, n, 0);
            for (uint32_t i = 0; i < n; i++)
                out[at + i] = payload[i] ^ key[i % 4];
            put(c, out, at + n);
        }
        take(c, head + 4 + n);
    }
}

static void type(struct conn *c) {
    c->sent_ns = real_ns();
    put(c, frame, frame_bytes);
}

static void take_echoes(struct conn *c) {
    uint32_t head, n;
    while (whole_frame(c, &head, &n)) {
        if (c->buffer[0] == 0x82 && n == payload_bytes) {
            if (measuring && samples < SAMPLES)
                sample[samples++] = (uint32_t)(real_ns() - c->sent_ns);
            echoes++;
            type(c);
        }
        take(c, head + n);
    }
}

static void take_101(struct conn *c) {
    uint8_t *end = memmem(c->buffer, c->have, "\r\n\r\n", 4);
    if (!end)
        return;
    if (memcmp(c->buffer, "HTTP/1.1 101", 12) != 0) {
        fprintf(stderr, "wsload: refused: %.*s\n", (int)c->have, c->buffer);
        exit(1);
    }
    take(c, (size_t)(end + 4 - c->buffer));
    c->upgraded = true;
    open_sessions++;
}

static void readable(struct conn *c, bool agent) {
    ssize_t n = read(c->fd, c->buffer + c->have, BUFFER - c->have);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        if (!agent)
            die("a session ended");
        close(c->fd);
        free(c);
        return;
    }
    c->have += (uint32_t)n;
    if (agent && !c->upgraded)
        answer_upgrade(c);
    else if (!c->upgraded)
        take_101(c);
    if (c->upgraded && agent)
        echo_frames(c);
    else if (c->upgraded)
        take_echoes(c);
}

static void turn(bool agent, int timeout_ms) {
    struct epoll_event e[EVENTS];
    int n = epoll_wait(epoll, e, EVENTS, timeout_ms);
    for (int i = 0; i < n; i++)
        readable(e[i].data.ptr, agent);
}

_Noreturn static void run_agent(char **arg) {
    struct sockaddr_in a = address(arg[0], arg[1]);
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(listener, (struct sockaddr *)&a, sizeof(a)) != 0 || listen(listener, 4096) != 0)
        die("listen");
    fcntl(listener, F_SETFL, O_NONBLOCK);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) {
            turn(true, 5);
            continue;
        }
        struct conn *c = calloc(1, sizeof(*c));
        if (!c)
            die("memory");
        watch(c, fd);
    }
}

static void connect_one(struct conn *c, const struct sockaddr_in *a, unsigned i, FILE *tokens) {
    char allocation[65], token[65], out[HEAD_MAX];
    snprintf(allocation, sizeof(allocation), "peer-%u", i);
    snprintf(token, sizeof(token), "peer-token-%010u", i);
    if (tokens && fscanf(tokens, "%64s %64s", allocation, token) != 2)
        die("tokens: too few");
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)a, sizeof(*a)) != 0)
        die("connect");
    watch(c, fd);
    int n = snprintf(out, sizeof(out),
                     "GET /ws/terminal/%s HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                     "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Protocol: %s\r\n\r\n",
                     allocation, KEY, token);
    put(c, out, (size_t)n);
}

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static int run_client(int count, char **arg) {
    struct sockaddr_in a = address(arg[0], arg[1]);
    unsigned sessions = (unsigned)atoi(arg[2]);
    payload_bytes = (uint32_t)atoi(arg[3]);
    double seconds = atof(arg[4]);
    FILE *tokens = count > 5 ? fopen(arg[5], "re") : NULL;
    conns = calloc(sessions, sizeof(*conns));
    sample = calloc(SAMPLES, sizeof(*sample));
    if (!conns || !sample || payload_bytes > PAYLOAD_MAX || (count > 5 && !tokens))
        die("arguments");
    uint32_t head = put_head(frame, payload_bytes, 0x80) + 4; /* under a key of zeroes */
    frame_bytes = head + payload_bytes;
    memset(frame + head - 4, 0, 4);
    memset(frame + head, 'x', payload_bytes);
    for (unsigned i = 0; i < sessions; i++) {
        connect_one(&conns[i], &a, i, tokens);
        turn(false, 0);
    }
    while (open_sessions < sessions)
        turn(false, 10);
    /* Not before: each further connect would wait behind all frames under way. */
    for (unsigned i = 0; i < sessions; i++)
        type(&conns[i]);
    for (uint64_t until = real_ns() + 500000000; real_ns() < until;)
        turn(false, 10);
    printf("ready\n");
    fflush(stdout);
    measuring = true;
    uint64_t before = echoes, from_ns = real_ns(), until = from_ns + (uint64_t)(seconds * 1e9);
    while (real_ns() < until)
        turn(false, 10);
    double took = (double)(real_ns() - from_ns) / 1e9;
    qsort(sample, samples, sizeof(*sample), by_value);
    printf("{\"sessions\":%u,\"bytes\":%u,\"seconds\":%.3f,\"echoes\":%lu,\"p50_us\":%.1f,"
           "\"p99_us\":%.1f}\n",
           sessions, payload_bytes, took, echoes - before,
           samples ? (double)sample[samples / 2] / 1e3 : 0,
           samples ? (double)sample[(uint64_t)samples * 99 / 100] / 1e3 : 0);
    return 0;
}

int main(int argc, char **argv) {
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (argc == 4 && strcmp(argv[1], "agent") == 0)
        run_agent(argv + 2);
    if (argc >= 7 && strcmp(argv[1], "client") == 0)
        return run_client(argc - 2, argv + 2);
    fprintf(stderr, "usage: wsload agent ADDRESS PORT\n"
                    "       wsload client ADDRESS PORT SESSIONS BYTES SECONDS [TOKENS]\n");
    return 2;
}

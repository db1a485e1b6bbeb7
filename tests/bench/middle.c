/* A wire between two network devices that loses packets and takes its time, where the kernel
 * has no netem: what comes in at one goes out at the other, after a delay, unless it is lost.
 *
 *   bench-middle DEVICE DEVICE LOSS_PER_MILLE DELAY_US SEED
 *
 * Loss falls on IP alone, each direction drawing for itself. Ends with standard input. */
#include "tests/lib/real_time.h"
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { FRAME_MAX = 1600, WAITING_MAX = 16384, SOCKET_BYTES = 32 << 20 };

struct frame {
    uint64_t at_ns;
    uint32_t len;
    uint8_t bytes[FRAME_MAX];
};

/* One direction: a queue in the order of arrival, hence of departure. */
struct way {
    int from, to;
    struct frame *frame; /* [WAITING_MAX] */
    uint32_t head, tail;
    uint64_t draws, passed, lost, overrun;
};

static uint32_t loss_pm;
static uint64_t delay_ns;

static uint64_t draw(uint64_t *state) { /* splitmix64 */
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static int open_device(const char *name) {
    struct sockaddr_ll at = {.sll_family = AF_PACKET,
                             .sll_protocol = htons(ETH_P_ALL),
                             .sll_ifindex = (int)if_nametoindex(name)};
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0), one = 1, bytes = SOCKET_BYTES;
    if (fd < 0 || at.sll_ifindex == 0 ||
        setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) != 0 ||
        bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0) {
        perror(name);
        exit(1);
    }
    return fd;
}

static bool is_ip(const struct frame *f) {
    return f->len >= 14 && ((f->bytes[12] == 0x08 && f->bytes[13] == 0x00) ||
                            (f->bytes[12] == 0x86 && f->bytes[13] == 0xdd));
}

static void take(struct way *w) {
    static struct frame excess;
    for (;;) {
        bool full = w->tail - w->head == WAITING_MAX;
        struct frame *f = full ? &excess : &w->frame[w->tail % WAITING_MAX];
        ssize_t n = recv(w->from, f->bytes, FRAME_MAX, 0);
        if (n <= 0)
            return;
        f->len = (uint32_t)n;
        f->at_ns = real_ns() + delay_ns;
        if (full)
            w->overrun++;
        else if (is_ip(f) && draw(&w->draws) % 1000 < loss_pm)
            w->lost++;
        else
            w->tail++;
    }
}

/* When the next one is due; UINT64_MAX: none waits. */
static uint64_t give(struct way *w) {
    while (w->head != w->tail) {
        struct frame *f = &w->frame[w->head % WAITING_MAX];
        if (f->at_ns > real_ns())
            return f->at_ns;
        w->passed += send(w->to, f->bytes, f->len, 0) == (ssize_t)f->len;
        w->head++;
    }
    return UINT64_MAX;
}

/* False: standard input has ended. */
static bool wait_for(const struct way way[2], uint64_t until_ns) {
    struct pollfd p[3] = {{way[0].from, POLLIN, 0}, {way[1].from, POLLIN, 0}, {0, POLLIN, 0}};
    uint64_t at = real_ns(), left = until_ns > at ? until_ns - at : 0;
    struct timespec t = {(time_t)(left / 1000000000u), (long)(left % 1000000000u)};
    ppoll(p, 3, until_ns == UINT64_MAX ? NULL : &t, NULL);
    return !(p[2].revents & (POLLHUP | POLLIN));
}

int main(int argc, char **argv) {
    struct way way[2] = {0};
    uint64_t seed;
    if (argc != 6) {
        fprintf(stderr, "usage: bench-middle DEVICE DEVICE LOSS_PER_MILLE DELAY_US SEED\n");
        return 2;
    }
    loss_pm = (uint32_t)atoi(argv[3]);
    delay_ns = strtoull(argv[4], NULL, 10) * 1000;
    seed = strtoull(argv[5], NULL, 10);
    for (int i = 0; i < 2; i++) {
        way[i].from = way[!i].to = open_device(argv[1 + i]);
        way[i].frame = malloc(WAITING_MAX * sizeof(struct frame));
        way[i].draws = draw(&seed);
        if (!way[i].frame)
            return 1;
    }
    prctl(PR_SET_TIMERSLACK, 1);
    puts("ready");
    fflush(stdout);
    uint64_t next_ns = UINT64_MAX;
    while (wait_for(way, next_ns)) {
        for (int i = 0; i < 2; i++)
            take(&way[i]);
        uint64_t a = give(&way[0]), b = give(&way[1]);
        next_ns = a < b ? a : b;
    }
    for (int i = 0; i < 2; i++)
        printf("way %d: %lu passed, %lu lost, %lu overrun\n", i, way[i].passed, way[i].lost,
               way[i].overrun);
    return 0;
}

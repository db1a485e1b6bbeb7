/* Ports over devices of the kernel, on a veth pair in a network of this process's own.
 * Wants root, as the lab does. */
#include "drivers/port.h"
#include "tests/lib/eal_init.h"
#include "tests/lib/suite.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PACKETS = 8, BYTES = 64 };

static struct rte_mempool *pool;

static void shell(const char *command) {
    if (system(command) != 0) {
        printf("Bail out! %s\n", command);
        exit(1);
    }
}

static struct port *open_end(const char *device) {
    struct port_config c = {.driver = "af_packet", .queues = 1};
    char err[256] = "";
    snprintf(c.name, sizeof(c.name), "%s", device);
    snprintf(c.device, sizeof(c.device), "%s", device);
    struct port *p = port_open(&c, pool, err, sizeof(err));
    if (!p)
        printf("# %s\n", err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    return p;
}

static void make(struct rte_mbuf **m) {
    for (int i = 0; i < PACKETS; i++) {
        m[i] = rte_pktmbuf_alloc(pool);
        memset(rte_pktmbuf_append(m[i], BYTES), 0xff, BYTES);
    }
}

static uint16_t receive(struct port *p) {
    uint16_t total = 0;
    for (int tries = 0; tries < 1000 && total < PACKETS; tries++) {
        struct rte_mbuf *m[PACKETS];
        uint16_t n = port_rx(p, 0, m, PACKETS);
        rte_pktmbuf_free_bulk(m, n);
        total = (uint16_t)(total + n);
        usleep(1000);
    }
    return total;
}

/* What a port takes is gone, what it leaves is the caller's, whatever the kernel says. */
static void without_a_link_no_packet_is_freed_twice(void) {
    struct port *p = open_end("left0");
    struct port_link link = {0};
    struct rte_mbuf *m[PACKETS];
    unsigned before = rte_mempool_in_use_count(pool);
    shell("ip link set left0 down");
    p->ops->link(p, &link);
    CU_ASSERT_FALSE(link.up);
    make(m);
    for (int i = 0; i < PACKETS; i++)
        rte_mbuf_refcnt_update(m[i], 1); /* ours, to see the port's go */
    uint16_t taken = port_tx(p, 0, m, PACKETS);
    for (int i = 0; i < PACKETS; i++)
        CU_ASSERT_EQUAL(rte_mbuf_refcnt_read(m[i]), i < taken ? 1 : 2);
    for (int i = 0; i < PACKETS; i++) {
        rte_pktmbuf_free(m[i]);
        if (i >= taken)
            rte_pktmbuf_free(m[i]);
    }
    CU_ASSERT_EQUAL(rte_mempool_in_use_count(pool), before);
    shell("ip link set left0 up");
    p->ops->close(p);
}

static void the_link_that_returns_carries_again(void) {
    struct port *left = open_end("left0"), *right = open_end("right0");
    struct port_link link = {0};
    struct rte_mbuf *m[PACKETS];
    shell("ip link set right0 down; ip link set right0 up");
    for (int tries = 0; tries < 100 && !link.up; tries++, usleep(10000))
        left->ops->link(left, &link);
    CU_ASSERT_TRUE(link.up);
    make(m);
    CU_ASSERT_EQUAL(port_tx(left, 0, m, PACKETS), PACKETS);
    CU_ASSERT_TRUE(receive(right) >= PACKETS); /* the kernel may chat besides */
    left->ops->close(left);
    right->ops->close(right);
}

static void more_than_the_device_takes_is_refused(void) {
    struct port_config c = {
        .name = "left", .driver = "af_packet", .device = "left0", .queues = 1, .mtu = 1600};
    char err[256] = "";
    CU_ASSERT_PTR_NULL(port_open(&c, pool, err, sizeof(err)));
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "left0 takes 1500"));
    c.mtu = 1400; /* nothing of the first try is left open */
    struct port *p = port_open(&c, pool, err, sizeof(err));
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    CU_ASSERT_EQUAL(p->mtu, 1400);
    p->ops->close(p);
}

/* Whatever the kernel says on a new device, until it is silent. */
static bool quiet(struct port *p) {
    const struct port_wake *w = p->wake;
    struct rte_mbuf *m[PACKETS];
    for (int tries = 0; tries < 200; tries++) {
        w->arm(w, 0, true);
        bool woken = port_wait(100);
        w->arm(w, 0, false);
        uint16_t n = port_rx(p, 0, m, PACKETS);
        rte_pktmbuf_free_bulk(m, n);
        if (!woken && n == 0)
            return true;
    }
    return false;
}

/* A datagram to nobody: the kernel asks for its neighbour. */
static void let_the_kernel_speak(void) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    inet_pton(AF_INET, "198.18.9.2", &to.sin_addr);
    CU_ASSERT_EQUAL(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)), 1);
    close(fd);
}

static void a_packet_ends_a_wait(void) {
    struct port_config c = {
        .name = "wake", .driver = "tap", .device = "wake0", .queues = 1, .rx_wake = true};
    char err[256] = "";
    struct rte_mbuf *m[PACKETS];
    struct port *p = port_open(&c, pool, err, sizeof(err));
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    CU_ASSERT_PTR_NOT_NULL_FATAL(p->wake);
    CU_ASSERT_TRUE(p->wake->watch(p->wake, 0));
    shell("ip link set wake0 up; ip addr add 198.18.9.1/24 dev wake0");
    CU_ASSERT_TRUE(quiet(p));
    p->wake->arm(p->wake, 0, true);
    let_the_kernel_speak();
    CU_ASSERT_TRUE(port_wait(10000));
    p->wake->arm(p->wake, 0, false);
    uint16_t n = port_rx(p, 0, m, PACKETS);
    CU_ASSERT_TRUE(n >= 1);
    rte_pktmbuf_free_bulk(m, n);
    p->ops->close(p);
}

static void what_has_no_interrupts_says_so(void) {
    struct port_config c = {
        .name = "left", .driver = "af_packet", .device = "left0", .queues = 1, .rx_wake = true};
    char err[256] = "";
    struct port *p = port_open(&c, pool, err, sizeof(err));
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    CU_ASSERT_PTR_NULL(p->wake);
    CU_ASSERT_PTR_NOT_NULL(strstr(p->no_wake, "af_packet has none here"));
    p->ops->close(p);
}

/* Somebody else's packet sockets, in a group of that number on a device. */
static int group_of(const char *device, int number) {
    const int group =
        number | (PACKET_FANOUT_HASH | PACKET_FANOUT_FLAG_DEFRAG | PACKET_FANOUT_FLAG_ROLLOVER)
                     << 16;
    const struct sockaddr_ll at = {.sll_family = AF_PACKET,
                                   .sll_protocol = htons(ETH_P_ALL),
                                   .sll_ifindex = (int)if_nametoindex(device)};
    int fd = socket(AF_PACKET, SOCK_RAW, 0);
    CU_ASSERT_EQUAL(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
    CU_ASSERT_EQUAL(setsockopt(fd, SOL_PACKET, PACKET_FANOUT, &group, sizeof(group)), 0);
    return fd;
}

static void a_group_of_our_number_is_told(void) {
    struct port_config c = {.name = "left", .driver = "af_packet", .device = "left0", .queues = 1};
    char err[256] = "", args[400];
    int fd = group_of("right0", (getpid() ^ (int)if_nametoindex("left0")) & 0xffff);
    CU_ASSERT_FALSE(port_check(&c, args, sizeof(args), err, sizeof(err)));
    CU_ASSERT_EQUAL(errno, EAGAIN);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "another process has the packet socket group"));
    CU_ASSERT_PTR_NULL(port_open(&c, pool, err, sizeof(err)));
    close(fd);
    CU_ASSERT_TRUE(port_check(&c, args, sizeof(args), err, sizeof(err)));
    struct port *p = open_end("left0");
    p->ops->close(p);
    shell("ip link set left0 down"); /* nothing joins a group there, whatever its number */
    CU_ASSERT_TRUE(port_check(&c, args, sizeof(args), err, sizeof(err)));
    shell("ip link set left0 up");
}

int main(void) {
    static const struct suite_case cases[] = {
        {"without a link no packet is freed twice", without_a_link_no_packet_is_freed_twice},
        {"the link that returns carries again", the_link_that_returns_carries_again},
        {"more than the device takes is refused", more_than_the_device_takes_is_refused},
        {"a group of our number is told", a_group_of_our_number_is_told},
        {"a packet ends a wait", a_packet_ends_a_wait},
        {"what has no interrupts says so", what_has_no_interrupts_says_so},
    };
    if (unshare(CLONE_NEWNET) != 0) {
        puts("Bail out! wants root");
        return 1;
    }
    shell("ip link add left0 type veth peer name right0; ip link set left0 up; "
          "ip link set right0 up");
    pool = test_eal_init(4095);
    return suite_run("drivers/kernel", cases, sizeof(cases) / sizeof(cases[0]));
}

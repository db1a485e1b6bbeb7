/* The door between memif's driver and its peer, with this test as both; and two real ports. */
#include "drivers/memif_door.h"
#include "drivers/port.h"
#include "tests/lib/eal_init.h"
#include "tests/lib/suite.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MESSAGE_BYTES = 128, HELLO = 2, ADD_REGION = 4, CONNECT = 6, CONNECTED = 7, DISCONNECT = 8 };
enum { SOON_MS = 5000, NEVER_MS = 100, PEERS = 150, BURST = 32, BYTES = 64 };

static char folder[] = "/tmp/memif-test-XXXXXX";
static struct rte_mempool *pool;

static struct sockaddr_un address(const char *name) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof(a.sun_path), "%s/%s", folder, name);
    return a;
}

static int listen_at(const char *name) {
    struct sockaddr_un a = address(name);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    CU_ASSERT_EQUAL_FATAL(listen(fd, 4), 0);
    return fd;
}

static int connect_to(const char *name) {
    struct sockaddr_un a = address(name);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
        return fd;
    close(fd);
    return -1;
}

static bool readable(int fd, int timeout_ms) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, timeout_ms) == 1;
}

static void say(int fd, uint16_t type, int with) {
    uint8_t bytes[MESSAGE_BYTES] = {0};
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {{0}};
    struct iovec part = {bytes, sizeof(bytes)};
    struct msghdr h = {.msg_iov = &part, .msg_iovlen = 1};
    memcpy(bytes, &type, sizeof(type));
    if (with >= 0) {
        h.msg_control = &control;
        h.msg_controllen = sizeof(control);
        struct cmsghdr *c = CMSG_FIRSTHDR(&h);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &with, sizeof(int));
    }
    CU_ASSERT_EQUAL(sendmsg(fd, &h, MSG_NOSIGNAL), MESSAGE_BYTES);
}

/* The type of the next message, 0 at the end, -1 if nothing comes; *with its descriptor. */
static int hear(int fd, int *with) {
    uint8_t bytes[MESSAGE_BYTES];
    uint16_t type = 0;
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {bytes, sizeof(bytes)};
    struct msghdr h = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof(control)};
    if (!readable(fd, SOON_MS))
        return -1;
    ssize_t n = recvmsg(fd, &h, 0);
    const struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&h) : NULL;
    if (with)
        *with = -1;
    if (c && with)
        memcpy(with, CMSG_DATA(c), sizeof(int));
    if (n == MESSAGE_BYTES)
        memcpy(&type, bytes, sizeof(type));
    return type;
}

static bool up(void *ctx) {
    return *(const bool *)ctx;
}

struct scene {
    struct gate gate;
    struct memif_door *door;
    bool is_up;
    int listener, driver, peer;
};

static struct memif_door_config config_of(struct scene *s, bool serves) {
    struct memif_door_config c = {.serves = serves, .is_up = up, .ctx = &s->is_up};
    snprintf(c.path, sizeof(c.path), "%s/out", folder);
    snprintf(c.driver_path, sizeof(c.driver_path), "%s/in", folder);
    return c;
}

static void set_up(struct scene *s) {
    char err[256] = "";
    memset(s, 0, sizeof(*s));
    s->is_up = true;
    const struct memif_door_config c = config_of(s, true);
    s->door = memif_door_open(&c, &s->gate, err, sizeof(err));
    CU_ASSERT_PTR_NOT_NULL_FATAL(s->door);
    s->listener = listen_at("in");
}

static void arrive(struct scene *s) {
    s->peer = connect_to("out");
    CU_ASSERT_TRUE_FATAL(s->peer >= 0 && readable(s->listener, SOON_MS));
    s->driver = accept(s->listener, NULL, NULL);
}

static bool opens(struct scene *s) {
    for (int ms = 0; ms < SOON_MS; ms++, usleep(1000))
        if (gate_pass(&s->gate))
            return true;
    return false;
}

static void connect_whole(struct scene *s) {
    arrive(s);
    say(s->driver, CONNECTED, -1);
    CU_ASSERT_EQUAL(hear(s->peer, NULL), CONNECTED);
    CU_ASSERT_TRUE(opens(s));
}

static void tear_down(struct scene *s) {
    char path[64];
    memif_door_close(s->door);
    close(s->listener);
    snprintf(path, sizeof(path), "%s/in", folder);
    unlink(path);
}

static void messages_and_descriptors_cross(void) {
    struct scene s;
    int pipe_fd[2], got = -1;
    char byte = 0;
    set_up(&s);
    arrive(&s);
    say(s.driver, HELLO, -1);
    CU_ASSERT_EQUAL(hear(s.peer, &got), HELLO);
    CU_ASSERT_EQUAL(got, -1);
    CU_ASSERT_EQUAL_FATAL(pipe(pipe_fd), 0);
    say(s.peer, ADD_REGION, pipe_fd[1]);
    CU_ASSERT_EQUAL(hear(s.driver, &got), ADD_REGION);
    CU_ASSERT_TRUE_FATAL(got >= 0);
    close(pipe_fd[1]);
    CU_ASSERT_EQUAL(write(got, "x", 1), 1);
    close(got);
    CU_ASSERT_EQUAL(read(pipe_fd[0], &byte, 1), 1);
    CU_ASSERT_EQUAL(byte, 'x');
    CU_ASSERT_EQUAL(read(pipe_fd[0], &byte, 1), 0); /* the door kept none of it open */
    CU_ASSERT_FALSE(gate_pass(&s.gate));
    close(pipe_fd[0]);
    close(s.driver);
    CU_ASSERT_EQUAL(hear(s.peer, NULL), 0);
    close(s.peer);
    tear_down(&s);
}

static void the_core_is_let_in_when_the_driver_is_ready(void) {
    struct scene s;
    set_up(&s);
    s.is_up = false;
    arrive(&s);
    say(s.peer, CONNECT, -1);
    CU_ASSERT_EQUAL(hear(s.driver, NULL), CONNECT);
    say(s.driver, CONNECTED, -1);
    CU_ASSERT_EQUAL(hear(s.peer, NULL), CONNECTED);
    CU_ASSERT_FALSE(gate_pass(&s.gate));
    __atomic_store_n(&s.is_up, true, __ATOMIC_SEQ_CST);
    CU_ASSERT_TRUE(opens(&s));
    close(s.driver);
    close(s.peer);
    tear_down(&s);
}

/* What the core has begun it may end: until it looks again the driver hears nothing. */
static void the_driver_hears_of_the_end_when_the_core_is_outside(void) {
    for (int says = 0; says < 2; says++) {
        struct scene s;
        set_up(&s);
        connect_whole(&s);
        if (says)
            say(s.peer, DISCONNECT, -1);
        else
            close(s.peer);
        CU_ASSERT_FALSE(readable(s.driver, NEVER_MS));
        CU_ASSERT_FALSE(gate_pass(&s.gate));
        CU_ASSERT_EQUAL(hear(s.driver, NULL), 0);
        CU_ASSERT_FALSE(gate_pass(&s.gate));
        close(s.driver);
        if (says)
            close(s.peer);
        tear_down(&s);
    }
}

static void the_next_peer_is_met_when_the_driver_is_done(void) {
    struct scene s;
    set_up(&s);
    connect_whole(&s);
    close(s.peer);
    usleep(NEVER_MS * 1000 / 4);
    CU_ASSERT_FALSE(gate_pass(&s.gate));
    CU_ASSERT_EQUAL(hear(s.driver, NULL), 0);
    s.peer = connect_to("out");
    CU_ASSERT_TRUE(s.peer >= 0);
    CU_ASSERT_FALSE(readable(s.listener, NEVER_MS));
    close(s.driver);
    CU_ASSERT_TRUE(readable(s.listener, SOON_MS));
    s.driver = accept(s.listener, NULL, NULL);
    say(s.driver, CONNECTED, -1);
    CU_ASSERT_EQUAL(hear(s.peer, NULL), CONNECTED);
    CU_ASSERT_TRUE(opens(&s));
    close(s.driver);
    close(s.peer);
    tear_down(&s);
}

static void what_a_dead_process_left_is_no_obstacle(void) {
    struct scene s;
    close(listen_at("out"));
    close(listen_at("in"));
    set_up(&s);
    connect_whole(&s);
    close(s.driver);
    close(s.peer);
    tear_down(&s);
}

static void whoever_serves_there_stays(void) {
    struct scene s = {0};
    char err[256] = "";
    int other = listen_at("out");
    const struct memif_door_config c = config_of(&s, true);
    CU_ASSERT_PTR_NULL(memif_door_open(&c, &s.gate, err, sizeof(err)));
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "cannot listen for memif: Address already in use"));
    int fd = connect_to("out");
    CU_ASSERT_TRUE(fd >= 0);
    close(fd);
    close(other);
    unlink(c.path);
}

static void a_client_is_told_that_nobody_serves(void) {
    struct scene s = {0};
    char err[256] = "";
    const struct memif_door_config c = config_of(&s, false);
    CU_ASSERT_PTR_NULL(memif_door_open(&c, &s.gate, err, sizeof(err)));
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "nobody serves memif there"));
}

static struct port *open_port(const char *name, const char *options) {
    struct port_config c = {.driver = "memif", .queues = 1};
    char err[256] = "";
    snprintf(c.name, sizeof(c.name), "%s", name);
    snprintf(c.device, sizeof(c.device), "%s/real", folder);
    snprintf(c.options, sizeof(c.options), "%s", options);
    struct port *p = port_open(&c, pool, err, sizeof(err));
    if (!p)
        printf("# %s\n", err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    return p;
}

/* A core that does nothing but look and send. */
struct core {
    struct port *port;
    _Atomic bool stop;
    _Atomic uint64_t received;
};

static void *poll_port(void *core) {
    struct core *c = core;
    struct rte_mbuf *m[BURST];
    cpu_set_t all;
    memset(&all, 0xff, sizeof(all));
    pthread_setaffinity_np(pthread_self(), sizeof(all), &all); /* EAL left us one */
    while (!atomic_load(&c->stop)) {
        uint16_t n = port_rx(c->port, 0, m, BURST);
        atomic_fetch_add(&c->received, n);
        uint16_t sent = n ? port_tx(c->port, 0, m, n) : 0;
        rte_pktmbuf_free_bulk(m + sent, (unsigned)(n - sent));
    }
    return NULL;
}

static bool goes_through(struct port *p, struct core *c) {
    uint64_t before = atomic_load(&c->received);
    for (int tries = 0; tries < SOON_MS * 10; tries++, usleep(100)) {
        struct rte_mbuf *m[BURST];
        uint16_t n = port_rx(p, 0, m, BURST);
        rte_pktmbuf_free_bulk(m, n);
        for (int i = 0; i < BURST; i++) {
            m[i] = rte_pktmbuf_alloc(pool);
            memset(rte_pktmbuf_append(m[i], BYTES), 0xff, BYTES);
        }
        uint16_t sent = port_tx(p, 0, m, BURST);
        rte_pktmbuf_free_bulk(m + sent, (unsigned)(BURST - sent));
        if (n && atomic_load(&c->received) > before + BURST)
            return true;
    }
    return false;
}

static void peers_come_and_go_under_a_core_that_polls(void) {
    struct core core = {.port = open_port("server", "role=server,id=0")};
    pthread_t thread;
    char name[16];
    int served = 0;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, poll_port, &core), 0);
    for (int i = 0; i < PEERS; i++) {
        snprintf(name, sizeof(name), "peer%d", i);
        struct port *p = open_port(name, "role=client,id=0");
        served += goes_through(p, &core);
        p->ops->close(p);
    }
    CU_ASSERT_EQUAL(served, PEERS);
    atomic_store(&core.stop, true);
    pthread_join(thread, NULL);
    core.port->ops->close(core.port);
}

int main(void) {
    static const struct suite_case cases[] = {
        {"messages and descriptors cross", messages_and_descriptors_cross},
        {"the core is let in when the driver is ready",
         the_core_is_let_in_when_the_driver_is_ready},
        {"the driver hears of the end when the core is outside",
         the_driver_hears_of_the_end_when_the_core_is_outside},
        {"the next peer is met when the driver is done",
         the_next_peer_is_met_when_the_driver_is_done},
        {"what a dead process left is no obstacle", what_a_dead_process_left_is_no_obstacle},
        {"whoever serves there stays", whoever_serves_there_stays},
        {"a client is told that nobody serves", a_client_is_told_that_nobody_serves},
        {"peers come and go under a core that polls", peers_come_and_go_under_a_core_that_polls},
    };
    if (!mkdtemp(folder)) {
        puts("Bail out! no folder");
        return 1;
    }
    pool = test_eal_init(8191);
    int status = suite_run("drivers/memif", cases, sizeof(cases) / sizeof(cases[0]));
    rmdir(folder);
    return status;
}

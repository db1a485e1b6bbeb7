#include "memif_door.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    MESSAGE_BYTES = 256, /* memif's have 128 */
    CONNECTED = 7,       /* the last message of memif's handshake */
    BACKLOG = 4,
    LOOK_US = 100,
    UP_WAIT_MS = 1000,
    PART_WAIT_MS = 1000,
};

enum side { DRIVER, PEER };

struct memif_door {
    struct memif_door_config config;
    struct gate *gate;
    int listener; /* -1: none */
    int stop;     /* an eventfd, readable when it is to end */
    int fd[2];    /* of the connection, by enum side; -1: none */
    pthread_t thread;
};

struct message {
    uint8_t bytes[MESSAGE_BYTES];
    size_t len;
    int fd; /* -1: none */
};

static void close_fd(int *fd) {
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static bool fail(char *err, size_t err_bytes, const char *path, const char *what) {
    snprintf(err, err_bytes, "%s: %s: %s", path, what, strerror(errno));
    return false;
}

static void address(struct sockaddr_un *a, const char *path) {
    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(a->sun_path, path, strnlen(path, sizeof(a->sun_path) - 1));
}

static int connect_to(const char *path) {
    struct sockaddr_un a;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    address(&a, path);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0) {
        int why = errno;
        close_fd(&fd);
        errno = why;
    }
    return fd;
}

/* A socket that a process left behind when it was killed would be in the way. */
static void remove_dead(const char *path) {
    struct stat st;
    if (lstat(path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return;
    int fd = connect_to(path);
    if (fd < 0 && errno == ECONNREFUSED)
        unlink(path);
    close_fd(&fd);
}

static bool listen_at(struct memif_door *d, const char *path, char *err, size_t err_bytes) {
    struct sockaddr_un a;
    address(&a, path);
    remove_dead(path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, BACKLOG) == 0) {
        d->listener = fd; /* from here on the path is ours to remove */
        return true;
    }
    fail(err, err_bytes, path, "cannot listen for memif");
    close_fd(&fd);
    return false;
}

/* For the driver, which is this process. */
static bool listen_alone(struct memif_door *d, char *err, size_t err_bytes) {
    mode_t mask = umask(S_IRWXG | S_IRWXO);
    bool good = listen_at(d, d->config.driver_path, err, err_bytes);
    umask(mask);
    return good;
}

static bool is_stopped(const struct memif_door *d) {
    struct pollfd p = {.fd = d->stop, .events = POLLIN};
    return poll(&p, 1, 0) != 0;
}

/* One message and the descriptor that comes with it. False: the other side has ended, or
 * sends what is none of memif's. */
static bool receive(int from, struct message *m) {
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {m->bytes, sizeof(m->bytes)};
    struct msghdr h = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof(control)};
    ssize_t len = recvmsg(from, &h, MSG_CMSG_CLOEXEC);
    m->fd = -1;
    m->len = len > 0 ? (size_t)len : 0;
    const struct cmsghdr *c = len > 0 ? CMSG_FIRSTHDR(&h) : NULL;
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
        c->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(&m->fd, CMSG_DATA(c), sizeof(int));
    if (len > 0 && !(h.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
        return true;
    close_fd(&m->fd);
    return false;
}

/* The descriptor is the receiver's afterwards. Whoever does not read is given up. */
static bool send_on(int to, struct message *m) {
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {{0}};
    struct iovec part = {m->bytes, m->len};
    struct msghdr h = {.msg_iov = &part, .msg_iovlen = 1};
    if (m->fd >= 0) {
        h.msg_control = &control;
        h.msg_controllen = sizeof(control);
        struct cmsghdr *c = CMSG_FIRSTHDR(&h);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &m->fd, sizeof(int));
    }
    bool good = sendmsg(to, &h, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)m->len;
    close_fd(&m->fd);
    return good;
}

/* As long as it takes: a core that has not looked may be anywhere. None looks after the stop,
 * when all are gone. */
static void shut(struct memif_door *d) {
    gate_set(d->gate, false);
    while (!gate_is_seen(d->gate) && !is_stopped(d))
        usleep(LOOK_US);
}

/* Once the driver has set up its side; before that a burst would read what is half done. */
static bool open_when_up(struct memif_door *d) {
    for (uint32_t waited_us = 0; waited_us < UP_WAIT_MS * 1000; waited_us += LOOK_US) {
        if (is_stopped(d))
            return false;
        if (d->config.is_up(d->config.ctx)) {
            gate_set(d->gate, true);
            return true;
        }
        usleep(LOOK_US);
    }
    return false;
}

static bool carry_one(struct memif_door *d, enum side from) {
    struct message m;
    uint16_t type;
    if (from == PEER && gate_is_open(d->gate))
        return false; /* behind the handshake there is nothing to say but that it ends */
    if (!receive(d->fd[from], &m))
        return false;
    memcpy(&type, m.bytes, sizeof(type));
    return send_on(d->fd[!from], &m) && (type != CONNECTED || open_when_up(d));
}

/* Until one side ends or the door is closed. */
static void carry(struct memif_door *d) {
    for (;;) {
        struct pollfd p[] = {{.fd = d->stop, .events = POLLIN},
                             {.fd = d->fd[DRIVER], .events = POLLIN},
                             {.fd = d->fd[PEER], .events = POLLIN}};
        if (poll(p, 3, -1) < 0 && errno != EINTR)
            return;
        if (p[0].revents || (p[1].revents && !carry_one(d, DRIVER)) ||
            (p[2].revents && !carry_one(d, PEER)))
            return;
    }
}

/* The driver closes its end when it has given back the memory; what it says meanwhile is for
 * nobody. */
static void part(struct memif_door *d) {
    struct pollfd p = {.fd = d->fd[DRIVER], .events = POLLIN};
    struct message m;
    shut(d);
    shutdown(d->fd[DRIVER], SHUT_WR);
    while (poll(&p, 1, PART_WAIT_MS) > 0 && receive(d->fd[DRIVER], &m))
        close_fd(&m.fd);
    close_fd(&d->fd[DRIVER]);
    close_fd(&d->fd[PEER]);
}

/* Wait for the next connection; the other half of it goes to who listens. False: the end. */
static bool meet(struct memif_door *d) {
    enum side comes = d->config.serves ? PEER : DRIVER;
    struct pollfd p[] = {{.fd = d->stop, .events = POLLIN}, {.fd = d->listener, .events = POLLIN}};
    while (poll(p, 2, -1) >= 0 || errno == EINTR) {
        if (p[0].revents)
            return false;
        d->fd[comes] = accept4(d->listener, NULL, NULL, SOCK_CLOEXEC);
        if (d->fd[comes] < 0)
            continue;
        if (d->fd[!comes] < 0)
            d->fd[!comes] = connect_to(comes == PEER ? d->config.driver_path : d->config.path);
        if (d->fd[!comes] >= 0)
            return true;
        close_fd(&d->fd[comes]);
    }
    return false;
}

static void *run(void *door) {
    struct memif_door *d = door;
    while (meet(d)) {
        carry(d);
        part(d);
    }
    return NULL;
}

static void free_door(struct memif_door *d) {
    if (d->listener >= 0)
        unlink(d->config.serves ? d->config.path : d->config.driver_path);
    close_fd(&d->listener);
    close_fd(&d->stop);
    close_fd(&d->fd[DRIVER]);
    close_fd(&d->fd[PEER]);
    free(d);
}

static bool start(struct memif_door *d, char *err, size_t err_bytes) {
    const struct memif_door_config *c = &d->config;
    if (c->serves)
        remove_dead(c->driver_path); /* the driver is to listen there */
    else if ((d->fd[PEER] = connect_to(c->path)) < 0)
        return fail(err, err_bytes, c->path, "nobody serves memif there");
    if (!(c->serves ? listen_at(d, c->path, err, err_bytes) : listen_alone(d, err, err_bytes)))
        return false;
    d->stop = eventfd(0, EFD_CLOEXEC);
    errno = d->stop < 0 ? errno : pthread_create(&d->thread, NULL, run, d);
    return errno == 0 || fail(err, err_bytes, c->path, "memif's thread");
}

struct memif_door *memif_door_open(const struct memif_door_config *c, struct gate *gate, char *err,
                                   size_t err_bytes) {
    struct memif_door *d = calloc(1, sizeof(*d));
    if (!d) {
        snprintf(err, err_bytes, "%s: no memory", c->path);
        return NULL;
    }
    *d =
        (struct memif_door){.config = *c, .gate = gate, .listener = -1, .stop = -1, .fd = {-1, -1}};
    if (start(d, err, err_bytes))
        return d;
    free_door(d);
    return NULL;
}

void memif_door_close(struct memif_door *d) {
    uint64_t one = 1;
    if (write(d->stop, &one, sizeof(one)) == sizeof(one))
        pthread_join(d->thread, NULL);
    free_door(d);
}

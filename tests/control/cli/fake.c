#include "fake.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static bool read_line(int fd, char *line, size_t size) {
    size_t len = 0;
    while (len + 1 < size && read(fd, line + len, 1) == 1)
        if (line[len++] == '\n')
            break;
    line[len] = 0;
    return len > 0 && line[len - 1] == '\n';
}

/* In two pieces: a reader must not take one read for one line. */
static void send_reply(int fd, const char *reply, unsigned id) {
    char number[16];
    const char *mark = strstr(reply, "%ID%");
    size_t head = mark ? (size_t)(mark - reply) : strlen(reply);
    snprintf(number, sizeof(number), "%u", id);
    send(fd, reply, head, MSG_NOSIGNAL);
    if (mark) {
        send(fd, number, strlen(number), MSG_NOSIGNAL);
        usleep(2000);
        send(fd, mark + 4, strlen(mark + 4), MSG_NOSIGNAL);
    }
    send(fd, "\n", 1, MSG_NOSIGNAL);
}

static void serve(struct fake *f, int fd, const char *const **next) {
    char line[4096];
    while (read_line(fd, line, sizeof(line))) {
        const char *id = strstr(line, "\"id\":");
        size_t used = strlen(f->seen);
        snprintf(f->seen + used, sizeof(f->seen) - used, "%s", line);
        if (!**next)
            return;
        send_reply(fd, *(*next)++, id ? (unsigned)atoi(id + 5) : 0);
    }
}

static void *run(void *arg) {
    struct fake *f = arg;
    const char *const *next = f->replies;
    for (;;) {
        struct pollfd p[] = {{.fd = f->listener, .events = POLLIN},
                             {.fd = f->stop[0], .events = POLLIN}};
        if (poll(p, 2, -1) < 0 || p[1].revents)
            return NULL;
        int fd = accept(f->listener, NULL, NULL);
        if (fd >= 0) {
            serve(f, fd, &next);
            close(fd);
        }
    }
}

bool fake_start(struct fake *f, const char *const *replies) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    *f = (struct fake){.replies = replies, .dir = "/tmp/tgwctl-test-XXXXXX"};
    if (!mkdtemp(f->dir) || pipe(f->stop) != 0)
        return false;
    snprintf(f->path, sizeof(f->path), "%s/control.sock", f->dir);
    memcpy(at.sun_path, f->path, sizeof(f->path));
    f->listener = socket(AF_UNIX, SOCK_STREAM, 0);
    return f->listener >= 0 && bind(f->listener, (struct sockaddr *)&at, sizeof(at)) == 0 &&
           listen(f->listener, 4) == 0 && pthread_create(&f->thread, NULL, run, f) == 0;
}

void fake_stop(struct fake *f) {
    if (write(f->stop[1], "", 1) != 1)
        abort();
    pthread_join(f->thread, NULL);
    close(f->stop[0]);
    close(f->stop[1]);
    close(f->listener);
    unlink(f->path);
    rmdir(f->dir);
}

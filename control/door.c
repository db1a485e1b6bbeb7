#include "door.h"
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct guest {
    struct visitor visitor;
    uv_pipe_t pipe;
};

struct reply {
    uv_write_t write;
    char *text;
};

static void on_closed(uv_handle_t *h) {
    struct guest *g = h->data;
    visitor_leave(&g->visitor);
}

static void on_written(uv_write_t *w, int status) {
    struct reply *r = (struct reply *)w;
    (void)status;
    explicit_bzero(r->text, strlen(r->text)); /* it may hold freshly minted tokens */
    free(r->text);
    free(r);
}

static void send_text(struct visitor *v, char *text, size_t len) {
    struct guest *g = (struct guest *)v;
    struct reply *r = calloc(1, sizeof(*r));
    if (!r || uv_is_closing((uv_handle_t *)&g->pipe)) {
        free(text);
        free(r);
        return;
    }
    r->text = text;
    uv_buf_t buf = uv_buf_init(text, (unsigned)len);
    if (uv_write(&r->write, (uv_stream_t *)&g->pipe, &buf, 1, on_written) != 0)
        on_written(&r->write, 0);
}

static void free_guest(struct visitor *v) {
    free(v);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf) {
    struct guest *g = h->data;
    (void)suggested;
    buf->len = visitor_room(&g->visitor, &buf->base); /* 0 ends in UV_ENOBUFS: a line too long */
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf) {
    struct guest *g = s->data;
    (void)buf;
    if (n < 0)
        uv_close((uv_handle_t *)s, on_closed);
    else
        visitor_take(&g->visitor, (size_t)n);
}

/* As the kernel knows the caller. */
static void identify(struct guest *g) {
    struct ucred peer;
    socklen_t len = sizeof(peer);
    uv_os_fd_t fd;
    char *who = g->visitor.caller.who;
    size_t size = sizeof(g->visitor.caller.who);
    snprintf(who, size, "unknown");
    if (uv_fileno((uv_handle_t *)&g->pipe, &fd) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
        return;
    const struct passwd *pw = getpwuid(peer.uid);
    snprintf(who, size, "%.32s (uid %u, pid %d)", pw ? pw->pw_name : "?", peer.uid, peer.pid);
}

static void on_connection(uv_stream_t *server, int status) {
    const struct door *d = server->data;
    struct guest *g = status == 0 ? calloc(1, sizeof(*g)) : NULL;
    if (!g)
        return;
    g->visitor.reception = d->reception;
    g->visitor.send = send_text;
    g->visitor.free = free_guest;
    g->pipe.data = g;
    uv_pipe_init(server->loop, &g->pipe, 0);
    bool good = uv_accept(server, (uv_stream_t *)&g->pipe) == 0;
    identify(g);
    if (!good || uv_read_start((uv_stream_t *)&g->pipe, on_alloc, on_read) != 0)
        uv_close((uv_handle_t *)&g->pipe, on_closed);
}

/* control_group: who may give orders beside root and our own user. */
static bool give_to_group(const char *path, const char *name, char *err, size_t err_bytes) {
    const struct group *gr = name[0] ? getgrnam(name) : NULL;
    if (!name[0] || (gr && chown(path, (uid_t)-1, gr->gr_gid) == 0))
        return true;
    snprintf(err, err_bytes, "control_group: %s: %s", name, gr ? strerror(errno) : "no such group");
    return false;
}

static void make_folder_of(const char *path) {
    char dir[256];
    snprintf(dir, sizeof(dir), "%s", path);
    char *slash = strrchr(dir, '/');
    if (!slash || slash == dir)
        return;
    *slash = 0;
    mkdir(dir, 0755); /* where it fails, bind says so */
}

bool door_open(struct door *d, uv_loop_t *loop, const struct reception *r, const char *path,
               const char *group, char *err, size_t err_bytes) {
    make_folder_of(path);
    unlink(path);
    uv_pipe_init(loop, &d->socket, 0);
    d->socket.data = d;
    d->reception = r;
    mode_t before = umask(0117); /* 0660 from the first moment */
    int rc = uv_pipe_bind(&d->socket, path);
    umask(before);
    if (rc == 0)
        rc = uv_listen((uv_stream_t *)&d->socket, 16, on_connection);
    if (rc != 0)
        snprintf(err, err_bytes, "control_socket: %s: %s", path, uv_strerror(rc));
    return rc == 0 && give_to_group(path, group, err, err_bytes);
}

/* tgw-control: the event loop around gateway.c. One thread. */
#include "admin.h"
#include "command.h"
#include "confine.h"
#include "lab.h"
#include "log.h"
#include "store_redis.h"
#include "versions.h"
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

enum {
    EXIT_USAGE = 2,
    LINE_BYTES_MAX = 262144,
    POLL_BUSY_MS = 1,
    POLL_IDLE_MS = 4,
    QUIET_TURNS = 50,
};

struct app {
    struct gateway gateway;
    uv_loop_t loop;
    uv_timer_t poll;
    uv_pipe_t socket;
    struct http_server *admin;
    uv_signal_t term, interrupt, quit, hangup;
    struct lab *lab; /* NULL: no lab_listen */
    uint32_t quiet;
};

/* One client of the control socket. Answers may come after it has left. */
struct client {
    uv_pipe_t pipe;
    struct app *app;
    uint32_t waiting; /* requests without their answer */
    bool closed;
    char who[REQUEST_WHO_MAX + 1];
    size_t len;
    char line[LINE_BYTES_MAX];
};

struct reply {
    uv_write_t write;
    char *text;
};

static void turn(struct app *a) {
    struct timespec mono, real;
    clock_gettime(CLOCK_MONOTONIC, &mono);
    clock_gettime(CLOCK_REALTIME, &real);
    uint64_t now_ns = (uint64_t)mono.tv_sec * 1000000000u + (uint64_t)mono.tv_nsec;
    uint32_t events = gateway_turn(&a->gateway, now_ns, (uint64_t)real.tv_sec);
    a->quiet = events ? 0 : a->quiet + 1;
    if (a->gateway.finished)
        uv_stop(&a->loop);
}

static void on_poll(uv_timer_t *t) {
    struct app *a = t->data;
    turn(a);
    uv_timer_start(t, on_poll, a->quiet > QUIET_TURNS ? POLL_IDLE_MS : POLL_BUSY_MS, 0);
}

static void free_if_done(struct client *c) {
    if (c->closed && c->waiting == 0)
        free(c);
}

static void on_closed(uv_handle_t *h) {
    struct client *c = h->data;
    c->closed = true;
    free_if_done(c);
}

static void on_written(uv_write_t *w, int status) {
    struct reply *r = (struct reply *)w;
    (void)status;
    explicit_bzero(r->text, strlen(r->text)); /* it may hold freshly minted tokens */
    free(r->text);
    free(r);
}

static void send_line(struct client *c, char *text) {
    struct reply *r = calloc(1, sizeof(*r));
    size_t n = strlen(text);
    char *line = r ? realloc(text, n + 2) : NULL;
    if (!line) {
        free(text);
        free(r);
        return;
    }
    memcpy(line + n, "\n", 2);
    r->text = line;
    uv_buf_t buf = uv_buf_init(line, (unsigned)n + 1);
    if (uv_write(&r->write, (uv_stream_t *)&c->pipe, &buf, 1, on_written) != 0)
        on_written(&r->write, 0);
}

static void on_answer(void *ctx, char *text) {
    struct client *c = ctx;
    c->waiting--;
    if (text && !uv_is_closing((uv_handle_t *)&c->pipe))
        send_line(c, text);
    else
        free(text);
    free_if_done(c);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf) {
    struct client *c = h->data;
    (void)suggested;
    *buf = uv_buf_init(c->line + c->len, (unsigned)(sizeof(c->line) - c->len));
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf) {
    struct client *c = s->data;
    char *end;
    (void)buf;
    if (n < 0) {
        uv_close((uv_handle_t *)s, on_closed);
        return;
    }
    c->len += (size_t)n;
    turn(c->app); /* the time of this command */
    while ((end = memchr(c->line, '\n', c->len)) != NULL) {
        size_t line = (size_t)(end - c->line);
        c->waiting++;
        command_run(&c->app->gateway, c->who, c->line, line, on_answer, c);
        c->len -= line + 1;
        memmove(c->line, end + 1, c->len);
    }
    if (c->len == sizeof(c->line)) /* a line without end */
        uv_close((uv_handle_t *)s, on_closed);
}

/* As the kernel knows the caller. */
static void identify(struct client *c) {
    struct ucred peer;
    socklen_t len = sizeof(peer);
    uv_os_fd_t fd;
    snprintf(c->who, sizeof(c->who), "unknown");
    if (uv_fileno((uv_handle_t *)&c->pipe, &fd) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
        return;
    const struct passwd *pw = getpwuid(peer.uid);
    snprintf(c->who, sizeof(c->who), "%.32s (uid %u, pid %d)", pw ? pw->pw_name : "?", peer.uid,
             peer.pid);
}

static void on_connection(uv_stream_t *server, int status) {
    struct client *c = status == 0 ? calloc(1, sizeof(*c)) : NULL;
    if (!c)
        return;
    c->app = server->data;
    c->pipe.data = c;
    uv_pipe_init(server->loop, &c->pipe, 0);
    bool good = uv_accept(server, (uv_stream_t *)&c->pipe) == 0;
    identify(c);
    if (!good || uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read) != 0)
        uv_close((uv_handle_t *)&c->pipe, on_closed);
}

/* control_group: who may give orders beside root and our own user. */
static bool give_to_group(const char *path, const char *name, char *err, size_t err_bytes) {
    const struct group *gr = name[0] ? getgrnam(name) : NULL;
    if (!name[0] || (gr && chown(path, (uid_t)-1, gr->gr_gid) == 0))
        return true;
    snprintf(err, err_bytes, "control_group: %s: %s", name, gr ? strerror(errno) : "no such group");
    return false;
}

static bool listen_on_socket(struct app *a, char *err, size_t err_bytes) {
    const char *path = a->gateway.config.control_socket;
    char dir[256];
    snprintf(dir, sizeof(dir), "%s", path);
    char *slash = strrchr(dir, '/');
    if (slash && slash != dir) {
        *slash = 0;
        mkdir(dir, 0755); /* where it fails, bind says so */
    }
    unlink(path);
    uv_pipe_init(&a->loop, &a->socket, 0);
    a->socket.data = a;
    mode_t before = umask(0117); /* 0660 from the first moment */
    int rc = uv_pipe_bind(&a->socket, path);
    umask(before);
    if (rc == 0)
        rc = uv_listen((uv_stream_t *)&a->socket, 16, on_connection);
    if (rc != 0)
        snprintf(err, err_bytes, "control_socket: %s: %s", path, uv_strerror(rc));
    return rc == 0 && give_to_group(path, a->gateway.config.control_group, err, err_bytes);
}

/* admin_listen "" serves no admin pages. */
static bool listen_for_admin(struct app *a, char *err, size_t err_bytes) {
    const char *address = a->gateway.config.admin_listen;
    if (address[0])
        a->admin = http_listen(&a->loop, "admin_listen", address, admin_handler, &a->gateway, err,
                               err_bytes);
    return a->admin || !address[0];
}

static void on_signal(uv_signal_t *s, int number) {
    struct app *a = s->data;
    turn(a);
    if (number == SIGTERM)
        gateway_drain(&a->gateway, (uint32_t)a->gateway.config.drain_timeout_seconds, DRAIN_ENDS,
                      &(struct change_order){"SIGTERM", "to tgw-control"});
    else
        uv_stop(&a->loop); /* SIGINT, SIGQUIT: this process alone, at once */
}

/* SIGHUP: a file that does not hold up changes nothing. */
static void on_hangup(uv_signal_t *s, int number) {
    struct app *a = s->data;
    struct change_result result;
    (void)number;
    turn(a);
    if (!versions_reload(&a->gateway, &result))
        log_plain(LOG_ERROR, "config_refused", "%s", result.error);
}

static void watch(struct app *a, uv_signal_t *s, int number, uv_signal_cb react) {
    uv_signal_init(&a->loop, s);
    s->data = a;
    uv_signal_start(s, react, number);
}

static bool listen_for_lab(struct app *a, char *err, size_t err_bytes) {
    if (!a->gateway.config.lab_listen[0])
        return true;
    a->lab = lab_start(&a->loop, &a->gateway, err, err_bytes);
    return a->lab != NULL;
}

static uint64_t monotonic_ns(void) {
    return uv_hrtime();
}

static bool open_store(struct app *a, char *err, size_t err_bytes) {
    struct gateway *g = &a->gateway;
    if (strcmp(g->config.token_store, "redis") != 0)
        return true; /* the gateway's own */
    g->store.ops = &redis_store_ops;
    g->store.impl = redis_store_open(&a->loop, &g->config, err, err_bytes);
    return g->store.impl != NULL;
}

/* Secrets are read and sockets made before the rights to do so are given up. */
static bool start(struct app *a, char *err, size_t err_bytes) {
    const struct config *c = &a->gateway.config;
    a->gateway.clock_ns = monotonic_ns;
    return open_store(a, err, err_bytes) && gateway_init(&a->gateway, err, err_bytes) &&
           listen_on_socket(a, err, err_bytes) && listen_for_admin(a, err, err_bytes) &&
           listen_for_lab(a, err, err_bytes) && confine_user(c, err, err_bytes) &&
           confine_calls(c, err, err_bytes);
}

static int run(struct app *a) {
    char err[CONFIG_ERROR_BYTES];
    confine_early();
    log_set_level(a->gateway.config.log_level);
    uv_loop_init(&a->loop);
    if (!start(a, err, sizeof(err))) {
        fprintf(stderr, "tgw-control: %s\n", err);
        return EXIT_USAGE;
    }
    watch(a, &a->term, SIGTERM, on_signal);
    watch(a, &a->interrupt, SIGINT, on_signal);
    watch(a, &a->quit, SIGQUIT, on_signal);
    watch(a, &a->hangup, SIGHUP, on_hangup);
    uv_timer_init(&a->loop, &a->poll);
    a->poll.data = a;
    uv_timer_start(&a->poll, on_poll, 0, 0);
    log_plain(LOG_INFO, "control_started", "socket %s", a->gateway.config.control_socket);
    uv_run(&a->loop, UV_RUN_DEFAULT);
    log_plain(LOG_INFO, "control_stopped", "done");
    lab_stop(a->lab);
    unlink(a->gateway.config.control_socket);
    http_close(a->admin);
    gateway_fini(&a->gateway);
    return 0;
}

int main(int argc, char **argv, char **envp) {
    static struct app app;
    char err[CONFIG_ERROR_BYTES];
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return printf("tgw-control %s\n", TGW_VERSION) < 0;
    if (argc != 3 || strcmp(argv[1], "--config") != 0) {
        fputs("usage: tgw-control --config FILE\n", stderr);
        return EXIT_USAGE;
    }
    if (!config_load(&app.gateway.config, argv[2], envp, err, sizeof(err))) {
        fprintf(stderr, "tgw-control: %s\n", err);
        return EXIT_USAGE;
    }
    app.gateway.config_path = argv[2];
    app.gateway.envp = envp;
    return run(&app);
}

/* tgw-control: the event loop around gateway.c. One thread. */
#include "admin.h"
#include "confine.h"
#include "door.h"
#include "lab.h"
#include "log.h"
#include "remote.h"
#include "store_redis.h"
#include "versions.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

enum {
    EXIT_USAGE = 2,
    POLL_BUSY_MS = 1,
    POLL_IDLE_MS = 4,
    QUIET_TURNS = 50,
};

struct app {
    struct gateway gateway;
    uv_loop_t loop;
    uv_timer_t poll;
    struct reception reception;
    struct door door;
    struct remote *remote; /* NULL: no remote_listen */
    struct http_server *admin;
    uv_signal_t term, interrupt, quit, hangup;
    struct lab *lab; /* NULL: no lab_listen */
    uint32_t quiet;
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

static void on_visit(void *app) {
    turn(app);
}

static bool listen_for_commands(struct app *a, char *err, size_t err_bytes) {
    const struct config *c = &a->gateway.config;
    a->reception = (struct reception){&a->gateway, on_visit, a};
    return door_open(&a->door, &a->loop, &a->reception, c->control_socket, c->control_group, err,
                     err_bytes) &&
           remote_open(&a->remote, &a->loop, &a->reception, c, err, err_bytes);
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
           listen_for_commands(a, err, err_bytes) && listen_for_admin(a, err, err_bytes) &&
           listen_for_lab(a, err, err_bytes) && confine_user(c, err, err_bytes) &&
           confine_calls(c, err, err_bytes);
}

static int run(struct app *a) {
    char err[CONFIG_ERROR_BYTES];
    confine_early();
    log_set_level(a->gateway.config.log_level);
    signal(SIGPIPE, SIG_IGN); /* libuv writes where a caller may have left */
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
    remote_close(a->remote);
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

/* tgw-agent: arguments, listener, signals. */
#include "agent.h"
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SECRET_BYTES_MIN = 16, ACCEPTS_A_TURN = 64, BACKLOG = 4096 };

struct options {
    const char *listen, *secret_file, *program;
    struct secure_files tls;
    bool insecure;
};

static const char usage_text[] =
    "usage: tgw-agent (--secret-file FILE | --insecure-no-grant) [options]\n"
    "  --listen HOST:PORT      0.0.0.0:7681\n"
    "  --secret-file FILE      shared with the gateway; a session needs a grant signed with it\n"
    "  --insecure-no-grant     let anyone in who reaches the port\n"
    "  --tls-certificate FILE  speak TLS 1.3, with this chain (PEM)\n"
    "  --tls-key FILE          ... and its key\n"
    "  --tls-client-ca FILE    gateways must show a certificate of this CA\n"
    "  --tls-client-name NAME  ... with this name in it\n"
    "  --program NAME          shell | echo | sink | flood\n"
    "  --shell PATH            else $TGW_AGENT_SHELL, else the user's\n"
    "  --max-sessions N        1024\n"
    "  --allocation ID         serve this allocation only (may be repeated)\n"
    "  --frame-bytes N         of flood: 1444\n";

__attribute__((format(printf, 1, 2), noreturn)) static void die(const char *format, ...) {
    va_list v;
    va_start(v, format);
    fputs("tgw-agent: ", stderr);
    vfprintf(stderr, format, v);
    fputc('\n', stderr);
    va_end(v);
    exit(2);
}

static size_t number(const char *text, const char *name, unsigned long min, unsigned long max) {
    char *end;
    errno = 0;
    unsigned long n = strtoul(text, &end, 10);
    if (errno || end == text || *end || text[0] == '-' || n < min || n > max)
        die("--%s: expected a number %lu..%lu, not \"%s\"", name, min, max, text);
    return n;
}

static const struct program *program_named(const char *name) {
    static const struct program *const all[] = {&program_shell, &program_echo, &program_sink,
                                                &program_flood};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    die("--program: expected shell, echo, sink or flood, not \"%s\"", name);
}

static void read_tls(struct agent *a, const struct secure_files *f) {
    char err[300];
    if (!f->certificate && !f->key && !f->client_ca && !f->client_name)
        return;
    if (!f->certificate || !f->key)
        die("--tls-certificate and --tls-key go together");
    if (f->client_name && !f->client_ca)
        die("--tls-client-name needs --tls-client-ca");
    a->tls = secure_context(f, err, sizeof(err));
    if (!a->tls)
        die("%s", err);
}

static void read_secret(struct agent *a, const char *path) {
    FILE *f = fopen(path, "re");
    if (!f)
        die("--secret-file %s: %s", path, strerror(errno));
    a->secret_len = fread(a->secret, 1, sizeof(a->secret), f);
    fclose(f);
    while (a->secret_len && a->secret[a->secret_len - 1] == '\n')
        a->secret_len--;
    if (a->secret_len < SECRET_BYTES_MIN)
        die("--secret-file %s: at least %d bytes are needed", path, SECRET_BYTES_MIN);
}

static void read_options(struct agent *a, struct options *o, int argc, char **argv) {
    static const struct option known[] = {{"listen", 1, NULL, 'l'},
                                          {"secret-file", 1, NULL, 's'},
                                          {"program", 1, NULL, 'p'},
                                          {"shell", 1, NULL, 'S'},
                                          {"max-sessions", 1, NULL, 'm'},
                                          {"allocation", 1, NULL, 'a'},
                                          {"frame-bytes", 1, NULL, 'f'},
                                          {"insecure-no-grant", 0, NULL, 'i'},
                                          {"tls-certificate", 1, NULL, 'c'},
                                          {"tls-key", 1, NULL, 'k'},
                                          {"tls-client-ca", 1, NULL, 'A'},
                                          {"tls-client-name", 1, NULL, 'n'},
                                          {"help", 0, NULL, 'h'},
                                          {0}};
    const char **allocations = calloc((size_t)argc, sizeof(*allocations));
    if (!allocations)
        die("out of memory");
    a->allocations = allocations;
    for (int k; (k = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (k) {
        case 'l':
            o->listen = optarg;
            break;
        case 's':
            o->secret_file = optarg;
            break;
        case 'p':
            o->program = optarg;
            break;
        case 'S':
            a->shell = optarg;
            break;
        case 'm':
            a->conns_max = number(optarg, "max-sessions", 1, 1000000);
            break;
        case 'a':
            allocations[a->allocation_count++] = optarg;
            break;
        case 'f':
            a->flood_frame_bytes = number(optarg, "frame-bytes", 1, FLOOD_FRAME_BYTES_MAX);
            break;
        case 'i':
            o->insecure = true;
            break;
        case 'c':
            o->tls.certificate = optarg;
            break;
        case 'k':
            o->tls.key = optarg;
            break;
        case 'A':
            o->tls.client_ca = optarg;
            break;
        case 'n':
            o->tls.client_name = optarg;
            break;
        default:
            fputs(usage_text, k == 'h' ? stdout : stderr);
            exit(k == 'h' ? 0 : 2);
        }
    }
    if (optind != argc)
        die("unexpected argument \"%s\"", argv[optind]);
}

/* HOST:PORT, [V6]:PORT. */
static struct addrinfo *resolve(const char *text) {
    char host[256];
    const char *colon = strrchr(text, ':');
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *list;
    size_t len = colon ? (size_t)(colon - text) : 0;
    if (!colon || len >= sizeof(host))
        die("--listen: expected HOST:PORT, not \"%s\"", text);
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']')
        text++, len -= 2;
    memcpy(host, text, len);
    host[len] = 0;
    int error = getaddrinfo(len ? host : NULL, colon + 1, &hints, &list);
    if (error)
        die("--listen: %s", gai_strerror(error));
    return list;
}

static int open_listener(const char *text) {
    struct addrinfo *list = resolve(text);
    int fd = socket(list->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0)
        die("socket: %s", strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, list->ai_addr, list->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0)
        die("--listen %s: %s", text, strerror(errno));
    freeaddrinfo(list);
    return fd;
}

/* Keystrokes leave at once; a gateway that vanished is noticed within a minute. */
static void set_socket_options(int fd) {
    int on = 1, idle_s = 30, interval_s = 10, probes = 3;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

static void remote_text(const struct sockaddr_storage *ss, socklen_t len, char *out, size_t size) {
    char host[48] = "?", port[8] = "?";
    getnameinfo((const struct sockaddr *)ss, len, host, sizeof(host), port, sizeof(port),
                NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(out, size, ss->ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

static void on_connection(uv_poll_t *poll, int status, int events) {
    struct agent *a = poll->data;
    (void)status, (void)events;
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        struct sockaddr_storage ss = {0};
        socklen_t len = sizeof(ss);
        char remote[64];
        int fd = accept4(a->listen_fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        set_socket_options(fd);
        remote_text(&ss, len, remote, sizeof(remote));
        conn_accept(a, fd, remote);
    }
}

static void on_child(uv_signal_t *signal, int number_) {
    (void)number_;
    pty_child_changed(signal->data);
}

/* Again, or with nobody there: at once. */
static void on_stop(uv_signal_t *signal, int number_) {
    struct agent *a = signal->data;
    log_plain(LOG_INFO, "agent_stopping", "signal %d, %zu sessions", number_, a->conn_count);
    if (a->stopping || a->conn_count == 0)
        uv_stop(&a->loop);
    a->stopping = true;
    uv_poll_stop(&a->listener);
    for (struct conn *c = a->conns, *next; c; c = next) {
        next = c->next;
        if (c->state == CONN_HEAD)
            conn_lost(c, "stopping");
        else if (c->state == CONN_OPEN) {
            c->end_reason = "stopping";
            conn_close(c, 1001, "agent stopping");
            conn_pump(c);
        }
    }
}

static void raise_open_files(void) {
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
}

static void watch(struct agent *a) {
    uv_signal_t *signals[] = {&a->sigterm, &a->sigint, &a->sigchld};
    static const int numbers[] = {SIGTERM, SIGINT, SIGCHLD};
    if (uv_loop_init(&a->loop) != 0 || uv_poll_init(&a->loop, &a->listener, a->listen_fd) != 0)
        die("cannot start the event loop");
    a->listener.data = a;
    uv_poll_start(&a->listener, UV_READABLE, on_connection);
    for (size_t i = 0; i < 3; i++) {
        uv_signal_init(&a->loop, signals[i]);
        signals[i]->data = a;
        uv_signal_start(signals[i], i == 2 ? on_child : on_stop, numbers[i]);
    }
}

int main(int argc, char **argv) {
    static struct agent a = {.conns_max = 1024, .flood_frame_bytes = FLOOD_FRAME_BYTES};
    struct options o = {.listen = "0.0.0.0:7681", .program = "shell"};
    const struct passwd *pw = getpwuid(getuid());
    const char *shell = getenv("TGW_AGENT_SHELL");
    a.shell = shell && shell[0]       ? strdup(shell)
              : pw && pw->pw_shell[0] ? strdup(pw->pw_shell)
                                      : "/bin/sh";
    read_options(&a, &o, argc, argv);
    a.program = program_named(o.program);
    if (o.secret_file)
        read_secret(&a, o.secret_file);
    else if (!o.insecure)
        die("needs --secret-file (or --insecure-no-grant, for a closed network only)");
    read_tls(&a, &o.tls);
    if (access(a.shell, X_OK) != 0)
        die("--shell %s: %s", a.shell, strerror(errno));
    signal(SIGPIPE, SIG_IGN);
    raise_open_files();
    a.listen_fd = open_listener(o.listen);
    watch(&a);
    log_plain(LOG_INFO, "agent_started", "%s on %s, grants %s%s", o.program, o.listen,
              a.secret_len ? "required" : "not required",
              !a.tls            ? ""
              : o.tls.client_ca ? ", mutual TLS"
                                : ", TLS");
    uv_run(&a.loop, UV_RUN_DEFAULT);
    log_plain(LOG_INFO, "agent_stopped", "stopped");
    return 0;
}

#include "agent.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_USAGE = 2, SECRET_MIN = 16 };

static int usage(FILE *to, int status) {
    fputs("usage: tgw-agent --secret-file FILE [--listen ADDRESS:PORT]\n"
          "                 [--program shell|echo|sink|flood] [--shell PATH]\n"
          "                 [--max-sessions N]\n",
          to);
    return status;
}

static bool set_program(struct options *o, const char *name) {
    static const char *const names[] = {"shell", "echo", "sink", "flood"};
    for (int i = 0; i < 4; i++) {
        if (strcmp(name, names[i]) != 0)
            continue;
        o->program = (enum program)i;
        return true;
    }
    return false;
}

static bool parse(struct options *o, int argc, char **argv) {
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *key = argv[i], *value = argv[i + 1];
        if (strcmp(key, "--listen") == 0)
            snprintf(o->listen, sizeof(o->listen), "%s", value);
        else if (strcmp(key, "--secret-file") == 0)
            o->secret_file = value;
        else if (strcmp(key, "--shell") == 0)
            o->shell = value;
        else if (strcmp(key, "--max-sessions") == 0)
            o->sessions_max = (uint32_t)strtoul(value, NULL, 10);
        else if (strcmp(key, "--program") != 0 || !set_program(o, value))
            return false;
    }
    return argc % 2 == 1 && o->secret_file && o->sessions_max;
}

static bool read_secret(struct options *o) {
    FILE *f = fopen(o->secret_file, "re");
    o->secret_len = f ? fread(o->secret, 1, sizeof(o->secret), f) : 0;
    if (f)
        fclose(f);
    while (o->secret_len && o->secret[o->secret_len - 1] == '\n')
        o->secret_len--;
    if (o->secret_len >= SECRET_MIN)
        return true;
    fprintf(stderr, "tgw-agent: --secret-file %s: needs at least %d bytes\n", o->secret_file,
            SECRET_MIN);
    return false;
}

static int listen_on(const char *text) {
    char host[64];
    const char *colon = strrchr(text, ':');
    struct sockaddr_in a = {.sin_family = AF_INET};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(host, sizeof(host), "%.*s", colon ? (int)(colon - text) : 0, text);
    a.sin_port = htons((uint16_t)(colon ? strtoul(colon + 1, NULL, 10) : 0));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (fd >= 0 && a.sin_port && inet_pton(AF_INET, host, &a.sin_addr) == 1 &&
        bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 1024) == 0)
        return fd;
    fprintf(stderr, "tgw-agent: --listen %s: %s\n", text, strerror(errno));
    return -1;
}

static void serve(int fd, const struct options *o) {
    struct request r;
    int on = 1;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (upgrade(fd, o, &r)) {
        agent_log("INFO", "session_opened", &r, "terminal attached");
        terminal_run(fd, o, &r);
        agent_log("INFO", "session_closed", &r, "terminal detached");
    }
    shutdown(fd, SHUT_WR);
    exit(0);
}

static void accept_for_ever(int listener, const struct options *o) {
    uint32_t sessions = 0;
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        while (sessions && waitpid(-1, NULL, WNOHANG) > 0)
            sessions--;
        if (fd < 0 && errno != EINTR && errno != ECONNABORTED)
            return;
        if (fd < 0)
            continue;
        pid_t child = sessions < o->sessions_max ? fork() : -1;
        if (child == 0) {
            close(listener);
            serve(fd, o);
        }
        sessions += child > 0;
        close(fd);
    }
}

int main(int argc, char **argv) {
    static struct options o = {
        .listen = "0.0.0.0:7681", .shell = "/bin/bash", .sessions_max = 1000};
    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return usage(stdout, 0);
    if (!parse(&o, argc, argv))
        return usage(stderr, EXIT_USAGE);
    int listener = read_secret(&o) ? listen_on(o.listen) : -1;
    if (listener < 0)
        return EXIT_USAGE;
    signal(SIGPIPE, SIG_IGN);
    agent_log("INFO", "agent_started", NULL, o.listen);
    accept_for_ever(listener, &o);
    return 1;
}

/* Frames on one side, a PTY (or a rig's program) on the other. Neither side is read while
 * the other cannot take more. */
#include "agent.h"
#include "contract/limits.h"
#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wslay/wslay.h>

enum {
    QUEUE_MAX = 256 * 1024, /* towards the gateway */
    INPUT_MAX = 256 * 1024, /* towards the PTY */
    CHUNK = 16 * 1024,
    CH_STDIN = 0,
    CH_STDOUT = 1,
    CH_EXIT = 3,
    CH_RESIZE = 4,
    CH_ACK = 5,
    CH_HELLO = 6,
    CH_PING = 8,
    CH_CLOSE = 0xff,
};

struct terminal {
    int fd, pty;
    pid_t child;
    const struct options *options;
    const struct request *request;
    wslay_event_context_ptr ws;
    bool ended, closed, hello;
    uint64_t window, sent, acked; /* channel mode's flow control; window 0: none */
    size_t input_len;
    uint8_t input[INPUT_MAX + CHUNK];
};

static ssize_t on_recv(wslay_event_context_ptr ws, uint8_t *buf, size_t len, int flags,
                       void *user) {
    struct terminal *t = user;
    (void)flags;
    ssize_t n = recv(t->fd, buf, len, MSG_DONTWAIT);
    if (n > 0)
        return n;
    wslay_event_set_error(ws, n < 0 && errno == EAGAIN ? WSLAY_ERR_WOULDBLOCK
                                                       : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static ssize_t on_send(wslay_event_context_ptr ws, const uint8_t *data, size_t len, int flags,
                       void *user) {
    struct terminal *t = user;
    (void)flags;
    ssize_t n = send(t->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0)
        return n;
    wslay_event_set_error(ws, errno == EAGAIN ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static void send_frame(struct terminal *t, uint8_t opcode, const uint8_t *data, size_t len) {
    const struct wslay_event_msg msg = {opcode, data, len};
    wslay_event_queue_msg(t->ws, &msg);
}

static void send_channel(struct terminal *t, uint8_t channel, const void *data, size_t len) {
    uint8_t buf[1 + CHUNK];
    buf[0] = channel;
    memcpy(buf + 1, data, len);
    send_frame(t, WSLAY_BINARY_FRAME, buf, len + 1);
}

static void resize(struct terminal *t, const cJSON *json) {
    const cJSON *cols = cJSON_GetObjectItemCaseSensitive(json, "cols");
    const cJSON *rows = cJSON_GetObjectItemCaseSensitive(json, "rows");
    if (t->pty < 0 || !cJSON_IsNumber(cols) || !cJSON_IsNumber(rows) || cols->valueint < 1 ||
        rows->valueint < 1 || cols->valueint > TGW_TERMINAL_DIM_MAX ||
        rows->valueint > TGW_TERMINAL_DIM_MAX)
        return;
    const struct winsize w = {(unsigned short)rows->valueint, (unsigned short)cols->valueint, 0, 0};
    ioctl(t->pty, TIOCSWINSZ, &w);
}

static void exec_shell(const struct terminal *t) {
    const char *home = getenv("HOME");
    char term[] = "TERM=xterm-256color", lang[] = "LANG=C.UTF-8", home_env[300];
    char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    char *env[] = {term, lang, path, home_env, NULL};
    snprintf(home_env, sizeof(home_env), "HOME=%s", home ? home : "/");
    if (chdir(home ? home : "/") != 0 && chdir("/") != 0)
        _exit(126);
    signal(SIGPIPE, SIG_DFL);
    execle(t->options->shell, t->options->shell, "-i", (char *)NULL, env);
    _exit(127);
}

static void start_shell(struct terminal *t) {
    const struct winsize w = {t->request->rows, t->request->cols, 0, 0};
    t->child = forkpty(&t->pty, NULL, NULL, &w); /* a session and process group of its own */
    if (t->child == 0) {
        close(t->fd);
        exec_shell(t);
    }
    if (t->child < 0) {
        t->pty = -1;
        wslay_event_queue_close(t->ws, 1011, (const uint8_t *)"no pty", 6);
        return;
    }
    fcntl(t->pty, F_SETFL, O_NONBLOCK);
}

static void put_input(struct terminal *t, const uint8_t *data, size_t len) {
    /* A message longer than the buffer blocks here rather than being cut. */
    while (len && t->pty >= 0) {
        size_t room = sizeof(t->input) - t->input_len;
        size_t n = len < room ? len : room;
        memcpy(t->input + t->input_len, data, n);
        t->input_len += n;
        data += n;
        len -= n;
        if (t->input_len < sizeof(t->input))
            return;
        struct pollfd p = {t->pty, POLLOUT, 0};
        poll(&p, 1, 1000);
        ssize_t w = write(t->pty, t->input, t->input_len);
        if (w <= 0 && errno != EAGAIN)
            return;
        t->input_len -= w > 0 ? (size_t)w : 0;
        memmove(t->input, t->input + (w > 0 ? w : 0), t->input_len);
    }
}

static void hello(struct terminal *t, const cJSON *json) {
    char text[160];
    const cJSON *window = cJSON_GetObjectItemCaseSensitive(json, "window");
    if (t->hello)
        return;
    t->hello = true;
    if (cJSON_IsNumber(window) && window->valuedouble >= 1)
        t->window = (uint64_t)window->valuedouble;
    int n = snprintf(text, sizeof(text), "{\"v\":1,\"session_id\":\"%s\",\"offset\":0}",
                     t->request->session_id);
    send_channel(t, CH_HELLO, text, (size_t)n);
    if (t->options->program == PROGRAM_SHELL)
        start_shell(t);
    resize(t, json);
}

static void ack(struct terminal *t, const uint8_t *data, size_t len) {
    uint64_t n = 0;
    if (len != 8)
        return;
    for (int i = 0; i < 8; i++)
        n = n << 8 | data[i];
    if (n > t->acked && n <= t->sent)
        t->acked = n;
}

static void on_channel(struct terminal *t, const uint8_t *data, size_t len) {
    if (len == 0 || (!t->hello && data[0] != CH_HELLO)) {
        wslay_event_queue_close(t->ws, 1002, (const uint8_t *)"hello expected", 14);
        return;
    }
    if (data[0] == CH_STDIN) {
        put_input(t, data + 1, len - 1);
    } else if (data[0] == CH_RESIZE || data[0] == CH_HELLO) {
        cJSON *json = cJSON_ParseWithLength((const char *)data + 1, len - 1);
        if (data[0] == CH_HELLO)
            hello(t, json);
        else
            resize(t, json);
        cJSON_Delete(json);
    } else if (data[0] == CH_ACK) {
        ack(t, data + 1, len - 1);
    } else if (data[0] == CH_PING) {
        send_frame(t, WSLAY_BINARY_FRAME, data, len);
    } else if (data[0] == CH_CLOSE) {
        const uint8_t eot = 4;
        put_input(t, &eot, 1); /* end of stdin, as a terminal says it */
    }
}

static void on_message(wslay_event_context_ptr ws, const struct wslay_event_on_msg_recv_arg *arg,
                       void *user) {
    struct terminal *t = user;
    (void)ws;
    if (arg->opcode != WSLAY_TEXT_FRAME && arg->opcode != WSLAY_BINARY_FRAME)
        return; /* wslay answers pings and closes */
    if (t->options->program == PROGRAM_ECHO)
        send_frame(t, arg->opcode, arg->msg, arg->msg_length);
    else if (t->options->program != PROGRAM_SHELL)
        return;
    else if (t->request->channel)
        on_channel(t, arg->msg, arg->msg_length);
    else
        put_input(t, arg->msg, arg->msg_length);
}

static void report_exit(struct terminal *t) {
    int status = 0;
    char text[64];
    t->ended = true;
    close(t->pty); /* hangs up whoever is left in its session */
    t->pty = -1;
    waitpid(t->child, &status, 0);
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    int n = WIFSIGNALED(status) ? snprintf(text, sizeof(text), "{\"exit_code\":%d,\"signal\":%d}",
                                           code, WTERMSIG(status))
                                : snprintf(text, sizeof(text), "{\"exit_code\":%d}", code);
    if (t->request->channel)
        send_channel(t, CH_EXIT, text, (size_t)n);
}

static void read_pty(struct terminal *t) {
    uint8_t buf[CHUNK];
    ssize_t n = read(t->pty, buf, sizeof(buf));
    if (n > 0 && t->request->channel)
        send_channel(t, CH_STDOUT, buf, (size_t)n);
    else if (n > 0)
        send_frame(t, WSLAY_BINARY_FRAME, buf, (size_t)n);
    else if (n == 0 || errno != EAGAIN)
        report_exit(t);
    t->sent += n > 0 ? (uint64_t)n : 0;
}

static void write_pty(struct terminal *t) {
    ssize_t n = write(t->pty, t->input, t->input_len);
    if (n <= 0)
        return;
    t->input_len -= (size_t)n;
    memmove(t->input, t->input + n, t->input_len);
}

static void flood(struct terminal *t) {
    uint8_t line[1444];
    for (size_t i = 0; i < sizeof(line); i++)
        line[i] = (uint8_t)('a' + i % 26);
    while (wslay_event_get_queued_msg_length(t->ws) < QUEUE_MAX)
        send_frame(t, WSLAY_BINARY_FRAME, line, sizeof(line));
}

/* Send what is queued. The Close of an ended program waits for its last output: wslay lets
 * control frames overtake data. */
static bool flush(struct terminal *t) {
    if (wslay_event_send(t->ws) != 0)
        return false;
    if (!t->ended || t->closed || wslay_event_get_queued_msg_count(t->ws) > 0)
        return true;
    t->closed = true;
    wslay_event_queue_close(t->ws, 1000, (const uint8_t *)"", 0);
    return wslay_event_send(t->ws) == 0;
}

/* One wait and what it brings. False: the session is over. */
static bool step(struct terminal *t) {
    bool full = wslay_event_get_queued_msg_length(t->ws) >= QUEUE_MAX ||
                (t->window && t->sent - t->acked >= t->window);
    bool take =
        t->input_len < INPUT_MAX && wslay_event_get_queued_msg_length(t->ws) < 4 * QUEUE_MAX;
    struct pollfd p[2] = {{t->fd, 0, 0}, {t->pty, 0, 0}};
    p[0].events = (short)((take && wslay_event_want_read(t->ws) ? POLLIN : 0) |
                          (wslay_event_want_write(t->ws) ? POLLOUT : 0));
    p[1].events = (short)((full ? 0 : POLLIN) | (t->input_len ? POLLOUT : 0));
    if (!p[0].events && t->pty < 0)
        return false;
    if (p[1].events == 0)
        p[1].fd = -1; /* a hang-up would spin while nobody may read */
    poll(p, 2, -1);
    if (p[1].fd >= 0 && (p[1].revents & POLLOUT))
        write_pty(t);
    if (p[1].fd >= 0 && (p[1].revents & (POLLIN | POLLHUP | POLLERR)))
        read_pty(t);
    if ((p[0].revents & (POLLIN | POLLHUP | POLLERR)) && wslay_event_recv(t->ws) != 0)
        return false;
    if (t->options->program == PROGRAM_FLOOD)
        flood(t);
    return flush(t);
}

void terminal_run(int fd, const struct options *o, const struct request *r) {
    const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_recv, .send_callback = on_send, .on_msg_recv_callback = on_message};
    struct terminal *t = calloc(1, sizeof(*t));
    if (!t || wslay_event_context_server_init(&t->ws, &callbacks, t) != 0)
        exit(1);
    t->fd = fd;
    t->pty = -1;
    t->options = o;
    t->request = r;
    wslay_event_config_set_max_recv_msg_length(t->ws, TGW_WS_FRAME_PAYLOAD_MAX);
    if (o->program == PROGRAM_SHELL && !r->channel)
        start_shell(t);
    if (o->program == PROGRAM_FLOOD)
        flood(t);
    while (step(t))
        ;
    if (t->child > 0 && !t->ended)
        kill(-t->child, SIGHUP); /* the browser left: so does what it ran */
    wslay_event_context_free(t->ws);
    free(t);
}

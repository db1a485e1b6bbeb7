/* A shell on a pseudo-terminal of its own. */
#include "agent.h"
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum { READS_A_TURN = 4 };

static void update(struct conn *c);

static void reset_signals(void) {
    sigset_t none;
    sigemptyset(&none);
    for (int s = 1; s < NSIG; s++)
        signal(s, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void set_variable(char *out, size_t size, const char *key, const char *value) {
    snprintf(out, size, "%s=%s", key, value);
}

/* In the child: a login shell in a clean environment; never returns. */
__attribute__((noreturn)) static void become_shell(const char *shell) {
    const struct passwd *pw = getpwuid(getuid());
    const char *home = pw && pw->pw_dir[0] ? pw->pw_dir : "/";
    const char *user = pw ? pw->pw_name : "nobody";
    const char *base = strrchr(shell, '/');
    char text[4][300], login[300];
    struct termios t;
    set_variable(text[0], sizeof(text[0]), "HOME", home);
    set_variable(text[1], sizeof(text[1]), "USER", user);
    set_variable(text[2], sizeof(text[2]), "LOGNAME", user);
    set_variable(text[3], sizeof(text[3]), "SHELL", shell);
    snprintf(login, sizeof(login), "-%s", base ? base + 1 : shell);
    char *const argv[] = {login, NULL};
    char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    char term[] = "TERM=xterm-256color", lang[] = "LANG=C.UTF-8";
    char *const env[] = {text[0], text[1], text[2], text[3], path, term, lang, NULL};
    reset_signals();
    if (tcgetattr(0, &t) == 0) {
        t.c_iflag |= IUTF8; /* backspace rubs out a character, not a byte */
        tcsetattr(0, TCSANOW, &t);
    }
    if (chdir(home) != 0 && chdir("/") != 0)
        _exit(126);
    execve(shell, argv, env);
    _exit(127);
}

static void on_poll(uv_poll_t *poll, int status, int events) {
    struct conn *c = poll->data;
    (void)status, (void)events;
    conn_pump(c);
}

static bool start(struct conn *c) {
    struct pty *p = &c->pty;
    struct winsize size = {.ws_row = c->request.rows, .ws_col = c->request.cols};
    pid_t pid = forkpty(&p->fd, NULL, NULL, &size);
    if (pid == 0)
        become_shell(c->agent->shell);
    if (pid < 0) {
        p->fd = -1;
        return false;
    }
    p->pid = pid;
    fcntl(p->fd, F_SETFD, FD_CLOEXEC);
    fcntl(p->fd, F_SETFL, fcntl(p->fd, F_GETFL) | O_NONBLOCK);
    if (uv_poll_init(&c->agent->loop, &p->poll, p->fd) != 0) {
        close(p->fd);
        p->fd = -1;
        kill(-pid, SIGHUP);
        return false;
    }
    p->poll.data = c;
    c->handles++;
    return true;
}

static void write_input(struct conn *c) {
    struct pty *p = &c->pty;
    while (bytes_len(&c->input)) {
        ssize_t n = write(p->fd, bytes_front(&c->input), bytes_len(&c->input));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            if (errno != EAGAIN)
                bytes_free(&c->input); /* nobody reads it any more */
            return;
        }
        bytes_take(&c->input, (size_t)n);
    }
}

static void read_output(struct conn *c) {
    struct pty *p = &c->pty;
    uint8_t buf[1 + PTY_READ_BYTES] = {CHANNEL_STDOUT};
    for (int i = 0; i < READS_A_TURN && !p->end_of_output; i++) {
        size_t room = frames_room(c);
        if (!room)
            return;
        ssize_t n = read(p->fd, buf + 1, room < PTY_READ_BYTES ? room : PTY_READ_BYTES);
        if (n > 0)
            frames_output(c, buf, (size_t)n);
        else if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        else
            p->end_of_output = true; /* EIO: no process holds the other end */
    }
}

static void finish_if_over(struct conn *c) {
    struct pty *p = &c->pty;
    if (!p->reaped || !p->end_of_output || c->program_ended)
        return;
    frames_exit(c, p->status);
    conn_program_ended(c);
}

static void update(struct conn *c) {
    struct pty *p = &c->pty;
    int want = 0;
    if (!p->end_of_output && frames_room(c))
        want |= UV_READABLE;
    if (!p->end_of_output && bytes_len(&c->input))
        want |= UV_WRITABLE;
    uv_poll_start(&p->poll, want, on_poll);
}

static void pump(struct conn *c) {
    if (c->pty.fd < 0)
        return;
    write_input(c);
    read_output(c);
    finish_if_over(c);
    update(c);
}

static void input(struct conn *c, const uint8_t *data, size_t len) {
    if (c->pty.fd < 0 || c->pty.end_of_output || c->pty.end_of_input)
        return;
    if (!bytes_append(&c->input, data, len)) {
        conn_close(c, 1011, "out of memory");
        return;
    }
    write_input(c);
}

/* A terminal has no half-close: its end-of-file character does it; in the middle of a
 * line the first one only hands the line over. */
static void end_of_input(struct conn *c) {
    struct termios t;
    if (c->pty.fd < 0 || tcgetattr(c->pty.fd, &t) != 0)
        return;
    uint8_t eof[2] = {t.c_cc[VEOF], t.c_cc[VEOF]};
    input(c, eof, t.c_lflag & ICANON ? 2 : 1);
    c->pty.end_of_input = true;
}

static void resize(struct conn *c) {
    struct winsize size = {.ws_row = c->request.rows, .ws_col = c->request.cols};
    if (c->pty.fd >= 0)
        ioctl(c->pty.fd, TIOCSWINSZ, &size); /* the kernel sends SIGWINCH */
}

static void on_closed(uv_handle_t *h) {
    struct conn *c = h->data;
    c->handles--;
    conn_unref(c);
}

static void hangup(struct conn *c) {
    struct pty *p = &c->pty;
    if (p->fd < 0)
        return;
    uv_close((uv_handle_t *)&p->poll, on_closed);
    close(p->fd); /* hangs up the foreground group too */
    p->fd = -1;
    bytes_free(&c->input);
    if (p->reaped)
        return;
    kill(-p->pid, SIGHUP);
    kill(-p->pid, SIGCONT); /* a stopped job must wake to hear it */
}

static void child_ended(struct conn *c, int status) {
    c->pty.status = status;
    c->pty.reaped = true;
    if (c->state == CONN_GONE) {
        conn_unref(c);
        return;
    }
    if (!c->pty.end_of_output)
        uv_timer_start(&c->timer, c->timer.timer_cb, EXIT_DRAIN_MS, 0);
    conn_pump(c);
}

void pty_child_changed(struct agent *a) {
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (struct conn *c = a->conns; c; c = c->next) {
            if (c->pty.pid == pid && !c->pty.reaped) {
                child_ended(c, status);
                break;
            }
        }
    }
}

void pty_timeout(struct conn *c) {
    struct pty *p = &c->pty;
    if (c->state == CONN_GONE && !p->reaped && !p->killed) {
        kill(-p->pid, SIGKILL);
        p->killed = true;
    } else if (c->state == CONN_OPEN && p->reaped && !p->end_of_output) {
        /* A job in the background keeps the terminal open: the shell's end counts, once
         * the peer has taken what there was. */
        if (frames_room(c))
            p->end_of_output = true;
        else
            uv_timer_start(&c->timer, c->timer.timer_cb, EXIT_DRAIN_MS, 0);
        conn_pump(c);
    }
}

const struct program program_shell = {.name = "shell",
                                      .start = start,
                                      .input = input,
                                      .end_of_input = end_of_input,
                                      .resize = resize,
                                      .pump = pump,
                                      .hangup = hangup};

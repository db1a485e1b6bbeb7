/* A connection's life: request, frames, close. */
#include "agent.h"
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { TURNS_MAX = 16 }; /* of one connection before others have theirs */

static void on_timer(uv_timer_t *timer);
static void on_socket(uv_poll_t *poll, int status, int events);

static void on_closed(uv_handle_t *h) {
    struct conn *c = h->data;
    c->handles--;
    conn_unref(c);
}

static void conn_free(struct conn *c) {
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    c->agent->conn_count--;
    if (c->ws)
        wslay_event_context_free(c->ws);
    bytes_free(&c->in);
    bytes_free(&c->out);
    bytes_free(&c->input);
    struct agent *a = c->agent;
    free(c);
    if (a->stopping && a->conn_count == 0)
        uv_stop(&a->loop);
}

void conn_unref(struct conn *c) {
    if (c->state != CONN_GONE || (c->pty.pid > 0 && !c->pty.reaped))
        return;
    if (!uv_is_closing((uv_handle_t *)&c->timer))
        uv_close((uv_handle_t *)&c->timer, on_closed);
    if (c->handles == 0)
        conn_free(c);
}

static void hangup_program(struct conn *c) {
    if (c->program_started && c->agent->program->hangup)
        c->agent->program->hangup(c);
}

void conn_lost(struct conn *c, const char *reason) {
    if (c->state == CONN_GONE)
        return;
    bool session = c->ws != NULL;
    c->state = CONN_GONE;
    uv_close((uv_handle_t *)&c->poll, on_closed);
    secure_free(c);
    close(c->fd);
    c->fd = -1;
    if (session)
        log_conn(LOG_INFO, "session_closed", c, "session closed",
                 c->end_reason ? c->end_reason : reason);
    hangup_program(c);
    uv_timer_start(&c->timer, on_timer, HANGUP_GRACE_MS, 0);
    conn_unref(c);
}

static void begin_closing(struct conn *c) {
    if (c->state != CONN_OPEN)
        return;
    c->state = CONN_CLOSING;
    hangup_program(c);
    uv_timer_start(&c->timer, on_timer, CLOSE_TIMEOUT_MS, 0);
}

void conn_close(struct conn *c, uint16_t code, const char *reason) {
    if (c->state != CONN_OPEN)
        return;
    frames_close(c, code, reason);
    begin_closing(c);
}

/* wslay sends control frames before queued data, so the Close waits for the output;
 * see conn_pump. */
void conn_program_ended(struct conn *c) {
    c->program_ended = true;
    if (!c->end_reason)
        c->end_reason = "exit";
}

static void answer_error(struct conn *c, const struct request_error *e) {
    char text[1024];
    size_t n = request_write_error(&c->request, e, text, sizeof(text));
    log_conn(LOG_WARN, "session_refused", c, e->message, e->code);
    bytes_free(&c->in);
    if (!bytes_append(&c->out, text, n)) {
        conn_lost(c, "out of memory");
        return;
    }
    c->state = CONN_CLOSING;
    uv_timer_start(&c->timer, on_timer, CLOSE_TIMEOUT_MS, 0);
}

static bool serves(const struct agent *a, const char *allocation) {
    for (size_t i = 0; i < a->allocation_count; i++)
        if (strcmp(a->allocations[i], allocation) == 0)
            return true;
    return a->allocation_count == 0;
}

static bool check_request(struct conn *c, const char *bearer, struct request_error *err) {
    struct agent *a = c->agent;
    const char *wrong = NULL;
    if (a->secret_len)
        wrong = grant_check(bearer, a->secret, a->secret_len, (uint64_t)time(NULL), &c->request);
    if (wrong)
        *err = (struct request_error){401, "grant_refused", wrong};
    else if (!serves(a, c->request.allocation_id))
        *err = (struct request_error){404, "allocation_not_found", "allocation not found"};
    else if (a->stopping || a->conn_count > a->conns_max)
        *err = (struct request_error){503, "no_capacity", "no capacity for another session"};
    else
        return true;
    return false;
}

static void open_session(struct conn *c, const char *key) {
    char text[512];
    size_t n = request_write_accept(&c->request, key, text, sizeof(text));
    c->state = CONN_OPEN;
    uv_timer_stop(&c->timer);
    if (!bytes_append(&c->out, text, n) || !frames_start(c)) {
        conn_lost(c, "out of memory");
        return;
    }
    log_conn(LOG_INFO, "session_opened", c, c->agent->program->name, NULL);
}

static void take_head(struct conn *c) {
    struct request_error err;
    char key[25], bearer[REQUEST_BEARER_MAX + 1];
    size_t head = request_head_bytes(bytes_front(&c->in), bytes_len(&c->in));
    if (head == 0 && bytes_len(&c->in) < REQUEST_HEAD_MAX)
        return;
    if (head == 0 || head > REQUEST_HEAD_MAX) {
        err = (struct request_error){431, "headers_too_large", "request head too large"};
        answer_error(c, &err);
        return;
    }
    bool good =
        request_parse((const char *)bytes_front(&c->in), head, &c->request, key, bearer, &err) &&
        check_request(c, bearer, &err);
    explicit_bzero(c->in.data + c->in.begin, head); /* it held the grant */
    explicit_bzero(bearer, sizeof(bearer));
    bytes_take(&c->in, head);
    if (good)
        open_session(c, key);
    else
        answer_error(c, &err);
}

static void read_head(struct conn *c) {
    uint8_t *room = bytes_reserve(&c->in, REQUEST_HEAD_MAX);
    ssize_t n = room ? secure_recv(c, room, REQUEST_HEAD_MAX) : 0;
    if (n > 0) {
        c->in.end += (size_t)n;
        take_head(c);
    } else if (n == 0 || errno != EAGAIN)
        conn_lost(c, "lost");
}

/* After our last byte only the peer's end is of interest. */
static void discard(struct conn *c) {
    uint8_t buf[4096];
    ssize_t n;
    while ((n = secure_recv(c, buf, sizeof(buf))) > 0)
        ;
    if (n == 0 || errno != EAGAIN)
        conn_lost(c, "closed");
}

static void receive(struct conn *c) {
    if (c->state == CONN_HEAD)
        read_head(c);
    if (c->state == CONN_GONE)
        return;
    if (c->state == CONN_HEAD || !c->ws || !wslay_event_get_read_enabled(c->ws)) {
        if (c->state == CONN_CLOSING)
            discard(c);
        return;
    }
    if (!frames_receive(c))
        conn_lost(c, "lost");
    else if (!wslay_event_get_read_enabled(c->ws))
        begin_closing(c); /* the peer's Close, or a frame that wslay answers with one */
}

static bool flush(struct conn *c) {
    while (bytes_len(&c->out)) {
        ssize_t n = secure_send(c, bytes_front(&c->out), bytes_len(&c->out));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN;
        bytes_take(&c->out, (size_t)n);
    }
    return true;
}

/* The socket's end once everything is said: at once when the peer's Close is here. */
static void end_if_said(struct conn *c) {
    if (c->state != CONN_CLOSING || bytes_len(&c->out))
        return;
    if (!c->ws || !wslay_event_want_write(c->ws)) {
        if (c->ws && wslay_event_get_close_received(c->ws))
            conn_lost(c, "closed");
        else if (!c->close_sent && !(c->ws && wslay_event_get_read_enabled(c->ws))) {
            c->close_sent = true;
            secure_shutdown(c);
        }
    }
}

/* One turn of frames to the socket; true when another would move more. */
static bool turn(struct conn *c) {
    const struct program *p = c->agent->program;
    if (c->state == CONN_OPEN && c->program_started && !c->program_ended && p->pump)
        p->pump(c);
    if (c->ws && !frames_send(c)) {
        conn_lost(c, "out of memory");
        return false;
    }
    if (c->program_ended && c->state == CONN_OPEN && wslay_event_get_queued_msg_count(c->ws) == 0) {
        conn_close(c, 1000, "");
        return true;
    }
    if (!flush(c)) {
        conn_lost(c, "lost");
        return false;
    }
    return c->ws && !bytes_len(&c->out) && wslay_event_want_write(c->ws);
}

static void update(struct conn *c) {
    bool paused =
        c->state == CONN_OPEN &&
        (bytes_len(&c->input) >= INPUT_QUEUE_BYTES ||
         (c->agent->program->passes_messages &&
          wslay_event_get_queued_msg_length(c->ws) + bytes_len(&c->out) >= SEND_QUEUE_BYTES));
    bool more = bytes_len(&c->out) || (c->ws && wslay_event_want_write(c->ws)) ||
                c->tls_wants_write || (!paused && secure_pending(c));
    uv_poll_start(&c->poll, (paused ? 0 : UV_READABLE) | (more ? UV_WRITABLE : 0), on_socket);
}

void conn_pump(struct conn *c) {
    /* Frames that came right behind the head and had to wait for the program. */
    if (c->state == CONN_OPEN && (bytes_len(&c->in) || secure_pending(c)))
        receive(c);
    for (int i = 0; i < TURNS_MAX && c->state != CONN_GONE && turn(c); i++)
        ;
    if (c->state != CONN_GONE)
        end_if_said(c);
    if (c->state != CONN_GONE)
        update(c);
}

static void on_socket(uv_poll_t *poll, int status, int events) {
    struct conn *c = poll->data;
    if (status < 0) {
        conn_lost(c, "lost");
        return;
    }
    if (events & UV_READABLE)
        receive(c);
    if (c->state != CONN_GONE)
        conn_pump(c);
}

static void on_timer(uv_timer_t *timer) {
    static const struct request_error slow = {408, "request_timeout",
                                              "request head not complete in time"};
    struct conn *c = timer->data;
    switch (c->state) {
    case CONN_HEAD:
        answer_error(c, &slow);
        if (c->state != CONN_GONE)
            conn_pump(c);
        break;
    case CONN_CLOSING:
        conn_lost(c, "close_timeout");
        break;
    case CONN_OPEN:
    case CONN_GONE:
        pty_timeout(c);
        break;
    }
}

/* Of a connection that never was one. */
static void free_early(uv_handle_t *h) {
    free(h->data);
}

void conn_accept(struct agent *a, int fd, const char *remote) {
    struct conn *c = calloc(1, sizeof(*c));
    if (!c || uv_poll_init(&a->loop, &c->poll, fd) != 0) {
        free(c);
        close(fd);
        return;
    }
    c->agent = a;
    c->fd = fd;
    c->poll.data = c;
    if (!secure_accept(c)) {
        secure_free(c);
        uv_close((uv_handle_t *)&c->poll, free_early);
        close(fd);
        return;
    }
    c->pty.fd = -1;
    c->began_ms = uv_now(&a->loop);
    snprintf(c->remote, sizeof(c->remote), "%s", remote);
    uv_timer_init(&a->loop, &c->timer);
    c->timer.data = c;
    c->handles = 2;
    c->next = a->conns;
    c->link = &a->conns;
    if (c->next)
        c->next->link = &c->next;
    a->conns = c;
    a->conn_count++;
    uv_timer_start(&c->timer, on_timer, HEAD_TIMEOUT_MS, 0);
    update(c);
}

/* WebSocket messages of a connection, and the channels inside them (contract section 2). */
#include "agent.h"
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { DIM_MAX = 1000 };

static size_t queued(const struct conn *c) {
    return wslay_event_get_queued_msg_length(c->ws) + bytes_len(&c->out);
}

/* What came must be taken by the program before more is read. */
static bool input_full(const struct conn *c) {
    return bytes_len(&c->input) >= INPUT_QUEUE_BYTES ||
           (c->agent->program->passes_messages && queued(c) >= SEND_QUEUE_BYTES);
}

static ssize_t on_recv(wslay_event_context_ptr ws, uint8_t *buf, size_t len, int flags,
                       void *user) {
    struct conn *c = user;
    (void)flags;
    ssize_t n = (ssize_t)bytes_len(&c->in);
    if (n && !input_full(c)) { /* stood behind the request's head */
        n = n < (ssize_t)len ? n : (ssize_t)len;
        memcpy(buf, bytes_front(&c->in), (size_t)n);
        bytes_take(&c->in, (size_t)n);
        return n;
    }
    n = input_full(c) ? (errno = EAGAIN, -1) : secure_recv(c, buf, len);
    if (n > 0) {
        c->bytes_in += (uint64_t)n;
        return n;
    }
    bool wait = n < 0 && (errno == EAGAIN || errno == EINTR);
    wslay_event_set_error(ws, wait ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

/* Frames gather in c->out, so that many leave in one write. */
static ssize_t on_send(wslay_event_context_ptr ws, const uint8_t *data, size_t len, int flags,
                       void *user) {
    struct conn *c = user;
    (void)flags;
    size_t room = bytes_len(&c->out) < OUT_BYTES ? OUT_BYTES - bytes_len(&c->out) : 0;
    size_t n = len < room ? len : room;
    if (n && bytes_append(&c->out, data, n))
        return (ssize_t)n;
    wslay_event_set_error(ws, n ? WSLAY_ERR_NOMEM : WSLAY_ERR_WOULDBLOCK);
    return -1;
}

void frames_message(struct conn *c, uint8_t opcode, const uint8_t *data, size_t len) {
    struct wslay_event_msg m = {.opcode = opcode, .msg = data, .msg_length = len};
    int error = wslay_event_queue_msg(c->ws, &m);
    if (error == WSLAY_ERR_NOMEM)
        conn_close(c, 1011, "out of memory");
}

void frames_output(struct conn *c, const uint8_t *data, size_t len) {
    assert(data[0] == CHANNEL_STDOUT && len > 0);
    size_t skip = c->request.channel ? 0 : 1;
    frames_message(c, WSLAY_BINARY_FRAME, data + skip, len + 1 - skip);
    c->sent += len;
}

size_t frames_room(const struct conn *c) {
    size_t used = queued(c);
    size_t room = used < SEND_QUEUE_BYTES ? SEND_QUEUE_BYTES - used : 0;
    if (c->window) {
        uint64_t open = c->window - (c->sent - c->acked);
        room = open < room ? (size_t)open : room;
    }
    return c->state == CONN_OPEN && !c->program_ended ? room : 0;
}

void frames_exit(struct conn *c, int status) {
    char text[96];
    int n;
    if (!c->request.channel)
        return;
    if (WIFSIGNALED(status))
        n = snprintf(text, sizeof(text), "%c{\"exit_code\":%d,\"signal\":%d}", CHANNEL_EXIT,
                     128 + WTERMSIG(status), WTERMSIG(status));
    else
        n = snprintf(text, sizeof(text), "%c{\"exit_code\":%d}", CHANNEL_EXIT, WEXITSTATUS(status));
    frames_message(c, WSLAY_BINARY_FRAME, (const uint8_t *)text, (size_t)n);
}

void frames_close(struct conn *c, uint16_t code, const char *reason) {
    if (wslay_event_get_close_sent(c->ws) || !wslay_event_get_write_enabled(c->ws))
        return;
    wslay_event_queue_close(c->ws, code, (const uint8_t *)reason, strlen(reason));
}

static void protocol_error(struct conn *c, const char *what) {
    c->end_reason = "protocol_error";
    conn_close(c, 1002, what);
}

/* A number of an object in min..max, as it was when absent. */
static bool take_number(const cJSON *o, const char *key, double min, double max, double *out) {
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    if (!v || cJSON_IsNull(v))
        return true;
    *out = v->valuedouble;
    return cJSON_IsNumber(v) && *out >= min && *out <= max && *out == (double)(uint64_t)*out;
}

static bool take_size(struct conn *c, const cJSON *o) {
    double cols = c->request.cols, rows = c->request.rows;
    if (!cJSON_IsObject(o) || !take_number(o, "cols", 1, DIM_MAX, &cols) ||
        !take_number(o, "rows", 1, DIM_MAX, &rows))
        return false;
    c->request.cols = (uint16_t)cols;
    c->request.rows = (uint16_t)rows;
    return true;
}

static void start_program(struct conn *c) {
    const struct program *p = c->agent->program;
    c->program_started = true;
    if (p->start && !p->start(c)) {
        c->end_reason = "spawn_failed";
        conn_close(c, 1011, "cannot start the program");
    }
}

static void hello(struct conn *c, const uint8_t *data, size_t len) {
    cJSON *o = cJSON_ParseWithLength((const char *)data, len);
    double version = 0, window = 0;
    bool good = take_size(c, o) && take_number(o, "v", 1, 1, &version) && version == 1 &&
                take_number(o, "window", 1, 1e15, &window);
    cJSON_Delete(o);
    if (!good) {
        protocol_error(c, "hello malformed");
        return;
    }
    c->hello_seen = true;
    c->window = (uint64_t)window;
    /* Nothing is kept of an earlier connection: "resume" begins at 0, as it says. */
    char text[128];
    int n = snprintf(text, sizeof(text), "%c{\"v\":1,\"session_id\":\"%s\",\"offset\":0}",
                     CHANNEL_HELLO, c->request.session_id);
    frames_message(c, WSLAY_BINARY_FRAME, (const uint8_t *)text, (size_t)n);
    start_program(c);
}

static void resize(struct conn *c, const uint8_t *data, size_t len) {
    cJSON *o = cJSON_ParseWithLength((const char *)data, len);
    bool good = take_size(c, o);
    cJSON_Delete(o);
    if (!good)
        protocol_error(c, "resize malformed");
    else if (c->agent->program->resize)
        c->agent->program->resize(c);
}

static void ack(struct conn *c, const uint8_t *data, size_t len) {
    uint64_t offset = 0;
    for (size_t i = 0; i < len && len == 8; i++)
        offset = offset << 8 | data[i];
    if (len != 8 || offset > c->sent)
        protocol_error(c, "ack malformed");
    else if (offset > c->acked)
        c->acked = offset;
}

static void on_channel(struct conn *c, const uint8_t *data, size_t len) {
    const struct program *p = c->agent->program;
    if (len == 0 || (!c->hello_seen && data[0] != CHANNEL_HELLO)) {
        protocol_error(c, "the first frame must be a hello");
        return;
    }
    switch (data[0]) {
    case CHANNEL_STDIN:
        if (p->input)
            p->input(c, data + 1, len - 1);
        break;
    case CHANNEL_RESIZE:
        resize(c, data + 1, len - 1);
        break;
    case CHANNEL_ACK:
        ack(c, data + 1, len - 1);
        break;
    case CHANNEL_HELLO:
        if (c->hello_seen)
            protocol_error(c, "second hello");
        else
            hello(c, data + 1, len - 1);
        break;
    case CHANNEL_PING:
        frames_message(c, WSLAY_BINARY_FRAME, data, len);
        break;
    case CHANNEL_CLOSE:
        if (len == 2 && data[1] == CHANNEL_STDIN && p->end_of_input)
            p->end_of_input(c);
        break;
    default: /* channels of a later version mean nothing to this one */
        break;
    }
}

static void on_message(wslay_event_context_ptr ws, const struct wslay_event_on_msg_recv_arg *m,
                       void *user) {
    struct conn *c = user;
    const struct program *p = c->agent->program;
    (void)ws;
    if (m->opcode == WSLAY_CONNECTION_CLOSE && !c->end_reason)
        c->end_reason = "closed_by_peer";
    if (c->state != CONN_OPEN || (m->opcode != WSLAY_TEXT_FRAME && m->opcode != WSLAY_BINARY_FRAME))
        return;
    if (p->passes_messages)
        p->message(c, m->opcode, m->msg, m->msg_length);
    else if (c->request.channel)
        on_channel(c, m->msg, m->msg_length);
    else if (p->input)
        p->input(c, m->msg, m->msg_length);
}

bool frames_start(struct conn *c) {
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_recv, .send_callback = on_send, .on_msg_recv_callback = on_message};
    if (wslay_event_context_server_init(&c->ws, &callbacks, c) != 0)
        return false;
    wslay_event_config_set_max_recv_msg_length(c->ws, MESSAGE_BYTES_MAX);
    if (!c->request.channel || c->agent->program->passes_messages)
        start_program(c);
    return true;
}

bool frames_receive(struct conn *c) {
    return wslay_event_recv(c->ws) == 0;
}

bool frames_send(struct conn *c) {
    return wslay_event_send(c->ws) == 0;
}

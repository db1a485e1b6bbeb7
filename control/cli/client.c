#include "client.h"
#include <errno.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    REPLY_TIMEOUT_MS = 10000,
    REPLY_FIRST_BYTES = 64 * 1024,
    REPLY_BYTES_MAX = 64 * 1024 * 1024,
};

struct line {
    char *text;
    size_t len, size;
};

static void fail(struct client *c, const char *why) {
    snprintf(c->error, sizeof(c->error), "%s", why);
    client_close(c);
}

bool client_connect(struct client *c, const char *path) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const struct timeval timeout = {.tv_sec = REPLY_TIMEOUT_MS / 1000};
    c->fd = -1;
    if (strlen(path) >= sizeof(to.sun_path)) {
        fail(c, "the path is too long for a socket");
        return false;
    }
    memcpy(to.sun_path, path, strlen(path) + 1);
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* The send timeout holds for connect as well: a full backlog does not hang us. */
    if (c->fd < 0 || setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) != 0 ||
        connect(c->fd, (const struct sockaddr *)&to, sizeof(to)) != 0) {
        fail(c, strerror(errno));
        return false;
    }
    return true;
}

void client_close(struct client *c) {
    SSL_free(c->ssl);
    SSL_CTX_free(c->tls);
    c->ssl = NULL;
    c->tls = NULL;
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

static char *request_line(unsigned id, const char *cmd, cJSON *args) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddNumberToObject(o, "id", id);
    cJSON_AddStringToObject(o, "cmd", cmd);
    if (!cJSON_AddItemToObject(o, "args", args ? args : cJSON_CreateObject()))
        cJSON_Delete(args);
    char *text = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    return text;
}

/* Bytes, 0 at the end, -1 with errno. */
static ssize_t send_some(struct client *c, const char *data, size_t len) {
    size_t n;
    if (!c->ssl)
        return send(c->fd, data, len, MSG_NOSIGNAL);
    errno = EPIPE;
    return SSL_write_ex(c->ssl, data, len, &n) == 1 ? (ssize_t)n : -1;
}

static ssize_t receive_some(struct client *c, char *out, size_t size) {
    size_t n;
    if (!c->ssl)
        return recv(c->fd, out, size, 0);
    if (SSL_read_ex(c->ssl, out, size, &n) == 1)
        return (ssize_t)n;
    errno = ECONNRESET;
    return SSL_get_error(c->ssl, 0) == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}

static bool send_all(struct client *c, const char *text, size_t len) {
    while (len) {
        ssize_t n = send_some(c, text, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            fail(c, strerror(errno));
            return false;
        }
        text += n;
        len -= (size_t)n;
    }
    return true;
}

static bool send_line(struct client *c, const char *text) {
    return send_all(c, text, strlen(text)) && send_all(c, "\n", 1);
}

static long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The deadline is over the whole reply: a peer that trickles does not hold us. */
static bool wait_readable(struct client *c, long deadline_ms) {
    for (;;) {
        if (c->ssl && SSL_pending(c->ssl) > 0)
            return true;
        long left_ms = deadline_ms - now_ms();
        struct pollfd p = {.fd = c->fd, .events = POLLIN};
        int n = left_ms > 0 ? poll(&p, 1, (int)left_ms) : 0;
        if (n > 0)
            return true;
        if (n < 0 && errno == EINTR)
            continue;
        fail(c, n == 0 ? "no answer within 10 s" : strerror(errno));
        return false;
    }
}

/* A reply may hold freshly minted tokens: no copy of one stays behind in the heap, so not
 * realloc. */
static bool grow(struct client *c, struct line *l) {
    size_t size = l->size ? 2 * l->size : REPLY_FIRST_BYTES;
    char *text = size <= REPLY_BYTES_MAX ? malloc(size) : NULL;
    if (!text) {
        fail(c, size > REPLY_BYTES_MAX ? "the answer is too long" : "out of memory");
        return false;
    }
    if (l->text) {
        memcpy(text, l->text, l->len);
        explicit_bzero(l->text, l->len);
        free(l->text);
    }
    l->text = text;
    l->size = size;
    return true;
}

static bool receive_line(struct client *c, struct line *l) {
    long deadline_ms = now_ms() + REPLY_TIMEOUT_MS;
    for (;;) {
        if ((l->len == l->size && !grow(c, l)) || !wait_readable(c, deadline_ms))
            return false;
        ssize_t n = receive_some(c, l->text + l->len, l->size - l->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            fail(c, n == 0 ? "it closed the connection without an answer" : strerror(errno));
            return false;
        }
        char *end = memchr(l->text + l->len, '\n', (size_t)n);
        l->len += (size_t)n;
        if (end) {
            l->len = (size_t)(end - l->text);
            return true;
        }
    }
}

static bool is_reply(const cJSON *r, unsigned id) {
    const cJSON *got = cJSON_GetObjectItemCaseSensitive(r, "id");
    const cJSON *ok = cJSON_GetObjectItemCaseSensitive(r, "ok");
    if (!cJSON_IsNumber(got) || got->valuedouble != id || !cJSON_IsBool(ok))
        return false;
    if (cJSON_IsTrue(ok))
        return cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(r, "result"));
    return cJSON_IsString(cJSON_GetObjectItemCaseSensitive(r, "code")) &&
           cJSON_IsString(cJSON_GetObjectItemCaseSensitive(r, "message"));
}

static cJSON *receive_reply(struct client *c) {
    struct line l = {0};
    cJSON *reply = NULL;
    if (receive_line(c, &l)) {
        reply = cJSON_ParseWithLength(l.text, l.len);
        if (!is_reply(reply, c->last_id)) {
            cJSON_Delete(reply);
            reply = NULL;
            fail(c, "its answer is not one of a control process");
        }
    }
    if (l.text)
        explicit_bzero(l.text, l.size);
    free(l.text);
    return reply;
}

cJSON *client_call(struct client *c, const char *cmd, cJSON *args) {
    char *text = request_line(++c->last_id, cmd, args);
    if (!text) {
        fail(c, "out of memory");
        return NULL;
    }
    bool sent = send_line(c, text);
    explicit_bzero(text, strlen(text)); /* it may hold a token */
    free(text);
    return sent ? receive_reply(c) : NULL;
}

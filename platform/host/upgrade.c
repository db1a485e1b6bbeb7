/* GET /v1/terminal/{allocation_id}?mode=&cols=&rows= with the gateway's headers. */
#include "agent.h"
#include "web/http1.h"
#include "web/ws.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_MAX = 8192, HEAD_TIMEOUT_MS = 5000 };

static bool read_head(int fd, char *head) {
    size_t len = 0;
    while (len < HEAD_MAX - 1) {
        struct pollfd p = {fd, POLLIN, 0};
        /* Byte by byte: what follows the head belongs to the frames. */
        if (poll(&p, 1, HEAD_TIMEOUT_MS) != 1 || read(fd, head + len, 1) != 1)
            return false;
        len++;
        if (len >= 4 && memcmp(head + len - 4, "\r\n\r\n", 4) == 0) {
            head[len] = 0;
            return true;
        }
    }
    return false;
}

/* The value of a header, "" when it is missing or does not fit. */
static void header(const char *head, const char *name, char *out, size_t size) {
    size_t n = strlen(name);
    out[0] = 0;
    for (const char *line = strstr(head, "\r\n"); line && line[2] != '\r';
         line = strstr(line + 2, "\r\n")) {
        const char *at = line + 2;
        if (strncasecmp(at, name, n) != 0 || at[n] != ':')
            continue;
        at += n + 1;
        at += strspn(at, " \t");
        size_t len = strcspn(at, "\r");
        if (len < size) {
            memcpy(out, at, len);
            out[len] = 0;
        }
        return;
    }
}

static uint16_t dimension(const char *query, const char *key, uint16_t fallback) {
    const char *at = strstr(query, key);
    unsigned long n = at ? strtoul(at + strlen(key), NULL, 10) : 0;
    return n >= 1 && n <= TGW_TERMINAL_DIM_MAX ? (uint16_t)n : fallback;
}

static bool take_target(const char *head, struct request *r) {
    char query[128] = "";
    if (sscanf(head, "GET /v1/terminal/%64[A-Za-z0-9._-]?%127s HTTP/1.1", r->allocation_id, query) <
        1)
        return false;
    r->channel = strstr(query, "mode=channel") != NULL;
    r->cols = dimension(query, "cols=", TGW_COLS_DEFAULT);
    r->rows = dimension(query, "rows=", TGW_ROWS_DEFAULT);
    return true;
}

static void answer(int fd, const char *text) {
    size_t len = strlen(text);
    while (len) {
        ssize_t n = write(fd, text, len);
        if (n <= 0)
            return;
        text += n;
        len -= (size_t)n;
    }
}

static bool refuse(int fd, const struct request *r, const char *status, const char *why) {
    char text[256];
    snprintf(text, sizeof(text), "HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
             status);
    agent_log("WARN", "session_refused", r, why);
    answer(fd, text);
    return false;
}

static const char *authorize(const char *head, const struct options *o, const struct request *r) {
    char bearer[2048];
    header(head, "Authorization", bearer, sizeof(bearer));
    if (strncmp(bearer, "Bearer ", 7) != 0)
        return "grant missing";
    return grant_check(bearer + 7, o, r, (uint64_t)time(NULL));
}

bool upgrade(int fd, const struct options *o, struct request *r) {
    char head[HEAD_MAX], trace[64], version[8], accept[29], text[256];
    *r = (struct request){0};
    if (!read_head(fd, head))
        return false;
    header(head, "X-Session-ID", r->session_id, sizeof(r->session_id));
    header(head, "X-Correlation-ID", r->correlation_id, sizeof(r->correlation_id));
    header(head, "traceparent", trace, sizeof(trace));
    if (strlen(trace) == 55)
        memcpy(r->trace_id, trace + 3, 32);
    header(head, "Sec-WebSocket-Key", r->ws_key, sizeof(r->ws_key));
    header(head, "Sec-WebSocket-Version", version, sizeof(version));
    if (!take_target(head, r))
        return refuse(fd, r, "404 Not Found", "no such path");
    if (strcmp(version, "13") != 0 || strlen(r->ws_key) != 24)
        return refuse(fd, r, "426 Upgrade Required", "not a websocket upgrade");
    const char *why = authorize(head, o, r);
    if (why)
        return refuse(fd, r, "401 Unauthorized", why);
    ws_accept(r->ws_key, strlen(r->ws_key), accept);
    snprintf(text, sizeof(text),
             "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Accept: %s\r\n\r\n",
             accept);
    answer(fd, text);
    return true;
}

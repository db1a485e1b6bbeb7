#include "request.h"
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { DIM_MAX = 1000 };

struct fields {
    bool upgrade, connection, version;
    unsigned keys;
};

static bool refuse(struct request_error *err, int status, const char *code, const char *message) {
    *err = (struct request_error){status, code, message};
    return false;
}

size_t request_head_bytes(const uint8_t *data, size_t len) {
    const uint8_t *end = len < 4 ? NULL : memmem(data, len, "\r\n\r\n", 4);
    return end ? (size_t)(end - data) + 4 : 0;
}

static bool is_id(const char *s, size_t len, size_t min, size_t max) {
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    if (len < min || len > max)
        return false;
    for (size_t i = 0; i < len; i++)
        if (!s[i] || !strchr(set, s[i]))
            return false;
    return true;
}

static void copy_id(char *out, size_t size, const char *s, size_t len) {
    if (is_id(s, len, 1, size - 1)) {
        memcpy(out, s, len);
        out[len] = 0;
    }
}

static void copy_printable(char *out, size_t size, const char *s, size_t len) {
    if (len >= size)
        return;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)s[i] < 0x21 || (unsigned char)s[i] > 0x7e)
            return;
    memcpy(out, s, len);
    out[len] = 0;
}

/* A comma-separated list holds the word, whatever its case. */
static bool has_word(const char *s, size_t len, const char *word) {
    const char *end = s + len;
    while (s < end) {
        const char *comma = memchr(s, ',', (size_t)(end - s));
        const char *stop = comma ? comma : end;
        while (s < stop && (*s == ' ' || *s == '\t'))
            s++;
        size_t n = (size_t)(stop - s);
        while (n && (s[n - 1] == ' ' || s[n - 1] == '\t'))
            n--;
        if (n == strlen(word) && strncasecmp(s, word, n) == 0)
            return true;
        s = stop + 1;
    }
    return false;
}

static bool take_dim(const char *value, size_t len, uint16_t *out) {
    unsigned long n = 0;
    if (len == 0 || len > 4)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (value[i] < '0' || value[i] > '9')
            return false;
        n = n * 10 + (unsigned long)(value[i] - '0');
    }
    if (n < 1 || n > DIM_MAX)
        return false;
    *out = (uint16_t)n;
    return true;
}

static bool take_pair(const char *pair, size_t len, struct request *r) {
    const char *eq = memchr(pair, '=', len);
    size_t key = eq ? (size_t)(eq - pair) : len;
    const char *value = eq ? eq + 1 : pair + len;
    size_t n = len - (size_t)(value - pair);
    if (key == 4 && memcmp(pair, "cols", 4) == 0)
        return take_dim(value, n, &r->cols);
    if (key == 4 && memcmp(pair, "rows", 4) == 0)
        return take_dim(value, n, &r->rows);
    if (key == 4 && memcmp(pair, "mode", 4) == 0) {
        r->channel = n == 7 && memcmp(value, "channel", 7) == 0;
        return r->channel || (n == 3 && memcmp(value, "raw", 3) == 0);
    }
    return true;
}

static bool take_target(const char *target, size_t len, struct request *r,
                        struct request_error *err) {
    static const char prefix[] = "/v1/terminal/";
    size_t skip = sizeof(prefix) - 1;
    if (len < skip || memcmp(target, prefix, skip) != 0)
        return refuse(err, 404, "not_found", "no such path");
    const char *end = target + len;
    const char *query = memchr(target, '?', len);
    size_t id_len = (size_t)((query ? query : end) - target) - skip;
    if (!is_id(target + skip, id_len, 1, sizeof(r->allocation_id) - 1))
        return refuse(err, 404, "not_found", "no such path");
    copy_id(r->allocation_id, sizeof(r->allocation_id), target + skip, id_len);
    for (const char *p = query ? query + 1 : end; p < end;) {
        const char *amp = memchr(p, '&', (size_t)(end - p));
        const char *stop = amp ? amp : end;
        if (!take_pair(p, (size_t)(stop - p), r))
            return refuse(err, 400, "bad_request", "mode, cols or rows out of range");
        p = stop + 1;
    }
    return true;
}

static bool take_start(const char *line, size_t len, struct request *r, struct request_error *err) {
    const char *space = memchr(line, ' ', len);
    const char *end = line + len;
    if (!space || len < 14 || memcmp(end - 9, " HTTP/1.1", 9) != 0 || space >= end - 9)
        return refuse(err, 400, "bad_request", "malformed request line");
    if (space - line != 3 || memcmp(line, "GET", 3) != 0)
        return refuse(err, 405, "method_not_allowed", "method not allowed");
    return take_target(space + 1, (size_t)(end - 9 - (space + 1)), r, err);
}

/* RFC 6455 section 4.1: 16 bytes in base64. */
static bool key_good(const char *s, size_t len) {
    unsigned char raw[24];
    return len == 24 && s[22] == '=' && s[23] == '=' &&
           EVP_DecodeBlock(raw, (const unsigned char *)s, 24) == 18;
}

static bool take_header(const char *name, size_t name_len, const char *value, size_t len,
                        struct request *r, struct fields *f, char *key, char *bearer) {
#define IS(text) (name_len == sizeof(text) - 1 && strncasecmp(name, text, name_len) == 0)
    if (IS("upgrade"))
        f->upgrade |= has_word(value, len, "websocket");
    else if (IS("connection"))
        f->connection |= has_word(value, len, "upgrade");
    else if (IS("sec-websocket-version"))
        f->version = len == 2 && memcmp(value, "13", 2) == 0;
    else if (IS("sec-websocket-key")) {
        if (!key_good(value, len) || f->keys++)
            return false;
        memcpy(key, value, 24);
        key[24] = 0;
    } else if (IS("x-session-id"))
        copy_id(r->session_id, sizeof(r->session_id), value, len);
    else if (IS("x-correlation-id"))
        copy_id(r->correlation_id, sizeof(r->correlation_id), value, len);
    else if (IS("x-resource-name"))
        copy_printable(r->resource_name, sizeof(r->resource_name), value, len);
    else if (IS("traceparent") && len == 55)
        copy_id(r->trace_id, sizeof(r->trace_id), value + 3, 32);
    else if (IS("authorization") && len > 7 && strncasecmp(value, "bearer ", 7) == 0) {
        if (len - 7 > REQUEST_BEARER_MAX || bearer[0])
            return false;
        memcpy(bearer, value + 7, len - 7);
        bearer[len - 7] = 0;
    }
#undef IS
    return true;
}

static bool take_line(const char *line, size_t len, struct request *r, struct fields *f, char *key,
                      char *bearer) {
    const char *colon = memchr(line, ':', len);
    if (!colon || colon == line || memchr(line, 0, len))
        return false;
    const char *value = colon + 1;
    size_t n = (size_t)(line + len - value);
    while (n && (*value == ' ' || *value == '\t'))
        value++, n--;
    while (n && (value[n - 1] == ' ' || value[n - 1] == '\t'))
        n--;
    return take_header(line, (size_t)(colon - line), value, n, r, f, key, bearer);
}

bool request_parse(const char *head, size_t len, struct request *r, char key[25],
                   char bearer[REQUEST_BEARER_MAX + 1], struct request_error *err) {
    struct fields f = {0};
    const char *end = head + len - 2;
    const char *eol = memmem(head, len, "\r\n", 2);
    *r = (struct request){.cols = 80, .rows = 24};
    key[0] = bearer[0] = 0;
    if (!take_start(head, (size_t)(eol - head), r, err))
        return false;
    for (const char *p = eol + 2; p < end; p = eol + 2) {
        eol = memmem(p, (size_t)(head + len - p), "\r\n", 2);
        if (!take_line(p, (size_t)(eol - p), r, &f, key, bearer))
            return refuse(err, 400, "bad_request", "malformed header");
    }
    if (!f.upgrade || !f.connection || !f.version)
        return refuse(err, 426, "upgrade_required", "websocket upgrade required");
    if (!key[0])
        return refuse(err, 400, "bad_request", "Sec-WebSocket-Key missing");
    return true;
}

size_t request_write_accept(const struct request *r, const char *key, char *out, size_t size) {
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455 section 1.3 */
    char text[25 + sizeof(guid)];
    unsigned char hash[SHA_DIGEST_LENGTH], accept[32];
    int n = snprintf(text, sizeof(text), "%s%s", key, guid);
    SHA1((const unsigned char *)text, (size_t)n, hash);
    EVP_EncodeBlock(accept, hash, sizeof(hash));
    n = snprintf(out, size,
                 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                 "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s%s%s\r\n",
                 accept, r->session_id[0] ? "X-Session-ID: " : "", r->session_id,
                 r->session_id[0] ? "\r\n" : "");
    return (size_t)n < size ? (size_t)n : 0;
}

static const char *phrase(int status) {
    switch (status) {
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 426:
        return "Upgrade Required";
    case 431:
        return "Request Header Fields Too Large";
    case 503:
        return "Service Unavailable";
    default:
        return "Internal Server Error";
    }
}

/* Everything in the body is ours or an id: nothing needs escaping. */
size_t request_write_error(const struct request *r, const struct request_error *e, char *out,
                           size_t size) {
    char body[512];
    int n = snprintf(body, sizeof(body), "{\"code\":\"%s\",\"message\":\"%s\"%s%s%s}", e->code,
                     e->message, r->correlation_id[0] ? ",\"correlation_id\":\"" : "",
                     r->correlation_id, r->correlation_id[0] ? "\"" : "");
    const char *more = e->status == 426   ? "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                       : e->status == 405 ? "Allow: GET\r\n"
                       : e->status == 401 ? "WWW-Authenticate: Bearer\r\n"
                                          : "";
    n = snprintf(out, size,
                 "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
                 "%sConnection: close\r\n\r\n%s",
                 e->status, phrase(e->status), n, more, body);
    return (size_t)n < size ? (size_t)n : 0;
}

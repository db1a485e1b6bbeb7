/* Answers of the public listener. */
#include "web/http1.h"
#include "web/ws.h"
#include <string.h>

static const char *phrase(unsigned status) {
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 426:
        return "Upgrade Required";
    case 429:
        return "Too Many Requests";
    case 431:
        return "Request Header Fields Too Large";
    case 502:
        return "Bad Gateway";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    default:
        return "Internal Server Error";
    }
}

static void put_id(struct text_out *o, const char *name, const char *value) {
    if (value && value[0])
        text_put_field(o, name, value);
}

void http1_write_101(struct text_out *o, struct text key, struct text protocol,
                     const char *correlation_id, const char *trace_id, const char *session_id) {
    char accept[29];
    ws_accept(key.at, key.len, accept);
    text_put(o, "HTTP/1.1 101 Switching Protocols\r\n"
                "Upgrade: websocket\r\nConnection: Upgrade\r\n");
    text_put_field(o, "Sec-WebSocket-Accept", accept);
    if (protocol.len) {
        text_put(o, "Sec-WebSocket-Protocol: ");
        text_putn(o, protocol.at, protocol.len);
        text_put(o, "\r\n");
    }
    put_id(o, "X-Correlation-ID", correlation_id);
    put_id(o, "X-Trace-ID", trace_id);
    put_id(o, "X-Session-ID", session_id);
    text_put(o, "\r\n");
}

/* A JSON string; everything that comes here is printable ASCII, but one never knows. */
static void put_json(struct text_out *o, const char *s) {
    text_put(o, "\"");
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            text_put(o, "\\");
        if ((unsigned char)*s < 0x20)
            text_printf(o, "\\u%04x", (unsigned)*s);
        else
            text_putn(o, s, 1);
    }
    text_put(o, "\"");
}

static void put_detail(struct text_out *o, const char *key, const char *value, bool *first) {
    if (!value || !value[0])
        return;
    text_printf(o, "%s\"%s\":", *first ? "" : ",", key);
    put_json(o, value);
    *first = false;
}

static void put_envelope(struct text_out *o, const struct http1_error *e) {
    const struct tgw_reason_info *info = tgw_reason_info(e->reason);
    bool first = true;
    text_printf(o, "{\"code\":\"%s\",\"message\":\"%s\"", info->code, info->message);
    if (e->correlation_id && e->correlation_id[0]) {
        text_put(o, ",\"correlation_id\":");
        put_json(o, e->correlation_id);
    }
    text_put(o, ",\"details\":{");
    put_detail(o, "trace_id", e->trace_id, &first);
    put_detail(o, "reason", info->label, &first);
    put_detail(o, "session_id", e->session_id, &first);
    put_detail(o, "resource_name", e->resource_name, &first);
    text_put(o, "}}");
}

void http1_write_error(struct text_out *o, const struct http1_error *e) {
    unsigned status = tgw_reason_info(e->reason)->http_status;
    char body_text[1536];
    struct text_out body = {.at = body_text, .size = sizeof(body_text)};
    put_envelope(&body, e);
    o->overflow |= body.overflow;
    text_printf(o,
                "HTTP/1.1 %u %s\r\nContent-Type: application/json\r\nConnection: close\r\n"
                "Content-Length: %zu\r\n",
                status, phrase(status), body.len);
    put_id(o, "X-Correlation-ID", e->correlation_id);
    put_id(o, "X-Trace-ID", e->trace_id);
    if (status == 503 || status == 429)
        text_printf(o, "Retry-After: %u\r\n", e->retry_after_s);
    if (status == 405)
        text_put(o, "Allow: GET\r\n");
    if (status == 426)
        text_put(o, "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
    text_put(o, "\r\n");
    text_putn(o, body.at, body.len);
}

void http1_write_json(struct text_out *o, uint16_t status, const char *body) {
    text_printf(o,
                "HTTP/1.1 %u %s\r\nContent-Type: application/json\r\nConnection: close\r\n"
                "Cache-Control: no-store\r\nContent-Length: %zu\r\n\r\n%s",
                status, phrase(status), strlen(body), body);
}

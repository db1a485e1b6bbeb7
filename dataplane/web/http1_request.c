/* The request head: what the contract's section 1 asks of it. */
#include "contract/event.h" /* enum tgw_frame_mode */
#include "http1_priv.h"
#include <string.h>

/* What the fields said, before any of it is judged. */
struct fields {
    unsigned hosts, keys, lengths, versions;
    bool upgrade_websocket, connection_upgrade, version_13, body, bad_origin, many_tokens;
};

static bool is_id(struct text t, size_t min, size_t max) {
    if (t.len < min || t.len > max)
        return false;
    for (size_t i = 0; i < t.len; i++) {
        char c = t.at[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              c == '.' || c == '_' || c == '-'))
            return false;
    }
    return true;
}

static void copy_text(char *out, struct text t) {
    memcpy(out, t.at, t.len);
    out[t.len] = 0;
}

static bool is_hex(const char *s, size_t n, bool *zero) {
    *zero = true;
    for (size_t i = 0; i < n; i++) {
        if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f')))
            return false;
        *zero = *zero && s[i] == '0';
    }
    return true;
}

/* W3C trace context: 00-<32 hex>-<16 hex>-<2 hex>; ids must not be all zero. */
static void take_traceparent(struct http1_request *r, struct text v) {
    bool zero_trace, zero_span, ignored;
    if (v.len != 55 || memcmp(v.at, "00-", 3) != 0 || v.at[35] != '-' || v.at[52] != '-')
        return;
    if (!is_hex(v.at + 3, 32, &zero_trace) || !is_hex(v.at + 36, 16, &zero_span) ||
        !is_hex(v.at + 53, 2, &ignored) || zero_trace || zero_span)
        return;
    copy_text(r->trace_id, (struct text){v.at + 3, 32});
}

static void take_protocols(struct http1_request *r, struct fields *f, struct text list) {
    struct text element;
    while (list_next(&list, &element)) {
        if (text_is(element, "terminal.v1")) {
            r->protocol_v1 = true;
        } else if (r->has_token) {
            f->many_tokens = true;
        } else {
            r->has_token = true;
            r->token = element;
        }
    }
}

static void take_field(struct http1_request *r, struct fields *f, struct text name,
                       struct text value) {
    if (text_is_ci(name, "host")) {
        f->hosts++;
    } else if (text_is_ci(name, "upgrade")) {
        f->upgrade_websocket |= list_has_ci(value, "websocket");
    } else if (text_is_ci(name, "connection")) {
        f->connection_upgrade |= list_has_ci(value, "upgrade");
    } else if (text_is_ci(name, "sec-websocket-version")) {
        f->versions++;
        f->version_13 = text_is(value, "13");
    } else if (text_is_ci(name, "sec-websocket-key")) {
        f->keys++;
        r->ws_key = value;
    } else if (text_is_ci(name, "sec-websocket-protocol")) {
        take_protocols(r, f, value);
    } else if (text_is_ci(name, "origin")) {
        f->bad_origin |= r->has_origin || value.len > TGW_ORIGIN_MAX;
        r->has_origin = true;
        r->origin = value;
    } else if (text_is_ci(name, "content-length")) {
        f->lengths++;
        f->body |= !text_is(value, "0");
    } else if (text_is_ci(name, "transfer-encoding")) {
        f->body = true;
    } else if (text_is_ci(name, "x-correlation-id")) {
        if (is_id(value, TGW_CORRELATION_ID_MIN, TGW_CORRELATION_ID_MAX))
            copy_text(r->correlation_id, value);
    } else if (text_is_ci(name, "traceparent")) {
        take_traceparent(r, value);
    }
}

static bool take_fields(struct http1_request *r, struct fields *f, struct head *h) {
    struct text name, value;
    bool good = true;
    for (;;) {
        int got = head_field(h, &name, &value);
        if (got == 0)
            return good;
        if (got < 0 && h->at >= h->end)
            return false;
        if (got < 0) /* go on: the correlation id may come after the bad line */
            good = false;
        else
            take_field(r, f, name, value);
        if (h->at >= h->end)
            return false;
    }
}

static int hex_digit(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Percent-decode at most `size` - 1 characters; a longer or broken text decodes to "". */
static void decode(struct text t, char *out, size_t size) {
    size_t n = 0;
    out[0] = 0;
    for (size_t i = 0; i < t.len; i++) {
        int hi, lo;
        char c = t.at[i];
        if (c == '%') {
            if (i + 2 >= t.len || (hi = hex_digit(t.at[i + 1])) < 0 ||
                (lo = hex_digit(t.at[i + 2])) < 0) {
                out[0] = 0;
                return;
            }
            c = (char)(hi << 4 | lo);
            i += 2;
        }
        if (n + 1 >= size || c == 0) {
            out[0] = 0;
            return;
        }
        out[n++] = c;
    }
    out[n] = 0;
}

static bool dimension(const char *s, uint16_t *out) {
    unsigned n = 0;
    size_t len = strlen(s);
    for (size_t i = 0; i < len; i++) {
        if (s[i] < '0' || s[i] > '9' || len > 4)
            return false;
        n = n * 10 + (unsigned)(s[i] - '0');
    }
    *out = (uint16_t)n;
    return n >= 1 && n <= TGW_TERMINAL_DIM_MAX;
}

static enum tgw_reason take_param(struct http1_request *r, struct text param) {
    char key[16], value[16];
    const char *eq = memchr(param.at, '=', param.len);
    size_t key_len = eq ? (size_t)(eq - param.at) : param.len;
    decode((struct text){param.at, key_len}, key, sizeof(key));
    decode(eq ? (struct text){eq + 1, param.len - key_len - 1} : (struct text){param.at, 0}, value,
           sizeof(value));
    if (!strcmp(key, "token") || !strcmp(key, "access_token") || !strcmp(key, "auth"))
        return TGW_R_token_in_query;
    if (!strcmp(key, "cols"))
        return dimension(value, &r->cols) ? TGW_OK : TGW_R_malformed;
    if (!strcmp(key, "rows"))
        return dimension(value, &r->rows) ? TGW_OK : TGW_R_malformed;
    if (strcmp(key, "mode") != 0)
        return TGW_OK;
    r->mode = strcmp(value, "channel") == 0 ? TGW_MODE_CHANNEL : TGW_MODE_RAW;
    return r->mode == TGW_MODE_CHANNEL || !strcmp(value, "raw") ? TGW_OK : TGW_R_malformed;
}

/* A token in the query is named whatever else is wrong with the query. */
static enum tgw_reason take_query(struct http1_request *r, struct text query) {
    enum tgw_reason worst = TGW_OK;
    while (query.len) {
        const char *amp = memchr(query.at, '&', query.len);
        size_t n = amp ? (size_t)(amp - query.at) : query.len;
        enum tgw_reason reason = take_param(r, (struct text){query.at, n});
        if (reason != TGW_OK && worst != TGW_R_token_in_query)
            worst = reason;
        n += amp != NULL;
        query.at += n;
        query.len -= n;
    }
    return worst;
}

static enum tgw_reason take_target(struct http1_request *r, struct text target) {
    static const char prefix[] = "/ws/terminal/";
    const char *mark = memchr(target.at, '?', target.len);
    size_t n = mark ? (size_t)(mark - target.at) : target.len;
    struct text path = {target.at, n};
    struct text id = {target.at + sizeof(prefix) - 1, n - (sizeof(prefix) - 1)};
    r->target = HTTP1_UNKNOWN;
    if (text_is(path, "/healthz"))
        r->target = HTTP1_HEALTHZ;
    else if (text_is(path, "/readyz"))
        r->target = HTTP1_READYZ;
    else if (n >= sizeof(prefix) && memcmp(path.at, prefix, sizeof(prefix) - 1) == 0 &&
             is_id(id, 1, TGW_ALLOCATION_ID_MAX))
        r->target = HTTP1_TERMINAL;
    if (r->target == HTTP1_TERMINAL)
        copy_text(r->allocation_id, id);
    if (r->target != HTTP1_TERMINAL || !mark)
        return TGW_OK;
    return take_query(r, (struct text){mark + 1, target.len - n - 1});
}

/* method SP target SP HTTP/1.1; false: malformed. */
static bool request_line(struct head *h, struct http1_request *r, struct text *target) {
    struct text line;
    if (!head_line(h, &line))
        return false;
    const char *sp1 = memchr(line.at, ' ', line.len);
    const char *sp2 = memrchr(line.at, ' ', line.len);
    if (!sp1 || sp2 == sp1 || sp1 == line.at || sp1[1] != '/')
        return false;
    r->method = (struct text){line.at, (size_t)(sp1 - line.at)};
    *target = (struct text){sp1 + 1, (size_t)(sp2 - sp1 - 1)};
    struct text version = {sp2 + 1, (size_t)(line.at + line.len - sp2 - 1)};
    for (size_t i = 0; i < r->method.len; i++)
        if (!http1_is_tchar(r->method.at[i]))
            return false;
    for (size_t i = 0; i < target->len; i++)
        if (target->at[i] <= ' ' || target->at[i] > '~')
            return false;
    return text_is(version, "HTTP/1.1");
}

bool http1_key_is_valid(struct text key) {
    if (key.len != 24 || key.at[22] != '=' || key.at[23] != '=')
        return false;
    for (size_t i = 0; i < 22; i++) {
        char c = key.at[i], letter = (char)(c | 0x20);
        if (!(letter >= 'a' && letter <= 'z') && !(c >= '/' && c <= '9') && c != '+')
            return false;
    }
    return true;
}

static enum tgw_reason check_token(struct http1_request *r, const struct fields *f) {
    if (!r->has_token)
        return TGW_R_token_missing;
    if (f->many_tokens || r->token.len < TGW_TOKEN_BYTES_MIN || r->token.len > TGW_TOKEN_BYTES_MAX)
        return TGW_R_token_invalid;
    for (size_t i = 0; i < r->token.len; i++)
        if (!http1_is_tchar(r->token.at[i]))
            return TGW_R_token_invalid;
    return TGW_OK;
}

static enum tgw_reason check_upgrade(struct http1_request *r, const struct fields *f) {
    if (!f->upgrade_websocket || !f->connection_upgrade || !f->version_13 || f->versions != 1)
        return TGW_R_upgrade_required;
    if (f->keys == 0 || !http1_key_is_valid(r->ws_key))
        return TGW_R_malformed;
    if (r->protocol_v1)
        r->mode = TGW_MODE_CHANNEL;
    return check_token(r, f);
}

enum tgw_reason http1_request_parse(const uint8_t *head, size_t len, struct http1_request *r) {
    struct head h = {(const char *)head, (const char *)head + len};
    struct fields f = {0};
    struct text target = {0};
    *r = (struct http1_request){.cols = TGW_COLS_DEFAULT, .rows = TGW_ROWS_DEFAULT};
    bool line_good = request_line(&h, r, &target);
    bool fields_good = take_fields(r, &f, &h);
    if (!line_good || !fields_good || f.hosts != 1 || f.keys > 1 || f.lengths > 1 || f.bad_origin)
        return TGW_R_malformed;
    enum tgw_reason query = take_target(r, target);
    if (r->target == HTTP1_UNKNOWN)
        return TGW_R_not_found;
    if (!text_is(r->method, "GET"))
        return TGW_R_method_not_allowed;
    if (f.body)
        return TGW_R_malformed;
    if (query != TGW_OK)
        return query;
    return r->target == HTTP1_TERMINAL ? check_upgrade(r, &f) : TGW_OK;
}

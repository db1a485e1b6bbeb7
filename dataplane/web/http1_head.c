/* Lines, fields and lists of a head (RFC 9112 section 2.2 and 5). */
#include "http1_priv.h"
#include <string.h>

/* What a byte may be in a head: of a token (RFC 9110 section 5.6.2), or none of a line. */
enum { TCHAR = 1, CONTROL = 2 };
static const uint8_t kind[256] = {
    [0 ... 8] = CONTROL,   [10 ... 31] = CONTROL, [127] = CONTROL, ['0' ... '9'] = TCHAR,
    ['A' ... 'Z'] = TCHAR, ['a' ... 'z'] = TCHAR, ['!'] = TCHAR,   ['#' ... '\''] = TCHAR,
    ['*'] = TCHAR,         ['+'] = TCHAR,         ['-'] = TCHAR,   ['.'] = TCHAR,
    ['^' ... '`'] = TCHAR, ['|'] = TCHAR,         ['~'] = TCHAR,
};

bool http1_is_tchar(char c) {
    return kind[(unsigned char)c] == TCHAR;
}

/* From one CR to the next: lines are longer than what memchr() needs to get going. */
size_t http1_head_bytes(const uint8_t *data, size_t len, size_t seen) {
    const uint8_t *at = data + (seen > 3 ? seen - 3 : 0), *end = data + len;
    while (end - at >= 4 && (at = memchr(at, '\r', (size_t)(end - at) - 3))) {
        if (memcmp(at, "\r\n\r\n", 4) == 0)
            return (size_t)(at - data) + 4;
        at++;
    }
    return 0;
}

/* A byte below a blank or a DEL among eight: a tab too, which is looked at again. */
static bool has_control(const char *at) {
    const uint64_t ones = UINT64_MAX / 255, tops = ones << 7;
    uint64_t x;
    memcpy(&x, at, sizeof(x));
    uint64_t del = x ^ 0x7f * ones;
    return ((x - 0x20 * ones) & ~x & tops) || ((del - ones) & ~del & tops);
}

/* As head_line; what lies before `at` has no control byte. */
static bool line_from(struct head *h, const char *at, struct text *line) {
    while (h->end - at >= 8 && !has_control(at))
        at += 8;
    while (at < h->end && kind[(unsigned char)*at] != CONTROL)
        at++;
    if (h->end - at < 2 || at[0] != '\r' || at[1] != '\n') {
        h->at = h->end;
        return false;
    }
    *line = (struct text){h->at, (size_t)(at - h->at)};
    h->at = at + 2;
    return true;
}

bool head_line(struct head *h, struct text *line) {
    return line_from(h, h->at, line);
}

static struct text trim(struct text t) {
    while (t.len && (t.at[0] == ' ' || t.at[0] == '\t'))
        t.at++, t.len--;
    while (t.len && (t.at[t.len - 1] == ' ' || t.at[t.len - 1] == '\t'))
        t.len--;
    return t;
}

int head_field(struct head *h, struct text *name, struct text *value) {
    struct text line;
    const char *colon = h->at;
    while (colon < h->end && kind[(unsigned char)*colon] == TCHAR)
        colon++;
    if (!line_from(h, colon, &line))
        return -1;
    if (line.len == 0)
        return 0;
    *name = (struct text){line.at, (size_t)(colon - line.at)};
    if (name->len == 0 || name->len == line.len || *colon != ':')
        return -1; /* a folded line begins with a blank: refused here too */
    *value = trim((struct text){colon + 1, line.len - name->len - 1});
    return 1;
}

bool list_next(struct text *rest, struct text *element) {
    while (rest->len) {
        const char *comma = memchr(rest->at, ',', rest->len);
        size_t n = comma ? (size_t)(comma - rest->at) : rest->len;
        *element = trim((struct text){rest->at, n});
        n += comma != NULL;
        rest->at += n;
        rest->len -= n;
        if (element->len)
            return true;
    }
    return false;
}

bool list_has_ci(struct text list, const char *s) {
    struct text element;
    while (list_next(&list, &element))
        if (text_is_ci(element, s))
            return true;
    return false;
}

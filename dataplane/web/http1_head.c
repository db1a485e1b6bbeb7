/* Lines, fields and lists of a head (RFC 9112 section 2.2 and 5). */
#include "http1_priv.h"
#include <string.h>
#include <strings.h>

bool text_is(struct text t, const char *s) {
    return t.len == strlen(s) && memcmp(t.at, s, t.len) == 0;
}

bool text_is_ci(struct text t, const char *s) {
    return t.len == strlen(s) && strncasecmp(t.at, s, t.len) == 0;
}

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

size_t http1_head_bytes(const uint8_t *data, size_t len, size_t seen) {
    size_t from = seen > 3 ? seen - 3 : 0;
    const uint8_t *at = len > from ? memmem(data + from, len - from, "\r\n\r\n", 4) : NULL;
    return at ? (size_t)(at - data) + 4 : 0;
}

bool head_line(struct head *h, struct text *line) {
    const char *at = h->at;
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

static struct text trim(struct text t) {
    while (t.len && (t.at[0] == ' ' || t.at[0] == '\t'))
        t.at++, t.len--;
    while (t.len && (t.at[t.len - 1] == ' ' || t.at[t.len - 1] == '\t'))
        t.len--;
    return t;
}

int head_field(struct head *h, struct text *name, struct text *value) {
    struct text line;
    if (!head_line(h, &line))
        return -1;
    if (line.len == 0)
        return 0;
    const char *colon = memchr(line.at, ':', line.len);
    if (!colon || colon == line.at)
        return -1;
    *name = (struct text){line.at, (size_t)(colon - line.at)};
    for (size_t i = 0; i < name->len; i++)
        if (!http1_is_tchar(name->at[i]))
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

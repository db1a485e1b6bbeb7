/* Private to web/: walking the fields of a head. */
#ifndef TGW_WEB_HTTP1_PRIV_H
#define TGW_WEB_HTTP1_PRIV_H

#include "web/http1.h"
#include <strings.h>

/* The rest of a head that is known to end in an empty line. */
struct head {
    const char *at, *end;
};

/* Case matters; ASCII case does not. In here, as a length is known when it is built, mostly. */
static inline bool text_is(struct text t, const char *s) {
    return t.len == strlen(s) && memcmp(t.at, s, t.len) == 0;
}
static inline bool text_is_ci(struct text t, const char *s) {
    return t.len == strlen(s) && strncasecmp(t.at, s, t.len) == 0;
}
/* One line without its CRLF; false at a bare CR, LF or NUL inside. */
bool head_line(struct head *h, struct text *line);
/* Next field. 1: *name and *value (blanks trimmed); 0: end of the head; -1: malformed. */
int head_field(struct head *h, struct text *name, struct text *value);
/* Next element of a comma-separated list (RFC 9110 section 5.6.1); false at its end. */
bool list_next(struct text *rest, struct text *element);
bool list_has_ci(struct text list, const char *s);

#endif

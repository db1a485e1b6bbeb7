#include "web/http1.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void text_putn(struct text_out *o, const char *s, size_t n) {
    if (o->overflow || n > o->size - o->len) {
        o->overflow = true;
        return;
    }
    memcpy(o->at + o->len, s, n);
    o->len += n;
}

void text_put(struct text_out *o, const char *s) {
    text_putn(o, s, strlen(s));
}

void text_printf(struct text_out *o, const char *fmt, ...) {
    va_list v;
    va_start(v, fmt);
    int n = o->overflow ? -1 : vsnprintf(o->at + o->len, o->size - o->len, fmt, v);
    va_end(v);
    if (n < 0 || (size_t)n >= o->size - o->len)
        o->overflow = true;
    else
        o->len += (size_t)n;
}

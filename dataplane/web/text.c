#include "web/http1.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void text_put_number(struct text_out *o, uint32_t n) {
    char digits[10];
    size_t at = sizeof(digits);
    do
        digits[--at] = (char)('0' + n % 10);
    while (n /= 10);
    text_putn(o, digits + at, sizeof(digits) - at);
}

void text_put_hex(struct text_out *o, const uint8_t *data, size_t len) {
    static const char digit[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        const char pair[2] = {digit[data[i] >> 4], digit[data[i] & 15]};
        text_putn(o, pair, sizeof(pair));
    }
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

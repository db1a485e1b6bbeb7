#include "tests/packet/words.h"
#include <stdlib.h>
#include <string.h>

bool words_split(struct words *w, const char *line) {
    static const char blank[] = " \t\r\n";
    memset(w, 0, sizeof(*w));
    size_t n = strcspn(line, "#\n");
    if (n >= sizeof(w->line))
        return false;
    memcpy(w->line, line, n);
    char *rest = w->line, *at;
    while ((at = strtok_r(rest, blank, &rest)) != NULL) {
        if (w->count == WORDS_MAX)
            return false;
        w->word[w->count++] = at;
    }
    return true;
}

const char *words_value(struct words *w, const char *key) {
    size_t n = strlen(key);
    for (unsigned i = 0; i < w->count; i++)
        if (strncmp(w->word[i], key, n) == 0 && w->word[i][n] == '=') {
            w->used[i] = true;
            return w->word[i] + n + 1;
        }
    return NULL;
}

bool words_flag(struct words *w, const char *name) {
    for (unsigned i = 0; i < w->count; i++)
        if (strcmp(w->word[i], name) == 0) {
            w->used[i] = true;
            return true;
        }
    return false;
}

bool words_is_number(const char *text, int64_t *out) {
    char *end;
    *out = strtoll(text, &end, 0);
    return *text && *end == 0;
}

int64_t words_number(struct words *w, const char *key, int64_t otherwise) {
    const char *text = words_value(w, key);
    int64_t n = otherwise;
    if (text && !words_is_number(text, &n))
        w->bad = text;
    return n;
}

const char *words_at(struct words *w, unsigned i) {
    if (i >= w->count)
        return NULL;
    w->used[i] = true;
    return w->word[i];
}

const char *words_unknown(const struct words *w) {
    for (unsigned i = 0; i < w->count; i++)
        if (!w->used[i])
            return w->word[i];
    return w->bad;
}

bool words_is_time(const char *text, uint64_t *out_ns) {
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {{"us", 1000},
                 {"ms", 1000000},
                 {"s", UINT64_C(1000000000)},
                 {"h", UINT64_C(3600000000000)},
                 {"d", UINT64_C(86400000000000)}};
    char *end;
    uint64_t n = strtoull(text, &end, 10);
    if (end == text)
        return false;
    *out_ns = 0;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (strcmp(end, units[i].name) == 0)
            *out_ns = n * units[i].ns;
    return *out_ns || n == 0;
}

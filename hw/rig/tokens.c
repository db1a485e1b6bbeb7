#include "tokens.h"
#include "web/http1.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MADE_ALLOCATIONS = 65536 };

static bool read_text(struct tokens *t, const char *path, size_t *bytes) {
    struct stat st;
    FILE *f = fopen(path, "re");
    if (f && fstat(fileno(f), &st) == 0 && st.st_size < UINT32_MAX)
        t->text = malloc((size_t)st.st_size + 1);
    *bytes = t->text ? fread(t->text, 1, (size_t)st.st_size, f) : 0;
    if (t->text)
        t->text[*bytes] = 0;
    if (f)
        fclose(f);
    return *bytes > 0;
}

bool tokens_load(struct tokens *t, const char *path, char *err, size_t err_bytes) {
    size_t bytes = 0, lines = 0;
    *t = (struct tokens){0};
    if (!path[0])
        return true;
    if (read_text(t, path, &bytes)) {
        for (size_t i = 0; i < bytes; i++)
            lines += t->text[i] == '\n';
        t->line = calloc(lines + 1, sizeof(*t->line));
    }
    if (!t->line) {
        snprintf(err, err_bytes, "tokens: %s cannot be read or is empty", path);
        tokens_free(t);
        return false;
    }
    for (size_t at = 0; at < bytes && t->count < lines; t->count++) {
        t->line[t->count] = (uint32_t)at;
        at = (size_t)(strchr(t->text + at, '\n') - t->text) + 1;
    }
    return true;
}

void tokens_free(struct tokens *t) {
    free(t->text);
    free(t->line);
    *t = (struct tokens){0};
}

bool tokens_take(struct tokens *t, uint32_t *number) {
    if (t->text && t->next >= t->count)
        return false;
    *number = t->next++;
    return true;
}

/* The next word of a line, as much of it as fits; returns where it ends. (sscanf() looks for the
 * end of the whole file first.) */
static const char *word(const char *at, char *out, size_t size) {
    at += strspn(at, " \t");
    size_t n = strcspn(at, " \t\r\n"), most = n < size ? n : size - 1;
    memcpy(out, at, most);
    out[most] = 0;
    return at + n;
}

/* One of as many as there are numbers; printf would be the dearest part of a session here. */
static void make(uint32_t number, struct token *out) {
    static const char name[] = "rig-token-0000000000";
    struct text_out o = {.at = out->allocation, .size = sizeof(out->allocation) - 1};
    text_put(&o, "rig-");
    text_put_number(&o, number % MADE_ALLOCATIONS);
    out->allocation[o.len] = 0;
    memcpy(out->token, name, sizeof(name));
    for (size_t at = sizeof(name) - 1; number; number /= 10)
        out->token[--at] = (char)('0' + number % 10);
}

void tokens_get(const struct tokens *t, uint32_t number, struct token *out) {
    *out = (struct token){"", ""};
    if (!t->text) {
        make(number, out);
        return;
    }
    const char *rest = word(t->text + t->line[number], out->allocation, sizeof(out->allocation));
    word(rest, out->token, sizeof(out->token));
}

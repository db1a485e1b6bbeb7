#include "history.h"
#include <stdlib.h>
#include <string.h>

bool history_init(struct history *h) {
    *h = (struct history){.ring = malloc(HISTORY_BYTES)};
    return h->ring != NULL;
}

void history_free(struct history *h) {
    for (int i = 0; i < HISTORY_SNAPSHOTS; i++)
        free(h->snapshot[i].text);
    free(h->ring);
    *h = (struct history){0};
}

static void put(struct history *h, const char *data, size_t len) {
    size_t first = len < HISTORY_BYTES - h->head ? len : HISTORY_BYTES - h->head;
    memcpy(h->ring + h->head, data, first);
    memcpy(h->ring, data + first, len - first);
    h->wrapped |= h->head + len >= HISTORY_BYTES;
    h->head = (h->head + len) % HISTORY_BYTES;
}

void history_line(void *history, const char *line) {
    struct history *h = history;
    size_t len = strlen(line);
    if (!h->ring || len >= HISTORY_BYTES / 4)
        return;
    put(h, line, len);
    put(h, "\n", 1);
}

/* The ring as one text, oldest first. After a wrap the first line may lack its start. */
static char *unroll(const struct history *h, size_t *len) {
    *len = h->wrapped ? HISTORY_BYTES : h->head;
    char *text = malloc(*len + 1);
    size_t old = h->wrapped ? HISTORY_BYTES - h->head : 0;
    if (!text)
        return NULL;
    memcpy(text, h->ring + h->head, old);
    memcpy(text + old, h->ring, h->head);
    text[*len] = 0;
    return text;
}

void history_find(const struct history *h, const char *needle,
                  void (*take)(void *ctx, const char *line, size_t len), void *ctx) {
    size_t len;
    char *text = h->ring ? unroll(h, &len) : NULL;
    char *line = text;
    if (line && h->wrapped)
        line = memchr(line, '\n', len) ? (char *)memchr(line, '\n', len) + 1 : NULL;
    while (line && *line) {
        char *end = strchr(line, '\n');
        if (!end)
            break;
        *end = 0;
        if (strstr(line, needle))
            take(ctx, line, (size_t)(end - line));
        line = end + 1;
    }
    free(text);
}

void history_snapshot(struct history *h, uint64_t at_s, char *text) {
    struct snapshot *s = &h->snapshot[h->snapshots++ % HISTORY_SNAPSHOTS];
    free(s->text);
    *s = (struct snapshot){at_s, text};
}

const struct snapshot *history_before(const struct history *h, uint64_t at_s) {
    uint32_t kept = h->snapshots < HISTORY_SNAPSHOTS ? h->snapshots : HISTORY_SNAPSHOTS;
    const struct snapshot *s = NULL;
    for (uint32_t i = 1; i <= kept; i++) {
        s = &h->snapshot[(h->snapshots - i) % HISTORY_SNAPSHOTS];
        if (s->at_s < at_s)
            break;
    }
    return s && s->text ? s : NULL;
}

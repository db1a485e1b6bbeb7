/* What evidence is made from: the log's recent lines and a metric snapshot a minute, both
 * bounded. No secret is in either, since none ever reaches a log or a metric. */
#ifndef TGW_CONTROL_HISTORY_H
#define TGW_CONTROL_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HISTORY_BYTES = 4 << 20,
    HISTORY_SNAPSHOTS = 60,
};

struct snapshot {
    uint64_t at_s; /* unix time; 0: none yet */
    char *text;
};

struct history {
    char *ring; /* lines, each with its newline; the oldest are overwritten */
    size_t head;
    bool wrapped;
    struct snapshot snapshot[HISTORY_SNAPSHOTS];
    uint32_t snapshots; /* ever taken */
};

/* False: no memory. */
bool history_init(struct history *h);
void history_free(struct history *h);
/* A line without its newline. */
void history_line(void *history, const char *line);
/* Every kept line that contains `needle`, oldest first, to `take`. */
void history_find(const struct history *h, const char *needle,
                  void (*take)(void *ctx, const char *line, size_t len), void *ctx);
/* Takes `text` over. */
void history_snapshot(struct history *h, uint64_t at_s, char *text);
/* The last snapshot before `at_s`, else the oldest; NULL: there is none. */
const struct snapshot *history_before(const struct history *h, uint64_t at_s);

#endif

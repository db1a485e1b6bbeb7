/* One line of a script, cut into words: the verb, bare words, key=value pairs. Every word
 * must be asked for, so that a misspelt one is found. */
#ifndef TESTS_PACKET_WORDS_H
#define TESTS_PACKET_WORDS_H

#include <stdbool.h>
#include <stdint.h>

enum { WORDS_MAX = 24, WORDS_LINE_MAX = 256 };

struct words {
    unsigned count;
    char *word[WORDS_MAX];
    bool used[WORDS_MAX];
    const char *bad; /* a word that is no number where one must be */
    char line[WORDS_LINE_MAX];
};

/* Comments (#) are cut off. False: the line is too long. */
bool words_split(struct words *w, const char *line);
/* The value of `key`=..., NULL when it is not there. */
const char *words_value(struct words *w, const char *key);
bool words_flag(struct words *w, const char *name);
int64_t words_number(struct words *w, const char *key, int64_t otherwise);
/* Word `i`, whatever it is; NULL when there are not so many. */
const char *words_at(struct words *w, unsigned i);
/* The first word that nobody asked for, or the bad number; NULL when all is well. */
const char *words_unknown(const struct words *w);

/* A whole number. */
bool words_is_number(const char *text, int64_t *out);
/* 10us, 20ms, 3s, 2h, 25d, 0. */
bool words_is_time(const char *text, uint64_t *out_ns);

#endif

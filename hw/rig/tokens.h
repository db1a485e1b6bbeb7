/* Tokens for the run: of a file that `tgwctl token mint` wrote, or made up when the rig
 * gives the verdicts itself. Numbered, so that a session needs no text of its own. */
#ifndef TGW_RIG_TOKENS_H
#define TGW_RIG_TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct token {
    char allocation[65];
    char token[65];
};

struct tokens {
    char *text; /* the file; NULL: made up */
    uint32_t *line;
    uint32_t count, next;
};

/* An empty path: made up. False with one line in err. */
bool tokens_load(struct tokens *t, const char *path, char *err, size_t err_bytes);
void tokens_free(struct tokens *t);
/* Take the next one's number. False: used up. */
bool tokens_take(struct tokens *t, uint32_t *number);
void tokens_get(const struct tokens *t, uint32_t number, struct token *out);

#endif

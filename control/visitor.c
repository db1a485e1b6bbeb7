#include "visitor.h"
#include <stdlib.h>
#include <string.h>

static void free_if_done(struct visitor *v) {
    if (v->left && v->waiting == 0) {
        explicit_bzero(v->line, v->len);
        v->free(v);
    }
}

static void send_line(struct visitor *v, char *text) {
    size_t n = strlen(text);
    char *line = realloc(text, n + 2);
    if (!line) {
        free(text);
        return;
    }
    memcpy(line + n, "\n", 2);
    v->send(v, line, n + 1);
}

static void on_answer(void *ctx, char *text) {
    struct visitor *v = ctx;
    v->waiting--;
    if (text && !v->left)
        send_line(v, text);
    else
        free(text);
    free_if_done(v);
}

size_t visitor_room(struct visitor *v, char **at) {
    *at = v->line + v->len;
    return sizeof(v->line) - v->len;
}

void visitor_take(struct visitor *v, size_t n) {
    char *end;
    v->len += n;
    v->reception->turn(v->reception->ctx); /* the time of this command */
    while ((end = memchr(v->line, '\n', v->len)) != NULL) {
        size_t line = (size_t)(end - v->line);
        v->waiting++;
        command_run(v->reception->gateway, &v->caller, v->line, line, on_answer, v);
        v->len -= line + 1;
        memmove(v->line, end + 1, v->len);
    }
}

void visitor_leave(struct visitor *v) {
    v->left = true;
    free_if_done(v);
}

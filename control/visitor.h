/* Who gives commands, by whatever way they come: lines in, JSON lines out. Answers may come
 * after the visitor has left. */
#ifndef TGW_CONTROL_VISITOR_H
#define TGW_CONTROL_VISITOR_H

#include "command.h"

enum { VISITOR_LINE_MAX = 262144 };

/* The ways in have this in common: the gateway, and the time before each command. */
struct reception {
    struct gateway *gateway;
    void (*turn)(void *ctx); /* sets the gateway's time */
    void *ctx;
};

struct visitor {
    const struct reception *reception;
    struct caller caller;
    /* Send a line; `text`, from malloc, is taken over (and wiped: it may hold tokens). */
    void (*send)(struct visitor *v, char *text, size_t len);
    void (*free)(struct visitor *v); /* has left, and nothing is owed any more */
    uint32_t waiting;                /* requests without their answer */
    bool left;
    size_t len;
    char line[VISITOR_LINE_MAX];
};

/* Room for what is read next; 0: a line without end, hang up. */
size_t visitor_room(struct visitor *v, char **at);
/* `n` bytes were put there: run the whole lines among them. */
void visitor_take(struct visitor *v, size_t n);
/* The connection is closed. `v` may be gone after it. */
void visitor_leave(struct visitor *v);

#endif

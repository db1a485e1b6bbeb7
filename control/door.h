/* The control socket: a local stream socket, mode 0660. */
#ifndef TGW_CONTROL_DOOR_H
#define TGW_CONTROL_DOOR_H

#include "visitor.h"
#include <uv.h>

struct door {
    uv_pipe_t socket;
    const struct reception *reception;
};

/* False with one line in err. `group` "": the process' own. */
bool door_open(struct door *d, uv_loop_t *loop, const struct reception *r, const char *path,
               const char *group, char *err, size_t err_bytes);

#endif

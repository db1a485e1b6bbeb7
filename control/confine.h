/* What this process needs no more once it has started: another user's rights, core dumps,
 * and most of the system calls. */
#ifndef TGW_CONTROL_CONFINE_H
#define TGW_CONTROL_CONFINE_H

#include "config/config.h"

/* No core dumps, no new privileges: before any secret is read. */
void confine_early(void);
/* Become run_as_user, who then owns state_dir, what lies in it, and the control socket.
 * False with one line in err. */
bool confine_user(const struct config *c, char *err, size_t err_bytes);
/* From here on a system call that an event loop has no use for fails with EPERM: none that
 * starts a program, none that looks into another process, no raw sockets. */
bool confine_calls(const struct config *c, char *err, size_t err_bytes);

#endif

/* What the dataplane gives up once its devices and threads are there. */
#ifndef TGW_DATAPLANE_CONFINE_H
#define TGW_DATAPLANE_CONFINE_H

#include "config/config.h"

/* No core dumps, no new privileges, run_as_user, no system call that starts a program, looks
 * into another process or changes the system; on all threads. False with one line in err. */
bool confine(const struct config *c, char *err, size_t err_bytes);

#endif

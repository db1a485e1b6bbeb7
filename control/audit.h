/* Who changed what and why: a line in the log, and one in state_dir/audit.log, which
 * outlives log rotation and goes into evidence. */
#ifndef TGW_CONTROL_AUDIT_H
#define TGW_CONTROL_AUDIT_H

#include "gateway.h"

enum { AUDIT_TEXT_MAX = 200 };

void audit(const struct gateway *g, const char *action, const struct change_order *o,
           const char *detail);

#endif

/* The metrics of contract section 6 in the Prometheus text format. */
#ifndef TGW_CONTROL_METRICS_H
#define TGW_CONTROL_METRICS_H

#include "gateway.h"

/* Remember what the cores did until now: the busy ratio is over the time between the
 * last two samples. About once a second. */
void metrics_sample(struct gateway *g);
/* To be freed by the caller. NULL: no memory. */
char *metrics_text(const struct gateway *g);

#endif

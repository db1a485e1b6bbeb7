/* JSON lines on standard output (contract section 7). No token, grant or key ever. */
#ifndef TGW_CONTROL_LOG_H
#define TGW_CONTROL_LOG_H

#include "contract/event.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* What a line is about; NULL and 0 members are left out. */
struct log_about {
    const struct tgw_ident *ident;
    const struct tgw_endpoint *remote;
    enum tgw_reason reason; /* of kind REFUSE or CLOSE: code, outcome and reason */
    uint64_t duration_us;
};

/* "DEBUG", "INFO", "WARN" or "ERROR": lines below it are not written. The one setting of
 * the process's one standard output. */
void log_set_level(const char *name);
void log_event(enum log_level level, const char *event, const struct log_about *about,
               const char *message);
__attribute__((format(printf, 3, 4))) void log_plain(enum log_level level, const char *event,
                                                     const char *format, ...);
/* "198.18.0.1:1234" or "[fd18::1]:1234"; returns out. */
char *endpoint_text(const struct tgw_endpoint *e, char out[64]);

#endif

/* The dataplane's own log lines: one JSON object a line on standard output, in the
 * form of the contract. Main thread only; sessions are logged by the control process. */
#ifndef TGW_DATAPLANE_LOG_H
#define TGW_DATAPLANE_LOG_H

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* `event` is a plain word; the message is escaped. */
__attribute__((format(printf, 3, 4))) void log_line(enum log_level level, const char *event,
                                                    const char *format, ...);

#endif

/* The control socket's commands: {"id":N,"cmd":"NAME","args":{...}} in, one JSON line out. */
#ifndef TGW_CONTROL_COMMAND_H
#define TGW_CONTROL_COMMAND_H

#include "gateway.h"

enum { REQUEST_WHO_MAX = 120 };

/* As the system knows them: the kernel's word, or a certificate's. Printable. */
struct caller {
    char who[REQUEST_WHO_MAX + 1];
    bool reads_only;
};

/* A command on its way. Lives until request_finish. */
struct request {
    struct gateway *gateway;
    cJSON *line;       /* what came in */
    const cJSON *args; /* in it; NULL when there are none */
    cJSON *result;     /* an object, filled in by the command */
    const char *code;  /* NULL: it worked */
    char message[200];
    void (*answer)(void *ctx, char *text); /* takes text over; NULL: no memory */
    void *ctx;
    char who[REQUEST_WHO_MAX + 1]; /* for audit lines */
    bool reads_only;
};

/* Run one line. `answer` is called exactly once: before this returns, or later for a command
 * that waits for the store or the dataplane. */
void command_run(struct gateway *g, const struct caller *caller, const char *line, size_t len,
                 void (*answer)(void *ctx, char *text), void *ctx);

/* For the commands. A refusal is written down first, then finished like an answer. */
__attribute__((format(printf, 3, 4))) void request_refuse(struct request *r, const char *code,
                                                          const char *format, ...);
void request_finish(struct request *r);
/* An argument that is a whole number in min..max; false with the refusal written down. */
bool request_number(struct request *r, const char *key, uint32_t fallback, uint32_t min,
                    uint32_t max, uint32_t *out);
/* A text argument of plain characters; absent leaves the fallback (NULL: it must be there). */
bool request_text(struct request *r, const char *key, char *out, size_t size, const char *fallback);

/* Who orders a change and why, from the caller and the argument "why"; borrowed from r. */
bool request_order(struct request *r, struct change_order *o);

/* True: finished. False: request_finish comes later. */
typedef bool command_fn(struct request *r);
/* command_token.c */
command_fn command_token_mint, command_token_inspect, command_token_revoke;
/* capture.c */
command_fn command_capture_start, command_capture_read, command_capture_stop;
/* command_config.c */
command_fn command_config_show, command_config_check, command_config_apply, command_config_rollback,
    command_config_freeze, command_config_unfreeze;
/* command_evidence.c */
command_fn command_evidence;
/* command_session.c */
command_fn command_sessions_list, command_sessions_show, command_sessions_kill, command_ports_probe;

#endif

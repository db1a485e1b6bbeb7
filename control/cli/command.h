/* What the commands share: the call over the socket and how an outcome is told. */
#ifndef TGW_CLI_COMMAND_H
#define TGW_CLI_COMMAND_H

#include "cli.h"
#include "client.h"
#include "parse.h"

struct cli {
    struct invocation inv;
    struct client client;
    const char *socket; /* a path, or with `remote` HOST:PORT */
    bool remote;
    struct client_identity identity; /* of a remote one */
    char *const *envp;
    FILE *in, *out, *err;
};

enum { COMMAND_NAMES = 2 };

struct command {
    const char *name[COMMAND_NAMES]; /* "token", "mint"; the second NULL for one word */
    unsigned args;                   /* words after the name, exactly */
    unsigned options;                /* 1u << enum option, besides --socket */
    enum cli_exit (*run)(struct cli *c, const char *const *arg);
    const char *usage, *summary;
};

extern const struct command cli_commands[];
extern const size_t cli_command_count;

enum cli_exit cli_usage(struct cli *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
enum cli_exit cli_unreachable(struct cli *c);
/* Connected, anew where needed. False: c->client.error says why not. */
bool cli_connect(struct cli *c);
/* A refusal in the caller's form: a line, or {"code","message"} with --json. */
enum cli_exit cli_refused(struct cli *c, const char *code, const char *message);
/* One call; `args` is taken over. NULL: told already, *status says how. Else the reply
 * (to be deleted) with *result inside it. */
cJSON *cli_call(struct cli *c, const char *cmd, cJSON *args, const cJSON **result,
                enum cli_exit *status);
/* Writes a value as a line of JSON. */
void cli_print_json(struct cli *c, const cJSON *value);

/* commands.c: a command that is one call; the reply as JSON, or shown by `show` (NULL: `done`). */
enum cli_exit cli_call_and_show(struct cli *c, const char *cmd, cJSON *args,
                                void (*show)(FILE *, const cJSON *), const char *done);
cJSON *cli_text_args(const char *key, const char *value);
/* An option that is a number, into args[key]; false: c->inv.error says why. */
bool cli_number_option(struct cli *c, enum option o, const char *key, double min, double max,
                       cJSON *args);
void cli_text_option(const struct cli *c, enum option o, const char *key, cJSON *args);

/* config.c */
enum cli_exit run_config_show(struct cli *c, const char *const *arg);
enum cli_exit run_config_check(struct cli *c, const char *const *arg);
enum cli_exit run_config_apply(struct cli *c, const char *const *arg);
enum cli_exit run_config_rollback(struct cli *c, const char *const *arg);
enum cli_exit run_config_freeze(struct cli *c, const char *const *arg);
enum cli_exit run_config_unfreeze(struct cli *c, const char *const *arg);

/* probe.c */
enum cli_exit run_probe(struct cli *c, const char *const *arg);
enum cli_exit run_smoke(struct cli *c, const char *const *arg);
enum cli_exit run_soak(struct cli *c, const char *const *arg);
/* ports.c */
enum cli_exit run_ports(struct cli *c, const char *const *arg);
enum cli_exit run_ports_probe(struct cli *c, const char *const *arg);
/* evidence.c */
enum cli_exit run_evidence(struct cli *c, const char *const *arg);

/* show.c: the readable form of replies. */
void show_status(FILE *out, const cJSON *status);
void show_sessions(FILE *out, const cJSON *result);
void show_session(FILE *out, const cJSON *session);
void show_ports(FILE *out, const cJSON *result);
void show_config(FILE *out, const cJSON *config);
void show_token(FILE *out, const cJSON *result);

/* capture.c */
enum cli_exit run_capture(struct cli *c, const char *const *arg);

/* top.c */
enum cli_exit run_top(struct cli *c, const char *const *arg);

#endif

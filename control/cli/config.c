#include "config/config.h"
#include "command.h"
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 60000 }; /* a line of the control socket holds it */

enum cli_exit run_config_show(struct cli *c, const char *const *arg) {
    (void)arg;
    return cli_call_and_show(c, "config.show", NULL, show_config, NULL);
}

/* Who stands in the audit line: the user behind sudo, if there is one. */
static void add_who(const struct cli *c, cJSON *args) {
    const struct passwd *pw = getpwuid(getuid());
    const char *who = pw ? pw->pw_name : "?";
    for (char *const *e = c->envp; e && *e; e++)
        if (strncmp(*e, "SUDO_USER=", 10) == 0)
            who = *e + 10;
    cJSON_AddStringToObject(args, "who", who);
    cli_text_option(c, OPT_WHY, "why", args);
}

static void show_changes(FILE *out, const cJSON *result) {
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(result, "changes"), *change;
    const cJSON *version = cJSON_GetObjectItemCaseSensitive(result, "version");
    fprintf(out, "version %.0f\n", cJSON_IsNumber(version) ? version->valuedouble : 0);
    if (cJSON_GetArraySize(list) == 0)
        fputs("nothing changes\n", out);
    cJSON_ArrayForEach(change, list) {
        const char *key = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(change, "key"));
        bool live = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(change, "live"));
        fprintf(out, "  %-24s %s\n", key ? key : "?", live ? "at once" : "needs a restart");
    }
}

/* The file's text as args, or NULL with *status told. */
static cJSON *file_args(struct cli *c, const char *command, enum cli_exit *status) {
    const char *path = c->inv.option[OPT_FILE];
    char why[300];
    *status = CLI_USAGE;
    if (!path) {
        cli_usage(c, "config %s: --file FILE is missing", command);
        return NULL;
    }
    FILE *f = fopen(path, "re");
    char *text = f ? calloc(1, FILE_BYTES_MAX + 1) : NULL;
    size_t len = text ? fread(text, 1, FILE_BYTES_MAX + 1, f) : 0;
    bool good = text && !ferror(f) && len <= FILE_BYTES_MAX && !memchr(text, 0, len);
    if (f)
        fclose(f);
    cJSON *args = good ? cli_text_args("config", text) : NULL;
    free(text);
    if (!args) {
        snprintf(why, sizeof(why), "%.200s: cannot be read, or is not a text of at most %d bytes",
                 path, FILE_BYTES_MAX);
        *status = cli_refused(c, "config_invalid", why);
    }
    return args;
}

/* Without a control process: is the file good, with this environment? */
static enum cli_exit check_alone(struct cli *c) {
    char message[CONFIG_ERROR_BYTES] = "out of memory";
    struct config *config = calloc(1, sizeof(*config));
    bool good =
        config && config_load(config, c->inv.option[OPT_FILE], c->envp, message, sizeof(message));
    free(config);
    if (!good)
        return cli_refused(c, "config_invalid", message);
    fprintf(c->out, c->inv.json ? "{\"ok\":true}\n"
                                : "the configuration is good (no control process runs: what it "
                                  "would change is not known)\n");
    return CLI_DONE;
}

enum cli_exit run_config_check(struct cli *c, const char *const *arg) {
    enum cli_exit status;
    (void)arg;
    cJSON *args = file_args(c, "check", &status);
    if (!args)
        return status;
    if (client_connect(&c->client, c->socket))
        return cli_call_and_show(c, "config.check", args, show_changes, NULL);
    cJSON_Delete(args);
    return check_alone(c);
}

enum cli_exit run_config_apply(struct cli *c, const char *const *arg) {
    enum cli_exit status;
    (void)arg;
    cJSON *args = file_args(c, "apply", &status);
    if (!args)
        return status;
    add_who(c, args);
    return cli_call_and_show(c, "config.apply", args, show_changes, NULL);
}

enum cli_exit run_config_rollback(struct cli *c, const char *const *arg) {
    cJSON *args = cJSON_CreateObject();
    (void)arg;
    add_who(c, args);
    if (cli_number_option(c, OPT_VERSION, "version", 1, 4e9, args))
        return cli_call_and_show(c, "config.rollback", args, show_changes, NULL);
    cJSON_Delete(args);
    return cli_usage(c, "%s", c->inv.error);
}

static enum cli_exit call_with_who(struct cli *c, const char *cmd, const char *done) {
    cJSON *args = cJSON_CreateObject();
    add_who(c, args);
    return cli_call_and_show(c, cmd, args, NULL, done);
}

enum cli_exit run_config_freeze(struct cli *c, const char *const *arg) {
    (void)arg;
    return call_with_who(c, "config.freeze", "changes are refused until tgwctl config unfreeze");
}

enum cli_exit run_config_unfreeze(struct cli *c, const char *const *arg) {
    (void)arg;
    return call_with_who(c, "config.unfreeze", "changes are allowed");
}

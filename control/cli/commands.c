#include "command.h"
#include "contract/limits.h"
#include "table.h"
#include <stdlib.h>
#include <string.h>

cJSON *cli_text_args(const char *key, const char *value) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, key, value);
    return o;
}

enum cli_exit cli_call_and_show(struct cli *c, const char *cmd, cJSON *args,
                                void (*show)(FILE *, const cJSON *), const char *done) {
    enum cli_exit status;
    const cJSON *result;
    cJSON *reply = cli_call(c, cmd, args, &result, &status);
    if (reply && c->inv.json)
        cli_print_json(c, result);
    else if (reply && show)
        show(c->out, result);
    else if (reply)
        fprintf(c->out, "%s\n", done);
    cJSON_Delete(reply);
    return status;
}

static enum cli_exit run_status(struct cli *c, const char *const *arg) {
    enum cli_exit status;
    const cJSON *result;
    cJSON *reply = cli_call(c, "status", NULL, &result, &status);
    (void)arg;
    if (!reply)
        return status;
    if (c->inv.json)
        cli_print_json(c, result);
    else
        show_status(c->out, result);
    if (!cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(result, "ready")))
        status = CLI_REFUSED;
    cJSON_Delete(reply);
    return status;
}

static enum cli_exit run_sessions(struct cli *c, const char *const *arg) {
    (void)arg;
    return cli_call_and_show(c, "sessions.list", NULL, show_sessions, NULL);
}

static enum cli_exit run_session_show(struct cli *c, const char *const *arg) {
    return cli_call_and_show(c, "sessions.show", cli_text_args("session", arg[0]), show_session,
                             NULL);
}

static enum cli_exit run_session_kill(struct cli *c, const char *const *arg) {
    return cli_call_and_show(c, "sessions.kill", cli_text_args("session", arg[0]), NULL,
                             "session ended");
}

bool cli_number_option(struct cli *c, enum option o, const char *key, double min, double max,
                       cJSON *args) {
    double n;
    if (!c->inv.option[o])
        return true;
    if (!parse_number(&c->inv, option_name(o), c->inv.option[o], min, max, &n))
        return false;
    cJSON_AddNumberToObject(args, key, n);
    return true;
}

void cli_text_option(const struct cli *c, enum option o, const char *key, cJSON *args) {
    if (c->inv.option[o])
        cJSON_AddStringToObject(args, key, c->inv.option[o]);
}

static double number_at(const cJSON *o, const char *key) {
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    return cJSON_IsNumber(v) ? v->valuedouble : 0;
}

static void show_drain(FILE *out, const cJSON *result) {
    double sessions = number_at(result, "sessions");
    fprintf(out, "draining: %.0f session%s left, closed in %.0f s at the latest\n", sessions,
            sessions == 1 ? "" : "s", number_at(result, "deadline_s"));
}

static enum cli_exit run_drain(struct cli *c, const char *const *arg) {
    cJSON *args = cJSON_CreateObject();
    (void)arg;
    if (cli_number_option(c, OPT_TIMEOUT, "timeout_s", 0, 86400, args))
        return cli_call_and_show(c, "drain", args, show_drain, NULL);
    cJSON_Delete(args);
    return cli_usage(c, "%s", c->inv.error);
}

static enum cli_exit run_undrain(struct cli *c, const char *const *arg) {
    (void)arg;
    return cli_call_and_show(c, "undrain", NULL, NULL, "new sessions are admitted again");
}

static enum cli_exit run_admit(struct cli *c, const char *const *arg) {
    char done[64];
    double percent;
    if (!parse_number(&c->inv, "admit", arg[0], 0, 100, &percent))
        return cli_usage(c, "%s", c->inv.error);
    cJSON *args = cJSON_CreateObject();
    cJSON_AddNumberToObject(args, "percent", percent);
    snprintf(done, sizeof(done), "admitting %.0f %% of new sessions", percent);
    return cli_call_and_show(c, "admit", args, NULL, done);
}

/* The output is for scripts: a token a line in both forms. */
static void print_minted(struct cli *c, const cJSON *result) {
    const cJSON *t;
    cJSON_ArrayForEach(t, cJSON_GetObjectItemCaseSensitive(result, "tokens")) {
        const char *id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(t, "allocation_id"));
        const char *token = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(t, "token"));
        if (c->inv.json)
            cli_print_json(c, t);
        else if (id && token)
            fprintf(c->out, "%s %s\n", id, token);
    }
}

static enum cli_exit run_mint(struct cli *c, const char *const *arg) {
    enum cli_exit status;
    const cJSON *result;
    (void)arg;
    if (!c->inv.option[OPT_ALLOCATION])
        return cli_usage(c, "token mint: --allocation ID is missing");
    cJSON *args = cli_text_args("allocation_id", c->inv.option[OPT_ALLOCATION]);
    cli_text_option(c, OPT_USER, "user_id", args);
    cli_text_option(c, OPT_AGENT, "agent", args);
    if (!cli_number_option(c, OPT_COUNT, "count", 1, 10000, args) ||
        !cli_number_option(c, OPT_TTL, "ttl_s", 1, 86400, args)) {
        cJSON_Delete(args);
        return cli_usage(c, "%s", c->inv.error);
    }
    cJSON *reply = cli_call(c, "token.mint", args, &result, &status);
    if (reply)
        print_minted(c, result);
    cJSON_Delete(reply);
    return status;
}

/* "-" reads the token from standard input: arguments are visible to every user in ps. */
static cJSON *token_args(struct cli *c, const char *arg) {
    char line[TGW_TOKEN_BYTES_MAX + 2];
    const char *token = arg;
    if (strcmp(arg, "-") == 0) {
        token = fgets(line, sizeof(line), c->in) ? line : "";
        line[token == line ? strcspn(line, "\r\n") : 0] = 0;
    }
    cJSON *args = token[0] ? cli_text_args("token", token) : NULL;
    explicit_bzero(line, sizeof(line));
    return args;
}

static enum cli_exit run_inspect(struct cli *c, const char *const *arg) {
    cJSON *args = token_args(c, arg[0]);
    if (!args)
        return cli_usage(c, "token inspect: no token given");
    return cli_call_and_show(c, "token.inspect", args, show_token, NULL);
}

static enum cli_exit run_revoke(struct cli *c, const char *const *arg) {
    cJSON *args = token_args(c, arg[0]);
    if (!args)
        return cli_usage(c, "token revoke: no token given");
    return cli_call_and_show(c, "token.revoke", args, NULL, "revoked");
}

static void show_metrics(FILE *out, const cJSON *result) {
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(result, "text"));
    fputs(text ? text : "", out);
}

static enum cli_exit run_metrics(struct cli *c, const char *const *arg) {
    (void)arg;
    return cli_call_and_show(c, "metrics", NULL, show_metrics, NULL);
}

#define O(x) (1u << OPT_##x)
const struct command cli_commands[] = {
    {{"status"}, 0, 0, run_status, "status", "is the gateway ready; exit 1 when it is not"},
    {{"sessions"}, 0, 0, run_sessions, "sessions [list]", "the live sessions"},
    {{"sessions", "list"}, 0, 0, run_sessions, NULL, NULL},
    {{"sessions", "show"}, 1, 0, run_session_show, "sessions show ID", "one session, both legs"},
    {{"sessions", "kill"}, 1, 0, run_session_kill, "sessions kill ID", "close one (1008)"},
    {{"drain"}, 0, O(TIMEOUT), run_drain, "drain [--timeout S]", "refuse new, end the old in time"},
    {{"undrain"}, 0, 0, run_undrain, "undrain", "admit new sessions again"},
    {{"admit"}, 1, 0, run_admit, "admit PERCENT", "share of new sessions let in (canary)"},
    {{"token", "mint"},
     0,
     O(ALLOCATION) | O(COUNT) | O(USER) | O(AGENT) | O(TTL),
     run_mint,
     "token mint --allocation ID [--count N] [--user U] [--agent HOST:PORT] [--ttl S]",
     "print ALLOCATION TOKEN a line"},
    {{"token", "inspect"}, 1, 0, run_inspect, "token inspect TOKEN|-", "state and claims"},
    {{"token", "revoke"}, 1, 0, run_revoke, "token revoke TOKEN|-", "make it unusable"},
    {{"config", "show"}, 0, 0, run_config_show, "config show", "what runs, secrets redacted"},
    {{"config", "check"},
     0,
     O(FILE),
     run_config_check,
     "config check --file F",
     "is a file good, and what would it change"},
    {{"config", "apply"},
     0,
     O(FILE) | O(WHY),
     run_config_apply,
     "config apply --file F [--why TEXT]",
     "make it the configuration; live where it can be"},
    {{"config", "rollback"},
     0,
     O(VERSION) | O(WHY),
     run_config_rollback,
     "config rollback [--to VERSION] [--why TEXT]",
     "back to the version before"},
    {{"config", "freeze"},
     0,
     O(WHY),
     run_config_freeze,
     "config freeze [--why TEXT]",
     "refuse changes"},
    {{"config", "unfreeze"},
     0,
     O(WHY),
     run_config_unfreeze,
     "config unfreeze [--why TEXT]",
     "allow changes again"},
    {{"ports"}, 0, 0, run_ports, "ports", "ports and their counters"},
    {{"ports", "probe"}, 0, 0, run_ports_probe, "ports probe", "do they work on the wire"},
    {{"metrics"}, 0, 0, run_metrics, "metrics", "Prometheus text"},
    {{"capture"},
     0,
     O(SESSION) | O(SECONDS) | O(WRITE),
     run_capture,
     "capture --session ID -w FILE [--seconds N] [--payload]",
     "its packets as pcapng, payloads left out unless asked for"},
    {{"probe"}, 1, O(ALLOCATION), run_probe, "probe URL [--allocation ID]", "check a public edge"},
    {{"smoke"},
     0,
     O(URL) | O(ALLOCATION),
     run_smoke,
     "smoke [--url URL] [--allocation ID]",
     "a shell end to end"},
    {{"soak"},
     0,
     O(URL) | O(ALLOCATION) | O(DURATION) | O(SESSIONS),
     run_soak,
     "soak --duration D [--sessions N] [--url URL] [--allocation ID]",
     "keep typing, judge the errors"},
    {{"evidence"},
     0,
     O(CORRELATION) | O(OUTPUT) | O(LOG),
     run_evidence,
     "evidence --correlation-id C [--output F] [--log F]",
     "a tar of what is known of it"},
    {{"top"}, 0, 0, run_top, "top", "a live screen; q quits"},
};
#undef O
const size_t cli_command_count = sizeof(cli_commands) / sizeof(cli_commands[0]);

#include "cli.h"
#include "command.h"
#include "table.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char SOCKET_DEFAULT[] = "/run/tgw/control.sock";
static const char CERTIFICATE_DEFAULT[] = "/etc/tgw/tgwctl.pem";
static const char KEY_DEFAULT[] = "/etc/tgw/tgwctl.key";
static const char CA_DEFAULT[] = "/etc/tgw/ca.pem";

void cli_print_json(struct cli *c, const cJSON *value) {
    char *text = cJSON_PrintUnformatted(value);
    fprintf(c->out, "%s\n", text ? text : "null");
    free(text);
}

/* Scripts read one stream: with --json an error is an object on it as well. */
static enum cli_exit tell(struct cli *c, enum cli_exit status, const char *code,
                          const char *message) {
    char plain[1024];
    snprintf(plain, sizeof(plain), "%s", message);
    text_sanitize(plain);
    if (c->inv.json) {
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "code", code);
        cJSON_AddStringToObject(o, "message", plain);
        cli_print_json(c, o);
        cJSON_Delete(o);
    } else {
        fprintf(c->err, "tgwctl: %s\n", plain);
    }
    return status;
}

enum cli_exit cli_usage(struct cli *c, const char *format, ...) {
    char message[PARSE_ERROR_BYTES + 64];
    va_list v;
    va_start(v, format);
    int n = vsnprintf(message, PARSE_ERROR_BYTES, format, v);
    va_end(v);
    size_t len = n < 0 ? 0 : strlen(message);
    snprintf(message + len, sizeof(message) - len, " (see tgwctl --help)");
    return tell(c, CLI_USAGE, "usage", message);
}

enum cli_exit cli_refused(struct cli *c, const char *code, const char *message) {
    return tell(c, CLI_REFUSED, code, message);
}

enum cli_exit cli_unreachable(struct cli *c) {
    char message[512];
    snprintf(message, sizeof(message), "cannot reach the control process at %.200s: %s", c->socket,
             c->client.error);
    return tell(c, CLI_UNREACHABLE, "unreachable", message);
}

bool cli_connect(struct cli *c) {
    if (c->client.fd >= 0)
        return true;
    return c->remote ? client_connect_remote(&c->client, c->socket, &c->identity)
                     : client_connect(&c->client, c->socket);
}

cJSON *cli_call(struct cli *c, const char *cmd, cJSON *args, const cJSON **result,
                enum cli_exit *status) {
    if (!cli_connect(c)) {
        cJSON_Delete(args);
        *status = cli_unreachable(c);
        return NULL;
    }
    cJSON *reply = client_call(&c->client, cmd, args);
    if (!reply) {
        *status = cli_unreachable(c);
        return NULL;
    }
    *result = cJSON_GetObjectItemCaseSensitive(reply, "result");
    *status = CLI_DONE;
    if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(reply, "ok")))
        return reply;
    *status = cli_refused(c, cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(reply, "code")),
                          cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(reply, "message")));
    cJSON_Delete(reply);
    return NULL;
}

static enum cli_exit print_help(struct cli *c) {
    fputs("usage: tgwctl [--json] [--socket PATH | --connect HOST:PORT] COMMAND\n\n", c->out);
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct command *k = &cli_commands[i];
        if (k->usage && strlen(k->usage) > 22)
            fprintf(c->out, "  %s\n  %-22s  %s\n", k->usage, "", k->summary);
        else if (k->usage)
            fprintf(c->out, "  %-22s  %s\n", k->usage, k->summary);
    }
    fprintf(c->out,
            "\n  --json               JSON on standard output, errors too\n"
            "  --socket PATH        the control socket, else $TGW_SOCKET, else %s\n"
            "  --connect HOST:PORT  a DPU from its host, over mutual TLS, else $TGW_CONNECT\n"
            "  --certificate, --key, --ca FILE\n"
            "                       for --connect, else $TGW_CERTIFICATE, $TGW_KEY, $TGW_CA,\n"
            "                       else tgwctl.pem, tgwctl.key and ca.pem in /etc/tgw\n"
            "  --help, --version\n"
            "\nexit status: 0 done, 1 refused or unhealthy, 2 usage, 3 cannot reach the control "
            "process\n",
            SOCKET_DEFAULT);
    return CLI_DONE;
}

static enum cli_exit print_version(struct cli *c) {
    fprintf(c->out, c->inv.json ? "{\"version\":\"%s\"}\n" : "tgwctl %s\n", TGW_VERSION);
    return CLI_DONE;
}

/* The longest name wins: "sessions show" before "sessions". */
static const struct command *find_command(const struct invocation *inv, unsigned *names) {
    const struct command *found = NULL;
    *names = 0;
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct command *k = &cli_commands[i];
        unsigned n = k->name[1] ? 2 : 1;
        bool matches = inv->words >= n && strcmp(inv->word[0], k->name[0]) == 0 &&
                       (n == 1 || strcmp(inv->word[1], k->name[1]) == 0);
        if (matches && n > *names) {
            found = k;
            *names = n;
        }
    }
    return found;
}

static bool is_first_word(const char *word) {
    for (size_t i = 0; i < cli_command_count; i++)
        if (strcmp(cli_commands[i].name[0], word) == 0)
            return true;
    return false;
}

static enum cli_exit unknown_command(struct cli *c) {
    const struct invocation *inv = &c->inv;
    if (inv->words == 0)
        return cli_usage(c, "a command is missing");
    if (!is_first_word(inv->word[0]))
        return cli_usage(c, "unknown command \"%.60s\"", inv->word[0]);
    if (inv->words == 1)
        return cli_usage(c, "%s: a subcommand is missing", inv->word[0]);
    return cli_usage(c, "unknown command \"%s %.60s\"", inv->word[0], inv->word[1]);
}

static enum cli_exit dispatch(struct cli *c) {
    unsigned names;
    const struct invocation *inv = &c->inv;
    const struct command *k = find_command(inv, &names);
    if (!k)
        return unknown_command(c);
    const char *second = k->name[1] ? k->name[1] : "", *space = k->name[1] ? " " : "";
    for (enum option o = OPT_GLOBAL_LAST + 1; o < OPT_NUMBER; o++)
        if (inv->option[o] && !(k->options & (1u << o)))
            return cli_usage(c, "%s%s%s takes no %s", k->name[0], space, second, option_name(o));
    if (inv->payload && k->run != run_capture)
        return cli_usage(c, "%s%s%s takes no --payload", k->name[0], space, second);
    if (inv->words - names == k->args)
        return k->run(c, inv->word + names);
    if (names == 1 && !k->args && strcmp(k->name[0], "sessions") == 0)
        return unknown_command(c);
    return cli_usage(c, "%s%s%s: %s", k->name[0], space, second,
                     inv->words - names < k->args ? "an argument is missing"
                                                  : "too many arguments");
}

/* The option, else the variable where it is not empty, else the standard. */
static const char *setting(const struct invocation *inv, char *const envp[], enum option o,
                           const char *variable, const char *standard) {
    size_t len = strlen(variable);
    if (inv->option[o])
        return inv->option[o];
    for (; envp && *envp; envp++)
        if (strncmp(*envp, variable, len) == 0 && (*envp)[len] == '=' && (*envp)[len + 1])
            return *envp + len + 1;
    return standard;
}

static void choose_process(struct cli *c) {
    const struct invocation *inv = &c->inv;
    const char *remote = setting(inv, c->envp, OPT_CONNECT, "TGW_CONNECT", NULL);
    c->remote = remote && !inv->option[OPT_SOCKET];
    c->socket =
        c->remote ? remote : setting(inv, c->envp, OPT_SOCKET, "TGW_SOCKET", SOCKET_DEFAULT);
    c->identity =
        (struct client_identity){.certificate = setting(inv, c->envp, OPT_CERTIFICATE,
                                                        "TGW_CERTIFICATE", CERTIFICATE_DEFAULT),
                                 .key = setting(inv, c->envp, OPT_KEY, "TGW_KEY", KEY_DEFAULT),
                                 .ca = setting(inv, c->envp, OPT_CA, "TGW_CA", CA_DEFAULT)};
}

enum cli_exit cli_run(int argc, char *const argv[], char *const envp[], FILE *in, FILE *out,
                      FILE *err) {
    struct cli c = {.client = {.fd = -1}, .envp = envp, .in = in, .out = out, .err = err};
    enum cli_exit status;
    bool parsed = parse_arguments(&c.inv, argc, argv);
    choose_process(&c);
    if (!parsed)
        status = cli_usage(&c, "%s", c.inv.error);
    else if (c.inv.help)
        status = print_help(&c);
    else if (c.inv.version)
        status = print_version(&c);
    else
        status = dispatch(&c);
    client_close(&c.client);
    /* A full disk must not look like success: minted tokens exist once. */
    if ((fflush(out) != 0 || ferror(out)) && status == CLI_DONE) {
        fputs("tgwctl: the output could not be written\n", err);
        status = CLI_REFUSED;
    }
    return status;
}

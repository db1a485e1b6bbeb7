#include "parse.h"
#include <stdlib.h>
#include <string.h>

static const char *const option_names[OPT_NUMBER] = {
    [OPT_SOCKET] = "--socket",
    [OPT_CONNECT] = "--connect",
    [OPT_CERTIFICATE] = "--certificate",
    [OPT_KEY] = "--key",
    [OPT_CA] = "--ca",
    [OPT_TIMEOUT] = "--timeout",
    [OPT_ALLOCATION] = "--allocation",
    [OPT_COUNT] = "--count",
    [OPT_USER] = "--user",
    [OPT_AGENT] = "--agent",
    [OPT_TTL] = "--ttl",
    [OPT_FILE] = "--file",
    [OPT_WHY] = "--why",
    [OPT_VERSION] = "--to",
    [OPT_URL] = "--url",
    [OPT_DURATION] = "--duration",
    [OPT_SESSIONS] = "--sessions",
    [OPT_CORRELATION] = "--correlation-id",
    [OPT_OUTPUT] = "--output",
    [OPT_LOG] = "--log",
    [OPT_SESSION] = "--session",
    [OPT_SECONDS] = "--seconds",
    [OPT_WRITE] = "-w",
};

const char *option_name(enum option o) {
    return option_names[o];
}

static bool wrong(struct invocation *inv, const char *what, const char *name) {
    snprintf(inv->error, sizeof(inv->error), "%s %.100s", what, name);
    return false;
}

/* A token is base64url: it may begin with '-', so after `token inspect` and `token revoke`
 * only the exact names of our own options are options. */
static bool wants_token(const struct invocation *inv) {
    return inv->words == 2 && strcmp(inv->word[0], "token") == 0 &&
           (strcmp(inv->word[1], "inspect") == 0 || strcmp(inv->word[1], "revoke") == 0);
}

static bool add_word(struct invocation *inv, const char *text) {
    if (inv->words == WORDS_MAX) /* not shown: it may be a token */
        return wrong(inv, "too many arguments after", inv->word[0]);
    inv->word[inv->words++] = text;
    return true;
}

/* "--name VALUE" and "--name=VALUE"; *at moves over the value. */
static bool take_option(struct invocation *inv, enum option o, int argc, char *const argv[],
                        int *at) {
    const char *inside = argv[*at][strlen(option_names[o])] == '=' ? strchr(argv[*at], '=') : NULL;
    if (inv->option[o])
        return wrong(inv, "given twice:", option_names[o]);
    if (!inside && *at + 1 == argc)
        return wrong(inv, "a value is missing after", option_names[o]);
    inv->option[o] = inside ? inside + 1 : argv[++*at];
    return true;
}

static enum option find_option(const char *arg) {
    size_t len = strcspn(arg, "=");
    for (enum option o = 0; o < OPT_NUMBER; o++)
        if (strlen(option_names[o]) == len && strncmp(arg, option_names[o], len) == 0)
            return o;
    return OPT_NUMBER;
}

static bool take_flag(struct invocation *inv, const char *arg) {
    bool *flag = strcmp(arg, "--json") == 0                             ? &inv->json
                 : strcmp(arg, "--payload") == 0                        ? &inv->payload
                 : strcmp(arg, "--version") == 0                        ? &inv->version
                 : strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0 ? &inv->help
                                                                        : NULL;
    if (flag)
        *flag = true;
    return flag != NULL;
}

bool parse_arguments(struct invocation *inv, int argc, char *const argv[]) {
    bool words_only = false, good = true;
    *inv = (struct invocation){0};
    for (int i = 1; i < argc && good; i++) {
        const char *arg = argv[i];
        enum option o = words_only ? OPT_NUMBER : find_option(arg);
        if (words_only)
            good = add_word(inv, arg);
        else if (strcmp(arg, "--") == 0)
            words_only = true;
        else if (o != OPT_NUMBER)
            good = take_option(inv, o, argc, argv, &i);
        else if (!take_flag(inv, arg))
            good = arg[0] != '-' || !arg[1] || wants_token(inv) ? add_word(inv, arg)
                                                                : wrong(inv, "unknown option", arg);
    }
    return good;
}

bool parse_number(struct invocation *inv, const char *what, const char *text, double min,
                  double max, double *out) {
    size_t digits = strspn(text, "0123456789");
    *out = strtod(text, NULL);
    if (digits && !text[digits] && *out >= min && *out <= max)
        return true;
    snprintf(inv->error, sizeof(inv->error),
             "%s: expected a whole number %.0f..%.0f, not \"%.40s\"", what, min, max, text);
    return false;
}

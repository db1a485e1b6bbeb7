/* The command line: what was asked for, and the one line that says what is wrong with it. */
#ifndef TGW_CLI_PARSE_H
#define TGW_CLI_PARSE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdio.h>

enum option {
    OPT_SOCKET,
    OPT_CONNECT,
    OPT_CERTIFICATE,
    OPT_KEY,
    OPT_CA,
    OPT_GLOBAL_LAST = OPT_CA, /* of those that every command takes */
    OPT_TIMEOUT,
    OPT_ALLOCATION,
    OPT_COUNT,
    OPT_USER,
    OPT_AGENT,
    OPT_TTL,
    OPT_FILE,
    OPT_WHY,
    OPT_VERSION,
    OPT_URL,
    OPT_DURATION,
    OPT_SESSIONS,
    OPT_CORRELATION,
    OPT_OUTPUT,
    OPT_LOG,
    OPT_SESSION,
    OPT_SECONDS,
    OPT_WRITE,
    OPT_NUMBER,
};

enum { WORDS_MAX = 4, PARSE_ERROR_BYTES = 256 };

struct invocation {
    bool json, help, version, payload;
    const char *option[OPT_NUMBER]; /* NULL: not given */
    const char *word[WORDS_MAX];    /* command, then its arguments */
    unsigned words;
    char error[PARSE_ERROR_BYTES];
};

/* False with inv->error. */
bool parse_arguments(struct invocation *inv, int argc, char *const argv[]);
const char *option_name(enum option o);
/* A decimal number min..max, else inv->error names `what`. */
bool parse_number(struct invocation *inv, const char *what, const char *text, double min,
                  double max, double *out);

#endif

/* probe, smoke and soak: the public edge as its users meet it. */
#include "command.h"
#include "contract/limits.h"
#include "edge.h"
#include "table.h"
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CHECKS_MAX = 16, SOAK_SESSIONS_MAX = 64, SOAK_PROGRESS_S = 10, SOAK_KEY_MS = 200 };

struct check {
    const char *name, *fix;
    bool passed;
    char detail[160];
};

struct probe {
    struct edge_url url;
    struct check check[CHECKS_MAX];
    size_t checks;
    char token[TGW_TOKEN_BYTES_MAX + 1], allocation[TGW_ALLOCATION_ID_MAX + 1];
};

static bool note(struct probe *p, const char *name, bool passed, const char *detail,
                 const char *fix) {
    struct check *k = &p->check[p->checks++];
    *k = (struct check){.name = name, .fix = fix, .passed = passed};
    snprintf(k->detail, sizeof(k->detail), "%.159s", detail);
    text_sanitize(k->detail);
    return passed;
}

static const char FIX_DNS[] = "publish an A or AAAA record of the gateway's public address";
static const char FIX_PRIVATE[] = "the record must name the public address, not an internal one";

/* RFC 1918, 6598 (100.64/10), 3927, loopback, and IPv6's unique and link-local ones. */
static bool is_public(const struct sockaddr *a) {
    if (a->sa_family == AF_INET) {
        uint32_t ip = ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr);
        return ip >> 24 != 10 && ip >> 20 != 0xac1 && ip >> 16 != 0xc0a8 && ip >> 22 != 0x191 &&
               ip >> 16 != 0xa9fe && ip >> 24 != 127 && ip >> 24 != 0;
    }
    const struct in6_addr *six = &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr;
    return (six->s6_addr[0] & 0xfe) != 0xfc && !IN6_IS_ADDR_LINKLOCAL(six) &&
           !IN6_IS_ADDR_LOOPBACK(six) && !IN6_IS_ADDR_V4MAPPED(six);
}

static bool check_name(struct probe *p) {
    char detail[160] = "", address[64];
    bool public = true;
    struct addrinfo *list = edge_resolve(&p->url, detail, sizeof(detail));
    if (!note(p, "name resolves", list != NULL, list ? p->url.host : detail, FIX_DNS))
        return false;
    for (const struct addrinfo *a = list; a; a = a->ai_next) {
        getnameinfo(a->ai_addr, a->ai_addrlen, address, sizeof(address), NULL, 0, NI_NUMERICHOST);
        size_t len = strlen(detail);
        snprintf(detail + len, sizeof(detail) - len, "%s%s", len ? " " : "", address);
        public = public && is_public(a->ai_addr);
    }
    freeaddrinfo(list);
    note(p, "address is public", public, detail, FIX_PRIVATE);
    return true;
}

/* One request over a connection of its own. Status 0: p's last check says why. */
static int ask(struct probe *p, const char *path, const char *token, char answer[160]) {
    struct edge *e = calloc(1, sizeof(*e));
    int status = 0;
    if (e && edge_open(e, &p->url) && edge_request(e, path, token))
        status = e->status;
    const char *body = e ? strstr(e->head, "\r\n\r\n") : NULL;
    snprintf(answer, 160, "%.150s", !e ? "no memory" : status && body ? body + 4 : e->error);
    if (status == 101)
        snprintf(answer, 160, "101");
    if (e)
        edge_close(e);
    free(e);
    return status;
}

static void check_status(struct probe *p, const char *name, const char *path, const char *token,
                         int want, const char *text, const char *fix) {
    char answer[160], detail[200];
    int status = ask(p, path, token, answer);
    bool good = status == want && (!text || strstr(answer, text));
    snprintf(detail, sizeof(detail), "%d %s", status, answer);
    note(p, name, good, status ? detail : answer, fix);
}

static bool check_connection(struct probe *p) {
    struct edge *e = calloc(1, sizeof(*e));
    bool open = e && edge_open(e, &p->url);
    note(p, p->url.tls ? "TLS verifies" : "TCP connects", open, open ? p->url.port : e->error,
         p->url.tls ? "check the certificate's chain, names and expiry, and port 443's listener"
                    : "check the listener, routes and firewalls up to the DPU");
    if (e && open)
        edge_close(e);
    free(e);
    return open;
}

/* A fresh token from the control process. */
static bool mint(struct cli *c, struct probe *p) {
    enum cli_exit status;
    const cJSON *result;
    const char *allocation = c->inv.option[OPT_ALLOCATION];
    snprintf(p->allocation, sizeof(p->allocation), "%s", allocation ? allocation : "probe");
    cJSON *reply =
        cli_call(c, "token.mint", cli_text_args("allocation_id", p->allocation), &result, &status);
    const cJSON *first = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(result, "tokens"), 0);
    const char *token = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(first, "token"));
    snprintf(p->token, sizeof(p->token), "%s", token ? token : "");
    cJSON_Delete(reply);
    return token != NULL;
}

static void session_path(const struct probe *p, const char *query, char out[160]) {
    snprintf(out, 160, "/ws/terminal/%s%s", p->allocation, query);
}

static void check_tokens(struct cli *c, struct probe *p) {
    char path[160];
    if (!note(p, "a token can be minted", mint(c, p), p->allocation,
              "run tgwctl where the control process's socket is, or name it with --socket"))
        return;
    session_path(p, "", path);
    check_status(p, "a fresh token opens a session", path, p->token, 101, NULL,
                 "follow the answer's correlation id: tgwctl evidence --correlation-id ID");
    check_status(p, "a replay is refused", path, p->token, 401, "token_replayed",
                 "every gateway must share one token store: compare token_store and redis_url");
}

static enum cli_exit tell_probe(struct cli *c, const struct probe *p) {
    bool good = true;
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < p->checks; i++) {
        const struct check *k = &p->check[i];
        good = good && k->passed;
        if (!c->inv.json)
            fprintf(c->out, "%s  %-30s %s\n%s%s%s", k->passed ? "pass" : "FAIL", k->name, k->detail,
                    k->passed ? "" : "      try: ", k->passed ? "" : k->fix, k->passed ? "" : "\n");
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "check", k->name);
        cJSON_AddBoolToObject(o, "passed", k->passed);
        cJSON_AddStringToObject(o, "detail", k->detail);
        if (!k->passed)
            cJSON_AddStringToObject(o, "fix", k->fix);
        cJSON_AddItemToArray(list, o);
    }
    if (c->inv.json)
        cli_print_json(c, list);
    cJSON_Delete(list);
    return good ? CLI_DONE : CLI_REFUSED;
}

enum cli_exit run_probe(struct cli *c, const char *const *arg) {
    struct probe p = {.allocation = "probe"};
    char path[160];
    if (!edge_url_parse(&p.url, arg[0]))
        return cli_usage(c, "probe: \"%.80s\" is not http, https, ws or wss://HOST[:PORT]", arg[0]);
    if (check_name(&p) && check_connection(&p)) {
        check_status(&p, "/healthz answers", "/healthz", NULL, 200, "\"ok\"",
                     "tgwctl status on the gateway; is it this gateway that answers?");
        session_path(&p, "?token=abcdefghijklmnop", path);
        check_status(&p, "a token in the query is refused", path, "abcdefghijklmnop", 400,
                     "token_in_query", "something in front of the gateway rewrites requests");
        check_tokens(c, &p);
    }
    explicit_bzero(p.token, sizeof(p.token));
    return tell_probe(c, &p);
}

/* Where smoke and soak go: --url, else the lab's public URL. */
static bool choose_url(struct cli *c, struct probe *p) {
    enum cli_exit status;
    const cJSON *result;
    const char *url = c->inv.option[OPT_URL];
    if (url)
        return edge_url_parse(&p->url, url);
    cJSON *reply = cli_call(c, "config.show", NULL, &result, &status);
    url = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(result, "lab_public_url"));
    bool good = reply && url && edge_url_parse(&p->url, url);
    cJSON_Delete(reply);
    return good;
}

/* Mint, connect, upgrade. The caller closes. */
static bool open_terminal(struct cli *c, struct probe *p, struct edge *e) {
    char path[160];
    *e = (struct edge){0};
    if (!mint(c, p)) {
        snprintf(e->error, sizeof(e->error), "no token");
        return false;
    }
    session_path(p, "", path);
    bool good = edge_open(e, &p->url) && edge_request(e, path, p->token);
    explicit_bzero(p->token, sizeof(p->token));
    if (good && e->status != 101)
        snprintf(e->error, sizeof(e->error), "refused: %d %.150s", e->status,
                 strstr(e->head, "\r\n\r\n") ? strstr(e->head, "\r\n\r\n") + 4 : "");
    return good && e->status == 101;
}

static const char NEEDS_URL[] = "%s: --url ws://HOST or wss://HOST is missing";

enum cli_exit run_smoke(struct cli *c, const char *const *arg) {
    struct probe p = {0};
    struct edge *e = calloc(1, sizeof(*e));
    (void)arg;
    if (!e || !choose_url(c, &p)) {
        free(e);
        return cli_usage(c, NEEDS_URL, "smoke");
    }
    bool good = open_terminal(c, &p, e) && edge_type(e, "echo smoke-$((6*7))\n") &&
                edge_wait(e, "smoke-42") && edge_type(e, "exit\n") && edge_wait_close(e) &&
                e->close_code == 1000;
    enum cli_exit status = CLI_DONE;
    if (good)
        fputs(c->inv.json ? "{\"ok\":true}\n" : "a shell answered and ended well\n", c->out);
    else
        status = cli_refused(c, "smoke_failed",
                             e->error[0] ? e->error : "the shell did not end with 1000");
    edge_close(e);
    free(e);
    return status;
}

struct soak {
    struct probe probe;
    struct edge *edge[SOAK_SESSIONS_MAX];
    uint32_t sessions;
    uint64_t keys, errors[2]; /* of the first half, of the second */
    double worst_ms, sum_ms;
};

static double now_ms(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void count_error(struct cli *c, struct soak *s, uint32_t i, bool late) {
    s->errors[late]++;
    fprintf(c->err, "session %u: %s\n", i, s->edge[i]->error);
    edge_close(s->edge[i]);
}

/* One line typed in one session and its answer read; a session that broke opens anew. */
static void type_once(struct cli *c, struct soak *s, uint32_t i, bool late) {
    char line[64], answer[32];
    struct edge *e = s->edge[i];
    if (!e->bio && !open_terminal(c, &s->probe, e)) {
        count_error(c, s, i, late);
        return;
    }
    snprintf(line, sizeof(line), "echo k$((%lu+1))k\n", s->keys);
    snprintf(answer, sizeof(answer), "k%luk", s->keys + 1);
    double began = now_ms();
    if (!edge_type(e, line) || !edge_wait(e, answer)) {
        count_error(c, s, i, late);
        return;
    }
    double took = now_ms() - began;
    s->keys++;
    s->sum_ms += took;
    s->worst_ms = took > s->worst_ms ? took : s->worst_ms;
}

static enum cli_exit judge(struct cli *c, const struct soak *s) {
    uint64_t errors = s->errors[0] + s->errors[1];
    const char *trend = errors == 0                    ? "clean"
                        : s->errors[1] > s->errors[0]  ? "errors rising"
                        : s->errors[1] == s->errors[0] ? "errors steady"
                                                       : "errors falling";
    double mean = s->keys ? s->sum_ms / (double)s->keys : 0;
    fprintf(c->out,
            c->inv.json ? "{\"commands\":%lu,\"errors\":%lu,\"errors_late\":%lu,\"mean_ms\":%.2f,"
                          "\"worst_ms\":%.2f,\"verdict\":\"%s\"}\n"
                        : "%lu commands, %lu errors (%lu in the second half), mean %.2f ms, worst "
                          "%.2f ms: %s\n",
            s->keys, errors, s->errors[1], mean, s->worst_ms, trend);
    return s->keys > 0 && s->errors[1] == 0 ? CLI_DONE : CLI_REFUSED;
}

static void soak_for(struct cli *c, struct soak *s, double duration_ms) {
    const struct timespec pause = {0, SOAK_KEY_MS * 1000000L / (long)s->sessions};
    double began = now_ms(), told = began, now = began;
    for (uint32_t i = 0; now < began + duration_ms; i = (i + 1) % s->sessions) {
        type_once(c, s, i, now - began > duration_ms / 2);
        nanosleep(&pause, NULL);
        now = now_ms();
        if (now - told < SOAK_PROGRESS_S * 1000)
            continue;
        told = now;
        fprintf(c->err, "%.0f of %.0f s: %lu commands, %lu errors, worst %.2f ms\n",
                (now - began) / 1000, duration_ms / 1000, s->keys, s->errors[0] + s->errors[1],
                s->worst_ms);
    }
}

/* Seconds, or a number with s, m or h behind it. */
static bool parse_duration(const char *text, double *seconds) {
    char *end;
    *seconds = text ? strtod(text, &end) : 0;
    double unit = !text || end == text || (*end && end[1]) ? 0
                  : *end == 0 || *end == 's'               ? 1
                  : *end == 'm'                            ? 60
                  : *end == 'h'                            ? 3600
                                                           : 0;
    *seconds *= unit;
    return *seconds >= 1 && *seconds <= 30 * 86400.0;
}

enum cli_exit run_soak(struct cli *c, const char *const *arg) {
    struct soak s = {.sessions = 4};
    double seconds, sessions = 4;
    (void)arg;
    if (!parse_duration(c->inv.option[OPT_DURATION], &seconds))
        return cli_usage(c, "soak: --duration 30s, 10m or 2h is missing");
    if (c->inv.option[OPT_SESSIONS] &&
        !parse_number(&c->inv, "--sessions", c->inv.option[OPT_SESSIONS], 1, SOAK_SESSIONS_MAX,
                      &sessions))
        return cli_usage(c, "%s", c->inv.error);
    if (!choose_url(c, &s.probe))
        return cli_usage(c, NEEDS_URL, "soak");
    s.sessions = (uint32_t)sessions;
    struct edge *all = calloc(s.sessions, sizeof(*all));
    if (!all)
        return cli_refused(c, "internal_error", "no memory");
    for (uint32_t i = 0; i < s.sessions; i++)
        s.edge[i] = &all[i];
    soak_for(c, &s, seconds * 1000);
    for (uint32_t i = 0; i < s.sessions; i++)
        edge_close(s.edge[i]);
    free(all);
    return judge(c, &s);
}

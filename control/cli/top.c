/* A live screen from `status` and `metrics`. A control process that goes away is waited
 * for: it may be restarted at any time. */
#include "command.h"
#include "stalls.h"
#include "table.h"
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { PERIOD_MS = 1000 };

struct rate {
    const char *metric, *label;
};
static const struct rate rates[] = {
    {"terminal_stream_relay_bytes_total", "relayed bytes/s"},
    {"terminal_stream_relay_frames_total", "relayed frames/s"},
    {"terminal_gateway_ws_events_total", "session events/s"},
    {"tcp_retransmits_total", "TCP retransmits/s"},
};
enum { RATES = sizeof(rates) / sizeof(rates[0]), STAGES_MAX = 16, STAGE_BYTES = 16 };

/* Cycles of all cores by stage, in the order of their first line. */
struct stage {
    char name[STAGE_BYTES];
    double cycles;
};

struct sample {
    double at_s, sum[RATES];
    bool known[RATES];
    struct stage stage[STAGES_MAX];
    size_t stages;
    struct stalls stalls;
};

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The sum over all labels of one metric in Prometheus text. */
static bool metric_sum(const char *text, const char *name, double *sum) {
    size_t len = strlen(name);
    bool found = false;
    *sum = 0;
    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, len) != 0 || (line[len] != '{' && line[len] != ' '))
            continue;
        const char *end = line + strcspn(line, "\n"), *value = end;
        while (value > line && value[-1] != ' ')
            value--;
        *sum += strtod(value, NULL);
        found = true;
    }
    return found;
}

static struct stage *stage_of(struct sample *s, const char *name) {
    for (size_t i = 0; i < s->stages; i++)
        if (strcmp(s->stage[i].name, name) == 0)
            return &s->stage[i];
    if (s->stages == STAGES_MAX)
        return NULL;
    strcpy(s->stage[s->stages].name, name);
    return &s->stage[s->stages++];
}

static void take_stages(struct sample *s, const char *metrics) {
    static const char line[] = "dataplane_cycles_total{core=\"";
    for (const char *at = strstr(metrics, line); at; at = strstr(at + 1, line)) {
        char name[STAGE_BYTES];
        double cycles;
        if (sscanf(at + sizeof(line) - 1, "%*u\",stage=\"%15[^\"]\"} %lf", name, &cycles) != 2)
            continue;
        struct stage *stage = stage_of(s, name);
        if (stage)
            stage->cycles += cycles;
    }
}

static void take_sample(struct sample *s, const char *metrics) {
    take_stages(s, metrics);
    stalls_take(&s->stalls, metrics);
    s->at_s = now_s();
    for (size_t i = 0; i < RATES; i++)
        s->known[i] = metric_sum(metrics, rates[i].metric, &s->sum[i]);
}

static void show_rates(FILE *out, const struct sample *old, const struct sample *new) {
    struct table t;
    double span_s = new->at_s - old->at_s;
    table_init(&t, 2);
    for (size_t i = 0; i < RATES && old->at_s > 0 && span_s > 0; i++) {
        /* A counter below its last value was restarted. */
        if (!new->known[i] || !old->known[i] || new->sum[i] < old->sum[i])
            continue;
        table_add(&t, "%s", rates[i].label);
        table_add(&t, "%.0f", (new->sum[i] - old->sum[i]) / span_s);
    }
    table_print(&t, out);
}

/* Where the cores' time went since the last picture. */
static void show_stages(FILE *out, const struct sample *old, const struct sample *new) {
    struct table t;
    double all = 0;
    for (size_t i = 0; i < new->stages &&new->stages == old->stages; i++)
        all += new->stage[i].cycles - old->stage[i].cycles;
    if (!(all > 0))
        return;
    table_init(&t, 2);
    for (size_t i = 0; i < new->stages; i++) {
        table_add(&t, "%s", new->stage[i].name);
        table_add(&t, "%.1f %%", (new->stage[i].cycles - old->stage[i].cycles) / all * 100);
    }
    fputc('\n', out);
    table_print(&t, out);
}

/* Both replies, connected anew when needed. NULL: c->client.error, or refused. */
static cJSON *fetch(struct cli *c, const char *cmd) {
    if (!cli_connect(c))
        return NULL;
    return client_call(&c->client, cmd, NULL);
}

static const cJSON *result_of(const cJSON *reply) {
    return cJSON_GetObjectItemCaseSensitive(reply, "result");
}

static void draw(struct cli *c, struct sample *last) {
    cJSON *status = fetch(c, "status");
    cJSON *metrics = status ? fetch(c, "metrics") : NULL;
    const char *text =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(result_of(metrics), "text"));
    struct sample sample = {0};
    fputs("\033[H\033[J", c->out); /* home, clear to the end */
    if (cJSON_IsObject(result_of(status)))
        show_status(c->out, result_of(status));
    else
        fprintf(c->out, "waiting for the control process at %s: %s\n", c->socket,
                c->client.error[0] ? c->client.error : "it refused to answer");
    if (text) {
        take_sample(&sample, text);
        fputc('\n', c->out);
        show_rates(c->out, last, &sample);
        show_stages(c->out, last, &sample);
        stalls_show(c->out, &last->stalls, &sample.stalls, sample.at_s - last->at_s);
    }
    *last = sample;
    fputs("\nq quits\n", c->out);
    fflush(c->out);
    cJSON_Delete(status);
    cJSON_Delete(metrics);
}

/* True: asked to end within the period. Other keys redraw at once. */
static bool quits(int keys, int signals) {
    struct pollfd p[] = {{.fd = keys, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    char key = 0;
    if (poll(p, 2, PERIOD_MS) <= 0)
        return false;
    if (p[1].revents)
        return true;
    return read(keys, &key, 1) <= 0 || key == 'q' || key == 'Q' || key == 3 /* ^C */;
}

static enum cli_exit live(struct cli *c, int keys) {
    struct termios before, raw;
    struct sample last = {0};
    sigset_t ending, old;
    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGHUP);
    sigaddset(&ending, SIGINT);
    int signals = signalfd(-1, &ending, SFD_CLOEXEC);
    if (signals < 0 || tcgetattr(keys, &before) != 0) {
        if (signals >= 0)
            close(signals);
        return cli_refused(c, "no_terminal", "top: the terminal cannot be set up");
    }
    sigprocmask(SIG_BLOCK, &ending, &old);
    raw = before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG);
    tcsetattr(keys, TCSANOW, &raw);
    fputs("\033[?1049h", c->out); /* the alternate screen: the old one comes back */
    do
        draw(c, &last);
    while (!quits(keys, signals));
    fputs("\033[?1049l", c->out);
    fflush(c->out);
    tcsetattr(keys, TCSANOW, &before);
    sigprocmask(SIG_SETMASK, &old, NULL);
    close(signals);
    return CLI_DONE;
}

/* Without a terminal, or with --json: one picture. */
static enum cli_exit once(struct cli *c) {
    enum cli_exit status;
    const cJSON *result;
    cJSON *reply = cli_call(c, "status", NULL, &result, &status);
    if (reply && c->inv.json)
        cli_print_json(c, result);
    else if (reply)
        show_status(c->out, result);
    cJSON_Delete(reply);
    return status;
}

enum cli_exit run_top(struct cli *c, const char *const *arg) {
    int keys = fileno(c->in), screen = fileno(c->out);
    (void)arg;
    if (c->inv.json || keys < 0 || screen < 0 || !isatty(keys) || !isatty(screen))
        return once(c);
    return live(c, keys);
}

/* Everything about one correlation id that this process knows, for `tgwctl evidence`. */
#include "command.h"
#include "files.h"
#include "metrics.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { AUDIT_BYTES_MAX = 1 << 20, LINES_MAX = 10000 };

struct finding {
    cJSON *lines;
    uint64_t first_s; /* unix time of the first line */
};

static uint64_t time_of(const char *line) {
    struct tm tm = {0};
    const char *ts = strstr(line, "\"ts\":\"");
    if (!ts || !strptime(ts + 6, "%Y-%m-%dT%H:%M:%S", &tm))
        return 0;
    time_t t = timegm(&tm);
    return t > 0 ? (uint64_t)t : 0;
}

static void take_line(void *ctx, const char *line, size_t len) {
    struct finding *f = ctx;
    cJSON *o = cJSON_ParseWithLength(line, len);
    if (cJSON_GetArraySize(f->lines) == 0)
        f->first_s = time_of(line);
    if (o && cJSON_GetArraySize(f->lines) < LINES_MAX)
        cJSON_AddItemToArray(f->lines, o);
    else
        cJSON_Delete(o);
}

static void add_audit(const struct gateway *g, cJSON *result) {
    char path[300];
    size_t len;
    snprintf(path, sizeof(path), "%s/audit.log", g->config.state_dir);
    char *text = file_read(path, AUDIT_BYTES_MAX, &len);
    cJSON *list = cJSON_AddArrayToObject(result, "audit");
    char *rest = text;
    for (char *line; text && (line = strsep(&rest, "\n")) != NULL;) {
        cJSON *o = cJSON_Parse(line);
        if (o)
            cJSON_AddItemToArray(list, o);
    }
    free(text);
}

static void add_metrics(const struct gateway *g, uint64_t first_s, cJSON *result) {
    const struct snapshot *before = history_before(&g->history, first_s ? first_s : g->now_s);
    char *now = metrics_text(g);
    if (before) {
        cJSON_AddNumberToObject(result, "metrics_before_at", (double)before->at_s);
        cJSON_AddStringToObject(result, "metrics_before", before->text);
    }
    cJSON_AddNumberToObject(result, "metrics_after_at", (double)g->now_s);
    cJSON_AddStringToObject(result, "metrics_after", now ? now : "");
    free(now);
}

bool command_evidence(struct request *r) {
    const struct gateway *g = r->gateway;
    char id[TGW_CORRELATION_ID_MAX + 1], needle[TGW_CORRELATION_ID_MAX + 40];
    if (!request_text(r, "correlation_id", id, sizeof(id), NULL))
        return true;
    struct finding f = {.lines = cJSON_AddArrayToObject(r->result, "lines")};
    snprintf(needle, sizeof(needle), "\"correlation_id\":\"%s\"", id);
    history_find(&g->history, needle, take_line, &f);
    if (cJSON_GetArraySize(f.lines) == 0) {
        request_refuse(r, "not_found", "no log line with that correlation id is kept any more");
        return true;
    }
    char *config = config_json(&g->config);
    cJSON_AddItemToObject(r->result, "config", cJSON_Parse(config ? config : "{}"));
    free(config);
    cJSON_AddNumberToObject(r->result, "config_version", g->state.config_version);
    add_audit(g, r->result);
    add_metrics(g, f.first_s, r->result);
    return true;
}

#include "agent.h"
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void add(cJSON *line, const char *key, const char *value) {
    if (value && value[0])
        cJSON_AddStringToObject(line, key, value);
}

void agent_log(const char *level, const char *event, const struct request *r, const char *message) {
    char ts[40];
    struct tm tm;
    time_t now = time(NULL);
    gmtime_r(&now, &tm);
    strftime(ts, sizeof(ts), "%Y-%m-%dT%H:%M:%SZ", &tm);
    cJSON *line = cJSON_CreateObject();
    add(line, "ts", ts);
    add(line, "level", level);
    add(line, "service", "gpuaas-node-agent");
    add(line, "event", event);
    add(line, "message", message);
    if (r) {
        add(line, "correlation_id", r->correlation_id);
        add(line, "trace_id", r->trace_id);
        add(line, "session_id", r->session_id);
        add(line, "allocation_id", r->allocation_id);
    }
    char *text = cJSON_PrintUnformatted(line);
    if (text)
        puts(text);
    fflush(stdout);
    free(text);
    cJSON_Delete(line);
}

/* One JSON object a line on standard output (contract section 7). */
#include "agent.h"
#include <cjson/cJSON.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>

static void add(cJSON *line, const char *key, const char *value) {
    if (value && value[0])
        cJSON_AddStringToObject(line, key, value);
}

static cJSON *start(enum log_level level, const char *event, const char *message) {
    static const char *const names[] = {"INFO", "WARN", "ERROR"};
    char ts[40], text[64];
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    strftime(ts, sizeof(ts), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text, sizeof(text), "%s.%03ldZ", ts, now.tv_nsec / 1000000);
    cJSON *line = cJSON_CreateObject();
    add(line, "ts", text);
    add(line, "level", names[level]);
    add(line, "service", "gpuaas-node-agent");
    add(line, "event", event);
    add(line, "message", message);
    return line;
}

static void finish(cJSON *line) {
    char *text = cJSON_PrintUnformatted(line);
    if (text) {
        puts(text);
        fflush(stdout);
    }
    cJSON_free(text);
    cJSON_Delete(line);
}

void log_plain(enum log_level level, const char *event, const char *format, ...) {
    char message[256];
    va_list v;
    va_start(v, format);
    vsnprintf(message, sizeof(message), format, v);
    va_end(v);
    finish(start(level, event, message));
}

static void add_exit(cJSON *line, const struct pty *p) {
    if (p->pid <= 0 || !p->reaped)
        return;
    if (WIFSIGNALED(p->status))
        cJSON_AddNumberToObject(line, "signal", WTERMSIG(p->status));
    else
        cJSON_AddNumberToObject(line, "exit_code", WEXITSTATUS(p->status));
}

void log_conn(enum log_level level, const char *event, const struct conn *c, const char *message,
              const char *reason) {
    cJSON *line = start(level, event, message);
    add(line, "correlation_id", c->request.correlation_id);
    add(line, "trace_id", c->request.trace_id);
    add(line, "session_id", c->request.session_id);
    add(line, "allocation_id", c->request.allocation_id);
    add(line, "resource_name", c->request.resource_name);
    add(line, "user_id", c->request.user_id);
    add(line, "remote", c->remote);
    add(line, "reason", reason);
    if (c->state == CONN_GONE) {
        cJSON_AddNumberToObject(line, "duration_ms",
                                (double)(uv_now(&c->agent->loop) - c->began_ms));
        cJSON_AddNumberToObject(line, "bytes_in", (double)c->bytes_in);
        cJSON_AddNumberToObject(line, "bytes_out", (double)c->sent);
        add_exit(line, &c->pty);
    }
    finish(line);
}

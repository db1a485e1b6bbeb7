#include "log.h"
#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

char *endpoint_text(const struct tgw_endpoint *e, char out[64]) {
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    bool v4 = memcmp(e->addr, mapped, sizeof(mapped)) == 0;
    char addr[INET6_ADDRSTRLEN];
    inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? e->addr + 12 : e->addr, addr, sizeof(addr));
    snprintf(out, 64, v4 ? "%s:%u" : "[%s]:%u", addr, e->port);
    return out;
}

static const char *const level_names[] = {"DEBUG", "INFO", "WARN", "ERROR"};
static enum log_level level_min = LOG_INFO;

void log_set_level(const char *name) {
    for (int i = LOG_DEBUG; i <= LOG_ERROR; i++)
        if (strcmp(level_names[i], name) == 0)
            level_min = (enum log_level)i;
}

static void add(cJSON *line, const char *key, const char *value) {
    if (value && value[0])
        cJSON_AddStringToObject(line, key, value);
}

static cJSON *start(enum log_level level, const char *event, const char *message) {
    char ts[40], text[64];
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    strftime(ts, sizeof(ts), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text, sizeof(text), "%s.%03ldZ", ts, now.tv_nsec / 1000000);
    cJSON *line = cJSON_CreateObject();
    add(line, "ts", text);
    add(line, "level", level_names[level]);
    add(line, "service", "gpuaas-terminal-gateway");
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
    free(text);
    cJSON_Delete(line);
}

static void add_ident(cJSON *line, const struct tgw_ident *i) {
    char resource[512];
    add(line, "correlation_id", i->correlation_id);
    add(line, "trace_id", i->trace_id);
    add(line, "session_id", i->session_id);
    add(line, "allocation_id", i->allocation_id);
    if (!i->region[0] && !i->tenant_id[0])
        return;
    snprintf(resource, sizeof(resource), "core42:aicloud:%s:%s:%s:gpuaas/allocation:%s", i->region,
             i->tenant_id, i->project_id, i->allocation_id);
    add(line, "resource_name", resource);
}

void log_event(enum log_level level, const char *event, const struct log_about *about,
               const char *message) {
    char remote[64];
    if (level < level_min)
        return;
    cJSON *line = start(level, event, message);
    if (about->ident)
        add_ident(line, about->ident);
    if (about->remote)
        add(line, "remote", endpoint_text(about->remote, remote));
    if (about->reason != TGW_OK) {
        const struct tgw_reason_info *info = tgw_reason_info(about->reason);
        if (info->kind == TGW_KIND_REFUSE)
            add(line, "code", info->code);
        add(line, "outcome", info->kind == TGW_KIND_REFUSE ? "rejected" : "closed");
        add(line, "reason", info->label);
    }
    if (about->duration_us)
        cJSON_AddNumberToObject(line, "duration_ms", (double)about->duration_us / 1000);
    finish(line);
}

void log_plain(enum log_level level, const char *event, const char *format, ...) {
    char message[512];
    va_list v;
    if (level < level_min)
        return;
    va_start(v, format);
    vsnprintf(message, sizeof(message), format, v);
    va_end(v);
    finish(start(level, event, message));
}

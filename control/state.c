#include "state.h"
#include "files.h"
#include "log.h"
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { STATE_BYTES_MAX = 4096, PATH_BYTES = 300 };

static uint64_t number(const cJSON *o, const char *key, uint64_t fallback) {
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    return cJSON_IsNumber(v) && v->valuedouble >= 0 ? (uint64_t)v->valuedouble : fallback;
}

void state_load(struct state *s, const char *dir) {
    char path[PATH_BYTES];
    size_t len;
    *s = (struct state){.admit_percent = 100};
    snprintf(path, sizeof(path), "%s/state.json", dir);
    char *text = file_read(path, STATE_BYTES_MAX, &len);
    if (!text) {
        if (errno != ENOENT)
            log_plain(LOG_WARN, "state_unreadable", "%s: %s", path, strerror(errno));
        return;
    }
    cJSON *o = cJSON_ParseWithLength(text, len);
    free(text);
    if (!cJSON_IsObject(o))
        log_plain(LOG_WARN, "state_unreadable", "%s: not a JSON object", path);
    uint64_t percent = number(o, "admit_percent", 100);
    s->admit_percent = percent <= 100 ? (uint32_t)percent : 100;
    s->starts = number(o, "starts", 0);
    s->drain_deadline_s = number(o, "drain_deadline_s", 0);
    s->drain_pid = (uint32_t)number(o, "drain_pid", 0);
    s->config_version = (uint32_t)number(o, "config_version", 0);
    s->config_newest = (uint32_t)number(o, "config_newest", s->config_version);
    s->frozen = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "frozen"));
    cJSON_Delete(o);
}

bool state_save(const struct state *s, const char *dir) {
    char path[PATH_BYTES];
    cJSON *o = cJSON_CreateObject();
    cJSON_AddNumberToObject(o, "admit_percent", s->admit_percent);
    cJSON_AddNumberToObject(o, "starts", (double)s->starts);
    cJSON_AddNumberToObject(o, "drain_deadline_s", (double)s->drain_deadline_s);
    cJSON_AddNumberToObject(o, "drain_pid", s->drain_pid);
    cJSON_AddNumberToObject(o, "config_version", s->config_version);
    cJSON_AddNumberToObject(o, "config_newest", s->config_newest);
    cJSON_AddBoolToObject(o, "frozen", s->frozen);
    char *text = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    snprintf(path, sizeof(path), "%s/state.json", dir);
    mkdir(dir, 0750); /* where it fails, open says so */
    bool good = text && file_replace(path, text, strlen(text), 0640);
    if (!good)
        log_plain(LOG_ERROR, "state_not_saved", "%s: %s", path, strerror(errno));
    free(text);
    return good;
}

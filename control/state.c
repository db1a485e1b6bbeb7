#include "state.h"
#include "log.h"
#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STATE_BYTES_MAX = 4096, PATH_BYTES = 300 };

static uint64_t number(const cJSON *o, const char *key, uint64_t fallback) {
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    return cJSON_IsNumber(v) && v->valuedouble >= 0 ? (uint64_t)v->valuedouble : fallback;
}

void state_load(struct state *s, const char *dir) {
    char path[PATH_BYTES], text[STATE_BYTES_MAX];
    *s = (struct state){.admit_percent = 100};
    snprintf(path, sizeof(path), "%s/state.json", dir);
    FILE *f = fopen(path, "re");
    if (!f) {
        if (errno != ENOENT)
            log_plain(LOG_WARN, "state_unreadable", "%s: %s", path, strerror(errno));
        return;
    }
    cJSON *o = cJSON_ParseWithLength(text, fread(text, 1, sizeof(text), f));
    fclose(f);
    if (!cJSON_IsObject(o))
        log_plain(LOG_WARN, "state_unreadable", "%s: not a JSON object", path);
    uint64_t percent = number(o, "admit_percent", 100);
    s->admit_percent = percent <= 100 ? (uint32_t)percent : 100;
    s->starts = number(o, "starts", 0);
    s->drain_deadline_s = number(o, "drain_deadline_s", 0);
    s->drain_pid = (uint32_t)number(o, "drain_pid", 0);
    cJSON_Delete(o);
}

/* Whole and on the disk, or an error in errno. */
static bool write_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (fd < 0)
        return false;
    size_t len = strlen(text);
    bool good = write(fd, text, len) == (ssize_t)len && fsync(fd) == 0;
    return close(fd) == 0 && good;
}

bool state_save(const struct state *s, const char *dir) {
    char path[PATH_BYTES], fresh[PATH_BYTES + 4];
    cJSON *o = cJSON_CreateObject();
    cJSON_AddNumberToObject(o, "admit_percent", s->admit_percent);
    cJSON_AddNumberToObject(o, "starts", (double)s->starts);
    cJSON_AddNumberToObject(o, "drain_deadline_s", (double)s->drain_deadline_s);
    cJSON_AddNumberToObject(o, "drain_pid", s->drain_pid);
    char *text = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    snprintf(path, sizeof(path), "%s/state.json", dir);
    snprintf(fresh, sizeof(fresh), "%s.new", path);
    mkdir(dir, 0750); /* where it fails, open says so */
    bool good = text && write_file(fresh, text) && rename(fresh, path) == 0;
    if (!good)
        log_plain(LOG_ERROR, "state_not_saved", "%s: %s", path, strerror(errno));
    free(text);
    return good;
}

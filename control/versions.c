#include "versions.h"
#include "files.h"
#include "log.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH_BYTES = 320, TEXT_BYTES_MAX = 1 << 20 };

static void version_path(const struct gateway *g, uint32_t version, char out[PATH_BYTES]) {
    snprintf(out, PATH_BYTES, "%s/config/%u.json", g->config.state_dir, version);
}

/* One line in the log and one in state_dir/audit.log, which outlives log rotation. */
static void audit(struct gateway *g, const char *action, const struct change_order *o,
                  const char *detail) {
    char path[PATH_BYTES];
    log_plain(LOG_INFO, action, "%s; by %s: %s", detail, o->who[0] ? o->who : "unknown",
              o->why[0] ? o->why : "no reason given");
    cJSON *line = cJSON_CreateObject();
    cJSON_AddNumberToObject(line, "at", (double)g->now_s);
    cJSON_AddStringToObject(line, "action", action);
    cJSON_AddStringToObject(line, "who", o->who);
    cJSON_AddStringToObject(line, "why", o->why);
    cJSON_AddStringToObject(line, "detail", detail);
    char *text = cJSON_PrintUnformatted(line);
    snprintf(path, sizeof(path), "%s/audit.log", g->config.state_dir);
    FILE *f = text ? fopen(path, "ae") : NULL;
    if (!f || fprintf(f, "%s\n", text) < 0)
        log_plain(LOG_ERROR, "audit_not_written", "%s: %s", path, strerror(errno));
    if (f)
        fclose(f);
    free(text);
    cJSON_Delete(line);
}

/* Keep `text` as the next version. False with errno. */
static bool keep(struct gateway *g, const char *text, size_t len, uint32_t *version) {
    char dir[PATH_BYTES], path[PATH_BYTES];
    snprintf(dir, sizeof(dir), "%s/config", g->config.state_dir);
    mkdir(g->config.state_dir, 0750);
    mkdir(dir, 0700); /* a file may hold the store's password */
    *version = g->state.config_newest + 1;
    version_path(g, *version, path);
    if (!file_replace(path, text, len, 0600))
        return false;
    g->state.config_newest = *version;
    return true;
}

static void be_at(struct gateway *g, uint32_t version) {
    g->state.config_version = version;
    state_save(&g->state, g->config.state_dir);
}

void versions_begin(struct gateway *g) {
    char path[PATH_BYTES];
    size_t len, kept_len = 0;
    uint32_t version;
    char *text = file_read(g->config_path, TEXT_BYTES_MAX, &len), *kept = NULL;
    if (!text)
        return; /* config_load has just read it: gone again */
    if (g->state.config_version) {
        version_path(g, g->state.config_version, path);
        kept = file_read(path, TEXT_BYTES_MAX, &kept_len);
    }
    if (!kept || kept_len != len || memcmp(kept, text, len) != 0) {
        if (keep(g, text, len, &version))
            be_at(g, version);
        else
            log_plain(LOG_ERROR, "config_not_kept", "%s: %s", g->config.state_dir, strerror(errno));
    }
    free(kept);
    free(text);
}

/* Parse into *fresh and say what differs from what runs. */
static bool compare(const struct gateway *g, const char *text, size_t len, struct config *fresh,
                    struct change_result *out) {
    *out = (struct change_result){.version = g->state.config_version};
    if (!config_parse(fresh, text, len, g->envp, out->error, sizeof(out->error)))
        return false;
    out->changes = config_diff(&g->config, fresh, out->change, CONFIG_CHANGES_MAX);
    if (out->changes > CONFIG_CHANGES_MAX)
        out->changes = CONFIG_CHANGES_MAX;
    return true;
}

bool versions_check(const struct gateway *g, const char *text, size_t len,
                    struct change_result *out) {
    struct config *fresh = malloc(sizeof(*fresh));
    bool good = fresh && compare(g, text, len, fresh, out);
    if (!fresh)
        *out = (struct change_result){.error = "no memory"};
    free(fresh);
    return good;
}

static bool refuse(struct change_result *out, const char *what) {
    snprintf(out->error, sizeof(out->error), "%s", what);
    return false;
}

/* From a text that holds up to the file and the running process. */
static bool install(struct gateway *g, const struct config *fresh, const char *text, size_t len,
                    uint32_t version, struct change_result *out) {
    if (!file_replace(g->config_path, text, len, 0)) {
        snprintf(out->error, sizeof(out->error), "%s: %s", g->config_path, strerror(errno));
        return false;
    }
    out->version = version;
    gateway_reconfigure(g, fresh, out->change, out->changes);
    be_at(g, version);
    return true;
}

bool versions_apply(struct gateway *g, const char *text, size_t len, const struct change_order *o,
                    struct change_result *out) {
    char detail[80];
    uint32_t version;
    struct config *fresh = malloc(sizeof(*fresh));
    bool good = fresh && compare(g, text, len, fresh, out);
    if (!fresh)
        *out = (struct change_result){.error = "no memory"};
    if (good && g->state.frozen)
        good = refuse(out, "the configuration is frozen: tgwctl config unfreeze");
    if (good && !keep(g, text, len, &version))
        good = refuse(out, "state_dir cannot be written");
    if (good)
        good = install(g, fresh, text, len, version, out);
    if (good) {
        snprintf(detail, sizeof(detail), "version %u, %zu keys", version, out->changes);
        audit(g, "config_applied", o, detail);
    }
    free(fresh);
    return good;
}

bool versions_rollback(struct gateway *g, uint32_t version, const struct change_order *o,
                       struct change_result *out) {
    char path[PATH_BYTES], detail[80];
    uint32_t from = g->state.config_version, to = version ? version : from - 1;
    size_t len = 0;
    *out = (struct change_result){.version = from};
    if (g->state.frozen)
        return refuse(out, "the configuration is frozen: tgwctl config unfreeze");
    version_path(g, to, path);
    char *text = from && to ? file_read(path, TEXT_BYTES_MAX, &len) : NULL;
    if (!text)
        return refuse(out, version ? "no such version" : "there is no version before this one");
    struct config *fresh = malloc(sizeof(*fresh));
    bool good = fresh && compare(g, text, len, fresh, out) && install(g, fresh, text, len, to, out);
    if (good) {
        snprintf(detail, sizeof(detail), "from version %u to %u", from, to);
        audit(g, "config_rolled_back", o, detail);
    }
    free(fresh);
    free(text);
    return good;
}

bool versions_reload(struct gateway *g, struct change_result *out) {
    const struct change_order by_signal = {"SIGHUP", "the file was edited"};
    size_t len;
    *out = (struct change_result){.version = g->state.config_version};
    char *text = file_read(g->config_path, TEXT_BYTES_MAX, &len);
    if (!text) {
        snprintf(out->error, sizeof(out->error), "%s: %s", g->config_path, strerror(errno));
        return false;
    }
    bool good = versions_apply(g, text, len, &by_signal, out);
    free(text);
    return good;
}

bool versions_freeze(struct gateway *g, bool frozen, const struct change_order *o) {
    if (g->state.frozen == frozen)
        return false;
    g->state.frozen = frozen;
    state_save(&g->state, g->config.state_dir);
    audit(g, frozen ? "config_frozen" : "config_unfrozen", o,
          frozen ? "changes are refused" : "changes are allowed");
    return true;
}

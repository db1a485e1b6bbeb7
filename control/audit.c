#include "audit.h"
#include "log.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void audit(const struct gateway *g, const char *action, const struct change_order *o,
           const char *detail) {
    char path[320];
    log_plain(LOG_INFO, action, "%s; by %s: %s", detail, o->who[0] ? o->who : "unknown",
              o->why[0] ? o->why : "no reason given");
    cJSON *line = cJSON_CreateObject();
    cJSON_AddNumberToObject(line, "at", (double)g->now_s);
    cJSON_AddStringToObject(line, "action", action);
    cJSON_AddStringToObject(line, "who", o->who);
    cJSON_AddStringToObject(line, "why", o->why);
    cJSON_AddStringToObject(line, "detail", detail);
    char *text = cJSON_PrintUnformatted(line);
    mkdir(g->config.state_dir, 0750); /* where it fails, fopen says so */
    snprintf(path, sizeof(path), "%s/audit.log", g->config.state_dir);
    FILE *f = text ? fopen(path, "ae") : NULL;
    if (!f || fprintf(f, "%s\n", text) < 0)
        log_plain(LOG_ERROR, "audit_not_written", "%s: %s", path, strerror(errno));
    if (f)
        fclose(f);
    free(text);
    cJSON_Delete(line);
}

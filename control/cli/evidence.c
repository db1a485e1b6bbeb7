/* `tgwctl evidence`: what is known about one correlation id, as a tar (POSIX ustar). */
#include "command.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BLOCK = 512 };

struct ustar {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100];
    char magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct ustar) == BLOCK, "POSIX.1-1988 ustar header");

/* 11 octal digits: 8 GiB and the year 2242 fit. */
static void octal(char out[12], uint64_t n) {
    out[11] = 0;
    for (int i = 10; i >= 0; i--, n >>= 3)
        out[i] = (char)('0' + (n & 7));
}

static void add_file(FILE *out, const char *dir, const char *name, const char *text) {
    static const char zeros[BLOCK];
    struct ustar h = {.type = '0', .magic = "ustar", .version = {'0', '0'}};
    size_t len = strlen(text);
    unsigned sum = 0;
    snprintf(h.name, sizeof(h.name), "%.40s/%.50s", dir, name);
    snprintf(h.mode, sizeof(h.mode), "%07o", 0640);
    snprintf(h.uid, sizeof(h.uid), "%07o", 0);
    snprintf(h.gid, sizeof(h.gid), "%07o", 0);
    octal(h.size, len);
    octal(h.mtime, (uint64_t)time(NULL));
    memset(h.checksum, ' ', sizeof(h.checksum));
    for (size_t i = 0; i < sizeof(h); i++)
        sum += ((const unsigned char *)&h)[i];
    snprintf(h.checksum, sizeof(h.checksum), "%06o", sum);
    fwrite(&h, 1, sizeof(h), out);
    fwrite(text, 1, len, out);
    fwrite(zeros, 1, (BLOCK - len % BLOCK) % BLOCK, out);
}

static void add_json(FILE *out, const char *dir, const char *name, const cJSON *value) {
    char *text = cJSON_Print(value);
    add_file(out, dir, name, text ? text : "null");
    cJSON_free(text);
}

/* A list as JSON lines, as the log had them. */
static void add_lines(FILE *out, const char *dir, const char *name, const cJSON *list) {
    char *text = NULL;
    size_t len;
    const cJSON *v;
    FILE *f = open_memstream(&text, &len);
    if (!f)
        return;
    cJSON_ArrayForEach(v, list) {
        char *line = cJSON_PrintUnformatted(v);
        fprintf(f, "%s\n", line ? line : "null");
        cJSON_free(line);
    }
    fclose(f);
    add_file(out, dir, name, text ? text : "");
    free(text);
}

static const cJSON *at(const cJSON *o, const char *key) {
    return cJSON_GetObjectItemCaseSensitive(o, key);
}

static void add_text(FILE *out, const char *dir, const char *name, const cJSON *value) {
    const char *text = cJSON_GetStringValue(value);
    if (text)
        add_file(out, dir, name, text);
}

/* Lines of other programs' logs (the agent's, the API's) that carry the id. */
static void add_log(FILE *out, const char *dir, const char *path, const char *id) {
    char *line = NULL, *text = NULL;
    size_t size = 0, len = 0;
    FILE *in = fopen(path, "re"), *f = open_memstream(&text, &len);
    while (in && f && getline(&line, &size, in) > 0)
        if (strstr(line, id))
            fputs(line, f);
    free(line);
    if (in)
        fclose(in);
    if (f)
        fclose(f);
    add_file(out, dir, "other.log", text ? text : "");
    free(text);
}

static void write_tar(struct cli *c, FILE *out, const char *dir, const cJSON *found,
                      const cJSON *status) {
    static const char end[2 * BLOCK];
    const char *id = c->inv.option[OPT_CORRELATION];
    cJSON *about = cJSON_CreateObject();
    cJSON_AddStringToObject(about, "correlation_id", id);
    cJSON_AddStringToObject(about, "tgwctl", TGW_VERSION);
    for (const char *const *key =
             (const char *const[]){"config_version", "metrics_before_at", "metrics_after_at", NULL};
         *key; key++)
        cJSON_AddItemToObject(about, *key, cJSON_Duplicate(at(found, *key), true));
    add_json(out, dir, "about.json", about);
    cJSON_Delete(about);
    add_json(out, dir, "status.json", status);
    add_lines(out, dir, "gateway.log", at(found, "lines"));
    add_lines(out, dir, "audit.log", at(found, "audit"));
    add_json(out, dir, "config.json", at(found, "config"));
    add_text(out, dir, "metrics-before.prom", at(found, "metrics_before"));
    add_text(out, dir, "metrics-after.prom", at(found, "metrics_after"));
    if (c->inv.option[OPT_LOG])
        add_log(out, dir, c->inv.option[OPT_LOG], id);
    fwrite(end, 1, sizeof(end), out);
}

enum cli_exit run_evidence(struct cli *c, const char *const *arg) {
    enum cli_exit status;
    const cJSON *found, *state = NULL;
    const char *id = c->inv.option[OPT_CORRELATION], *path = c->inv.option[OPT_OUTPUT];
    char dir[60], name[80];
    (void)arg;
    if (!id)
        return cli_usage(c, "evidence: --correlation-id ID is missing");
    cJSON *reply = cli_call(c, "evidence", cli_text_args("correlation_id", id), &found, &status);
    if (!reply)
        return status;
    cJSON *status_reply = cli_call(c, "status", NULL, &state, &status);
    snprintf(dir, sizeof(dir), "evidence-%.40s", id);
    snprintf(name, sizeof(name), "%s.tar", dir);
    path = path ? path : name;
    FILE *out = fopen(path, "wxe"); /* never over an older one */
    if (out)
        write_tar(c, out, dir, found, state);
    bool good = out && !ferror(out) && fclose(out) == 0;
    cJSON_Delete(status_reply);
    cJSON_Delete(reply);
    if (!good)
        return cli_refused(c, "output_failed", "the tar cannot be written; does it exist already?");
    fprintf(c->out, c->inv.json ? "{\"file\":\"%s\"}\n" : "%s\n", path);
    return CLI_DONE;
}

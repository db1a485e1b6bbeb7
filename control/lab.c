/* GET / and the files of lab_page_dir, GET /api/config, POST /api/token.
 *
 * Minting asks for no password, so what guards it is where it listens (loopback only), the
 * Host header (a name of somebody else's that was made to resolve to 127.0.0.1 is refused:
 * DNS rebinding) and the Origin header (no other web site may mint). */
#include "lab.h"
#include "command.h"
#include "http.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 4 * 1024 * 1024, CSP_BYTES = 640 };

struct lab {
    struct gateway *gateway;
    struct http_server *server;
    char host[2][CONFIG_TEXT_MAX + 1]; /* what Host may be */
    char csp[CSP_BYTES];
};

static void refuse(struct http_request *r, unsigned status, const char *code, const char *message) {
    char text[400];
    snprintf(text, sizeof(text), "{\"code\":\"%s\",\"message\":\"%s\"}", code, message);
    http_text(r, status, "application/json", text);
}

/* Only plain names of one folder: no way out of it can be written. */
static bool is_file_name(const char *name) {
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t len = strlen(name);
    return len > 0 && len <= 100 && name[0] != '.' && strspn(name, allowed) == len;
}

static const char *type_of(const char *name) {
    static const struct {
        const char *ending, *type;
    } types[] = {{".html", "text/html; charset=utf-8"},
                 {".js", "text/javascript; charset=utf-8"},
                 {".mjs", "text/javascript; charset=utf-8"},
                 {".css", "text/css; charset=utf-8"},
                 {".svg", "image/svg+xml"},
                 {".png", "image/png"}};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof(types) / sizeof(types[0]); i++)
        if (strcmp(dot, types[i].ending) == 0)
            return types[i].type;
    return "application/octet-stream";
}

/* A whole regular file; NULL: there is none, or it is too long. */
static void *read_file(const char *dir, const char *name, size_t *len) {
    char path[CONFIG_TEXT_MAX + 110];
    struct stat st;
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    char *data = NULL;
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= FILE_BYTES_MAX)
        data = malloc((size_t)st.st_size + 1);
    ssize_t n = data ? read(fd, data, (size_t)st.st_size) : -1;
    if (fd >= 0)
        close(fd);
    if (n >= 0) {
        *len = (size_t)n;
        return data;
    }
    free(data);
    return NULL;
}

static void send_file(struct lab *l, struct http_request *r) {
    const char *name = r->path[1] ? r->path + 1 : "index.html";
    struct http_answer a = {.status = 200,
                            .content_type = type_of(name),
                            .headers = {{"Content-Security-Policy", l->csp},
                                        {"X-Content-Type-Options", "nosniff"},
                                        {"Referrer-Policy", "no-referrer"},
                                        {"Cross-Origin-Opener-Policy", "same-origin"},
                                        {"Cross-Origin-Resource-Policy", "same-origin"},
                                        {"Cache-Control", "no-cache"}}};
    if (is_file_name(name))
        a.body = read_file(l->gateway->config.lab_page_dir, name, &a.body_len);
    if (a.body)
        http_answer(r, &a);
    else if (!r->path[1])
        http_text(r, 404, "text/plain",
                  "The page is not built: platform/lab/run.sh builds it where npm is installed.\n");
    else
        refuse(r, 404, "not_found", "no such page");
}

static void send_json(struct http_request *r, unsigned status, const cJSON *json) {
    struct http_answer a = {.status = status,
                            .content_type = "application/json",
                            .body = cJSON_PrintUnformatted(json),
                            .headers = {{"Cache-Control", "no-store"}}};
    a.body_len = a.body ? strlen(a.body) : 0;
    a.status = a.body ? status : 500;
    http_answer(r, &a);
}

static void send_config(const struct lab *l, struct http_request *r) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "lab_public_url", l->gateway->config.lab_public_url);
    send_json(r, 200, o);
    cJSON_Delete(o);
}

/* The control socket's answer becomes the page's. */
static void on_minted(void *ctx, char *text) {
    struct http_request *r = ctx;
    cJSON *reply = text ? cJSON_Parse(text) : NULL;
    const cJSON *result = cJSON_GetObjectItemCaseSensitive(reply, "result");
    const cJSON *token = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(result, "tokens"), 0);
    if (token)
        send_json(r, 200, token);
    else
        send_json(r, reply ? 400 : 500, reply);
    cJSON_Delete(reply);
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

static void mint(struct lab *l, struct http_request *r) {
    static const struct caller page = {.who = "the lab's page"};
    cJSON *body = cJSON_ParseWithLength(r->body, r->body_len);
    const char *allocation =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(body, "allocation_id"));
    cJSON *command = cJSON_CreateObject();
    cJSON_AddStringToObject(command, "cmd", "token.mint");
    cJSON *args = cJSON_AddObjectToObject(command, "args");
    if (allocation)
        cJSON_AddStringToObject(args, "allocation_id", allocation);
    char *line = cJSON_PrintUnformatted(command);
    if (line)
        command_run(l->gateway, &page, line, strlen(line), on_minted, r);
    else
        on_minted(r, NULL);
    free(line);
    cJSON_Delete(command);
    cJSON_Delete(body);
}

static bool is_own_origin(const struct http_request *r, const char *host) {
    const char *origin = http_header(r, "Origin");
    return origin && strncmp(origin, "http://", 7) == 0 && strcmp(origin + 7, host) == 0;
}

static void on_request(void *ctx, struct http_request *r) {
    struct lab *l = ctx;
    const char *host = http_header(r, "Host");
    bool get = strcmp(r->method, "GET") == 0;
    if (!host || (strcmp(host, l->host[0]) != 0 && strcmp(host, l->host[1]) != 0))
        refuse(r, 421, "host_not_allowed", "this page has another address");
    else if (strcmp(r->path, "/api/token") == 0 && strcmp(r->method, "POST") == 0)
        is_own_origin(r, host)
            ? mint(l, r)
            : refuse(r, 403, "origin_not_allowed", "only the lab's own page may mint");
    else if (!get)
        refuse(r, 405, "method_not_allowed", "method not allowed");
    else if (strcmp(r->path, "/api/config") == 0)
        send_config(l, r);
    else
        send_file(l, r);
}

/* xterm.js needs no more than this, as the page hands its styles over as objects. */
static bool write_csp(struct lab *l, char *err, size_t err_bytes) {
    const char *url = l->gateway->config.lab_public_url;
    if (url[strcspn(url, " ;,\"'\r\n")] != 0) {
        snprintf(err, err_bytes, "lab_public_url: %s: not a URL", url);
        return false;
    }
    snprintf(l->csp, sizeof(l->csp),
             "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
             "connect-src 'self' %s; base-uri 'none'; form-action 'none'; "
             "frame-ancestors 'none'; require-trusted-types-for 'script'",
             url);
    return true;
}

struct lab *lab_start(uv_loop_t *loop, struct gateway *g, char *err, size_t err_bytes) {
    const char *listen = g->config.lab_listen;
    const char *port = strrchr(listen, ':');
    if (!port || (strncmp(listen, "127.", 4) != 0 && strncmp(listen, "[::1]:", 6) != 0)) {
        snprintf(err, err_bytes,
                 "lab_listen: %s: expected 127.0.0.1:PORT, as whoever reaches it can mint tokens",
                 listen);
        return NULL;
    }
    struct lab *l = calloc(1, sizeof(*l));
    if (!l) {
        snprintf(err, err_bytes, "lab_listen: no memory");
        return NULL;
    }
    l->gateway = g;
    snprintf(l->host[0], sizeof(l->host[0]), "%s", listen);
    snprintf(l->host[1], sizeof(l->host[1]), "localhost%s", port);
    if (write_csp(l, err, err_bytes))
        l->server = http_listen(loop, "lab_listen", listen, on_request, l, err, err_bytes);
    if (l->server)
        return l;
    free(l);
    return NULL;
}

void lab_stop(struct lab *l) {
    if (!l)
        return;
    http_close(l->server);
    free(l);
}

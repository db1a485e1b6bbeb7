/* HTTP/1.1 for this process's own pages, on libmicrohttpd driven by the libuv loop: no thread. */
#ifndef TGW_CONTROL_HTTP_H
#define TGW_CONTROL_HTTP_H

#include <stddef.h>
#include <uv.h>

enum { HTTP_BODY_MAX = 65536, HTTP_HEADERS_MAX = 8 };

struct http_server;

/* One whole request. HEAD comes as GET: the body of the answer is left out by itself. */
struct http_request {
    const char *method, *path; /* the path is percent-decoded and holds no query */
    const char *body;          /* body_len bytes and a NUL; never NULL */
    size_t body_len;
    void *connection; /* for http_header() */
};

/* Zeroed before the handler runs; without a status the answer is 500. */
struct http_answer {
    unsigned status;
    const char *content_type; /* NULL: none */
    void *body;               /* from malloc, freed by the server; NULL: empty */
    size_t body_len;
    struct {
        const char *name, *value;
    } headers[HTTP_HEADERS_MAX]; /* the first without a name ends them */
};

typedef void http_handler(void *ctx, const struct http_request *r, struct http_answer *a);

/* Listen on "ADDRESS:PORT" or "[ADDRESS]:PORT" (numeric). NULL with "KEY: why" in err, KEY
 * being the configuration's name of the address. */
struct http_server *http_listen(uv_loop_t *loop, const char *key, const char *address,
                                http_handler *handler, void *ctx, char *err, size_t err_bytes);
/* Ends at once; the memory is freed by the loop. NULL is allowed. */
void http_close(struct http_server *s);

/* A request header's value by its case-insensitive name, or NULL. */
const char *http_header(const struct http_request *r, const char *name);
/* Set status and content type and copy the NUL-terminated text; no memory makes it a 500. */
void http_text(struct http_answer *a, unsigned status, const char *content_type, const char *text);

#endif

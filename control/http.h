/* HTTP/1.1 for this process's own pages, on libmicrohttpd driven by the libuv loop: no thread. */
#ifndef TGW_CONTROL_HTTP_H
#define TGW_CONTROL_HTTP_H

#include <stddef.h>
#include <uv.h>

enum { HTTP_BODY_MAX = 65536, HTTP_HEADERS_MAX = 8 };

struct http_server;
struct MHD_Connection;

/* One whole request. HEAD comes as GET: the body of the answer is left out by itself. */
struct http_request {
    const char *method, *path; /* the path is percent-decoded and holds no query */
    const char *body;          /* body_len bytes and a NUL; never NULL */
    size_t body_len;
    struct MHD_Connection *connection; /* for http_header() */
};

struct http_answer {
    unsigned status;
    const char *content_type; /* NULL: none */
    void *body;               /* from malloc, freed by the server; NULL: empty */
    size_t body_len;
    struct {
        const char *name, *value;
    } headers[HTTP_HEADERS_MAX]; /* the first without a name ends them */
};

/* Answers with http_answer() or http_text() exactly once, at once or later; r is good only
 * inside the handler, but as the name of the request until it is answered. */
typedef void http_handler(void *ctx, struct http_request *r);

/* Header names and values and the content type are to last until the handler returns, or,
 * for a later answer, for ever. */
void http_answer(struct http_request *r, const struct http_answer *a);
/* A copy of a NUL-terminated text, and no headers but the content type. */
void http_text(struct http_request *r, unsigned status, const char *content_type, const char *text);
/* A request header's value by its case-insensitive name, or NULL. */
const char *http_header(const struct http_request *r, const char *name);

/* Listen on "ADDRESS:PORT" or "[ADDRESS]:PORT" (numeric). NULL with "KEY: why" in err, KEY
 * being the configuration's name of the address. */
struct http_server *http_listen(uv_loop_t *loop, const char *key, const char *address,
                                http_handler *handler, void *ctx, char *err, size_t err_bytes);
/* Ends at once; the memory is freed by the loop. NULL is allowed. */
void http_close(struct http_server *s);

#endif

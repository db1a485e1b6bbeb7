/* A client of the public edge, as independent of the gateway's own code as can be: sockets
 * and TLS from OpenSSL, WebSocket frames from wslay. Blocking, each step with a deadline. */
#ifndef TGW_CLI_EDGE_H
#define TGW_CLI_EDGE_H

#include <netdb.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <wslay/wslay.h>

enum {
    EDGE_TIMEOUT_S = 5,
    EDGE_HEAD_BYTES_MAX = 8192,
    EDGE_TEXT_BYTES = 4096, /* the terminal's last output, to look for answers in */
};

struct edge_url {
    bool tls;
    char host[256], port[8];
};

struct edge {
    const struct edge_url *url;
    BIO *bio; /* NULL: closed */
    SSL_CTX *tls;
    wslay_event_context_ptr ws;
    bool may_wait;   /* the next read may block */
    size_t buffered; /* of head, beyond the answer: the first frames */
    char head[EDGE_HEAD_BYTES_MAX];
    char text[EDGE_TEXT_BYTES]; /* NUL-terminated */
    size_t text_len;
    int status, close_code; /* of the last answer; of the peer's Close */
    char error[200];
};

/* http, https, ws or wss://HOST[:PORT][/]; false: not one. */
bool edge_url_parse(struct edge_url *u, const char *text);
/* The addresses of its name; freed by freeaddrinfo. NULL with a reason in why. */
struct addrinfo *edge_resolve(const struct edge_url *u, char *why, size_t why_bytes);
/* Connected, and with TLS the certificate verified. False with e->error. */
bool edge_open(struct edge *e, const struct edge_url *u);
void edge_close(struct edge *e);
/* One request with an answer that ends the connection or is a 101. `token` NULL: no
 * upgrade. The status in e->status, 0 with e->error; the answer's text in e->head. */
bool edge_request(struct edge *e, const char *path, const char *token);
/* After a 101. */
bool edge_type(struct edge *e, const char *text);
/* Until the output holds `text`; false with e->error at the deadline or the end. */
bool edge_wait(struct edge *e, const char *text);
/* Until the peer's Close; its code in e->close_code. */
bool edge_wait_close(struct edge *e);

#endif

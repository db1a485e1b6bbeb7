/* The control socket from its client's side, here or over TLS: one JSON object a line each
 * way. */
#ifndef TGW_CLI_CLIENT_H
#define TGW_CLI_CLIENT_H

#include <cjson/cJSON.h>
#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>

enum { CLIENT_ERROR_BYTES = 256 };

struct client {
    int fd; /* -1: not connected */
    SSL_CTX *tls;
    SSL *ssl; /* NULL: a local socket */
    unsigned last_id;
    char error[CLIENT_ERROR_BYTES]; /* why the last call gave NULL */
};

/* PEM files: who we are, and who may have signed the other side. */
struct client_identity {
    const char *certificate, *key, *ca;
};

/* False with the reason in c->error. */
bool client_connect(struct client *c, const char *path);
/* "HOST:PORT" over mutual TLS. */
bool client_connect_remote(struct client *c, const char *to, const struct client_identity *who);
void client_close(struct client *c);
/* Sends {"id","cmd","args"} and returns the whole reply, which the caller deletes; takes
 * `args` over (NULL: none). NULL: no usable reply; the connection is closed then. */
cJSON *client_call(struct client *c, const char *cmd, cJSON *args);

#endif

/* TLS for one connection whose bytes somebody else carries: ciphertext in and out through
 * memory. For Redis (hiredis 0.14 knows no TLS) and for operators from afar. */
#ifndef TGW_CONTROL_TLS_PIPE_H
#define TGW_CONTROL_TLS_PIPE_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

struct tls_pipe;

/* Show this certificate: "CHAIN:KEY", two PEM files. False: not readable, or no pair. */
bool tls_use_certificate(SSL_CTX *ctx, const char *pair);

/* A client that expects `host` (a name or an address) in the certificate. NULL: no memory. */
struct tls_pipe *tls_pipe_connect(SSL_CTX *ctx, const char *host);
/* A server. NULL: no memory. */
struct tls_pipe *tls_pipe_accept(SSL_CTX *ctx);
void tls_pipe_free(struct tls_pipe *t);
/* Carry the handshake on. False: it failed, tls_pipe_why says why. */
bool tls_pipe_handshake(struct tls_pipe *t);
bool tls_pipe_ready(const struct tls_pipe *t);
const char *tls_pipe_why(const struct tls_pipe *t);
/* The peer's certificate, the pipe's; NULL: it showed none. */
X509 *tls_pipe_peer(const struct tls_pipe *t);
/* Ciphertext from the wire. False: no memory. */
bool tls_pipe_feed(struct tls_pipe *t, const void *data, size_t len);
/* Plaintext; 0: none just now, -1: the connection is over. */
int tls_pipe_read(struct tls_pipe *t, void *out, size_t size);
bool tls_pipe_write(struct tls_pipe *t, const void *data, size_t len);
/* Say that nothing more is written (close_notify). */
void tls_pipe_end(struct tls_pipe *t);
/* Ciphertext for the wire; 0: none. */
size_t tls_pipe_take(struct tls_pipe *t, void *out, size_t size);

#endif

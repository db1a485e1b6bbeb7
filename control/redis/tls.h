/* TLS for one connection whose bytes somebody else carries: ciphertext in and out through
 * memory. hiredis 0.14 knows no TLS. */
#ifndef TGW_REDIS_TLS_H
#define TGW_REDIS_TLS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

struct redis_tls;

/* TLS 1.2 or later, the server verified against `ca_file` ("": the system's). `certificate`
 * ("CHAIN:KEY", "" none) is shown to a server that asks. NULL with one line in err. */
SSL_CTX *redis_tls_context(const char *ca_file, const char *certificate, char *err,
                           size_t err_bytes);

/* A client that expects `host` (a name or an address) in the certificate. NULL: no memory. */
struct redis_tls *redis_tls_new(SSL_CTX *ctx, const char *host);
void redis_tls_free(struct redis_tls *t);
/* Carry the handshake on. False: it failed, redis_tls_why says why. */
bool redis_tls_handshake(struct redis_tls *t);
bool redis_tls_ready(const struct redis_tls *t);
const char *redis_tls_why(const struct redis_tls *t);
/* Ciphertext from the wire. False: no memory. */
bool redis_tls_feed(struct redis_tls *t, const void *data, size_t len);
/* Plaintext; 0: none just now, -1: the connection is over. */
int redis_tls_read(struct redis_tls *t, void *out, size_t size);
bool redis_tls_write(struct redis_tls *t, const void *data, size_t len);
/* Ciphertext for the wire; 0: none. */
size_t redis_tls_take(struct redis_tls *t, void *out, size_t size);

#endif

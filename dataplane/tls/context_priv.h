/* Private to context.c, certs.c and ticket.c. */
#ifndef TGW_TLS_CONTEXT_PRIV_H
#define TGW_TLS_CONTEXT_PRIV_H

#include "context.h"
#include <pthread.h>

enum { TLS_TICKET_SECRET_BYTES = 64, TLS_TICKET_KEY_BYTES = 32 };

struct tls_ticket_keys {
    bool derived;
    uint64_t period; /* of time, that they belong to */
    unsigned char name[TLS_TICKET_KEY_BYTES], cipher[TLS_TICKET_KEY_BYTES],
        mac[TLS_TICKET_KEY_BYTES];
};

struct tls_ocsp {
    unsigned char *der;
    int len;                /* 0: none */
    uint64_t next_update_s; /* not to be shown from then on; 0: for ever */
};

struct tls_set {
    _Atomic uint32_t refs;
    struct tls_context *context;
    struct tls_context_config config; /* what it was loaded by */
    uint32_t count;
    SSL_CTX *server[TLS_CERTIFICATES_MAX]; /* a certificate, and what else has its names */
    struct tls_ocsp ocsp[TLS_CERTIFICATES_MAX];
    SSL_CTX *client;
    unsigned char ticket_secret[TLS_TICKET_SECRET_BYTES];
    pthread_mutex_t ticket_lock; /* of `ticket`: even and odd periods */
    struct tls_ticket_keys ticket[2];
    uint64_t not_after_s;
};

struct tls_context {
    struct tls_context_config config; /* of the main thread: the newest that held up */
    pthread_mutex_t lock;             /* of `set` */
    struct tls_set *set;
    SSL_SESSION *resume; /* of the client's role, under the lock; NULL: none */
    _Atomic uint64_t unix_s;
    _Atomic uint32_t tls12, tls12_max;
    uint64_t stamp; /* of the files at the last load */
    unsigned char own_secret[TLS_TICKET_SECRET_BYTES];
};

/* files.c */
struct tls_fail {
    char *text;
    size_t bytes;
};
/* Always false. */
__attribute__((format(printf, 2, 3))) bool tls_files_fail(const struct tls_fail *f,
                                                          const char *format, ...);
/* Bytes read; 0 when there is no such file. */
size_t tls_files_read(const char *path, unsigned char *out, size_t size);
/* Chain and key, which must belong together. */
bool tls_files_use(SSL_CTX *ctx, const struct tls_certificate *c, const struct tls_fail *f);
/* path "": none. A response about another certificate is refused. */
bool tls_files_ocsp(struct tls_ocsp *o, const char *path, const X509 *cert,
                    const struct tls_fail *f);

/* certs.c */
struct tls_set *tls_set_load(struct tls_context *x, const struct tls_context_config *c, char *err,
                             size_t err_bytes);
void tls_set_free(struct tls_set *s);

/* ticket.c: for SSL_CTX_set_tlsext_ticket_key_evp_cb; the SSL_CTX's app data is a tls_set. */
int tls_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                   EVP_MAC_CTX *mac, int seal);

#endif

/* What all handshakes share: certificates, ticket keys, rules of negotiation. Made and
 * renewed by the main thread, used by the handshake threads. */
#ifndef TGW_TLS_CONTEXT_H
#define TGW_TLS_CONTEXT_H

#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TLS_CERTIFICATES_MAX = 32, TLS_PATH_BYTES = 256 };

/* Paths of one certificate: chain, key and (may be "") OCSP response in DER. */
struct tls_certificate {
    char chain[TLS_PATH_BYTES], key[TLS_PATH_BYTES], ocsp[TLS_PATH_BYTES];
};

struct tls_context_config {
    struct tls_certificate certificate[TLS_CERTIFICATES_MAX];
    uint32_t certificates;    /* the first serves names that none has */
    uint32_t tls12_max;       /* connections with TLS 1.2; 0 refuses it */
    uint32_t ticket_period_s; /* life of a ticket key; 0: no tickets */
    /* Secret that ticket keys are derived from, shared by gateways; "": one of our own. */
    char ticket_file[TLS_PATH_BYTES];
    /* Client role, towards agents. ca "": none. */
    char agent_ca[TLS_PATH_BYTES];
    struct tls_certificate agent; /* chain "": none is shown */
};

/* "CHAIN:KEY" or "CHAIN:KEY:OCSP". */
bool tls_certificate_parse(const char *text, struct tls_certificate *out);

/* A set of certificates as loaded at one time; handshakes hold a reference. */
struct tls_set;
struct tls_context;

/* NULL with one line in err. Files are read here and in tls_context_load only. */
struct tls_context *tls_context_create(const struct tls_context_config *c, uint64_t unix_s,
                                       char *err, size_t err_bytes);
void tls_context_destroy(struct tls_context *x);
/* Read all certificates anew. False: one is bad, the old set stays whole. */
bool tls_context_load(struct tls_context *x, char *err, size_t err_bytes);
/* The same by another configuration, which is taken only as a whole. agent_ca stays as it
 * was, and so does whether there are certificates at all. */
bool tls_context_configure(struct tls_context *x, const struct tls_context_config *c, char *err,
                           size_t err_bytes);
/* True when a file is not as it was at the last load, tried or done. */
bool tls_context_changed(const struct tls_context *x);
/* The clock of ticket keys; call once a second or so. */
void tls_context_tick(struct tls_context *x, uint64_t unix_s);
/* Earliest end of validity over all certificates, unix seconds. */
uint64_t tls_context_not_after_s(const struct tls_context *x);

/* For the handshake threads. */
struct tls_set *tls_context_acquire(struct tls_context *x);
void tls_set_release(struct tls_set *s);
/* A new handshake in the server's or the client's role; NULL: no memory, or no such role. */
SSL *tls_set_ssl(struct tls_set *s, bool client);
/* From now on handshakes in the client's role resume this session, as long as it lasts;
 * it is copied. For load generators: the gateway itself never resumes as a client. */
void tls_context_resume(struct tls_context *x, SSL_SESSION *session);
/* A place among the TLS 1.2 connections; given back at the end of the connection. */
bool tls_context_take12(struct tls_context *x);
void tls_context_give12(struct tls_context *x);

#endif

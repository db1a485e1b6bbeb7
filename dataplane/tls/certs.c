/* A set of certificates: what each SSL_CTX is told, and which is chosen when. */
#include "context_priv.h"
#include "provider.h"
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

enum { TICKET_FILE_BYTES_MIN = 32, SECURITY_BITS_112 = 2 };

static const unsigned char SESSION_CONTEXT[] = "terminal-gateway";

/* RFC 7301: http/1.1 or nothing. A client that offers only others is turned away. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned in_len, void *arg) {
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen;
    (void)ssl;
    (void)arg;
    if (SSL_select_next_proto(&chosen, out_len, ours, sizeof(ours) - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static bool names(SSL_CTX *ctx, const char *host) {
    X509 *cert = SSL_CTX_get0_certificate(ctx);
    return X509_check_host(cert, host, 0, 0, NULL) == 1 || X509_check_ip_asc(cert, host, 0) == 1;
}

/* RFC 6066 section 3: the first certificate that has the name; the first of all otherwise. */
static int on_server_name(SSL *ssl, int *alert, void *arg) {
    const struct tls_set *s = arg;
    const char *host = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    (void)alert;
    for (uint32_t i = 0; host && i < s->count; i++) {
        if (!names(s->server[i], host))
            continue;
        SSL_set_SSL_CTX(ssl, s->server[i]);
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_NOACK;
}

static int on_status(SSL *ssl, void *arg) {
    const struct tls_set *s = arg;
    const X509 *cert = SSL_get_certificate(ssl);
    for (uint32_t i = 0; cert && i < s->count; i++) {
        const struct tls_ocsp *o = &s->ocsp[i];
        if (!o->len || X509_cmp(SSL_CTX_get0_certificate(s->server[i]), cert) != 0)
            continue;
        if (o->next_update_s && o->next_update_s <= atomic_load(&s->context->unix_s))
            break; /* worse than none */
        unsigned char *copy = OPENSSL_memdup(o->der, (size_t)o->len);
        if (!copy)
            break;
        SSL_set_tlsext_status_ocsp_resp(ssl, copy, o->len); /* takes it over */
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_NOACK;
}

static bool common_rules(SSL_CTX *ctx, struct tls_set *s, int version_min) {
    SSL_CTX_set_app_data(ctx, s);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_security_level(ctx, SECURITY_BITS_112);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    return SSL_CTX_set_min_proto_version(ctx, version_min) == 1 &&
           SSL_CTX_set1_groups_list(ctx, "X25519:P-256") == 1 &&
           SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                         "TLS_CHACHA20_POLY1305_SHA256") == 1 &&
           SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1;
}

static void ticket_rules(SSL_CTX *ctx, uint32_t period_s) {
    if (period_s == 0) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(ctx, 0);
        return;
    }
    SSL_CTX_set_timeout(ctx, (long)period_s);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, tls_ticket_key);
}

static bool server_rules(SSL_CTX *ctx, struct tls_set *s) {
    const struct tls_context_config *c = &s->config;
    if (!common_rules(ctx, s, c->tls12_max ? TLS1_2_VERSION : TLS1_3_VERSION))
        return false;
    ticket_rules(ctx, c->ticket_period_s);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
    SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
    SSL_CTX_set_tlsext_servername_arg(ctx, s);
    SSL_CTX_set_tlsext_status_cb(ctx, on_status);
    SSL_CTX_set_tlsext_status_arg(ctx, s);
    return SSL_CTX_set_session_id_context(ctx, SESSION_CONTEXT, sizeof(SESSION_CONTEXT) - 1) == 1;
}

/* 0: no date that there is. */
static uint64_t unix_s_of(const ASN1_TIME *t) {
    struct tm tm;
    time_t at = ASN1_TIME_to_tm(t, &tm) == 1 ? timegm(&tm) : 0;
    return at > 0 ? (uint64_t)at : 0;
}

static bool check_dates(struct tls_set *s, const X509 *cert, const char *path,
                        const struct tls_fail *f) {
    const uint64_t now_s = atomic_load(&s->context->unix_s);
    const uint64_t end_s = unix_s_of(X509_get0_notAfter(cert));
    if (end_s <= now_s)
        return tls_files_fail(f, "%s: expired", path);
    if (unix_s_of(X509_get0_notBefore(cert)) > now_s)
        return tls_files_fail(f, "%s: not valid yet", path);
    if (s->not_after_s == 0 || end_s < s->not_after_s)
        s->not_after_s = end_s;
    return true;
}

static bool load_server(struct tls_set *s, uint32_t i, const struct tls_fail *f) {
    const struct tls_certificate *c = &s->config.certificate[i];
    SSL_CTX *ctx = s->server[i] = SSL_CTX_new_ex(NULL, tls_provider_query, TLS_server_method());
    s->count = i + 1;
    if (!ctx || !server_rules(ctx, s))
        return tls_files_fail(f, "%s: no memory", c->chain);
    if (!tls_files_use(ctx, c, f) ||
        !tls_files_ocsp(&s->ocsp[i], c->ocsp, SSL_CTX_get0_certificate(ctx), f))
        return false;
    return check_dates(s, SSL_CTX_get0_certificate(ctx), c->chain, f);
}

/* True when `to` names all that `from` names. */
static bool covers(SSL_CTX *to, SSL_CTX *from) {
    GENERAL_NAMES *all =
        X509_get_ext_d2i(SSL_CTX_get0_certificate(from), NID_subject_alt_name, NULL, NULL);
    bool good = all != NULL;
    for (int i = 0; good && i < sk_GENERAL_NAME_num(all); i++) {
        const GENERAL_NAME *n = sk_GENERAL_NAME_value(all, i);
        if (n->type == GEN_DNS)
            good = names(to, (const char *)ASN1_STRING_get0_data(n->d.dNSName));
    }
    GENERAL_NAMES_free(all);
    return good;
}

/* A name may have an ECDSA and an RSA certificate: both go where either is chosen, and
 * the client's signature algorithms decide. */
static void share(struct tls_set *s) {
    for (uint32_t i = 0; i < s->count; i++) {
        int type = EVP_PKEY_get_base_id(SSL_CTX_get0_privatekey(s->server[i]));
        for (uint32_t k = i + 1; k < s->count; k++) {
            EVP_PKEY *key = SSL_CTX_get0_privatekey(s->server[k]);
            STACK_OF(X509) *chain = NULL;
            if (EVP_PKEY_get_base_id(key) == type || !covers(s->server[k], s->server[i]))
                continue;
            SSL_CTX_get0_chain_certs(s->server[k], &chain);
            SSL_CTX_use_cert_and_key(s->server[i], SSL_CTX_get0_certificate(s->server[k]), key,
                                     chain, 0);
        }
    }
    ERR_clear_error(); /* a second one of a type already there is not wanted */
}

static bool load_client(struct tls_set *s, const struct tls_fail *f) {
    const struct tls_context_config *c = &s->config;
    if (!c->agent_ca[0])
        return true;
    SSL_CTX *ctx = s->client = SSL_CTX_new_ex(NULL, tls_provider_query, TLS_client_method());
    if (!ctx || !common_rules(ctx, s, TLS1_3_VERSION))
        return tls_files_fail(f, "%s: no memory", c->agent_ca);
    if (SSL_CTX_load_verify_file(ctx, c->agent_ca) != 1)
        return tls_files_fail(f, "%s: not a readable certificate in PEM", c->agent_ca);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    return !c->agent.chain[0] || (tls_files_use(ctx, &c->agent, f) &&
                                  check_dates(s, SSL_CTX_get0_certificate(ctx), c->agent.chain, f));
}

static bool load_secret(struct tls_set *s, const struct tls_fail *f) {
    const char *path = s->config.ticket_file;
    if (!path[0]) {
        memcpy(s->ticket_secret, s->context->own_secret, sizeof(s->ticket_secret));
        return true;
    }
    return tls_files_read(path, s->ticket_secret, sizeof(s->ticket_secret)) >=
               TICKET_FILE_BYTES_MIN ||
           tls_files_fail(f, "%s: ticket secret of %d bytes or more expected", path,
                          TICKET_FILE_BYTES_MIN);
}

struct tls_set *tls_set_load(struct tls_context *x, const struct tls_context_config *c, char *err,
                             size_t err_bytes) {
    const struct tls_fail f = {err, err_bytes};
    struct tls_set *s = OPENSSL_zalloc(sizeof(*s));
    if (!s) {
        tls_files_fail(&f, "no memory for certificates");
        return NULL;
    }
    atomic_init(&s->refs, 1);
    pthread_mutex_init(&s->ticket_lock, NULL);
    s->context = x;
    s->config = *c;
    bool good = load_secret(s, &f) && load_client(s, &f);
    for (uint32_t i = 0; good && i < c->certificates; i++)
        good = load_server(s, i, &f);
    if (good) {
        share(s);
        return s;
    }
    tls_set_free(s);
    return NULL;
}

void tls_set_free(struct tls_set *s) {
    for (uint32_t i = 0; i < s->count; i++) {
        SSL_CTX_free(s->server[i]);
        OPENSSL_free(s->ocsp[i].der);
    }
    SSL_CTX_free(s->client);
    pthread_mutex_destroy(&s->ticket_lock);
    OPENSSL_clear_free(s, sizeof(*s));
}

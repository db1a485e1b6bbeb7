/* TLS 1.2 connections: their OpenSSL object stays, over two memory BIOs. Some 20 KiB each,
 * and so there are only as many as the quota allows. */
#include "conn.h"
#include <openssl/err.h>

bool legacy_adopt(struct tls_conn *c, struct tls_job *job) {
    struct tls_extra *x = conn_extra_make(c);
    if (!x)
        return false;
    x->ssl = job->ssl;
    x->set = job->set;
    job->ssl = NULL;
    job->set = NULL;
    job->took12 = false;
    (void)BIO_reset(SSL_get_rbio(x->ssl)); /* still in the lower stream, too */
    (void)BIO_reset(SSL_get_wbio(x->ssl)); /* sent */
    c->state = TLS_LEGACY;
    c->core->legacy++;
    return true;
}

void legacy_free(struct tls_conn *c) {
    struct tls_extra *x = conn_extra(c);
    if (!x->ssl)
        return;
    SSL_free(x->ssl);
    tls_set_release(x->set);
    tls_context_give12(tls_workers_context(c->core->workers));
    c->core->legacy--;
    x->ssl = NULL;
    x->set = NULL;
}

/* What OpenSSL wants sent. */
static void drain(struct tls_conn *c) {
    BIO *out = SSL_get_wbio(conn_extra(c)->ssl);
    char *at;
    long len = BIO_get_mem_data(out, &at);
    if (len > 0 && c->lower && !output_emit(c, (const uint8_t *)at, (size_t)len))
        conn_fail(c, TGW_R_tls_no_memory, -1, STREAM_END_ERROR);
    (void)BIO_reset(out);
}

/* False: the lower stream has nothing. */
static bool feed(struct tls_conn *c) {
    const struct stream_ops *lower = c->core->lower_ops;
    const uint8_t *data;
    size_t n = lower->peek(c->lower, &data);
    n = n < TLS_RECORD_BYTES_MAX ? n : TLS_RECORD_BYTES_MAX;
    if (n == 0 || BIO_write(SSL_get_rbio(conn_extra(c)->ssl), data, (int)n) != (int)n)
        return false;
    lower->consume(c->lower, n);
    return true;
}

size_t legacy_open(struct tls_conn *c) {
    SSL *ssl = conn_extra(c)->ssl;
    for (;;) {
        ERR_clear_error();
        int n = SSL_read(ssl, c->core->buffers->plain, TLS_PLAIN_BYTES_MAX);
        int why = SSL_get_error(ssl, n);
        drain(c);
        if (n > 0) {
            tgw_count(c->core->config.counters, TGW_C_tls_records_in, 1);
            return (size_t)n;
        }
        if (why == SSL_ERROR_ZERO_RETURN)
            c->flags |= TLS_F_EOF;
        else if (why != SSL_ERROR_WANT_READ)
            conn_fail(c, TGW_R_tls_record_invalid, -1, STREAM_END_ERROR);
        if (why != SSL_ERROR_WANT_READ || !c->lower || !feed(c))
            return 0;
    }
}

void legacy_record(struct tls_conn *c, const uint8_t *data, size_t len) {
    ERR_clear_error();
    if (SSL_write(conn_extra(c)->ssl, data, (int)len) != (int)len)
        conn_fail(c, TGW_R_tls_no_memory, -1, STREAM_END_ERROR);
    drain(c);
}

void legacy_shutdown(struct tls_conn *c) {
    ERR_clear_error();
    SSL_shutdown(conn_extra(c)->ssl);
    drain(c);
}

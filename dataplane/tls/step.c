/* One step of a handshake: bytes in, OpenSSL, bytes out, and at the end what the record
 * layer goes on with. */
#include "job.h"
#include <assert.h>
#include <openssl/err.h>
#include <string.h>

static bool fail(struct tls_job *job, enum tgw_reason reason) {
    job->state = TLS_JOB_FAILED;
    job->reason = (uint16_t)reason;
    return false;
}

/* The agent's certificate must name the address that was dialled. */
static bool expect_agent(struct tls_job *job) {
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    bool v4 = memcmp(job->agent_addr, mapped, sizeof(mapped)) == 0;
    return X509_VERIFY_PARAM_set1_ip(SSL_get0_param(job->ssl), job->agent_addr + (v4 ? 12 : 0),
                                     v4 ? 4 : 16) == 1;
}

static bool begin(struct tls_context *x, struct tls_job *job) {
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    job->set = tls_context_acquire(x);
    job->ssl = tls_set_ssl(job->set, job->client);
    if (!job->ssl || !in || !out || (job->client && !expect_agent(job))) {
        BIO_free(in);
        BIO_free(out);
        return fail(job, TGW_R_tls_no_memory);
    }
    BIO_set_mem_eof_return(in, -1);
    SSL_set_bio(job->ssl, in, out);
    return true;
}

/* Records in what is about to be sent. */
static uint64_t count_records(const uint8_t *data, size_t len) {
    uint64_t n = 0;
    for (size_t at = 0; at + TLS_HEADER_BYTES <= len; n++)
        at += TLS_HEADER_BYTES + ((size_t)data[at + 3] << 8 | data[at + 4]);
    return n;
}

/* OpenSSL is done with TLS 1.3. A server's last step writes nothing but tickets, each in a
 * record under the application key; a client's last step ends the handshake itself. It reads
 * record by record, so that what follows the peer's Finished is still in the BIO. */
static bool hand_over(struct tls_job *job) {
    uint32_t id = SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(job->ssl));
    uint32_t suite = id - 0x1301;
    if (suite >= TLS_SUITES || job->secrets.seen != (TLS_CLIENT_SEEN | TLS_SERVER_SEEN) ||
        SSL_has_pending(job->ssl))
        return fail(job, TGW_R_tls_handshake_failed);
    job->suite = (uint8_t)suite;
    job->write_seq = job->client ? 0 : count_records(job->out, job->out_len);
    job->state = TLS_JOB_DONE;
    return true;
}

static void done(struct tls_context *x, struct tls_job *job) {
    job->used = (uint16_t)(job->in_len - BIO_pending(SSL_get_rbio(job->ssl)));
    job->resumed = SSL_session_reused(job->ssl) == 1;
    if (SSL_version(job->ssl) == TLS1_3_VERSION)
        hand_over(job);
    else if ((job->took12 = tls_context_take12(x)))
        job->state = TLS_JOB_DONE12;
    else
        fail(job, TGW_R_tls_version_refused);
}

static void failed(struct tls_job *job) {
    int why = ERR_GET_REASON(ERR_peek_error());
    bool version = why == SSL_R_UNSUPPORTED_PROTOCOL || why == SSL_R_VERSION_TOO_LOW ||
                   why == SSL_R_WRONG_VERSION_NUMBER || why == SSL_R_TLSV1_ALERT_PROTOCOL_VERSION;
    fail(job, version ? TGW_R_tls_version_refused : TGW_R_tls_handshake_failed);
}

static void run(struct tls_context *x, struct tls_job *job) {
    if (!job->ssl && !begin(x, job))
        return;
    BIO *out = SSL_get_wbio(job->ssl);
    char *at;
    (void)BIO_reset(out); /* the core has sent it */
    if (BIO_write(SSL_get_rbio(job->ssl), job->in, job->in_len) != job->in_len && job->in_len) {
        fail(job, TGW_R_tls_no_memory);
        return;
    }
    ERR_clear_error();
    tls_provider_watch(&job->secrets);
    int result = SSL_do_handshake(job->ssl);
    tls_provider_watch(NULL);
    job->out_len = (size_t)BIO_get_mem_data(out, &at);
    job->out = (const uint8_t *)at;
    if (result == 1)
        done(x, job);
    else if (SSL_get_error(job->ssl, result) != SSL_ERROR_WANT_READ)
        failed(job);
    ERR_clear_error();
}

/* Free what is the thread's; secrets leave no trace. */
static void release(struct tls_context *x, struct tls_job *job) {
    SSL_free(job->ssl);
    if (job->took12)
        tls_context_give12(x);
    if (job->set)
        tls_set_release(job->set);
    OPENSSL_cleanse(&job->secrets, sizeof(job->secrets));
    job->ssl = NULL;
    job->set = NULL;
}

void tls_job_step(struct tls_context *x, struct tls_job *job) {
    job->out_len = 0;
    job->used = job->in_len;
    if (job->state == TLS_JOB_RUN)
        run(x, job);
    else
        release(x, job);
}

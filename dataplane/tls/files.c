/* Certificates, keys and OCSP responses as they lie in files. What may hold a key is read
 * past stdio, whose buffers would keep it. */
#include "context_priv.h"
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 65536 };

bool tls_files_fail(const struct tls_fail *f, const char *format, ...) {
    va_list v;
    va_start(v, format);
    vsnprintf(f->text, f->bytes, format, v);
    va_end(v);
    ERR_clear_error();
    return false;
}

size_t tls_files_read(const char *path, unsigned char *out, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = 1;
    size_t len = 0;
    while (fd >= 0 && len < size && (n = read(fd, out + len, size - len)) > 0)
        len += (size_t)n;
    if (fd >= 0)
        close(fd);
    return n < 0 ? 0 : len;
}

static EVP_PKEY *read_key(const char *path) {
    unsigned char *pem = OPENSSL_malloc(FILE_BYTES_MAX);
    size_t len = pem ? tls_files_read(path, pem, FILE_BYTES_MAX) : 0;
    BIO *bio = len ? BIO_new_mem_buf(pem, (int)len) : NULL;
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, "") : NULL;
    BIO_free(bio);
    OPENSSL_clear_free(pem, FILE_BYTES_MAX);
    return key;
}

bool tls_files_use(SSL_CTX *ctx, const struct tls_certificate *c, const struct tls_fail *f) {
    if (SSL_CTX_use_certificate_chain_file(ctx, c->chain) != 1)
        return tls_files_fail(f, "%s: not a readable certificate chain in PEM", c->chain);
    EVP_PKEY *key = read_key(c->key);
    bool good = key && SSL_CTX_use_PrivateKey(ctx, key) == 1 && SSL_CTX_check_private_key(ctx) == 1;
    EVP_PKEY_free(key);
    return good ||
           tls_files_fail(f, "%s: not the private key of %s, or not readable", c->key, c->chain);
}

static uint64_t seconds(const ASN1_GENERALIZEDTIME *t) {
    struct tm tm;
    time_t at = t && ASN1_TIME_to_tm(t, &tm) == 1 ? timegm(&tm) : 0;
    return at > 0 ? (uint64_t)at : 0;
}

/* A good response has one entry, about this certificate. */
static bool is_about(OCSP_RESPONSE *r, const X509 *cert, uint64_t *next_update_s) {
    OCSP_BASICRESP *basic = r && OCSP_response_status(r) == OCSP_RESPONSE_STATUS_SUCCESSFUL
                                ? OCSP_response_get1_basic(r)
                                : NULL;
    OCSP_SINGLERESP *one = basic ? OCSP_resp_get0(basic, 0) : NULL;
    ASN1_GENERALIZEDTIME *next = NULL;
    ASN1_INTEGER *serial = NULL;
    if (one) {
        OCSP_single_get0_status(one, NULL, NULL, NULL, &next);
        OCSP_id_get0_info(NULL, NULL, NULL, &serial, (OCSP_CERTID *)OCSP_SINGLERESP_get0_id(one));
        *next_update_s = seconds(next);
    }
    bool same = serial && ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(cert)) == 0;
    OCSP_BASICRESP_free(basic);
    return same;
}

bool tls_files_ocsp(struct tls_ocsp *o, const char *path, const X509 *cert,
                    const struct tls_fail *f) {
    if (!path[0])
        return true;
    o->der = OPENSSL_malloc(FILE_BYTES_MAX);
    o->len = o->der ? (int)tls_files_read(path, o->der, FILE_BYTES_MAX) : 0;
    const unsigned char *at = o->der;
    OCSP_RESPONSE *r = o->len ? d2i_OCSP_RESPONSE(NULL, &at, o->len) : NULL;
    bool good = is_about(r, cert, &o->next_update_s);
    OCSP_RESPONSE_free(r);
    return good ||
           tls_files_fail(f, "%s: not an OCSP response in DER about this certificate", path);
}

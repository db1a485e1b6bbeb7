/* TLS 1.3 record protection (RFC 8446 section 5) and the part of the key schedule that
 * lives on after the handshake (section 7): from a traffic secret to keys and to the
 * next secret. Bytes in, bytes out. */
#ifndef TGW_TLS_RECORD_H
#define TGW_TLS_RECORD_H

#include "tls/cipher.h"
#include "tls/hkdf.h"

/* Numbered as in the registry, from TLS_AES_128_GCM_SHA256 (0x1301) on. */
enum tls_suite {
    TLS_AES_128_GCM_SHA256,
    TLS_AES_256_GCM_SHA384,
    TLS_CHACHA20_POLY1305_SHA256,
    TLS_SUITES,
};

enum tls_content { /* section 5.1 */
                   TLS_CHANGE_CIPHER_SPEC = 20,
                   TLS_ALERT = 21,
                   TLS_HANDSHAKE = 22,
                   TLS_APPLICATION_DATA = 23,
};

enum tls_alert { /* section 6 */
                 TLS_CLOSE_NOTIFY = 0,
                 TLS_UNEXPECTED_MESSAGE = 10,
                 TLS_BAD_RECORD_MAC = 20,
                 TLS_RECORD_OVERFLOW = 22,
                 TLS_DECODE_ERROR = 50,
                 TLS_INTERNAL_ERROR = 80,
                 TLS_USER_CANCELED = 90,
};

enum {
    TLS_HEADER_BYTES = 5,
    TLS_SECRET_BYTES_MAX = TLS_HASH_BYTES_MAX,
    TLS_PLAIN_BYTES_MAX = 16384,                               /* section 5.1 */
    TLS_CIPHER_BYTES_MAX = TLS_PLAIN_BYTES_MAX + 256,          /* section 5.2 */
    TLS_OVERHEAD_BYTES = TLS_HEADER_BYTES + 1 + TLS_TAG_BYTES, /* of a record of ours */
    TLS_RECORD_BYTES_MAX = TLS_HEADER_BYTES + TLS_CIPHER_BYTES_MAX,
};

/* Fetched algorithms and scratch of one thread. */
struct tls_crypto {
    struct tls_cipher cipher[TLS_SUITES];
    struct tls_hash hash[TLS_SUITES];
    EVP_MD_CTX *digest;
};

/* False: no memory, or the library lacks an algorithm. tls_crypto_fini follows in any case. */
bool tls_crypto_init(struct tls_crypto *c);
void tls_crypto_fini(struct tls_crypto *c);

size_t tls_secret_bytes(enum tls_suite suite);
/* HKDF-Expand-Label(secret, label, "", len) of section 7.1; len at most one hash. */
bool tls_expand_label(const struct tls_crypto *c, enum tls_suite suite, const uint8_t *secret,
                      const char *label, uint8_t *out, size_t len);
/* application_traffic_secret_N+1 in place of N (section 7.2). */
bool tls_next_secret(const struct tls_crypto *c, enum tls_suite suite, uint8_t *secret);

/* Derive the key and IV of a traffic secret (section 7.3). */
bool tls_key_set(const struct tls_crypto *c, enum tls_suite suite, const uint8_t *secret, bool seal,
                 struct tls_key *key);

/* Protect data[0..len), len <= TLS_PLAIN_BYTES_MAX; data[len] must be writable: the content
 * type goes there. Writes len + TLS_OVERHEAD_BYTES bytes to out. False: the library failed. */
bool tls_record_seal(const struct tls_key *key, uint64_t seq, enum tls_content type, uint8_t *data,
                     size_t len, uint8_t *out);

struct tls_plain {
    uint8_t type; /* enum tls_content, or whatever the peer put there */
    size_t len;
};

/* What can be told from a header. Returns the bytes of the whole record, 0 for a header
 * that no protected record has: *alert says what to answer. */
size_t tls_record_bytes(const uint8_t header[TLS_HEADER_BYTES], enum tls_alert *alert);
/* Take the protection off a whole record that passed tls_record_bytes(); the content is at
 * the front of out (TLS_CIPHER_BYTES_MAX bytes). False: *alert says what to answer. */
bool tls_record_open(const struct tls_key *key, uint64_t seq, const uint8_t *record, uint8_t *out,
                     struct tls_plain *plain, enum tls_alert *alert);

#endif

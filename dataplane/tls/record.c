/* One record: header, AEAD, inner content type (RFC 8446 sections 5.2 and 5.3). */
#include "record.h"
#include <assert.h>
#include <string.h>

/* The sequence number, XORed into the end of the IV (section 5.3). */
static void put_nonce(uint8_t nonce[TLS_IV_BYTES], const uint8_t iv[TLS_IV_BYTES], uint64_t seq) {
    memcpy(nonce, iv, TLS_IV_BYTES);
    for (int i = 0; i < 8; i++)
        nonce[TLS_IV_BYTES - 1 - i] ^= (uint8_t)(seq >> (8 * i));
}

bool tls_record_seal(const struct tls_key *key, uint64_t seq, enum tls_content type, uint8_t *data,
                     size_t len, uint8_t *out) {
    const size_t inner = len + 1, body = inner + TLS_TAG_BYTES;
    uint8_t nonce[TLS_IV_BYTES];
    assert(len <= TLS_PLAIN_BYTES_MAX);
    data[len] = (uint8_t)type;
    out[0] = TLS_APPLICATION_DATA;
    out[1] = 3;
    out[2] = 3;
    out[3] = (uint8_t)(body >> 8);
    out[4] = (uint8_t)body;
    put_nonce(nonce, key->iv, seq);
    return tls_key_seal(key, nonce, out, TLS_HEADER_BYTES, data, inner, out + TLS_HEADER_BYTES);
}

size_t tls_record_bytes(const uint8_t header[TLS_HEADER_BYTES], enum tls_alert *alert) {
    const size_t body = (size_t)header[3] << 8 | header[4];
    *alert = TLS_RECORD_OVERFLOW;
    if (body > TLS_CIPHER_BYTES_MAX)
        return 0;
    /* After the handshake everything is protected; a change_cipher_spec is too late. */
    *alert = TLS_UNEXPECTED_MESSAGE;
    if (header[0] != TLS_APPLICATION_DATA || header[1] != 3)
        return 0;
    *alert = TLS_BAD_RECORD_MAC;
    return body > TLS_TAG_BYTES ? TLS_HEADER_BYTES + body : 0;
}

bool tls_record_open(const struct tls_key *key, uint64_t seq, const uint8_t *record, uint8_t *out,
                     struct tls_plain *plain, enum tls_alert *alert) {
    size_t inner = ((size_t)record[3] << 8 | record[4]) - TLS_TAG_BYTES;
    uint8_t nonce[TLS_IV_BYTES];
    put_nonce(nonce, key->iv, seq);
    *alert = TLS_BAD_RECORD_MAC;
    /* What is sealed has a limit of its own (section 5.4); padding counts. */
    const bool fits = inner <= TLS_PLAIN_BYTES_MAX + 1;
    if (!tls_key_open(key, nonce, record, TLS_HEADER_BYTES, record + TLS_HEADER_BYTES, inner, out))
        return false;
    /* Padding is zeros behind the content type (section 5.4). */
    while (inner && out[inner - 1] == 0)
        inner--;
    *alert = TLS_UNEXPECTED_MESSAGE;
    if (inner == 0)
        return false;
    plain->type = out[inner - 1];
    plain->len = inner - 1;
    *alert = TLS_RECORD_OVERFLOW;
    return fits;
}

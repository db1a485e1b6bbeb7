#define OPENSSL_SUPPRESS_DEPRECATED
#include "web/digest.h"
#include <openssl/sha.h>

bool digest_sha1(const void *data, size_t len, uint8_t out[DIGEST_SHA1_BYTES]) {
    SHA_CTX c;
    return SHA1_Init(&c) && SHA1_Update(&c, data, len) && SHA1_Final(out, &c);
}

bool digest_sha256(const void *data, size_t len, uint8_t out[DIGEST_SHA256_BYTES]) {
    SHA256_CTX c;
    return SHA256_Init(&c) && SHA256_Update(&c, data, len) && SHA256_Final(out, &c);
}

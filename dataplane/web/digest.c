#include "web/digest.h"
#include <openssl/evp.h>
#include <string.h>
#include <threads.h>

/* Constants, once they are there. */
static once_flag fetched = ONCE_FLAG_INIT;
static EVP_MD *sha1, *sha256;

static void fetch(void) {
    sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
}

static bool digest(EVP_MD *const *method, const void *data, size_t len, uint8_t *out,
                   size_t out_bytes) {
    call_once(&fetched, fetch);
    if (*method && EVP_Digest(data, len, out, NULL, *method, NULL) == 1)
        return true;
    memset(out, 0, out_bytes);
    return false;
}

bool digest_sha1(const void *data, size_t len, uint8_t out[DIGEST_SHA1_BYTES]) {
    return digest(&sha1, data, len, out, DIGEST_SHA1_BYTES);
}

bool digest_sha256(const void *data, size_t len, uint8_t out[DIGEST_SHA256_BYTES]) {
    return digest(&sha256, data, len, out, DIGEST_SHA256_BYTES);
}

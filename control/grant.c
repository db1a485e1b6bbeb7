/* SHA-256 by OpenSSL's functions of before 3.0, which it calls deprecated: HMAC() looks its
 * parts up by name, allocates and hashes the key anew for every grant, three quarters of its
 * cost. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "grant.h"
#include <stdio.h>

enum { BLOCK_BYTES = SHA256_CBLOCK, MAC_BYTES = SHA256_DIGEST_LENGTH };

static bool begin(SHA256_CTX *c, const uint8_t key[BLOCK_BYTES], uint8_t pad) {
    uint8_t block[BLOCK_BYTES];
    for (int i = 0; i < BLOCK_BYTES; i++)
        block[i] = key[i] ^ pad;
    bool good = SHA256_Init(c) && SHA256_Update(c, block, sizeof(block));
    explicit_bzero(block, sizeof(block));
    return good;
}

/* RFC 2104 section 2. */
bool grant_key_make(struct grant_key *k, const uint8_t *secret, size_t secret_len) {
    uint8_t key[BLOCK_BYTES] = {0};
    bool good = true;
    if (secret_len > sizeof(key))
        good = SHA256(secret, secret_len, key) != NULL;
    else
        memcpy(key, secret, secret_len);
    good = good && begin(&k->inner, key, 0x36) && begin(&k->outer, key, 0x5c);
    explicit_bzero(key, sizeof(key));
    return good;
}

static bool sign(const struct grant_key *k, const char *text, size_t len, uint8_t mac[MAC_BYTES]) {
    SHA256_CTX inner = k->inner, outer = k->outer;
    bool good = SHA256_Update(&inner, text, len) && SHA256_Final(mac, &inner) &&
                SHA256_Update(&outer, mac, MAC_BYTES) && SHA256_Final(mac, &outer);
    explicit_bzero(&inner, sizeof(inner));
    explicit_bzero(&outer, sizeof(outer));
    return good;
}

/* RFC 4648 section 5, without padding. Returns the length. */
static size_t base64url(const uint8_t *in, size_t len, char *out) {
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    char *at = out;
    for (; len; in += 3) {
        uint32_t word = (uint32_t)in[0] << 16;
        word |= len > 1 ? (uint32_t)in[1] << 8 : 0;
        word |= len > 2 ? in[2] : 0;
        *at++ = digit[word >> 18];
        *at++ = digit[word >> 12 & 63];
        if (len > 1)
            *at++ = digit[word >> 6 & 63];
        if (len > 2)
            *at++ = digit[word & 63];
        len -= len < 3 ? len : 3;
    }
    *at = 0;
    return (size_t)(at - out);
}

/* Every text of an ident is free of quotes and backslashes (tgw_text_valid). */
bool grant_make(const struct tgw_ident *ident, const struct grant_key *k, uint64_t now_s,
                char out[TGW_GRANT_MAX + 1]) {
    static const char head[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
    char claims[512];
    uint8_t mac[MAC_BYTES];
    int n = snprintf(claims, sizeof(claims),
                     "{\"iss\":\"terminal-gateway\",\"aud\":\"%s\",\"sub\":\"%s\",\"sid\":\"%s\","
                     "\"exp\":%lu}",
                     ident->allocation_id, ident->user_id, ident->session_id, now_s + GRANT_LIFE_S);
    _Static_assert((sizeof(head) + 512) * 4 / 3 + 64 < TGW_GRANT_MAX, "a grant fits");
    if (n < 0 || (size_t)n >= sizeof(claims))
        return false;
    size_t len = base64url((const uint8_t *)head, sizeof(head) - 1, out);
    out[len++] = '.';
    len += base64url((const uint8_t *)claims, (size_t)n, out + len);
    if (!sign(k, out, len, mac))
        return false;
    out[len++] = '.';
    base64url(mac, sizeof(mac), out + len);
    return true;
}

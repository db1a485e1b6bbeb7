#include "grant.h"
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdio.h>

enum { MAC_BYTES = 32 };

bool grant_key_make(struct grant_key *k, const uint8_t *secret, size_t secret_len) {
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);
    k->mac = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
    EVP_MAC_free(hmac);
    if (k->mac && EVP_MAC_init(k->mac, secret, secret_len, params) == 1)
        return true;
    grant_key_free(k);
    return false;
}

void grant_key_free(struct grant_key *k) {
    EVP_MAC_CTX_free(k->mac);
    k->mac = NULL;
}

/* From the hashed key on: a context made for each grant is three quarters of its cost. */
static bool sign(const struct grant_key *k, const char *text, size_t len, uint8_t mac[MAC_BYTES]) {
    return EVP_MAC_init(k->mac, NULL, 0, NULL) == 1 &&
           EVP_MAC_update(k->mac, (const uint8_t *)text, len) == 1 &&
           EVP_MAC_final(k->mac, mac, NULL, MAC_BYTES) == 1;
}

/* RFC 4648 section 5, without padding. Returns the length. */
static size_t base64url(const uint8_t *in, size_t len, char *out) {
    int n = EVP_EncodeBlock((unsigned char *)out, in, (int)len);
    while (n > 0 && out[n - 1] == '=')
        n--;
    for (int i = 0; i < n; i++)
        out[i] = out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i];
    out[n] = 0;
    return (size_t)n;
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

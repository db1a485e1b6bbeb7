#include "grant.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>

/* RFC 4648 section 5, without padding. Returns the length. */
static size_t base64url(const unsigned char *in, size_t len, char *out) {
    int n = EVP_EncodeBlock((unsigned char *)out, in, (int)len);
    while (n > 0 && out[n - 1] == '=')
        n--;
    for (int i = 0; i < n; i++)
        out[i] = out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i];
    out[n] = 0;
    return (size_t)n;
}

/* Every text of an ident is free of quotes and backslashes (tgw_text_valid). */
bool grant_make(const struct tgw_ident *ident, const uint8_t *secret, size_t secret_len,
                uint64_t now_s, char out[TGW_GRANT_MAX + 1]) {
    static const char head[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
    char claims[512];
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned mac_len = 0;
    int n = snprintf(claims, sizeof(claims),
                     "{\"iss\":\"terminal-gateway\",\"aud\":\"%s\",\"sub\":\"%s\",\"sid\":\"%s\","
                     "\"exp\":%lu}",
                     ident->allocation_id, ident->user_id, ident->session_id, now_s + GRANT_LIFE_S);
    _Static_assert((sizeof(head) + 512) * 4 / 3 + 64 < TGW_GRANT_MAX, "a grant fits");
    if (n < 0 || (size_t)n >= sizeof(claims))
        return false;
    size_t len = base64url((const unsigned char *)head, sizeof(head) - 1, out);
    out[len++] = '.';
    len += base64url((const unsigned char *)claims, (size_t)n, out + len);
    if (!HMAC(EVP_sha256(), secret, (int)secret_len, (const unsigned char *)out, len, mac,
              &mac_len))
        return false;
    out[len++] = '.';
    base64url(mac, mac_len, out + len);
    return true;
}

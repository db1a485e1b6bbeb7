/* Grants: JSON Web Tokens (RFC 7519) in compact form (RFC 7515), HS256 alone. */
#include "request.h"
#include <cjson/cJSON.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

enum { GRANT_LIFE_S = 30, GRANT_SKEW_S = 5 };

/* RFC 4648 section 5 without padding, strictly. Returns the length, -1 when it is not. */
static int base64url_decode(const char *in, size_t len, uint8_t *out, size_t size) {
    unsigned char text[REQUEST_BEARER_MAX + 4], raw[REQUEST_BEARER_MAX + 4];
    size_t padded = (len + 3) / 4 * 4;
    if (len == 0 || len % 4 == 1 || padded > sizeof(text))
        return -1;
    for (size_t i = 0; i < len; i++) {
        char c = in[i];
        bool good = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '_';
        if (!good)
            return -1;
        text[i] = c == '-' ? '+' : c == '_' ? '/' : (unsigned char)c;
    }
    memset(text + len, '=', padded - len);
    int n = EVP_DecodeBlock(raw, text, (int)padded);
    n -= (int)(padded - len);
    if (n < 0 || (size_t)n > size)
        return -1;
    memcpy(out, raw, (size_t)n);
    return n;
}

static cJSON *decode_json(const char *in, size_t len) {
    char text[REQUEST_BEARER_MAX];
    int n = base64url_decode(in, len, (uint8_t *)text, sizeof(text));
    return n < 0 ? NULL : cJSON_ParseWithLength(text, (size_t)n);
}

static bool is_text(const cJSON *o, const char *key, const char *want) {
    const char *v = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, key));
    return v && strcmp(v, want) == 0;
}

/* The audience may be a text or a list of them (RFC 7519 section 4.1.3). */
static bool audience_has(const cJSON *claims, const char *allocation) {
    const cJSON *aud = cJSON_GetObjectItemCaseSensitive(claims, "aud"), *item;
    if (!cJSON_IsArray(aud))
        return is_text(claims, "aud", allocation);
    cJSON_ArrayForEach(item, aud) {
        if (cJSON_IsString(item) && strcmp(item->valuestring, allocation) == 0)
            return true;
    }
    return false;
}

static bool signed_by(const char *grant, size_t signed_len, const char *mac_text,
                      const uint8_t *secret, size_t secret_len) {
    uint8_t mac[EVP_MAX_MD_SIZE], sent[REQUEST_BEARER_MAX];
    unsigned mac_len = 0;
    int n = base64url_decode(mac_text, strlen(mac_text), sent, sizeof(sent));
    if (!HMAC(EVP_sha256(), secret, (int)secret_len, (const unsigned char *)grant, signed_len, mac,
              &mac_len))
        return false;
    return n == (int)mac_len && CRYPTO_memcmp(mac, sent, mac_len) == 0;
}

static const char *check_claims(const cJSON *claims, uint64_t now_s, struct request *r) {
    const cJSON *exp = cJSON_GetObjectItemCaseSensitive(claims, "exp");
    const char *user = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(claims, "sub"));
    if (!is_text(claims, "iss", "terminal-gateway"))
        return "grant of another issuer";
    if (!audience_has(claims, r->allocation_id))
        return "grant for another allocation";
    if (!r->session_id[0] || !is_text(claims, "sid", r->session_id))
        return "grant for another session";
    if (!cJSON_IsNumber(exp) || exp->valuedouble + GRANT_SKEW_S <= (double)now_s)
        return "grant expired";
    if (exp->valuedouble > (double)now_s + GRANT_LIFE_S + GRANT_SKEW_S)
        return "grant lives too long";
    if (user && strlen(user) < sizeof(r->user_id))
        memcpy(r->user_id, user, strlen(user) + 1);
    return NULL;
}

const char *grant_check(const char *grant, const uint8_t *secret, size_t secret_len, uint64_t now_s,
                        struct request *r) {
    const char *dot1 = strchr(grant, '.');
    const char *dot2 = dot1 ? strchr(dot1 + 1, '.') : NULL;
    if (!grant[0])
        return "grant missing";
    if (!dot2 || strchr(dot2 + 1, '.'))
        return "grant malformed";
    /* The signature before anything inside is believed or even parsed. */
    if (!signed_by(grant, (size_t)(dot2 - grant), dot2 + 1, secret, secret_len))
        return "grant signature wrong";
    cJSON *head = decode_json(grant, (size_t)(dot1 - grant));
    cJSON *claims = decode_json(dot1 + 1, (size_t)(dot2 - dot1 - 1));
    const char *wrong = !head || !claims                 ? "grant malformed"
                        : !is_text(head, "alg", "HS256") ? "grant algorithm refused"
                                                         : check_claims(claims, now_s, r);
    cJSON_Delete(head);
    cJSON_Delete(claims);
    return wrong;
}

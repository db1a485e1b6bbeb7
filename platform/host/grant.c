#include "agent.h"
#include <cjson/cJSON.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

enum { CLOCK_SKEW_S = 5, GRANT_MAX = 2048 };

/* base64url without padding (RFC 4648 section 5); returns bytes, 0 when it is none. */
static size_t decode(const char *in, size_t len, unsigned char *out, size_t size) {
    char text[GRANT_MAX + 4];
    size_t padded = (len + 3) / 4 * 4;
    if (len == 0 || len > GRANT_MAX || padded / 4 * 3 > size)
        return 0;
    for (size_t i = 0; i < padded; i++)
        text[i] = i >= len ? '=' : in[i] == '-' ? '+' : in[i] == '_' ? '/' : in[i];
    int n = EVP_DecodeBlock(out, (const unsigned char *)text, (int)padded);
    return n < 0 ? 0 : (size_t)n - (padded - len);
}

static bool signature_good(const char *grant, const char *dot, const struct options *o) {
    unsigned char mac[EVP_MAX_MD_SIZE], given[64];
    unsigned len = 0;
    size_t n = decode(dot + 1, strlen(dot + 1), given, sizeof(given));
    return HMAC(EVP_sha256(), o->secret, (int)o->secret_len, (const unsigned char *)grant,
                (size_t)(dot - grant), mac, &len) &&
           n == len && CRYPTO_memcmp(mac, given, len) == 0;
}

static bool claim_is(const cJSON *claims, const char *key, const char *want) {
    const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(claims, key));
    return s && strcmp(s, want) == 0;
}

static const char *check_claims(const cJSON *claims, const struct request *r, uint64_t now_s) {
    const cJSON *exp = cJSON_GetObjectItemCaseSensitive(claims, "exp");
    if (!claim_is(claims, "iss", "terminal-gateway"))
        return "grant has another issuer";
    if (!claim_is(claims, "aud", r->allocation_id))
        return "grant is for another allocation";
    if (!claim_is(claims, "sid", r->session_id))
        return "grant is for another session";
    if (!cJSON_IsNumber(exp) || exp->valuedouble + CLOCK_SKEW_S < (double)now_s)
        return "grant expired";
    return NULL;
}

const char *grant_check(const char *grant, const struct options *o, const struct request *r,
                        uint64_t now_s) {
    static const char head[] = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."; /* HS256 and nothing else */
    unsigned char json[GRANT_MAX];
    const char *dot = strrchr(grant, '.');
    if (strlen(grant) >= GRANT_MAX || strncmp(grant, head, sizeof(head) - 1) != 0 ||
        dot < grant + sizeof(head) - 1)
        return "grant malformed";
    if (!signature_good(grant, dot, o))
        return "grant signature wrong";
    const char *body = grant + sizeof(head) - 1;
    size_t n = decode(body, (size_t)(dot - body), json, sizeof(json));
    cJSON *claims = cJSON_ParseWithLength((const char *)json, n);
    const char *why = claims ? check_claims(claims, r, now_s) : "grant malformed";
    cJSON_Delete(claims);
    return why;
}

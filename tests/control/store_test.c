#include "contract/reason.h"
#include "control/grant.h"
#include "control/store.h"
#include "tests/lib/suite.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>

static void name(uint32_t n, uint8_t hash[TGW_TOKEN_HASH_BYTES]) {
    unsigned len;
    EVP_Digest(&n, sizeof(n), hash, &len, EVP_sha256(), NULL);
}

static struct claims claims_for(const char *allocation, uint64_t exp_s) {
    struct claims c = {.exp_s = exp_s};
    snprintf(c.ident.allocation_id, sizeof(c.ident.allocation_id), "%s", allocation);
    return c;
}

static void a_token_is_used_once(void) {
    struct memory_store *s = memory_store_create(100, 1000);
    struct claims c = claims_for("a", 500), got = {0};
    uint8_t h[TGW_TOKEN_HASH_BYTES];
    unsigned won = 0, replayed = 0;
    name(1, h);
    CU_ASSERT_TRUE(memory_store_put(s, h, &c, 100));
    for (int i = 0; i < 100; i++) {
        enum tgw_reason r = memory_store_consume(s, h, "a", 200, &got);
        won += r == TGW_OK;
        replayed += r == TGW_R_token_replayed;
    }
    CU_ASSERT_TRUE(won == 1 && replayed == 99);
    CU_ASSERT_STRING_EQUAL(got.ident.allocation_id, "a");
    /* Beyond the replay window it is an unknown one. */
    CU_ASSERT_EQUAL(memory_store_consume(s, h, "a", 1200, &got), TGW_R_token_invalid);
    memory_store_destroy(s);
}

static void a_mismatch_does_not_burn_it(void) {
    struct memory_store *s = memory_store_create(100, 1000);
    struct claims c = claims_for("a", 500), got;
    uint8_t h[TGW_TOKEN_HASH_BYTES], other[TGW_TOKEN_HASH_BYTES];
    name(1, h);
    name(2, other);
    memory_store_put(s, h, &c, 100);
    CU_ASSERT_EQUAL(memory_store_consume(s, h, "b", 200, &got), TGW_R_token_allocation_mismatch);
    CU_ASSERT_EQUAL(memory_store_consume(s, other, "a", 200, &got), TGW_R_token_invalid);
    CU_ASSERT_EQUAL(memory_store_inspect(s, h, 200, &got), TOKEN_VALID);
    CU_ASSERT_EQUAL(memory_store_consume(s, h, "a", 200, &got), TGW_OK);
    memory_store_destroy(s);
}

static void it_expires_and_is_revoked(void) {
    struct memory_store *s = memory_store_create(100, 1000);
    struct claims c = claims_for("a", 500), got;
    uint8_t h[TGW_TOKEN_HASH_BYTES];
    name(1, h);
    memory_store_put(s, h, &c, 100);
    CU_ASSERT_EQUAL(memory_store_consume(s, h, "a", 500, &got), TGW_R_token_expired);
    CU_ASSERT_TRUE(memory_store_revoke(s, h, 400));
    CU_ASSERT_FALSE(memory_store_revoke(s, h, 400));
    CU_ASSERT_EQUAL(memory_store_consume(s, h, "a", 400, &got), TGW_R_token_invalid);
    memory_store_destroy(s);
}

/* Against a plain array: puts, consumes and revokes in random order, with collisions. */
static void the_table_agrees_with_an_array(void) {
    enum { TOKENS = 120 };
    struct memory_store *s = memory_store_create(60, 1000000);
    enum token_state want[TOKENS] = {0};
    struct claims c = claims_for("a", 1000000), got;
    srand(11);
    for (int i = 0; i < 50000; i++) {
        uint32_t n = (uint32_t)rand() % TOKENS;
        uint8_t h[TGW_TOKEN_HASH_BYTES];
        name(n, h);
        switch (rand() % 3) {
        case 0:
            if (memory_store_put(s, h, &c, 10))
                want[n] = TOKEN_VALID;
            break;
        case 1:
            if (memory_store_consume(s, h, "a", 10, &got) == TGW_OK)
                want[n] = want[n] == TOKEN_VALID ? TOKEN_USED : TOKEN_EXPIRED;
            break;
        default:
            if (memory_store_revoke(s, h, 10))
                want[n] = want[n] == TOKEN_VALID ? TOKEN_UNKNOWN : TOKEN_EXPIRED;
            break;
        }
        CU_ASSERT_EQUAL_FATAL(memory_store_inspect(s, h, 10, &got), want[n]);
    }
    memory_store_destroy(s);
}

static void a_full_store_says_so(void) {
    struct memory_store *s = memory_store_create(1, 1000);
    struct claims c = claims_for("a", 500);
    uint32_t n = 0;
    for (uint8_t h[TGW_TOKEN_HASH_BYTES]; n < 1000; n++) {
        name(n, h);
        if (!memory_store_put(s, h, &c, 100))
            break;
    }
    CU_ASSERT_TRUE(n > 0 && n < 1000);
    uint8_t h[TGW_TOKEN_HASH_BYTES];
    name(5000, h);
    CU_ASSERT_TRUE(memory_store_put(s, h, &c, 2000)); /* the old ones are swept */
    memory_store_destroy(s);
}

/* Whatever the secret's length: a block of SHA-256 is 64 bytes, a longer one is hashed first. */
static void a_grant_verifies(void) {
    static const size_t lengths[] = {16, 63, 64, 65, 1024};
    struct tgw_ident i = {.allocation_id = "a", .session_id = "s"};
    uint8_t secret[1024], mac[EVP_MAX_MD_SIZE], want[64];
    struct grant_key key;
    char grant[TGW_GRANT_MAX + 1];
    for (size_t k = 0; k < sizeof(secret); k++)
        secret[k] = (uint8_t)(k * 7 + 1);
    for (size_t l = 0; l < sizeof(lengths) / sizeof(lengths[0]); l++) {
        unsigned len = 0;
        CU_ASSERT_TRUE_FATAL(grant_key_make(&key, secret, lengths[l]));
        snprintf(i.user_id, sizeof(i.user_id), "%.*s", (int)l, "user"); /* all three endings */
        CU_ASSERT_TRUE_FATAL(grant_make(&i, &key, 999, grant));         /* the key serves again */
        CU_ASSERT_TRUE_FATAL(grant_make(&i, &key, 1000, grant));
        char *dot = strrchr(grant, '.');
        HMAC(EVP_sha256(), secret, (int)lengths[l], (unsigned char *)grant, (size_t)(dot - grant),
             mac, &len);
        EVP_EncodeBlock(want, mac, (int)len);
        for (int k = 0; k < 43; k++)
            CU_ASSERT_EQUAL(dot[1 + k], want[k] == '+'   ? '-'
                                        : want[k] == '/' ? '_'
                                                         : (char)want[k]);
        CU_ASSERT_EQUAL(strlen(dot), 44);
        grant_key_free(&key);
    }
}

static void a_grants_claims_are_base64url(void) {
    static const char want[] = "{\"iss\":\"terminal-gateway\",\"aud\":\"a\",\"sub\":\"user~\","
                               "\"sid\":\"?~?\",\"exp\":1030}";
    const struct tgw_ident i = {.allocation_id = "a", .user_id = "user~", .session_id = "?~?"};
    struct grant_key key;
    char grant[TGW_GRANT_MAX + 1];
    uint8_t text[256] = {0}, got[256] = {0};
    CU_ASSERT_TRUE_FATAL(grant_key_make(&key, (const uint8_t *)"0123456789abcdef", 16));
    CU_ASSERT_TRUE_FATAL(grant_make(&i, &key, 1000, grant));
    char *claims = strchr(grant, '.') + 1;
    size_t len = strcspn(claims, ".");
    memset(text, '=', (len + 3) / 4 * 4);
    for (size_t k = 0; k < len; k++)
        text[k] = claims[k] == '-' ? '+' : claims[k] == '_' ? '/' : (uint8_t)claims[k];
    CU_ASSERT_TRUE(EVP_DecodeBlock(got, text, (int)((len + 3) / 4 * 4)) > 0);
    CU_ASSERT_STRING_EQUAL((char *)got, want);
    CU_ASSERT_EQUAL(
        strspn(grant, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."),
        strlen(grant));
    grant_key_free(&key);
}

int main(void) {
    static const struct suite_case cases[] = {
        {"a token is used once", a_token_is_used_once},
        {"a mismatch does not burn it", a_mismatch_does_not_burn_it},
        {"it expires and is revoked", it_expires_and_is_revoked},
        {"the table agrees with an array", the_table_agrees_with_an_array},
        {"a full store says so", a_full_store_says_so},
        {"a grant verifies", a_grant_verifies},
        {"a grant's claims are base64url", a_grants_claims_are_base64url},
    };
    return suite_run("control/store", cases, sizeof(cases) / sizeof(cases[0]));
}

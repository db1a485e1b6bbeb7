#include "hw/rig/tokens.h"
#include "tests/lib/suite.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[] = "/tmp/tgw-tokens-XXXXXX";

static void load(struct tokens *t, const char *text) {
    char err[200];
    FILE *f = fopen(path, "we");
    CU_ASSERT_TRUE_FATAL(f && fputs(text, f) >= 0 && fclose(f) == 0);
    CU_ASSERT_TRUE_FATAL(tokens_load(t, path, err, sizeof(err)));
}

static void expect(struct tokens *t, const char *allocation, const char *token) {
    struct token got;
    uint32_t n;
    CU_ASSERT_TRUE_FATAL(tokens_take(t, &n));
    tokens_get(t, n, &got);
    CU_ASSERT_STRING_EQUAL(got.allocation, allocation);
    CU_ASSERT_STRING_EQUAL(got.token, token);
}

static void each_line_is_a_token(void) {
    char text[300], most[80];
    struct tokens t;
    uint32_t n;
    memset(most, 'x', sizeof(most));
    most[79] = 0;
    snprintf(text, sizeof(text), "a-1 token-one\n\tb\t two\r\nonly\nlong %s\n", most);
    load(&t, text);
    expect(&t, "a-1", "token-one");
    expect(&t, "b", "two");
    expect(&t, "only", ""); /* not the next line's */
    most[64] = 0;
    expect(&t, "long", most);
    CU_ASSERT_FALSE(tokens_take(&t, &n));
    tokens_free(&t);
}

static void without_a_file_they_are_made_up(void) {
    char err[200];
    struct tokens t;
    struct token got;
    CU_ASSERT_TRUE_FATAL(tokens_load(&t, "", err, sizeof(err)));
    expect(&t, "rig-0", "rig-token-0000000000");
    expect(&t, "rig-1", "rig-token-0000000001");
    tokens_get(&t, UINT32_MAX, &got);
    CU_ASSERT_STRING_EQUAL(got.allocation, "rig-65535");
    CU_ASSERT_STRING_EQUAL(got.token, "rig-token-4294967295");
    tokens_free(&t);
}

static void a_file_that_is_not_there_is_told(void) {
    char err[200] = "";
    struct tokens t;
    CU_ASSERT_FALSE(tokens_load(&t, "/nowhere/tokens", err, sizeof(err)));
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "/nowhere/tokens"));
}

int main(void) {
    static const struct suite_case cases[] = {
        {"each line is a token", each_line_is_a_token},
        {"without a file they are made up", without_a_file_they_are_made_up},
        {"a file that is not there is told", a_file_that_is_not_there_is_told},
    };
    int fd = mkstemp(path);
    if (fd < 0)
        return 2;
    close(fd);
    int rc = suite_run("rig/tokens", cases, sizeof(cases) / sizeof(cases[0]));
    unlink(path);
    return rc;
}

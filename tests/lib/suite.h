/* A CUnit suite that reports in TAP, one line a case, so that the runner counts cases.
 *
 *   static void frame_is_parsed(void) { CU_ASSERT_EQUAL(...); }
 *   int main(void) {
 *       static const struct suite_case cases[] = {{"frame is parsed", frame_is_parsed}};
 *       return suite_run("web/ws", cases, sizeof(cases) / sizeof(cases[0]));
 *   }
 */
#ifndef TESTS_LIB_SUITE_H
#define TESTS_LIB_SUITE_H

#include <CUnit/CUnit.h>
#include <stddef.h>

struct suite_case {
    const char *name;
    void (*run)(void);
};

/* Returns the exit status: 0 when every case passed. */
int suite_run(const char *suite, const struct suite_case *cases, size_t count);

#endif

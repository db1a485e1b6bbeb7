#include "tests/lib/suite.h"
#include <CUnit/Basic.h>
#include <stdio.h>
#include <string.h>

static void print_failures(void) {
    for (CU_pFailureRecord f = CU_get_failure_list(); f; f = f->pNext)
        printf("# %s:%u: %s\n", f->strFileName, f->uiLineNumber, f->strCondition);
}

static int run_case(CU_pSuite suite, CU_pTest test, size_t number, const char *suite_name) {
    CU_ErrorCode error = CU_run_test(suite, test);
    int bad = error != CUE_SUCCESS || CU_get_number_of_failures() != 0;
    printf("%s %zu - %s: %s\n", bad ? "not ok" : "ok", number, suite_name, test->pName);
    if (bad)
        print_failures();
    fflush(stdout);
    return bad;
}

int suite_run(const char *suite_name, const struct suite_case *cases, size_t count) {
    int failed = 0;
    if (CU_initialize_registry() != CUE_SUCCESS)
        return 1;
    CU_basic_set_mode(CU_BRM_SILENT);
    CU_pSuite suite = CU_add_suite(suite_name, NULL, NULL);
    printf("1..%zu\n", count);
    for (size_t i = 0; suite && i < count; i++) {
        CU_pTest test = CU_add_test(suite, cases[i].name, cases[i].run);
        failed += test ? run_case(suite, test, i + 1, suite_name) : 1;
    }
    CU_cleanup_registry();
    return failed != 0 || !suite;
}

/* What can be done with reports once they are written. Exit status: 0 done, 2 a report
 * cannot be read (or a plot not be written). */
#ifndef TGW_RIG_REPORTS_H
#define TGW_RIG_REPORTS_H

#include <cjson/cJSON.h>

int compare_reports(const char *before, const char *after);
int plot_report(const char *report, const char *directory);
/* NULL: said why on standard error. */
cJSON *report_read(const char *path);

#endif

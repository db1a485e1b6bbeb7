/* Aligned text columns. Cells are copied; what is not printable ASCII or UTF-8 is shown as
 * '?', since cells come from clients of the gateway and go to an operator's terminal. */
#ifndef TGW_CLI_TABLE_H
#define TGW_CLI_TABLE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdio.h>

enum { TABLE_COLUMNS_MAX = 16, TABLE_CELL_BYTES = 96 };

struct table {
    size_t columns, rows, room;
    bool failed; /* memory was short: printed as a remark */
    char (*cell)[TABLE_CELL_BYTES];
};

void table_init(struct table *t, size_t columns);
/* The next cell, row by row from the left. */
__attribute__((format(printf, 2, 3))) void table_add(struct table *t, const char *format, ...);
/* A JSON value as a cell; "-" for none. */
void table_add_json(struct table *t, const cJSON *value);
/* Numbers stand right, all else left. Releases the table. */
void table_print(struct table *t, FILE *out);

/* A JSON value as the text of a cell. */
void json_text(const cJSON *value, char *out, size_t bytes);
/* Replaces control characters in place. */
void text_sanitize(char *text);

#endif

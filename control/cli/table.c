#include "table.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void table_init(struct table *t, size_t columns) {
    *t = (struct table){.columns = columns < TABLE_COLUMNS_MAX ? columns : TABLE_COLUMNS_MAX};
}

void text_sanitize(char *text) {
    for (unsigned char *p = (unsigned char *)text; *p; p++)
        if (*p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0))
            *p = '?';
}

static char *next_cell(struct table *t) {
    if (t->rows == t->room) {
        size_t room = t->room ? 2 * t->room : 64;
        void *cell = reallocarray(t->cell, room, sizeof(t->cell[0]));
        t->failed |= !cell;
        if (!cell)
            return NULL;
        t->cell = cell;
        t->room = room;
    }
    return t->cell[t->rows++];
}

void table_add(struct table *t, const char *format, ...) {
    char *cell = t->failed ? NULL : next_cell(t);
    va_list v;
    if (!cell)
        return;
    va_start(v, format);
    vsnprintf(cell, TABLE_CELL_BYTES, format, v);
    va_end(v);
    text_sanitize(cell);
}

static void list_text(const cJSON *list, char *out, size_t bytes) {
    const cJSON *item;
    size_t len = 0;
    out[0] = 0;
    cJSON_ArrayForEach(item, list) {
        char one[TABLE_CELL_BYTES];
        json_text(item, one, sizeof(one));
        int n = snprintf(out + len, bytes - len, "%s%s", len ? ", " : "", one);
        if (n < 0 || (size_t)n >= bytes - len)
            return;
        len += (size_t)n;
    }
}

void json_text(const cJSON *value, char *out, size_t bytes) {
    if (cJSON_IsString(value))
        snprintf(out, bytes, "%s", value->valuestring);
    else if (cJSON_IsNumber(value))
        snprintf(out, bytes, "%.15g", value->valuedouble);
    else if (cJSON_IsBool(value))
        snprintf(out, bytes, "%s", cJSON_IsTrue(value) ? "yes" : "no");
    else if (cJSON_IsArray(value))
        list_text(value, out, bytes);
    else if (!cJSON_IsObject(value) || !cJSON_PrintPreallocated((cJSON *)value, out, (int)bytes, 0))
        snprintf(out, bytes, "-");
    if (!out[0])
        snprintf(out, bytes, "-");
}

void table_add_json(struct table *t, const cJSON *value) {
    char text[TABLE_CELL_BYTES];
    json_text(value, text, sizeof(text));
    table_add(t, "%s", text);
}

/* Characters, not bytes: the continuation bytes of UTF-8 take no column. */
static size_t width_of(const char *text) {
    size_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static bool is_number(const char *text) {
    return text[0] != 0 && text[strspn(text, "0123456789.")] == 0 && strchr(text, '.') == NULL;
}

static bool column_is_numeric(const struct table *t, size_t column) {
    bool any = false;
    for (size_t i = t->columns + column; i < t->rows; i += t->columns) {
        if (strcmp(t->cell[i], "-") != 0 && !is_number(t->cell[i]))
            return false;
        any = true;
    }
    return any;
}

void table_print(struct table *t, FILE *out) {
    size_t width[TABLE_COLUMNS_MAX] = {0};
    bool right[TABLE_COLUMNS_MAX];
    for (size_t i = 0; i < t->rows; i++) {
        size_t w = width_of(t->cell[i]), *column = &width[i % t->columns];
        *column = w > *column ? w : *column;
    }
    for (size_t i = 0; i < t->columns; i++)
        right[i] = column_is_numeric(t, i);
    for (size_t i = 0; i < t->rows; i++) {
        size_t column = i % t->columns;
        int pad = (int)(width[column] - width_of(t->cell[i]));
        bool last = column + 1 == t->columns || i + 1 == t->rows;
        if (right[column])
            fprintf(out, "%*s%s%s", pad, "", t->cell[i], last ? "\n" : "  ");
        else
            fprintf(out, "%s%*s%s", t->cell[i], last ? 0 : pad, "", last ? "\n" : "  ");
    }
    if (t->failed)
        fputs("(memory is short: the table is cut)\n", out);
    free(t->cell);
    table_init(t, t->columns);
}

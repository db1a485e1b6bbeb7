/* Small files, read and replaced whole. */
#ifndef TGW_CONTROL_FILES_H
#define TGW_CONTROL_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* malloc'd, with a NUL behind its *len bytes. NULL with errno; EFBIG beyond `max`. */
char *file_read(const char *path, size_t max, size_t *len);
/* Readers see the old file or the new one, also over a crash. Mode 0 keeps that of the old.
 * False with errno, the old one untouched. */
bool file_replace(const char *path, const char *text, size_t len, mode_t mode);

#endif

#include "files.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *file_read(const char *path, size_t max, size_t *len) {
    FILE *f = fopen(path, "re");
    char *text = f ? malloc(max + 1) : NULL;
    if (!text) {
        if (f)
            fclose(f);
        return NULL;
    }
    *len = fread(text, 1, max, f);
    bool whole = !ferror(f) && fgetc(f) == EOF;
    fclose(f);
    text[*len] = 0;
    if (whole)
        return text;
    free(text);
    errno = EFBIG;
    return NULL;
}

static bool write_all(int fd, const char *text, size_t len) {
    while (len > 0) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0) {
            text += n;
            len -= (size_t)n;
        }
    }
    return fsync(fd) == 0;
}

bool file_replace(const char *path, const char *text, size_t len, mode_t mode) {
    char fresh[512];
    struct stat old;
    if (mode == 0)
        mode = stat(path, &old) == 0 ? old.st_mode & 07777 : 0640;
    if (snprintf(fresh, sizeof(fresh), "%s.new", path) >= (int)sizeof(fresh)) {
        errno = ENAMETOOLONG;
        return false;
    }
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return false;
    bool good = write_all(fd, text, len);
    if (close(fd) == 0 && good && rename(fresh, path) == 0)
        return true;
    int why = errno;
    unlink(fresh);
    errno = why;
    return false;
}

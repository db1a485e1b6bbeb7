#include "log.h"
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

static void print_escaped(const char *s) {
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c < 0x20)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
}

void log_line(enum log_level level, const char *event, const char *format, ...) {
    static const char *const names[] = {"DEBUG", "INFO", "WARN", "ERROR"};
    char message[512], ts[40];
    struct timespec now;
    struct tm tm;
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    strftime(ts, sizeof(ts), "%Y-%m-%dT%H:%M:%S", &tm);
    printf("{\"ts\":\"%s.%03ldZ\",\"level\":\"%s\",\"service\":\"gpuaas-terminal-gateway\","
           "\"event\":\"%s\",\"message\":\"",
           ts, now.tv_nsec / 1000000, names[level], event);
    print_escaped(message);
    puts("\"}");
    fflush(stdout);
}

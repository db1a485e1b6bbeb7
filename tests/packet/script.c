#include "tests/packet/script.h"
#include "core/timer.h"
#include "tests/packet/run.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { LINES_MAX = 600, PATH_MAX_BYTES = 512, INCLUDE_DEPTH = 4, NS_A_SEQUENCE = 4000 };

/* Somewhere past zero, on a tick of the timers, and idle for 25 days fits before it. */
static const uint64_t START_NS = UINT64_C(3000000) * 1000000000;

/* The text of a script. */
struct lines {
    char *text;
    const char *line[LINES_MAX];
    unsigned count;
};

/* What a script that must fail says of itself: `fails LINE TEXT`. */
struct failure {
    unsigned line;
    char text[WORDS_LINE_MAX];
};

bool run_fail(struct run *r, const char *format, ...) {
    char what[800];
    va_list ap;
    va_start(ap, format);
    vsnprintf(what, sizeof(what), format, ap);
    va_end(ap);
    if (!r->failed) {
        snprintf(r->message, sizeof(r->message), "%s:%u: expected %s", r->path, r->line, what);
        r->failed_line = r->line;
    }
    r->failed = true;
    return false;
}

static bool load(struct lines *l, const char *path) {
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t room = 0, used = 0;
    ssize_t n;
    memset(l, 0, sizeof(*l));
    l->text = f ? calloc(1, LINES_MAX * WORDS_LINE_MAX) : NULL;
    bool ok = l->text != NULL;
    while (ok && (n = getline(&line, &room, f)) >= 0) {
        ok = l->count < LINES_MAX && n < WORDS_LINE_MAX;
        if (!ok)
            break;
        l->line[l->count++] = memcpy(l->text + used, line, (size_t)n + 1);
        used += (size_t)n + 1;
    }
    free(line);
    if (f)
        fclose(f);
    if (!ok) {
        free(l->text);
        l->text = NULL;
    }
    return ok;
}

static bool run_file(struct run *r, const char *path, unsigned depth);

/* Another file's lines here; its path is relative to ours. */
static bool include(struct run *r, struct words *w, unsigned depth) {
    char path[PATH_MAX_BYTES];
    const char *file = words_at(w, 1), *slash = strrchr(r->path, '/'), *here = r->path;
    unsigned line = r->line;
    if (!file || depth == INCLUDE_DEPTH)
        return run_fail(r, "a file to include");
    snprintf(path, sizeof(path), "%.*s%s", slash ? (int)(slash - here + 1) : 0, here, file);
    bool ok = run_file(r, path, depth + 1);
    r->path = here;
    r->line = line;
    return ok;
}

static bool let_time_pass(struct run *r, const char *text) {
    char seen[SEGMENT_TEXT_MAX + 64];
    uint64_t wait_ns;
    if (!words_is_time(text + 1, &wait_ns))
        return run_fail(r, "a time: %s", text);
    if (!r->host)
        r->host = host_open(&r->setup, r->mbufs, r->start_ns);
    if (!r->host)
        return run_fail(r, "memory for a stack");
    uint64_t until_ns = r->host->now_ns + wait_ns;
    if (wait_ns && verb_unexpected(r, seen))
        return run_fail(r, "nothing more before %s\nseen %s", r->text, seen);
    host_advance(r->host, until_ns);
    if (r->host->now_ns == until_ns)
        return true;
    verb_unexpected(r, seen);
    return run_fail(r, "nothing before %s\nseen %s", r->text, seen);
}

static bool run_timed(struct run *r, struct words *w, const char *line) {
    snprintf(r->text, sizeof(r->text), "%.*s", (int)strcspn(line, "#\n"), line);
    if (r->trace)
        printf("# %s:%u: %s\n", r->path, r->line, r->text);
    if (w->count < 2 || w->word[0][0] != '+')
        return run_fail(r, "+TIME and a verb");
    if (!let_time_pass(r, w->word[0]))
        return false;
    memmove(w->word, w->word + 1, --w->count * sizeof(w->word[0]));
    bool ok = verb_run(r, w);
    if (r->finding_iss && host_conn(r->host, HOST_PEER_PORT)->our_iss_known)
        return false;
    return ok;
}

static unsigned end_of_block(const struct lines *l, unsigned at, unsigned last) {
    struct words w;
    for (unsigned depth = 1; at < last; at++) {
        words_split(&w, l->line[at]);
        if (w.count && strcmp(w.word[0], "repeat") == 0)
            depth++;
        if (w.count && strcmp(w.word[0], "end") == 0 && --depth == 0)
            break;
    }
    return at;
}

/* Lines [first, last). */
static bool run_lines(struct run *r, const struct lines *l, unsigned first, unsigned last,
                      unsigned depth) {
    bool ok = true;
    for (unsigned i = first; ok && i < last; i++) {
        struct words w;
        r->line = i + 1;
        if (!words_split(&w, l->line[i]))
            return run_fail(r, "a shorter line");
        if (w.count == 0 || strcmp(w.word[0], "fails") == 0)
            continue;
        if (strcmp(w.word[0], "config") == 0) {
            ok = !r->host ? verb_config(r, &w) : run_fail(r, "config before all else");
        } else if (strcmp(w.word[0], "include") == 0) {
            ok = include(r, &w, depth);
        } else if (strcmp(w.word[0], "repeat") == 0) {
            int64_t times = 0;
            unsigned end = end_of_block(l, i + 1, last);
            if (w.count != 2 || !words_is_number(w.word[1], &times) || end == last)
                return run_fail(r, "repeat TIMES ... end");
            for (; ok && times > 0; times--)
                ok = run_lines(r, l, i + 1, end, depth);
            i = end;
        } else {
            ok = run_timed(r, &w, l->line[i]);
        }
    }
    return ok;
}

static bool run_file(struct run *r, const char *path, unsigned depth) {
    struct lines l;
    r->path = path;
    r->line = 0;
    if (!load(&l, path))
        return run_fail(r, "a readable script of at most %d lines", LINES_MAX);
    bool ok = run_lines(r, &l, 0, l.count, depth);
    free(l.text);
    return ok;
}

static bool run_once(struct run *r, const char *path) {
    char text[SEGMENT_TEXT_MAX + 64];
    host_setup_defaults(&r->setup);
    bool ok = run_file(r, path, 0);
    if (ok && r->host && verb_unexpected(r, text))
        ok = run_fail(r, "the end\nseen %s", text);
    return ok;
}

static void close_host(struct run *r) {
    if (r->host && !host_close(r->host))
        run_fail(r, "every packet back in its pool");
    r->host = NULL;
}

/* Our ISS is a clock of 4 us plus what the stack keeps secret (RFC 6528): start later by as
 * much as it is short of what the script wants, to the next tick of the timers. */
static void aim_iss(struct run *r, const char *path) {
    const uint32_t tick = TIMER_TICK_NS / NS_A_SEQUENCE;
    r->finding_iss = true;
    run_once(r, path);
    r->finding_iss = false;
    const struct conn *c = r->host ? host_conn(r->host, HOST_PEER_PORT) : NULL;
    uint32_t short_of = c && c->our_iss_known ? r->our_iss - c->our_iss : 0;
    close_host(r);
    r->start_ns += (uint64_t)(short_of + tick - 1) / tick * TIMER_TICK_NS;
}

/* A `fails` line anywhere in the script. */
static bool must_fail(const char *path, struct failure *out) {
    struct lines l;
    bool found = false;
    if (!load(&l, path))
        return false;
    for (unsigned i = 0; i < l.count; i++)
        found |= sscanf(l.line[i], "fails %u %255[^\n]", &out->line, out->text) == 2;
    free(l.text);
    return found;
}

static bool wants_our_iss(const char *path) {
    struct lines l;
    bool found = false;
    if (!load(&l, path))
        return false;
    for (unsigned i = 0; i < l.count; i++)
        found |= strncmp(l.line[i], "config", 6) == 0 && strstr(l.line[i], "our_iss=");
    free(l.text);
    return found;
}

bool script_run(const char *path, struct rte_mempool *mbufs, bool trace, char *message,
                size_t message_bytes) {
    struct run *r = calloc(1, sizeof(*r));
    struct failure f;
    *message = 0;
    if (!r)
        return false;
    r->mbufs = mbufs;
    r->start_ns = START_NS;
    if (wants_our_iss(path))
        aim_iss(r, path);
    r->trace = trace;
    run_once(r, path);
    close_host(r);
    bool good = !r->failed;
    snprintf(message, message_bytes, "%s", r->message);
    if (must_fail(path, &f)) {
        good = r->failed && r->failed_line == f.line && strstr(r->message, f.text);
        if (!good)
            snprintf(message, message_bytes, "%s: to fail in line %u: %s\nseen: %s", path, f.line,
                     f.text, r->failed ? r->message : "no failure");
    }
    free(r);
    return good;
}

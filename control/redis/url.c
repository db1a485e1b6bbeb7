#include "url.h"
#include <stdlib.h>
#include <string.h>

struct span {
    const char *at;
    size_t len;
};

static int hex(char c) {
    const char *digits = "0123456789abcdef";
    const char *at = c ? strchr(digits, c | 0x20) : NULL;
    return at ? (int)(at - digits) : -1;
}

static bool decode(struct span in, char *out, size_t size) {
    size_t n = 0;
    for (size_t i = 0; i < in.len; i++) {
        char c = in.at[i];
        if (c == '%') {
            int high = i + 2 < in.len ? hex(in.at[i + 1]) : -1;
            int low = high >= 0 ? hex(in.at[i + 2]) : -1;
            if (low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (c == 0 || n + 1 >= size)
            return false;
        out[n++] = c;
    }
    out[n] = 0;
    return true;
}

static bool number(struct span s, uint32_t max, uint32_t *out) {
    uint32_t n = 0;
    if (s.len == 0 || s.len > 5)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] < '0' || s.at[i] > '9')
            return false;
        n = n * 10 + (uint32_t)(s.at[i] - '0');
    }
    *out = n;
    return n <= max;
}

static const char *scheme(const char *text, struct redis_url *u) {
    static const struct {
        const char *name;
        enum redis_mode mode;
        bool tls;
    } known[] = {
        {"redis://", REDIS_SINGLE, false},
        {"rediss://", REDIS_SINGLE, true},
        {"redis-sentinel://", REDIS_SENTINEL, false},
        {"rediss-sentinel://", REDIS_SENTINEL, true},
        {"redis-cluster://", REDIS_CLUSTER, false},
        {"rediss-cluster://", REDIS_CLUSTER, true},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        size_t len = strlen(known[i].name);
        if (strncmp(text, known[i].name, len) != 0)
            continue;
        u->mode = known[i].mode;
        u->tls = known[i].tls;
        return text + len;
    }
    return NULL;
}

static bool credentials(struct span s, struct redis_url *u) {
    const char *colon = memchr(s.at, ':', s.len);
    if (!colon)
        return false; /* a user alone proves nothing */
    struct span user = {s.at, (size_t)(colon - s.at)};
    struct span password = {colon + 1, s.len - user.len - 1};
    return password.len > 0 && decode(user, u->user, sizeof(u->user)) &&
           decode(password, u->password, sizeof(u->password));
}

static bool host(struct span s, struct redis_url *u) {
    struct redis_address *a = &u->host[u->hosts];
    uint32_t port = u->mode == REDIS_SENTINEL ? REDIS_SENTINEL_PORT : REDIS_PORT;
    struct span name = s, rest;
    if (u->hosts == REDIS_HOSTS_MAX || s.len == 0)
        return false;
    const char *end = s.at[0] == '[' ? memchr(s.at, ']', s.len) : memchr(s.at, ':', s.len);
    if (s.at[0] == '[') {
        if (!end)
            return false;
        name = (struct span){s.at + 1, (size_t)(end - s.at) - 1};
        end++;
    } else if (end) {
        name.len = (size_t)(end - s.at);
    }
    rest = end ? (struct span){end, (size_t)(s.at + s.len - end)} : (struct span){s.at, 0};
    if (rest.len && (rest.at[0] != ':' ||
                     !number((struct span){rest.at + 1, rest.len - 1}, 65535, &port) || port == 0))
        return false;
    if (name.len == 0 || name.len >= sizeof(a->host))
        return false;
    memcpy(a->host, name.at, name.len);
    a->host[name.len] = 0;
    a->port = (uint16_t)port;
    u->hosts++;
    return true;
}

static bool hosts(struct span s, struct redis_url *u) {
    for (;;) {
        const char *comma = memchr(s.at, ',', s.len);
        size_t len = comma ? (size_t)(comma - s.at) : s.len;
        if (!host((struct span){s.at, len}, u))
            return false;
        if (!comma)
            return u->mode != REDIS_SINGLE || u->hosts == 1;
        s = (struct span){comma + 1, s.len - len - 1};
    }
}

/* "/MASTER/DATABASE" or "/DATABASE", each of which may be left out at the end. */
static const char *path(const char *at, struct redis_url *u) {
    if (u->mode == REDIS_SENTINEL) {
        size_t len = *at ? strcspn(at + 1, "/") : 0;
        if (len == 0 || !decode((struct span){at + 1, len}, u->master, sizeof(u->master)))
            return "expected /MASTER behind the sentinels";
        at += 1 + len;
    }
    if (!*at || strcmp(at, "/") == 0)
        return NULL;
    if (u->mode == REDIS_CLUSTER)
        return "a cluster has no numbered databases";
    if (!number((struct span){at + 1, strlen(at + 1)}, 65535, &u->database))
        return "expected a database's number at the end";
    return NULL;
}

const char *redis_url_parse(const char *text, struct redis_url *out) {
    *out = (struct redis_url){0};
    const char *at = scheme(text, out);
    if (!at)
        return "expected redis://, rediss://, redis-sentinel:// or redis-cluster://";
    size_t len = strcspn(at, "/?#");
    const char *end = at + len;
    if (*end == '?' || *end == '#')
        return "has parameters, and there are none";
    const char *sign = NULL;
    for (const char *p = at; p < end; p++)
        sign = *p == '@' ? p : sign;
    if (sign && !credentials((struct span){at, (size_t)(sign - at)}, out))
        return "expected USER:PASSWORD before the @";
    if (sign)
        at = sign + 1;
    if (!hosts((struct span){at, (size_t)(end - at)}, out))
        return "expected HOST:PORT";
    return path(end, out);
}

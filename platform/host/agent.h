/* tgw-agent: the node's end of a terminal session (contract section 4). One process a
 * session: what happens in one cannot touch another, and its PTY dies with it. */
#ifndef TGW_PLATFORM_HOST_AGENT_H
#define TGW_PLATFORM_HOST_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum program { PROGRAM_SHELL, PROGRAM_ECHO, PROGRAM_SINK, PROGRAM_FLOOD };

struct options {
    char listen[64];
    const char *secret_file, *shell;
    enum program program;
    uint32_t sessions_max;
    uint8_t secret[1024];
    size_t secret_len;
};

/* What the gateway asked for. */
struct request {
    char allocation_id[65], session_id[65], correlation_id[129], trace_id[33];
    char ws_key[25];
    uint16_t cols, rows;
    bool channel;
};

/* upgrade.c: read the head from `fd` and answer it. False: refused, answered. */
bool upgrade(int fd, const struct options *o, struct request *r);
/* grant.c: HS256 over the shared secret, iss, aud, sid, exp. NULL when good, else why not. */
const char *grant_check(const char *grant, const struct options *o, const struct request *r,
                        uint64_t now_s);
/* terminal.c: frames and PTY until the end. */
void terminal_run(int fd, const struct options *o, const struct request *r);
/* log.c */
void agent_log(const char *level, const char *event, const struct request *r, const char *message);

#endif

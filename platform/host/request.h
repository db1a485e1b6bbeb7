/* The gateway's upgrade request (contract section 4). Sees bytes only. */
#ifndef TGW_HOST_REQUEST_H
#define TGW_HOST_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { REQUEST_HEAD_MAX = 8192, REQUEST_BEARER_MAX = 1024 };

struct request {
    char allocation_id[65];
    char session_id[65];
    char correlation_id[129];
    char trace_id[33];
    char resource_name[513]; /* printable, as the gateway named it; for the log */
    char user_id[65];        /* the grant's, once it is verified */
    bool channel;            /* mode=channel */
    uint16_t cols, rows;
};

struct request_error {
    int status;
    const char *code, *message;
};

/* Length of the head with its empty line; 0: not whole yet. */
size_t request_head_bytes(const uint8_t *data, size_t len);

/* key: Sec-WebSocket-Key; bearer: the grant, "" for none. False: err says why. */
bool request_parse(const char *head, size_t len, struct request *r, char key[25],
                   char bearer[REQUEST_BEARER_MAX + 1], struct request_error *err);

/* Both write a whole answer and return its length. */
size_t request_write_accept(const struct request *r, const char *key, char *out, size_t size);
size_t request_write_error(const struct request *r, const struct request_error *e, char *out,
                           size_t size);

/* A grant: HS256, our issuer, this allocation and session, not expired. Writes the user.
 * NULL: good; else what is wrong with it. */
const char *grant_check(const char *grant, const uint8_t *secret, size_t secret_len, uint64_t now_s,
                        struct request *r);

#endif

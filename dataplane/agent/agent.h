/* The node-agent leg's handshake (contract section 4): what to send and how to read
 * the answer. Sees bytes only; session/ owns the stream and the timers. */
#ifndef TGW_AGENT_AGENT_H
#define TGW_AGENT_AGENT_H

#include "contract/cmd.h"
#include "web/http1.h"

struct agent_request {
    const struct tgw_ident *ident;
    const char *grant;
    struct tgw_endpoint agent;
    uint16_t cols, rows;
    uint8_t mode;       /* enum tgw_frame_mode */
    uint8_t key[16];    /* random: Sec-WebSocket-Key before base64 */
    uint8_t span_id[8]; /* random: our span in traceparent */
};

/* Write the upgrade request; out->overflow tells that it did not fit. */
void agent_write_request(struct text_out *o, const struct agent_request *r);

/* Bytes the answer's head may have. */
enum { AGENT_ANSWER_BYTES_MAX = 4096 };

/* Read the front of what the agent sent. TGW_OK with *head_bytes > 0: upgraded, the
 * rest is frames. TGW_OK with *head_bytes 0: not whole yet. Else the refusal. */
enum tgw_reason agent_read_answer(const uint8_t *data, size_t len, const uint8_t key[16],
                                  size_t *head_bytes);

/* resource_name of the contract's section 3; at most 512 bytes with NUL. */
void agent_resource_name(const struct tgw_ident *i, char out[512]);

#endif

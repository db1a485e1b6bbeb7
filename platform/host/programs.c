/* The programs that stand in for a shell when a rig measures the way to it. */
#include "agent.h"

static void discard(struct conn *c, uint8_t opcode, const uint8_t *data, size_t len) {
    (void)c, (void)opcode, (void)data, (void)len;
}

const struct program program_echo = {
    .name = "echo", .passes_messages = true, .message = frames_message};

const struct program program_sink = {.name = "sink", .passes_messages = true, .message = discard};

/* Output byte n is n modulo 251, a prime: a lost or doubled piece of any likely length
 * shows. */
enum { FLOOD_PERIOD = 251 };

static void flood(struct conn *c) {
    uint8_t frame[FLOOD_FRAME_BYTES_MAX + 1] = {CHANNEL_STDOUT};
    size_t len = c->agent->flood_frame_bytes;
    if (!c->program_started)
        return;
    while (frames_room(c) >= len) {
        uint8_t n = (uint8_t)(c->sent % FLOOD_PERIOD);
        for (size_t i = 1; i <= len; i++) {
            frame[i] = n;
            n = n + 1 == FLOOD_PERIOD ? 0 : (uint8_t)(n + 1);
        }
        frames_output(c, frame, len);
    }
}

const struct program program_flood = {.name = "flood", .pump = flood};

/* Segments as a script writes them, with each side's numbers counted from its ISS. */
#ifndef TESTS_PACKET_SEGMENT_H
#define TESTS_PACKET_SEGMENT_H

#include "tests/packet/host.h"
#include "tests/packet/words.h"

enum { SEGMENT_TEXT_MAX = 320 };

/* The segment that the words of a `<` line describe, ready for the wire. `payload` is room
 * for its bytes. False: the words make no segment. */
bool segment_to_send(struct words *w, struct conn *c, struct seg *out, uint8_t *payload,
                     uint32_t payload_max);

/* What is wrong with a segment that was seen, by the words of a `>` line; NULL: nothing. */
const char *segment_mismatch(struct words *w, const struct conn *c, const struct seg *seen);

/* In the words of a script. */
void segment_text(const struct conn *c, const struct seg *seen, char out[SEGMENT_TEXT_MAX]);

#endif

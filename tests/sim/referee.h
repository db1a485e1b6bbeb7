/* Watches what the two ends of a wire send and knows what no TCP may: an oracle that
 * shares no code with the stack under test. */
#ifndef TESTS_SIM_REFEREE_H
#define TESTS_SIM_REFEREE_H

#include <stdint.h>

struct referee;

struct referee *referee_create(void);
void referee_destroy(struct referee *r);
/* A frame leaves by `end`. What is wrong with it, or NULL. */
const char *referee_sent(struct referee *r, unsigned end, const uint8_t *frame, uint32_t len);

#endif

/* Runs one script. The language is told in README.md beside the scripts. */
#ifndef TESTS_PACKET_SCRIPT_H
#define TESTS_PACKET_SCRIPT_H

#include <rte_mbuf.h>
#include <stdbool.h>
#include <stddef.h>

/* True when it held. Otherwise one or two lines in `message`: script:line, what was
 * expected, what was seen. `trace`: print everything that happens. */
bool script_run(const char *path, struct rte_mempool *mbufs, bool trace, char *message,
                size_t message_bytes);

#endif

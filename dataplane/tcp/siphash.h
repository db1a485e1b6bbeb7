/* SipHash-2-4 (Aumasson and Bernstein): keyed, so that a stranger cannot aim at one
 * bucket of the flow table or guess a sequence number (RFC 6528 section 3). */
#ifndef TGW_TCP_SIPHASH_H
#define TGW_TCP_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

/* `len` must be a multiple of 8. */
uint64_t siphash(const uint64_t key[2], const void *data, size_t len);

#endif

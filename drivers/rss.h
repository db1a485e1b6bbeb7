/* Receive side scaling: which queue a packet lands on, computed as the port does
 * (Toeplitz). Both directions of a connection hash alike under the symmetric key. */
#ifndef TGW_DRIVERS_RSS_H
#define TGW_DRIVERS_RSS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RSS_KEY_MAX = 64, RSS_TABLE_MAX = 2048 };

struct port_rss {
    bool ports4, ports6; /* the hash covers TCP ports, not addresses alone */
    uint16_t table_size;
    uint8_t key_bytes;
    uint8_t key[RSS_KEY_MAX];
    uint16_t table[RSS_TABLE_MAX]; /* hash modulo table_size -> queue */
};

/* 6d5a repeated: two bytes are the period of addresses' and ports' positions, so swapping
 * source and destination leaves the hash as it is. */
void rss_symmetric_key(uint8_t *key, size_t bytes);
/* Addresses in the 16-byte form, IPv4 as ::ffff:a.b.c.d. */
uint32_t rss_hash(const struct port_rss *r, const uint8_t src[16], const uint8_t dst[16],
                  uint16_t sport, uint16_t dport);
uint16_t rss_queue(const struct port_rss *r, const uint8_t src[16], const uint8_t dst[16],
                   uint16_t sport, uint16_t dport);

#endif

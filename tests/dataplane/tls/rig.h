/* A core's TLS between a virtual lower stream and OpenSSL as the peer, in memory, on a
 * virtual clock, with handshake threads that run when told to. */
#ifndef TESTS_TLS_RIG_H
#define TESTS_TLS_RIG_H

#include "tests/lib/fake_stream.h"
#include "tests/lib/suite.h"
#include "tls/conn.h"

enum { RIG_PEERS = 64, RIG_WIRE_BYTES = 1 << 20 };

struct peer;

struct rig {
    struct tls_context_config files;
    struct tls_config config;
    struct tls_context *context;
    struct tls_workers *workers;
    struct tls_core *core;
    struct tgw_counters counters;
    uint64_t now_ns, unix_s, random;
    struct peer *peer[RIG_PEERS]; /* by remote port */
    struct peer *dialled;
    bool refuse;       /* accepted() says no */
    uint32_t refusals; /* told of, and of the last one: */
    enum tgw_reason refusal;
    uint16_t refused_port;
    uint64_t refused_after_ms;
    uint32_t threads; /* that shake hands by themselves; 0: when told to */
};

/* A connection: OpenSSL, the wire, us, and the owner above us. */
struct peer {
    struct rig *rig;
    SSL *ssl;
    struct fake_stream lower;
    struct tls_conn *conn;
    struct stream up; /* impl NULL: not accepted yet, or gone */
    uint16_t port;
    size_t piece; /* most bytes a turn in either direction; 0: all */
    bool closed;
    enum stream_end end;
    uint32_t readable, writable, connected;
    bool echo;                   /* the owner writes back what it reads */
    bool idle;                   /* the owner does not read */
    uint8_t got[RIG_WIRE_BYTES]; /* what the owner read */
    size_t got_len;
};

/* Where certificates stand: made once a process, removed at its end. */
const char *rig_dir(void);
/* Write NAME.pem and NAME.key: self-signed, `type` "EC" or "RSA", for DNS name `host`. */
void rig_certificate(const char *name, const char *type, const char *host, int days);
/* "DIR/name" in one of a few static buffers. */
const char *rig_path(const char *name);

/* Certificate `i` of the configuration: NAME.pem and NAME.key, and NAME.ocsp where `ocsp`. */
void rig_use(struct rig *r, uint32_t i, const char *name, bool ocsp);
/* Defaults: one EC certificate for "gateway.test", TLS 1.2 for 4 connections. */
void rig_defaults(struct rig *r);
void rig_start(struct rig *r);
/* Checks that nothing is left. */
void rig_stop(struct rig *r);
uint64_t rig_random(struct rig *r);
uint64_t rig_counter(const struct rig *r, enum tgw_counter c);
uint64_t rig_reason(const struct rig *r, enum tgw_reason reason);
/* Let time pass. */
void rig_wait(struct rig *r, uint64_t ms);

/* Another core's worth of TLS in place of what rig_start() made, with the same owner. */
void rig_restart(struct rig *r);

/* A client's SSL_CTX that trusts anything; the caller's to free. */
SSL_CTX *rig_client_ctx(void);
/* Connect to a core; the handshake has not begun. NULL when refused at once. */
struct peer *peer_connect(struct rig *r, SSL_CTX *client);
/* We dial 198.18.1.HOST, where `server` answers. NULL: it could not even begin. */
struct peer *peer_dial(struct rig *r, SSL_CTX *server, uint8_t host);
void peer_free(struct peer *p);
/* Let bytes flow until nothing moves. */
void peer_run(struct peer *p);
/* One turn; true when something moved. */
bool peer_turn(struct peer *p);
/* Connect and shake hands; asserts that it worked. */
struct peer *peer_open(struct rig *r, SSL_CTX *client);
/* Bytes that the peer has written and we have not got yet, taken off the wire. */
size_t peer_take_wire(struct peer *p, uint8_t *out, size_t size);
/* Bytes arrive at us, without a turn of anything else. */
void peer_inject(struct peer *p, const uint8_t *data, size_t len);
void peer_inject_fin(struct peer *p);
/* What the peer's application reads now. */
size_t peer_read(struct peer *p, uint8_t *out, size_t size);
bool peer_write(struct peer *p, const void *data, size_t len);
/* The owner writes; returns how many. */
size_t up_write(struct peer *p, const void *data, size_t len);

#endif

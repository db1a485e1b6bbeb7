/* A handshake on its way between a core and a handshake thread. Whoever took it from a
 * ring owns all of it until it goes back through one. Private to tls/. */
#ifndef TGW_TLS_JOB_H
#define TGW_TLS_JOB_H

#include "contract/reason.h"
#include "contract/ring.h"
#include "tls/context.h"
#include "tls/provider.h"
#include "tls/record.h"

enum { TLS_JOB_IN_BYTES = 4096 };

enum tls_job_state {
    TLS_JOB_RUN,     /* to the thread: bytes in `in`; back: more are needed */
    TLS_JOB_DONE,    /* back: TLS 1.3, secrets are here */
    TLS_JOB_DONE12,  /* back: TLS 1.2, `ssl` goes to the connection */
    TLS_JOB_FAILED,  /* back: with `reason`, an alert may be in `out` */
    TLS_JOB_RELEASE, /* to the thread: free what you hold; back: freed */
};

struct tls_hs;

struct tls_job {
    struct tls_hs *hs; /* the core's; NULL: the connection is gone */
    uint8_t state;     /* enum tls_job_state */
    bool client;       /* our role */
    uint16_t in_len;
    uint16_t used; /* of `in`: the rest comes behind the handshake */
    uint16_t reason;
    const uint8_t *out; /* to be sent, valid until the job goes to the thread again */
    size_t out_len;
    SSL *ssl;
    struct tls_set *set;
    /* The outcome. */
    bool resumed;
    bool took12; /* a place among the TLS 1.2 connections */
    uint8_t suite;
    uint64_t write_seq; /* records already written under the application key */
    struct tls_secrets secrets;
    uint8_t agent_addr[16]; /* client role: whom the certificate must name */
    uint8_t in[TLS_JOB_IN_BYTES];
};

/* What a ring carries. */
struct tls_job_msg {
    struct tgw_msg msg;
    struct tls_job *job;
};

/* step.c: one step, on whichever thread owns the job. */
void tls_job_step(struct tls_context *x, struct tls_job *job);
#endif

/* Every fixed limit of the gateway, in one place and related by arithmetic.
 * Units stand last in the name. C headers only: both processes share this file. */
#ifndef TGW_CONTRACT_LIMITS_H
#define TGW_CONTRACT_LIMITS_H

enum {
    TGW_CORES_MAX = 16,
    TGW_PORTS_MAX = 4,
    TGW_PORT_ADDRS_MAX = 4, /* addresses a port, both families together */

    /* Request head: contract section 1. */
    TGW_HEAD_BYTES_MAX = 8192,
    TGW_HEAD_TIMEOUT_MS = 5000,
    TGW_TERMINAL_DIM_MAX = 1000, /* cols, rows: 1..1000 */
    TGW_COLS_DEFAULT = 80,
    TGW_ROWS_DEFAULT = 24,

    /* Identifiers (bytes, without a terminating NUL). */
    TGW_TOKEN_BYTES_MIN = 16,
    TGW_TOKEN_BYTES_MAX = 2048,
    TGW_TOKEN_HASH_BYTES = 32, /* SHA-256 */
    TGW_ALLOCATION_ID_MAX = 64,
    TGW_SESSION_ID_MAX = 64,
    TGW_USER_ID_MAX = 64,
    TGW_REGION_MAX = 32,
    TGW_TENANT_ID_MAX = 64,
    TGW_PROJECT_ID_MAX = 64,
    TGW_CORRELATION_ID_MIN = 8,
    TGW_CORRELATION_ID_MAX = 128,
    TGW_TRACE_ID_HEX = 32, /* W3C trace-id, lower-case hex */
    TGW_SPAN_ID_HEX = 16,
    TGW_ORIGIN_MAX = 256,
    TGW_GRANT_MAX = 1024, /* JWT handed to the agent */

    /* Setup deadlines. */
    TGW_AUTH_TIMEOUT_MS = 2000,     /* verdict of the control process */
    TGW_STORE_TIMEOUT_MS_MAX = 900, /* of the token store: a refusal comes within a second */
    TGW_AGENT_TIMEOUT_MS = 5000,    /* dial + upgrade, contract: 504 after 5 s */
    TGW_CLOSE_TIMEOUT_MS = 5000,    /* our Close sent, waiting for the peer's */

    /* Liveness: contract section 2. */
    TGW_PING_SILENCE_MS = 20000,
    TGW_PONG_LOST_MS = 45000,
    TGW_IDLE_NOTICE_S = 60,
    TGW_DRAIN_SPREAD_MS = 5000, /* from the deadline on sessions are closed one by one */
    TGW_DRAIN_CLOSE_MS = 2500,  /* their peers' time to answer the Close */
    TGW_DRAIN_FIN_MS = 1000,    /* ... and the FIN */
    TGW_DRAIN_EXIT_MS = 8900,   /* behind the deadline the process is gone */

    /* WebSocket. */
    TGW_WS_CONTROL_PAYLOAD_MAX = 125, /* RFC 6455 section 5.5 */
    TGW_WS_FRAME_PAYLOAD_MAX = 16 * 1024 * 1024,

    /* Shared rings. Slots are powers of two. */
    TGW_CMD_SLOT_BYTES = 2048,
    TGW_CMD_SLOTS = 1024,
    TGW_EVENT_SLOT_BYTES = 1024,
    TGW_EVENT_SLOTS = 4096,
    TGW_PACKET_BYTES_MAX = 960, /* kept of a captured packet */
    TGW_TRACE_TEXT_MAX = 640,   /* of a dead connection's last events */
    TGW_HEARTBEAT_PERIOD_MS = 100,
    TGW_HEARTBEAT_LOST_MS = 500,
};

_Static_assert((TGW_CMD_SLOTS & (TGW_CMD_SLOTS - 1)) == 0, "ring sizes are powers of two");
_Static_assert((TGW_EVENT_SLOTS & (TGW_EVENT_SLOTS - 1)) == 0, "ring sizes are powers of two");
_Static_assert(TGW_HEARTBEAT_LOST_MS >= 4 * TGW_HEARTBEAT_PERIOD_MS, "tolerate missed beats");
_Static_assert(TGW_PONG_LOST_MS >= 2 * TGW_PING_SILENCE_MS, "two pings before a leg is lost");
_Static_assert(TGW_DRAIN_SPREAD_MS + TGW_DRAIN_CLOSE_MS + TGW_DRAIN_FIN_MS < TGW_DRAIN_EXIT_MS,
               "every session is closed before the process goes");
_Static_assert(TGW_TOKEN_BYTES_MAX < TGW_HEAD_BYTES_MAX, "a token fits in a head");
_Static_assert(2 * TGW_STORE_TIMEOUT_MS_MAX < TGW_AUTH_TIMEOUT_MS, "looked at, then consumed");
_Static_assert(TGW_AUTH_TIMEOUT_MS < TGW_AGENT_TIMEOUT_MS, "authority answers before the agent");

#endif

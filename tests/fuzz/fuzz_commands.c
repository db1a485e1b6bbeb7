/* Commands from a control process that is broken or hostile, through the ring, at a table
 * whose sessions stand in every state. An act: what it does, a number, and for a command a
 * template's bytes written over. The ring's own indexes are at its mercy too. */
#include "contract/shm.h"
#include "tests/dataplane/session/rig.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ACTS_MAX = 64, PATCH_MAX = 32 };

struct input {
    const uint8_t *at;
    size_t left;
};

static uint32_t take(struct input *in, int bytes) {
    uint32_t n = 0;
    while (bytes--) {
        n = n << 8 | (in->left ? *in->at : 0);
        in->at += in->left > 0;
        in->left -= in->left > 0;
    }
    return n;
}

static uint32_t plausible_len(uint16_t type) {
    switch (type) {
    case TGW_CMD_VERDICT:
        return sizeof(struct tgw_cmd_verdict);
    case TGW_CMD_POLICY:
        return sizeof(struct tgw_cmd_policy);
    case TGW_CMD_LIST:
        return sizeof(struct tgw_cmd_list);
    default:
        return sizeof(struct tgw_cmd_session);
    }
}

/* Handles that the table gave out lately, and some that it did not. */
static tgw_handle some_handle(const struct rig *r, uint8_t which) {
    tgw_handle found = which;
    uint32_t skip = which / 4;
    for (uint32_t i = r->events; (which & 3) != 3 && i-- > 0;) {
        const union tgw_event *e = &r->event[i];
        if (e->msg.type != TGW_EV_AUTH)
            continue;
        found = e->auth.handle + (which & 2 ? (tgw_handle)1 << 32 : 0);
        if (skip-- == 0)
            break;
    }
    return found;
}

static void template(union tgw_cmd *cmd, tgw_handle h) {
    cmd->verdict = (struct tgw_cmd_verdict){
        .handle = h,
        .agent = {.addr = {[10] = 0xff, [11] = 0xff, 198, 18, 1, 1}, .port = 7681},
        .ident = {.allocation_id = "alloc-1",
                  .session_id = "session-1",
                  .correlation_id = "correlation-1",
                  .trace_id = "0123456789abcdef0123456789abcdef"},
        .grant = "head.body.signature"};
}

static void write_command(struct rig *r, struct input *in, struct tgw_ring *ring) {
    union tgw_cmd *cmd =
        (union tgw_cmd *)(ring->slots +
                          (atomic_load(&ring->head) % TGW_CMD_SLOTS) * TGW_CMD_SLOT_BYTES);
    uint32_t what = take(in, 1);
    memset(cmd, 0, sizeof(*cmd));
    template(cmd, some_handle(r, (uint8_t)take(in, 1)));
    cmd->msg = (struct tgw_msg){.type = (uint16_t)(what % 8), .seq = what};
    cmd->msg.len = (uint16_t)(what & 128 ? take(in, 2) : plausible_len(cmd->msg.type));
    if (cmd->msg.type == TGW_CMD_POLICY || cmd->msg.type == TGW_CMD_LIST)
        memset(cmd->slot + sizeof(cmd->msg), 0, 32);
    for (uint32_t patches = what >> 4 & 3; patches--;) {
        uint32_t at = take(in, 2), n = take(in, 1) % PATCH_MAX;
        while (n-- && in->left)
            cmd->slot[sizeof(cmd->msg) + at++ % (sizeof(*cmd) - sizeof(cmd->msg))] =
                (uint8_t)take(in, 1);
    }
    atomic_fetch_add(&ring->head, 1);
}

static void serve(struct rig *r, struct tgw_ring_end *end) {
    union tgw_cmd cmd;
    for (int n = 0; n < 64 && tgw_ring_pop(end, &cmd); n++)
        session_command(r->table, &cmd);
}

static void client(struct rig *r, struct input *in) {
    char target[64];
    uint32_t how = take(in, 1);
    if (r->fakes >= 200)
        return;
    struct fake *f = rig_connect(r);
    snprintf(target, sizeof(target), "/ws/terminal/alloc-%u%s", 1 + (how & 1),
             how & 2 ? "?mode=channel" : "");
    if (!f->dead && (how & 12))
        rig_request(r, f, target, "Sec-WebSocket-Protocol: token-of-sixteen-or-more\r\n");
    if (how & 16)
        fake_fin(r, f);
    else if (how & 32)
        fake_end(r, f, STREAM_END_RESET);
}

static void agent(struct rig *r, struct input *in) {
    uint32_t how = take(in, 1);
    if (!r->agent || r->agent->dead)
        return;
    if (how & 1)
        fake_end(r, r->agent, STREAM_END_REFUSED);
    else if (!r->agent->out_len)
        rig_agent_accepts(r, r->agent);
    else
        fake_frame(r, r->agent, WS_BINARY, "output", 6, false);
}

static void act(struct rig *r, struct input *in, struct tgw_ring *ring, struct tgw_ring_end *end) {
    uint32_t what = take(in, 1);
    switch (what % 8) {
    case 0:
        client(r, in);
        break;
    case 1:
        agent(r, in);
        break;
    case 2:
        rig_wait(r, take(in, 2) % 8192);
        break;
    case 3:
        atomic_store(&ring->head, take(in, 4));
        break;
    case 4:
        session_control(r->table, what & 8, what >> 4);
        break;
    case 5:
        r->events_room = what & 8 ? RIG_EVENTS : r->events;
        break;
    default:
        write_command(r, in, ring);
    }
    serve(r, end);
    session_check(r->table);
    if (r->events > RIG_EVENTS / 2)
        r->events = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct rig r;
    static struct tgw_ring *ring;
    struct tgw_ring_end end;
    struct input in = {data, size};
    if (!ring)
        ring = aligned_alloc(64, tgw_ring_bytes(TGW_CMD_SLOTS, TGW_CMD_SLOT_BYTES));
    if (!ring)
        abort();
    atomic_store(&ring->head, 0);
    atomic_store(&ring->tail, 0);
    tgw_ring_consumer(&end, ring, TGW_CMD_SLOTS, TGW_CMD_SLOT_BYTES);
    rig_init(&r, 16);
    r.any_verdict = true;
    for (int i = 0; in.left && i < ACTS_MAX; i++)
        act(&r, &in, ring, &end);
    rig_wait(&r, 100);
    rig_fini(&r);
    return 0;
}

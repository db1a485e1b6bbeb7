#include "session_priv.h"
#include <assert.h>

static const struct {
    size_t offset, size;
} field[8] = {
#define FIELD(name)                                                                                \
    { offsetof(struct tgw_ident, name), sizeof(((struct tgw_ident *)0)->name) }
    FIELD(allocation_id), FIELD(session_id), FIELD(user_id),        FIELD(region),
    FIELD(tenant_id),     FIELD(project_id), FIELD(correlation_id), FIELD(trace_id),
#undef FIELD
};
_Static_assert(TGW_CORRELATION_ID_MAX <= UINT8_MAX, "a length fits a byte");

static size_t field_len(const struct tgw_ident *ident, int i) {
    return strnlen((const char *)ident + field[i].offset, field[i].size - 1);
}

static size_t who_bytes(const struct tgw_ident *ident) {
    size_t bytes = sizeof(struct who);
    for (int i = 0; i < 8; i++)
        bytes += field_len(ident, i);
    return bytes;
}

size_t session_ident_bytes(const struct tgw_ident *ident) {
    return blob_bytes(who_bytes(ident));
}

bool who_set(struct session *s, const struct tgw_ident *ident) {
    struct who *who = blob_alloc(&s->table->blobs, who_bytes(ident));
    if (!who)
        return false;
    *who = (struct who){0};
    if (s->who) {
        who->remote = s->who->remote;
        who->agent = s->who->agent;
    }
    char *at = who->text;
    for (int i = 0; i < 8; i++) {
        who->len[i] = (uint8_t)field_len(ident, i);
        memcpy(at, (const char *)ident + field[i].offset, who->len[i]);
        at += who->len[i];
    }
    blob_free(&s->table->blobs, s->who);
    s->who = who;
    return true;
}

void who_get(const struct session *s, struct tgw_ident *out) {
    *out = (struct tgw_ident){0};
    const char *at = s->who->text;
    for (int i = 0; i < 8; i++) {
        assert(s->who->len[i] < field[i].size);
        memcpy((char *)out + field[i].offset, at, s->who->len[i]);
        at += s->who->len[i];
    }
}

static void make_id(const struct session_table *t, char *out) {
    uint8_t bits[TGW_TRACE_ID_HEX / 2];
    t->env.random(t->env.ctx, bits, sizeof(bits));
    tgw_id_text(bits, out);
}

void who_complete(struct session *s, struct tgw_ident *out) {
    who_get(s, out);
    if (!out->correlation_id[0])
        make_id(s->table, out->correlation_id);
    if (!out->trace_id[0])
        make_id(s->table, out->trace_id);
}

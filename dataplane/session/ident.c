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

/* Bytes of the packed ident and the lengths of its texts. */
static size_t measure(const struct tgw_ident *ident, uint8_t len[8]) {
    size_t bytes = sizeof(struct who);
    for (int i = 0; i < 8; i++) {
        len[i] = (uint8_t)field_len(ident, i);
        bytes += len[i];
    }
    return bytes;
}

size_t session_ident_bytes(const struct tgw_ident *ident) {
    uint8_t len[8];
    return blob_bytes(measure(ident, len));
}

bool who_begin(struct session *s, const struct tgw_endpoint *remote) {
    s->who = blob_alloc(&s->table->blobs, sizeof(*s->who));
    if (s->who)
        *s->who = (struct who){.remote = *remote};
    return s->who != NULL;
}

bool who_set(struct session *s, const struct tgw_ident *ident) {
    uint8_t len[8];
    struct who *who = blob_alloc(&s->table->blobs, measure(ident, len));
    if (!who)
        return false;
    *who = (struct who){0};
    memcpy(who->len, len, sizeof(who->len));
    if (s->who) {
        who->remote = s->who->remote;
        who->agent = s->who->agent;
    }
    char *at = who->text;
    for (int i = 0; i < 8; i++) {
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

bool who_is_for(const struct session *s, const char *allocation_id) {
    const struct who *who = s->who; /* the allocation is the first of its texts */
    return strlen(allocation_id) == who->len[0] &&
           memcmp(who->text, allocation_id, who->len[0]) == 0;
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

/* What the lines of a script do. */
#include "tests/packet/run.h"
#include <stdio.h>

enum { PAYLOAD_MAX = 1800 };

static struct conn *conn_of(struct run *r, struct words *w) {
    struct conn *c = host_conn(r->host, (uint16_t)words_number(w, "port", HOST_PEER_PORT));
    if (!c)
        run_fail(r, "too many connections");
    return c;
}

static struct conn *live_conn(struct run *r, struct words *w) {
    struct conn *c = conn_of(r, w);
    if (c && c->s.impl)
        return c;
    run_fail(r, "the owner has no connection");
    return NULL;
}

static double seconds(const struct run *r, uint64_t at_ns) {
    return (double)(at_ns - r->start_ns) / 1e9;
}

static const char *seen_text(struct run *r, const struct seen *s,
                             char text[SEGMENT_TEXT_MAX + 64]) {
    char words[SEGMENT_TEXT_MAX];
    segment_text(host_conn(r->host, s->seg.dport), &s->seg, words);
    snprintf(text, SEGMENT_TEXT_MAX + 64, "> %s at %.6fs", words, seconds(r, s->at_ns));
    return text;
}

const char *verb_unexpected(struct run *r, char text[SEGMENT_TEXT_MAX + 64]) {
    struct host *h = r->host;
    if (h->event_first < h->event_count) {
        const struct happened *e = &h->event[h->event_first];
        snprintf(text, SEGMENT_TEXT_MAX + 64, "event %s port=%u at %.6fs", e->text, e->peer_port,
                 seconds(r, e->at_ns));
        return text;
    }
    if (h->seen_first < h->seen_count)
        return seen_text(r, &h->seen[h->seen_first], text);
    return NULL;
}

static bool inject(struct run *r, struct words *w) {
    struct conn *c = conn_of(r, w);
    uint8_t payload[PAYLOAD_MAX];
    struct frame f;
    struct seg s;
    if (!c)
        return false;
    if (!segment_to_send(w, c, &s, payload, sizeof(payload)))
        return run_fail(r, "not a segment");
    wire_build(&f, host_peer_addr(r->host), host_our_addr(r->host), &s);
    host_inject(r->host, &f);
    return true;
}

static bool icmp(struct run *r, struct words *w) {
    struct conn *c = conn_of(r, w);
    struct frame f;
    if (!c)
        return false;
    const char *from = host_peer_addr(r->host);
    bool closed = words_flag(w, "port_unreachable");
    const struct wire_icmp e = {.too_big = words_flag(w, "too_big"),
                                .mtu = (uint32_t)words_number(w, "mtu", 0),
                                .seq = c->our_iss + (uint32_t)words_number(w, "seq", 0),
                                .sport = c->our_port,
                                .dport = c->peer_port};
    if (e.too_big == closed)
        return run_fail(r, "icmp wants too_big or port_unreachable");
    wire_build_icmp(&f, from, host_our_addr(r->host), from, &e);
    host_inject(r->host, &f);
    return true;
}

static bool expect(struct run *r, struct words *w) {
    struct host *h = r->host;
    struct conn *c = conn_of(r, w);
    char text[SEGMENT_TEXT_MAX + 64];
    if (!c)
        return false;
    bool any = h->seen_first < h->seen_count;
    struct seen *s = any ? &h->seen[h->seen_first++] : NULL;
    struct seg none = {0};
    const char *wrong = segment_mismatch(w, c, s ? &s->seg : &none);
    if (!s)
        return run_fail(r, "%s\nseen nothing", r->text);
    if (wrong || s->at_ns != h->now_ns)
        return run_fail(r, "%s, that is at %.6fs\nseen %s: %s differs", r->text,
                        seconds(r, h->now_ns), seen_text(r, s, text), wrong ? wrong : "time");
    return true;
}

static bool event(struct run *r, struct words *w) {
    struct host *h = r->host;
    struct conn *c = conn_of(r, w);
    char want[40] = "";
    if (!c)
        return false;
    for (unsigned i = 1; i < w->count; i++)
        if (!w->used[i])
            snprintf(want + strlen(want), sizeof(want) - strlen(want), "%s%s", *want ? " " : "",
                     words_at(w, i));
    if (h->event_first == h->event_count)
        return run_fail(r, "%s\nseen no event", r->text);
    const struct happened *e = &h->event[h->event_first++];
    if (e->at_ns != h->now_ns || e->peer_port != c->peer_port || strcmp(e->text, want) != 0)
        return run_fail(r, "%s, that is at %.6fs\nseen event %s port=%u at %.6fs", r->text,
                        seconds(r, h->now_ns), e->text, e->peer_port, seconds(r, e->at_ns));
    return true;
}

static bool listening(struct run *r, struct words *w) {
    (void)w;
    host_listen(r->host);
    return true;
}

static bool connecting(struct run *r, struct words *w) {
    struct conn *c = conn_of(r, w);
    if (!c)
        return false;
    if (!host_connect(r->host, c))
        return run_fail(r, "a connection, and there was no room for it");
    host_turn(r->host);
    return true;
}

/* The number behind the verb, as in `write 1000`. */
static uint64_t amount(struct words *w) {
    int64_t n = 0;
    const char *text = words_at(w, 1);
    if (!text || !words_is_number(text, &n))
        w->bad = text ? text : "nothing";
    return (uint64_t)n;
}

/* write N [takes=M] */
static bool writing(struct run *r, struct words *w) {
    struct conn *c = live_conn(r, w);
    uint64_t n = amount(w), takes = (uint64_t)words_number(w, "takes", (int64_t)n), taken = 0;
    uint8_t buf[1024];
    while (c && taken < n) {
        size_t want = n - taken < sizeof(buf) ? n - taken : sizeof(buf);
        for (size_t i = 0; i < want; i++)
            buf[i] = host_pattern(c->bytes_written + i);
        size_t did = c->s.ops->write(c->s.impl, buf, want);
        c->bytes_written += did;
        taken += did;
        if (did < want)
            break;
    }
    host_turn(r->host);
    return c && (taken == takes || run_fail(r, "%s\nseen %lu bytes taken", r->text, taken));
}

/* read N [gets=M] */
static bool reading(struct run *r, struct words *w) {
    struct conn *c = live_conn(r, w);
    uint64_t n = amount(w), gets = (uint64_t)words_number(w, "gets", (int64_t)n);
    uint64_t got = c ? host_read(c, n) : 0;
    host_turn(r->host);
    return c && (got == gets || run_fail(r, "%s\nseen %lu bytes", r->text, got));
}

static bool closing(struct run *r, struct words *w) {
    struct conn *c = live_conn(r, w);
    if (!c)
        return false;
    const char *how = words_at(w, 0);
    void *impl = c->s.impl;
    if (strcmp(how, "shutdown") == 0) {
        c->s.ops->shutdown(impl);
    } else {
        c->s.impl = NULL;
        (strcmp(how, "abort") == 0 ? c->s.ops->abort : c->s.ops->release)(impl);
    }
    host_turn(r->host);
    return true;
}

struct figure {
    const char *name;
    uint64_t value;
};

static bool check_figures(struct run *r, struct words *w, const struct figure *f, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint64_t want = (uint64_t)words_number(w, f[i].name, (int64_t)f[i].value);
        if (want != f[i].value)
            return run_fail(r, "%s\nseen %s=%lu", r->text, f[i].name, f[i].value);
    }
    return true;
}

/* info state=... cwnd=... : what the owner can ask about its connection. */
static bool info(struct run *r, struct words *w) {
    struct conn *c = live_conn(r, w);
    struct tgw_leg_state s;
    if (!c)
        return false;
    c->s.ops->inspect(c->s.impl, &s);
    const char *state = words_value(w, "state");
    if (state && strcmp(state, s.state) != 0)
        return run_fail(r, "%s\nseen state=%s", r->text, s.state);
    const struct figure f[] = {
        {"cwnd", s.cwnd_bytes},        {"ssthresh", s.ssthresh_bytes}, {"mss", s.mss},
        {"srtt_ms", s.srtt_us / 1000}, {"rto_ms", s.rto_us / 1000},    {"snd_wnd", s.snd_wnd},
        {"rcv_wnd", s.rcv_wnd},        {"unacked", s.unacked_bytes},   {"queued", s.queued_bytes},
        {"unread", s.unread_bytes},    {"retransmits", s.retransmits}, {"in", s.bytes_in},
        {"out", s.bytes_out}};
    return check_figures(r, w, f, sizeof(f) / sizeof(f[0]));
}

static bool usage(struct run *r, struct words *w) {
    struct tcp_usage u;
    tcp_usage(r->host->tcp, &u);
    const struct figure f[] = {{"connections", u.connections},
                               {"time_wait", u.time_wait},
                               {"half_open", u.half_open},
                               {"blocks", u.small_blocks + u.large_blocks}};
    return check_figures(r, w, f, sizeof(f) / sizeof(f[0]));
}

/* count NAME=N: counters and reasons by the names of counters.def and reason.def. */
static bool count(struct run *r, struct words *w) {
    static const char *const names[] = {
#define TGW_COUNTER(id, help) #id,
#include "contract/counters.def"
#undef TGW_COUNTER
    };
    struct figure f[TGW_COUNTER_COUNT + TGW_REASON_COUNT];
    for (unsigned i = 0; i < TGW_COUNTER_COUNT; i++)
        f[i] = (struct figure){names[i], tgw_counter_get(r->host->counters, i)};
    for (unsigned i = 0; i < TGW_REASON_COUNT; i++)
        f[TGW_COUNTER_COUNT + i] =
            (struct figure){tgw_reason_info(i)->label, r->host->counters->reason[i]};
    return check_figures(r, w, f, TGW_COUNTER_COUNT + TGW_REASON_COUNT);
}

/* Numbers start anew: what comes next on these ports is another connection. */
static bool fresh(struct run *r, struct words *w) {
    struct conn *c = conn_of(r, w);
    if (!c)
        return false;
    uint16_t ours = c->our_port;
    *c = (struct conn){.host = r->host,
                       .peer_port = c->peer_port,
                       .our_port = ours,
                       .peer_iss = (uint32_t)words_number(w, "peer_iss", r->setup.peer_iss)};
    return true;
}

static bool nothing(struct run *r, struct words *w) {
    char text[SEGMENT_TEXT_MAX + 64];
    (void)w;
    return !verb_unexpected(r, text) || run_fail(r, "nothing\nseen %s", text);
}

static const struct verb {
    const char *name;
    bool (*run)(struct run *r, struct words *w);
    bool looks; /* only looks at what happened: may stand beside what is still to be expected */
} verbs[] = {
    {"<", inject, false},        {">", expect, true},          {"icmp", icmp, false},
    {"event", event, true},      {"listen", listening, false}, {"connect", connecting, false},
    {"write", writing, false},   {"read", reading, false},     {"shutdown", closing, false},
    {"release", closing, false}, {"abort", closing, false},    {"info", info, true},
    {"usage", usage, true},      {"count", count, true},       {"fresh", fresh, false},
    {"nothing", nothing, false}};

static void print_news(struct run *r, unsigned segments, unsigned events) {
    struct host *h = r->host;
    char text[SEGMENT_TEXT_MAX + 64];
    for (unsigned i = events; i < h->event_count; i++)
        printf("#     event %s at %.6fs\n", h->event[i].text, seconds(r, h->event[i].at_ns));
    for (unsigned i = segments; i < h->seen_count; i++)
        printf("#     %s\n", seen_text(r, &h->seen[i], text));
}

bool verb_run(struct run *r, struct words *w) {
    struct host *h = r->host;
    char text[SEGMENT_TEXT_MAX + 64];
    const char *name = words_at(w, 0);
    const struct verb *v = NULL;
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (strcmp(name, verbs[i].name) == 0)
            v = &verbs[i];
    if (!v)
        return run_fail(r, "a verb");
    if (!v->looks && verb_unexpected(r, text))
        return run_fail(r, "nothing more before %s\nseen %s", r->text, text);
    unsigned segments = h->seen_count, events = h->event_count;
    bool ok = v->run(r, w);
    if (r->trace)
        print_news(r, segments, events);
    if (ok && words_unknown(w))
        return run_fail(r, "words that mean something: %s", words_unknown(w));
    if (ok && h->wrong_bytes)
        return run_fail(r, "the peer's bytes, seen %lu wrong ones", h->wrong_bytes);
    if (ok && h->overflow)
        return run_fail(r, "less to happen at once");
    if (host_quiet(h))
        h->seen_first = h->seen_count = h->event_first = h->event_count = 0;
    return ok;
}

bool verb_config(struct run *r, struct words *w) {
    struct host_setup *s = &r->setup;
    struct tcp_config *t = &s->tcp;
    words_at(w, 0);
    s->ipv6 |= words_flag(w, "ipv6");
    s->manual_read |= words_flag(w, "manual_read");
    t->use_cubic |= words_flag(w, "cubic");
    t->use_ecn |= words_flag(w, "ecn");
    s->mtu = (uint16_t)words_number(w, "mtu", s->mtu);
    s->peer_iss = (uint32_t)words_number(w, "peer_iss", s->peer_iss);
    t->rcv_buffer_bytes = (uint32_t)words_number(w, "rcv_buffer", t->rcv_buffer_bytes);
    t->snd_buffer_bytes = (uint32_t)words_number(w, "snd_buffer", t->snd_buffer_bytes);
    t->connections_max = (uint32_t)words_number(w, "connections", t->connections_max);
    t->time_wait_max = (uint32_t)words_number(w, "time_waits", t->time_wait_max);
    t->backlog_max = (uint32_t)words_number(w, "backlog", t->backlog_max);
    t->keepalive_ms = (uint32_t)words_number(w, "keepalive_ms", t->keepalive_ms);
    t->ack_delay_ms = (uint32_t)words_number(w, "ack_delay_ms", t->ack_delay_ms);
    t->user_timeout_ms = (uint32_t)words_number(w, "user_timeout_ms", t->user_timeout_ms);
    t->time_wait_ms = (uint32_t)words_number(w, "time_wait_ms", t->time_wait_ms);
    int64_t iss = words_number(w, "our_iss", -1);
    if (iss >= 0) {
        r->has_our_iss = true;
        r->our_iss = (uint32_t)iss;
    }
    const char *unknown = words_unknown(w);
    return !unknown || run_fail(r, "words that mean something: %s", unknown);
}

#include "tests/packet/segment.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { PEER_CLOCK_START = 1000 };

static const struct {
    char letter;
    uint8_t flag;
} flag_letters[] = {{'S', SEG_SYN}, {'F', SEG_FIN}, {'R', SEG_RST}, {'P', SEG_PSH},
                    {'A', SEG_ACK}, {'U', SEG_URG}, {'E', SEG_ECE}, {'C', SEG_CWR}};
enum { FLAG_LETTERS = sizeof(flag_letters) / sizeof(flag_letters[0]) };

/* "SA"; "-" for none. */
static bool parse_flags(const char *text, uint8_t *out) {
    *out = 0;
    if (!text || strcmp(text, "-") == 0)
        return text != NULL;
    for (; *text; text++) {
        uint8_t flag = 0;
        for (int i = 0; i < FLAG_LETTERS; i++)
            if (flag_letters[i].letter == *text)
                flag = flag_letters[i].flag;
        if (!flag)
            return false;
        *out |= flag;
    }
    return true;
}

/* sack=1001-2001,3001-4001 counted from `base`. */
static bool parse_sack(const char *text, uint32_t base, struct seg *out) {
    while (text && *text) {
        char *end;
        if (out->sack_count == SEG_SACK_BLOCKS_MAX)
            return false;
        out->sack[out->sack_count].start = base + (uint32_t)strtol(text, &end, 10);
        if (*end++ != '-')
            return false;
        out->sack[out->sack_count++].end = base + (uint32_t)strtol(end, &end, 10);
        if (*end && *end != ',')
            return false;
        text = *end ? end + 1 : end;
    }
    return true;
}

/* ts=VALUE:ECHO, either may be * for whatever fits. */
static bool parse_ts(const char *text, bool any[2], uint32_t value[2]) {
    for (int i = 0; i < 2; i++) {
        char *end;
        any[i] = *text == '*';
        value[i] = any[i] ? 0 : (uint32_t)strtol(text, &end, 10);
        if (any[i])
            end = (char *)(uintptr_t)text + 1;
        if (end == text || *end != (i ? 0 : ':'))
            return false;
        text = end + 1;
    }
    return true;
}

static bool ts_agreed(const struct conn *c) {
    return c->peer_offered_ts && c->we_offered_ts;
}

/* What both directions write alike. */
static bool common(struct words *w, struct seg *out) {
    out->mss = (uint16_t)words_number(w, "mss", 0);
    int64_t shift = words_number(w, "ws", -1);
    out->has_wscale = shift >= 0;
    out->wscale = shift >= 0 ? (uint8_t)shift : 0;
    out->sack_permitted = words_flag(w, "sackok");
    out->len = (uint32_t)words_number(w, "len", 0);
    words_number(w, "port", 0); /* the caller's */
    return parse_flags(words_at(w, 1), &out->flags);
}

static bool put_timestamps(struct words *w, struct conn *c, struct seg *out) {
    const char *text = words_value(w, "ts");
    bool bare = words_flag(w, "ts"), none = words_flag(w, "nots");
    bool any[2] = {true, true};
    uint32_t value[2];
    if (text && !parse_ts(text, any, value))
        return false;
    if (out->flags & SEG_SYN && !c->peer_offered_ts)
        c->peer_offered_ts = bare || text;
    out->has_ts = !none && (bare || text || (ts_agreed(c) && !(out->flags & SEG_RST)));
    uint64_t clock_ms = (c->host->now_ns - c->host->start_ns) / 1000000;
    out->ts_val = any[0] ? PEER_CLOCK_START + (uint32_t)clock_ms : value[0];
    out->ts_ecr = any[1] ? c->ts_last : c->ts_first + value[1];
    return true;
}

bool segment_to_send(struct words *w, struct conn *c, struct seg *out, uint8_t *payload,
                     uint32_t payload_max) {
    *out = (struct seg){.sport = c->peer_port, .dport = c->our_port};
    if (!common(w, out) || out->len > payload_max)
        return false;
    uint32_t seq = (uint32_t)words_number(w, "seq", 0);
    out->seq = c->peer_iss + seq;
    out->ack = out->flags & SEG_ACK ? c->our_iss + (uint32_t)words_number(w, "ack", 0) : 0;
    out->wnd = (uint16_t)words_number(w, "win", 65535);
    out->ecn = (uint8_t)words_number(w, "ecn", 0);
    int64_t fill = words_number(w, "fill", -1);
    for (uint32_t i = 0; i < out->len; i++)
        payload[i] = fill < 0 ? host_pattern(seq - 1 + i) : (uint8_t)fill;
    out->payload = payload;
    return put_timestamps(w, c, out) && parse_sack(words_value(w, "sack"), c->our_iss, out);
}

static const char *sack_mismatch(struct words *w, const struct conn *c, const struct seg *seen) {
    struct seg want = {0};
    if (!parse_sack(words_value(w, "sack"), c->peer_iss, &want))
        return "the script's sack";
    bool same = want.sack_count == seen->sack_count;
    for (uint8_t i = 0; same && i < want.sack_count; i++)
        same = want.sack[i].start == seen->sack[i].start && want.sack[i].end == seen->sack[i].end;
    return same ? NULL : "SACK blocks";
}

static const char *ts_mismatch(struct words *w, const struct conn *c, const struct seg *seen) {
    const char *text = words_value(w, "ts");
    bool bare = words_flag(w, "ts"), any[2] = {true, true};
    uint32_t value[2] = {0};
    if (text && !parse_ts(text, any, value))
        return "the script's ts";
    bool due = seen->flags & SEG_SYN ? bare || text : ts_agreed(c);
    /* RFC 7323 section 3.2: on every segment once agreed, but for RST where it may be. */
    if (seen->has_ts != due && !(seen->flags & SEG_RST))
        return "timestamps option";
    if (!any[0] && seen->ts_val - c->ts_first != value[0])
        return "TSval";
    return any[1] || seen->ts_ecr == value[1] ? NULL : "TSecr";
}

static const char *payload_mismatch(const struct conn *c, const struct seg *seen) {
    for (uint32_t i = 0; i < seen->len; i++)
        if (seen->payload[i] != host_pattern((uint64_t)(seen->seq + i) - c->our_iss - 1))
            return "payload bytes";
    return NULL;
}

static const char *head_mismatch(struct words *w, const struct conn *c, const struct seg *seen,
                                 const struct seg *want) {
    uint8_t shown = (uint8_t)(seen->flags & ~(want->flags & SEG_PSH ? 0 : SEG_PSH));
    int64_t win = words_number(w, "win", -1), ecn = words_number(w, "ecn", -1);
    int64_t seq = words_number(w, "seq", 0), ack = words_number(w, "ack", 0);
    if (seen->dport != c->peer_port || seen->sport != c->our_port)
        return "ports";
    if (shown != want->flags)
        return "flags";
    if (seen->seq != c->our_iss + (uint32_t)seq)
        return "seq";
    if (seen->len != want->len)
        return "len";
    if ((seen->flags & SEG_ACK) && seen->ack != c->peer_iss + (uint32_t)ack)
        return "ack";
    if (win >= 0 && seen->wnd != win)
        return "win";
    return ecn >= 0 && seen->ecn != ecn ? "ecn" : NULL;
}

const char *segment_mismatch(struct words *w, const struct conn *c, const struct seg *seen) {
    struct seg want = {0};
    if (!common(w, &want))
        return "the script's flags";
    const char *wrong[4] = {head_mismatch(w, c, seen, &want), sack_mismatch(w, c, seen),
                            ts_mismatch(w, c, seen), NULL};
    for (int i = 0; i < 3; i++)
        if (wrong[i])
            return wrong[i];
    if (seen->mss != want.mss)
        return "mss";
    if (seen->has_wscale != want.has_wscale || seen->wscale != want.wscale)
        return "ws";
    if (seen->sack_permitted != want.sack_permitted)
        return "sackok";
    return payload_mismatch(c, seen);
}

void segment_text(const struct conn *c, const struct seg *seen, char out[SEGMENT_TEXT_MAX]) {
    char flags[FLAG_LETTERS + 1] = "-", options[160] = "";
    int n = 0;
    for (int i = 0; i < FLAG_LETTERS; i++)
        if (seen->flags & flag_letters[i].flag)
            flags[n++] = flag_letters[i].letter;
    n = 0;
    size_t room = sizeof(options);
    if (seen->mss)
        n += snprintf(options + n, room - (size_t)n, " mss=%u", seen->mss);
    if (seen->has_wscale)
        n += snprintf(options + n, room - (size_t)n, " ws=%u", seen->wscale);
    if (seen->sack_permitted)
        n += snprintf(options + n, room - (size_t)n, " sackok");
    if (seen->has_ts)
        n += snprintf(options + n, room - (size_t)n, " ts=%d:%u",
                      (int32_t)(seen->ts_val - c->ts_first), seen->ts_ecr);
    for (uint8_t i = 0; i < seen->sack_count; i++)
        n += snprintf(options + n, room - (size_t)n, "%s%d-%d",
                      i ? "," : " sack=", (int32_t)(seen->sack[i].start - c->peer_iss),
                      (int32_t)(seen->sack[i].end - c->peer_iss));
    char ack[24] = "";
    if (seen->flags & SEG_ACK)
        snprintf(ack, sizeof(ack), " ack=%d", (int32_t)(seen->ack - c->peer_iss));
    snprintf(out, SEGMENT_TEXT_MAX, "%s seq=%d%s len=%u win=%u%s port=%u ecn=%u", flags,
             (int32_t)(seen->seq - c->our_iss), ack, seen->len, seen->wnd, options, seen->dport,
             seen->ecn);
}

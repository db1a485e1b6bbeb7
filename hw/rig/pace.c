#include "pace.h"

const char *const phase_names[] = {"wait", "ramp", "settle", "measure", "down", "done"};

enum {
    WAIT_MS = 300, /* links come up, neighbours are learned */
    RAMP_LATE_MS = 30000,
    DOWN_MS = 3000,
    OPENS_A_TURN = 32,
    STARTS_A_TURN = 64,
    TYPES_A_TURN = 256,
};
static const uint64_t SECOND_NS = 1000000000, MS_NS = 1000000;

void pace_init(struct pace *p, struct rig *rig) {
    const struct plan *plan = &rig->plan;
    uint64_t typing = plan->typing_sessions ? plan->typing_sessions : plan->sessions;
    *p = (struct pace){.rig = rig,
                       .phase_ns = rig->now_ns,
                       .typing = (uint32_t)(typing < plan->sessions ? typing : plan->sessions),
                       .random = 1};
}

static void enter(struct pace *p, enum phase phase) {
    p->phase = phase;
    p->phase_ns = p->rig->now_ns;
}

static void begin_load(struct pace *p) {
    enter(p, PHASE_SETTLE);
    p->load_ns = p->rig->now_ns;
    p->next = 0;
    p->cursor = 0;
}

static void begin_down(struct pace *p) {
    p->rig->measuring = false;
    if (p->rig->browsers)
        browsers_rest(p->rig->browsers);
    enter(p, PHASE_DOWN);
    p->cursor = 0;
}

static bool passed_ms(const struct pace *p, uint64_t ms) {
    return p->rig->now_ns - p->phase_ns >= ms * MS_NS;
}

/* Opens that are due by now, as far as `opening_max` lets them. */
static void open_due(struct pace *p, uint64_t rate, bool again) {
    struct rig *rig = p->rig;
    uint32_t sessions = (uint32_t)rig->plan.sessions;
    for (int n = 0; n < OPENS_A_TURN && !p->starved; n++) {
        uint64_t due_ns = rate ? p->load_ns + p->next * SECOND_NS / rate : rig->now_ns;
        /* One goes ahead, so that neighbours are known when the others come. */
        uint64_t most = rig->tally.opened ? rig->plan.opening_max : 1;
        if (due_ns > rig->now_ns || browsers_opening(rig->browsers) >= most ||
            !browsers_idle(rig->browsers)) /* to look for one in vain is dear */
            return;
        uint32_t tries = 0;
        while (!browser_is_idle(rig->browsers, p->cursor)) {
            p->cursor = (p->cursor + 1) % sessions;
            if (++tries == STARTS_A_TURN)
                return;
        }
        p->starved = !browser_open(rig->browsers, p->cursor, due_ns);
        p->cursor = (p->cursor + 1) % sessions;
        p->next++;
        if (!again && p->next == sessions)
            return;
    }
}

static void ramp(struct pace *p) {
    struct rig *rig = p->rig;
    if (rig->plan.play == PLAY_agents || rig->plan.scenario == SCENARIO_churn) {
        begin_load(p);
        return;
    }
    if (p->next < rig->plan.sessions && !p->starved) {
        open_due(p, rig->plan.ramp_per_s, false);
        return;
    }
    if (browsers_opening(rig->browsers) > 0 && !passed_ms(p, RAMP_LATE_MS + rig->plan.sessions))
        return;
    begin_load(p);
}

static uint32_t random_below(struct pace *p, uint32_t n) {
    p->random ^= p->random << 13; /* xorshift64: a run repeats exactly */
    p->random ^= p->random >> 7;
    p->random ^= p->random << 17;
    return (uint32_t)((p->random >> 32) * n >> 32);
}

/* What a person at a terminal does besides typing: of a hundred keystrokes two end a
 * command with a screenful to some tens of KiB of output, of a thousand one is a paste. */
static void mix(struct pace *p, uint32_t i) {
    uint32_t dice = random_below(p, 1000);
    if (dice < 20)
        browser_ask(p->rig->browsers, i, ASK_OUTPUT, 1024u << random_below(p, 6));
    else if (dice == 20)
        browser_paste(p->rig->browsers, i, 2048);
}

static void type_due(struct pace *p, uint64_t rate) {
    const uint64_t interval_ns = p->typing * SECOND_NS / rate;
    for (int n = 0; n < TYPES_A_TURN; n++, p->next++) {
        uint32_t i = (uint32_t)(p->next % p->typing);
        uint64_t due_ns =
            p->load_ns + p->next / p->typing * interval_ns + i * interval_ns / p->typing;
        if (due_ns > p->rig->now_ns)
            return;
        browser_type(p->rig->browsers, i, due_ns);
        if (p->rig->plan.scenario == SCENARIO_mixed)
            mix(p, i);
    }
}

/* Set the next few sessions going: closed loops, floods, pastes. */
static void start_some(struct pace *p) {
    struct browsers *b = p->rig->browsers;
    for (int n = 0; n < STARTS_A_TURN && p->cursor < p->typing; n++, p->cursor++) {
        switch (p->rig->plan.scenario) {
        case SCENARIO_flood:
            browser_ask(b, p->cursor, ASK_FLOOD, 0);
            break;
        case SCENARIO_paste:
            browser_paste(b, p->cursor, UINT64_MAX);
            break;
        default:
            browser_type_on(b, p->cursor);
        }
    }
}

static void load(struct pace *p) {
    const struct plan *plan = &p->rig->plan;
    bool types = plan->scenario == SCENARIO_echo || plan->scenario == SCENARIO_mixed ||
                 (plan->scenario == SCENARIO_idle && plan->typing_sessions);
    if (plan->play == PLAY_agents)
        return;
    if (plan->scenario == SCENARIO_churn)
        open_due(p, plan->rate_per_s, true);
    else if (types && plan->rate_per_s)
        type_due(p, plan->rate_per_s);
    else if (plan->scenario == SCENARIO_flood || plan->scenario == SCENARIO_paste || types)
        start_some(p);
}

static void down(struct pace *p) {
    struct rig *rig = p->rig;
    uint32_t sessions = rig->plan.play == PLAY_agents ? 0 : (uint32_t)rig->plan.sessions;
    for (int n = 0; n < STARTS_A_TURN && p->cursor < sessions; n++, p->cursor++)
        browser_abort(rig->browsers, p->cursor);
    bool empty = p->cursor >= sessions && (!rig->agents || agents_live(rig->agents) == 0);
    if (empty || passed_ms(p, DOWN_MS + rig->plan.sessions / 20))
        enter(p, PHASE_DONE);
}

static void begin_measuring(struct pace *p) {
    struct rig *rig = p->rig;
    enter(p, PHASE_MEASURE);
    hist_clear(&rig->latency);
    hist_clear(&rig->undisturbed);
    calm_clear(&rig->calm, rig->now_ns);
    if (rig->plan.scenario == SCENARIO_churn)
        hist_clear(&rig->setup);
    rig->measuring = true;
}

void pace_turn(struct pace *p) {
    struct rig *rig = p->rig;
    if (p->interrupted && p->phase < PHASE_DOWN)
        begin_down(p);
    switch (p->phase) {
    case PHASE_WAIT:
        if (passed_ms(p, WAIT_MS) && (rig->plan.play == PLAY_agents || secure_ready(rig))) {
            enter(p, PHASE_RAMP);
            p->load_ns = rig->now_ns;
        }
        break;
    case PHASE_RAMP:
        ramp(p);
        break;
    case PHASE_SETTLE:
        load(p);
        if (passed_ms(p, rig->plan.settle_ms))
            begin_measuring(p);
        break;
    case PHASE_MEASURE:
        load(p);
        if (passed_ms(p, rig->plan.duration_ms))
            begin_down(p);
        break;
    case PHASE_DOWN:
        down(p);
        break;
    case PHASE_DONE:
        break;
    }
}

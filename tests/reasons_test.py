#!/usr/bin/python3
"""Every named reason is in docs/reasons.md and has a test that produces it. Prints TAP.

    reasons_test.py            check
    reasons_test.py --write    write docs/reasons.md anew from reason.def and the table below"""
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(HERE, "e2e"))
from reasons import REASONS  # noqa: E402

DOC = os.path.join(ROOT, "docs", "reasons.md")
REFUSALS, LIMITS, LAB = "e2e/refusals_test.py", "e2e/limits_test.py", "e2e/lab_test.py"
NET, PACKET = "dataplane/net/input_test.c", "packet/reasons/"
LIVE, TLS = "dataplane/session/live_test.c", "dataplane/tls/stream_test.c"

# Who produces it: a file under tests/ that names the reason and looks at its counter.
# Refusals come from real clients; each is a case of its name in refusals_test.py.
TESTS = {
    **{name: REFUSALS for name, r in REASONS.items() if r.kind == "REFUSE"},
    "internal_error": LIVE,  # wants memory to run out between two lines
    "client_closed": LIVE,
    "agent_closed": LIVE,
    "client_lost": LIMITS,
    "protocol_error": LIVE,
    "session_terminated": LAB,
    "message_too_big": LIVE,
    "upstream_lost": LIMITS,
    "drain_timeout": "e2e/drain_test.py",
    "overloaded": LIVE,
    "session_ttl": LIMITS,
    "idle_timeout": LIMITS,
    **{name: NET for name in (
        "eth_short", "eth_not_ours", "eth_vlan", "eth_type_unknown", "arp_malformed", "arp_not_ours",
        "ip4_malformed", "ip4_checksum", "ip4_fragment", "ip6_malformed", "ip6_fragment", "ip_not_ours",
        "ip_source_invalid", "ip_protocol_unknown", "icmp_malformed", "icmp_unhandled", "icmp_no_match",
        "ndp_malformed", "tcp_malformed", "tcp_checksum")},
    **{name: "dataplane/net/net_test.c" for name in (
        "icmp_rate_limited", "neigh_unresolved", "no_route", "tx_full", "mbuf_exhausted")},
    "tcp_no_connection": PACKET + "no-connection.pkt",
    "tcp_time_wait": PACKET + "time-wait.pkt",
    "tcp_out_of_window": PACKET + "out-of-window.pkt",
    "tcp_paws": "packet/paws/old-timestamp.pkt",
    "tcp_ack_invalid": PACKET + "ack-invalid.pkt",
    "tcp_syn_in_window": PACKET + "syn-in-window.pkt",
    "tcp_rst_invalid": "packet/rst/in-window.pkt",
    "tcp_backlog_full": "dataplane/tcp/pair_test.c",
    "tcp_ooo_limit": PACKET + "ooo-limit.pkt",
    "tcp_no_memory": PACKET + "no-memory.pkt",
    "tcp_after_close": PACKET + "after-close.pkt",
    "tls_record_invalid": TLS,
    "tls_truncated": TLS,
    "tls_no_memory": TLS,
    "event_ring_full": REFUSALS,
    "cmd_invalid": "dataplane/session/setup_test.c",
}


def produces(path, name):
    """What in such a file says that the reason was seen."""
    if path.endswith(".c"):
        return rf"TGW_R_{name}\b"
    if path.endswith(".pkt"):
        return rf"^\+\S+\s+count .*\b{name}=[1-9]"
    if path == REFUSALS and REASONS[name].kind == "REFUSE":
        return rf'(?s)@case\("[^"]*\b{name}\b.*[( ]"{name}"'
    return rf'"{name}"|reason=.{name}'


def every_reason_has_its_test():
    wrong = [f"{n}: no test" for n in REASONS if n not in TESTS]
    wrong += [f"{n}: not in reason.def" for n in TESTS if n not in REASONS]
    for name, path in TESTS.items():
        full = os.path.join(HERE, path)
        if not os.path.exists(full):
            wrong.append(f"{name}: no file tests/{path}")
            continue
        with open(full) as f:
            if name in REASONS and not re.search(produces(path, name), f.read(), re.M):
                wrong.append(f"{name}: tests/{path} does not look for it")
    return wrong


def every_reason_is_used():
    text = ""
    for top in ("dataplane", "control"):
        for folder, _, names in os.walk(os.path.join(ROOT, top)):
            for name in names:
                if name.endswith((".c", ".h")):
                    with open(os.path.join(folder, name)) as f:
                        text += f.read()
    return [f"{n}: nothing produces it" for n in REASONS if not re.search(rf"TGW_R_{n}\b", text)]


def row(*cells):
    return "| " + " | ".join(str(c) for c in cells) + " |"


def document():
    lines = ["# Reasons", "",
             "Every refusal, close and drop by its name: the metric's label and the log line's `reason`.",
             "Written by `tests/reasons_test.py --write` from `dataplane/contract/reason.def`; the test beside",
             "each produces it (under `tests/`).", ""]
    lines += ["## Refusals", "", "`terminal_gateway_ws_events_total{outcome=\"rejected\"}`. The close code is that of",
              "`browser_refusals: \"close\"`. Those without a status happen before or after there is anybody to answer.",
              "", row("reason", "HTTP", "code", "message", "close", "test"), row(*["---"] * 6)]
    for name, r in REASONS.items():
        if r.kind == "REFUSE":
            lines.append(row(f"`{name}`", r.http or "", f"`{r.code}`" if r.http else "", r.message, r.close or "",
                             TESTS.get(name)))
    lines += ["", "## Closes", "", "`terminal_gateway_ws_events_total{outcome=\"closed\"}`. Without a code: the peer's own is",
              "passed on, or nobody is left to get one.", "", row("reason", "close code", "meaning", "test"),
              row(*["---"] * 4)]
    lines += [row(f"`{n}`", r.close or "", r.message, TESTS.get(n)) for n, r in REASONS.items()
              if r.kind == "CLOSE"]
    lines += ["", "## Drops", "", "`dataplane_drops_total`.", "", row("reason", "meaning", "test"), row(*["---"] * 3)]
    lines += [row(f"`{n}`", r.message, TESTS.get(n)) for n, r in REASONS.items() if r.kind == "DROP"]
    return "\n".join(lines) + "\n"


def the_document_is_as_generated():
    with open(DOC) as f:
        same = f.read() == document()
    return [] if same else ["docs/reasons.md is not what tests/reasons_test.py --write writes"]


CASES = [("every reason has a test that produces it", every_reason_has_its_test),
         ("every reason is used", every_reason_is_used),
         ("docs/reasons.md is as generated", the_document_is_as_generated)]


def main():
    if "--write" in sys.argv:
        with open(DOC, "w") as f:
            f.write(document())
        return 0
    failed = 0
    print(f"1..{len(CASES)}")
    for number, (name, case) in enumerate(CASES, 1):
        wrong = case()
        failed += bool(wrong)
        print(f"{'not ok' if wrong else 'ok'} {number} - reasons: {name}")
        for line in wrong[:30]:
            print(f"#   {line}")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())

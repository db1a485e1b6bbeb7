#!/usr/bin/python3
"""The table of a benchmark's reports: tests/bench/table.py DIRECTORY"""
import json
import pathlib
import sys


def report(directory, name):
    path = pathlib.Path(directory) / (name + ".json")
    return json.loads(path.read_text()) if path.exists() else None


def main():
    rows = []

    def row(what, name, group, key, scale, unit, target):
        r = report(sys.argv[1], name)
        if r and r.get(group, {}).get(key):
            rows.append((what, f"{r[group][key] * scale:,.2f}", unit, target))

    row("relayed 64-byte frame", "echo", "gateway", "cycles_a_frame", 1, "cycles", "1,300")
    row("  quiet tenth of the steps", "echo", "gateway", "cycles_a_frame_p10", 1, "cycles", "")
    row("frames relayed", "echo", "rates", "answered_per_s", 2, "a second", "2,000,000")
    row("echo at 70 % load, p50", "load70", "latency_ns", "p50", 1e-3, "us", "")
    row("echo at 70 % load, p99", "load70", "latency_ns", "p99", 1e-3, "us", "50")
    row("  of what no stall reached, p99", "load70", "undisturbed_ns", "p99", 1e-3, "us", "50")
    row("  which are", "load70", "undisturbed", "share", 100, "% of all", "")
    row("flood", "flood", "rates", "output_gbit_per_s", 1, "Gb/s", "10")
    row("  of output", "flood", "gateway", "cycles_a_kib", 1, "cycles a KiB", "2,000")
    row("paste", "paste", "rates", "paste_gbit_per_s", 1, "Gb/s", "")
    row("session setups", "churn", "rates", "setups_per_s", 1, "a second", "100,000")
    row("  each", "churn", "gateway", "cycles_a_setup", 1, "cycles", "24,500")
    row("mixed, p99", "mixed", "latency_ns", "p99", 1e-3, "us", "")
    row("idle session, both legs", "idle", "gateway", "rss_bytes_a_session", 1, "bytes", "1,024")
    row("a million sessions", "million", "sessions", "opened", 1, "open", "1,000,000")
    row("  each", "million", "gateway", "rss_bytes_a_session", 1, "bytes", "1,024")
    row("  typing on 10,000", "million", "gateway", "cycles_a_frame", 1, "cycles", "")
    print(f"{'what':32} {'measured':>14} {'unit':14} {'target':>10}")
    for what, measured, unit, target in rows:
        print(f"{what:32} {measured:>14} {unit:14} {target:>10}")


main()

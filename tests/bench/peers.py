#!/usr/bin/python3
"""The comparison that peers.sh measured: tests/bench/peers.py DIRECTORY MEMIF_REPORT"""
import json
import os
import pathlib
import sys

TICKS = os.sysconf("SC_CLK_TCK")


def client(directory, name):
    path = directory / f"{name}.json"
    lines = path.read_text().splitlines() if path.exists() else []
    return json.loads(lines[-1]) if len(lines) > 1 else None


def main():
    directory = pathlib.Path(sys.argv[1])
    memif = pathlib.Path(sys.argv[2])
    gateway = json.loads(memif.read_text())["gateway"] if memif.exists() else None
    ours_us = gateway["cycles_a_frame"] / gateway["tsc_hz"] * 1e6 if gateway else None
    rows = []
    for name in ("nginx", "haproxy", "gateway"):
        r = client(directory, name)
        if not r:
            continue
        frames = 2 * r["echoes"]
        if name == "gateway":
            hz = gateway["tsc_hz"] if gateway else 0
            cycles = int((directory / "gateway.cycles").read_text())
            cost_us = cycles / hz * 1e6 / frames if hz and frames else None
        else:
            ticks = int((directory / f"{name}.ticks").read_text())
            cost_us = ticks / TICKS * 1e6 / frames if frames else None
        rows.append((name + " over veth", frames / r["seconds"], r["p50_us"], r["p99_us"], cost_us))
    if gateway:
        rate = 2 * json.loads(memif.read_text())["rates"]["answered_per_s"]
        rows.append(("gateway over memif", rate, None, None, ours_us))
    print(f"{'':20} {'frames/s':>12} {'p50 us':>8} {'p99 us':>8} {'CPU us a frame':>15} {'times ours':>11}")
    for name, rate, p50, p99, cost in rows:
        text = [f"{x:.1f}" if x is not None else "" for x in (p50, p99)]
        ratio = f"{cost / ours_us:.1f}" if cost and ours_us else ""
        print(f"{name:20} {rate:12,.0f} {text[0]:>8} {text[1]:>8} "
              f"{cost if cost else 0:15.3f} {ratio:>11}")
    (directory / "peers.json").write_text(json.dumps(
        [{"name": n, "frames_per_s": r, "p50_us": p, "p99_us": q, "cpu_us_a_frame": c}
         for n, r, p, q, c in rows], indent=1))


main()

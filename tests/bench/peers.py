#!/usr/bin/python3
"""The comparison that peers.sh measured: tests/bench/peers.py DIRECTORY

CPU time a relayed frame, each direction of a keystroke and its echo counted once. Of a
proxy: its time on the CPU, the kernel's TCP in it. Of the gateway: its core's ticks that
were not idle; over veth the kernel's packet sockets are in it, its TCP is its own anyway.
Of several rounds the cheapest counts; the others' costs are kept beside it."""
import json
import os
import pathlib
import re
import sys

TICKS_S = os.sysconf("SC_CLK_TCK")
CASE = re.compile(r"peers-(.+)-(\d+)-(\d+)-\d+\.(client|json|txt)$")
ORDER = ("nginx", "haproxy", "gateway-af_packet", "gateway-af_xdp", "memif", "alone")
TITLES = {"nginx": "nginx over veth", "haproxy": "HAProxy over veth",
          "gateway-af_packet": "gateway over veth, AF_PACKET",
          "gateway-af_xdp": "gateway over veth, AF_XDP", "memif": "gateway over memif, the rig",
          "alone": "gateway's core alone"}


def over_veth(path, name, hz):
    """The client's line and what the proxy used."""
    lines = path.read_text().splitlines()
    cost = json.loads(path.with_suffix(".cost").read_text())
    client = json.loads(lines[-1])
    frames = 2 * client["echoes"]
    used_ns = cost["busy_tsc"] / hz * 1e9 if name.startswith("gateway") else cost["run_ns"]
    return {"frames_per_s": frames / client["seconds"], "p50_us": client["p50_us"],
            "p99_us": client["p99_us"], "cpu_us_a_frame": used_ns / 1e3 / frames,
            "cpu_used": cost["cpu_ticks"] / TICKS_S / client["seconds"]}


def over_memif(path, _name, _hz):
    report = json.loads(path.read_text())
    gateway = report["gateway"]
    return {"frames_per_s": 2 * report["rates"]["answered_per_s"],
            "p50_us": report["latency_ns"]["p50"] / 1e3,
            "p99_us": report["latency_ns"]["p99"] / 1e3,
            "cpu_us_a_frame": gateway["cycles_a_frame"] / gateway["tsc_hz"] * 1e6}


def alone(path, _name, hz):
    """The median of the stretches; the best tenth is told apart."""
    found = re.search(r"min (\d+) p10 (\d+) median (\d+)", path.read_text())
    return {"cpu_us_a_frame": int(found[3]) / hz * 1e6,
            "cpu_us_a_frame_p10": int(found[2]) / hz * 1e6}


def tsc_hz(directory):
    for path in directory.glob("peers-memif-*.json"):
        return json.loads(path.read_text())["gateway"]["tsc_hz"]
    sys.exit("peers.py: no report of the rig: the counter's rate is not known")


def cheapest(rows):
    best = {}
    for r in sorted(rows, key=lambda r: r["cpu_us_a_frame"]):
        first = best.setdefault((r["name"], r["sessions"], r["bytes"]), {**r, "rounds_us": []})
        first["rounds_us"].append(r["cpu_us_a_frame"])
    return list(best.values())


def cell(value, form):
    return format(value, form) if value is not None else ""


def table(rows):
    print(f"{'':30} {'frames/s':>10} {'p50 us':>9} {'p99 us':>9} {'CPU used':>9} "
          f"{'us a frame':>11} {'nginx = 1':>10}")
    for case in sorted({(r["sessions"], r["bytes"]) for r in rows}):
        print(f"{case[0]:,} sessions, {case[1]} bytes")
        for r in (r for r in rows if (r["sessions"], r["bytes"]) == case):
            print(f"  {TITLES[r['name']]:28} {cell(r.get('frames_per_s'), ',.0f'):>10} "
                  f"{cell(r.get('p50_us'), '.0f'):>9} {cell(r.get('p99_us'), '.0f'):>9} "
                  f"{cell(r.get('cpu_used'), '.0%'):>9} {r['cpu_us_a_frame']:>11.3f} "
                  f"{cell(r.get('nginx_over_this'), '.1f'):>10}")


def main():
    directory = pathlib.Path(sys.argv[1])
    hz = tsc_hz(directory)
    rows = []
    for path in directory.glob("peers-*"):
        case = CASE.match(path.name)
        if not case:
            continue
        read = {"client": over_veth, "json": over_memif, "txt": alone}[case[4]]
        rows.append({"name": case[1], "sessions": int(case[2]), "bytes": int(case[3]),
                     **read(path, case[1], hz)})
    rows = cheapest(rows)
    rows.sort(key=lambda r: (r["sessions"], r["bytes"], ORDER.index(r["name"])))
    nginx = {(r["sessions"], r["bytes"]): r["cpu_us_a_frame"] for r in rows
             if r["name"] == "nginx"}
    for r in rows:
        against = nginx.get((r["sessions"], r["bytes"]))
        r["nginx_over_this"] = against / r["cpu_us_a_frame"] if against else None
    table(rows)
    (directory / "peers.json").write_text(json.dumps({"tsc_hz": hz, "rows": rows}, indent=1) + "\n")


main()

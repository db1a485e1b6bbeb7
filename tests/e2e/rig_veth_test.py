#!/usr/bin/python3
"""The rig and the gateway in two namespaces with two veth pairs between them, over packet
sockets: what is typed comes back, sessions come and go, nothing is lost."""
import json
import os
import signal
import subprocess
import tempfile
import time

from tap import case, run

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
RUNS = os.path.join(ROOT, "hw", "rig", "runs")
DIR = tempfile.mkdtemp(prefix="rig-veth-")
SPACES = {side: f"tgw-rv-{side}-{os.getpid()}" for side in ("rig", "gateway")}
GATEWAY = []


def ip(*args):
    subprocess.run(["ip", *args], check=True)


def configuration(name, **more):
    text = open(f"{RUNS}/{name}.json").read()
    text = text.replace("/run/tgw/bench", DIR).replace("/dev/shm/tgw-bench", f"{DIR}/region")
    path = f"{DIR}/{name}.json"
    with open(path, "w") as f:
        json.dump({**json.loads(text), **more}, f)
    return path


def up():
    for space in SPACES.values():
        ip("netns", "add", space)
        subprocess.run(["ip", "netns", "exec", space, "sysctl", "-q", "-w",
                        "net.ipv6.conf.default.disable_ipv6=1"], check=True)
    for side in ("client", "node"):
        ip("link", "add", side, "netns", SPACES["gateway"], "type", "veth", "peer", "name", side,
           "netns", SPACES["rig"])
        for space in SPACES.values():
            ip("-n", space, "link", "set", side, "up", "arp", "off")
    with open(f"{DIR}/agent.secret", "w") as f:
        f.write("5a" * 32)
    log = f"{DIR}/gateway.log"
    with open(log, "w") as out:
        GATEWAY.append(subprocess.Popen(
            ["ip", "netns", "exec", SPACES["gateway"], "build/tgw-dataplane", "--config",
             configuration("veth-gateway", sessions_max=1000, log_level="INFO")],
            cwd=ROOT, stdout=out, stderr=out))
    for _ in range(200):
        if "dataplane_started" in open(log).read():
            return
        time.sleep(0.1)
    raise AssertionError(open(log).read())


def down():
    for gateway in GATEWAY:
        gateway.send_signal(signal.SIGINT)
        gateway.wait(20)
    for space in SPACES.values():
        subprocess.run(["ip", "netns", "del", space], check=False)


def play(*overrides):
    out = f"{DIR}/report.json"
    done = subprocess.run(
        ["ip", "netns", "exec", SPACES["rig"], "build/tgw-rig", "run", configuration("veth"),
         "sessions=20", "duration_ms=1000", f"report={out}", *overrides],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    report = json.load(open(out))
    sessions = report["sessions"]
    for bad in ("refused", "failed", "lost", "corrupt", "agent_refused"):
        assert sessions[bad] == 0, sessions
    return report


@case("keystrokes come back as they were typed, as many as were due")
def _():
    report = play("rate_per_s=2000")
    assert report["sessions"]["opened"] == 20, report["sessions"]
    rates = report["rates"]
    due = 2000 * rates["window_s"]
    # Those under way at the window's ends may fall to either side of it.
    under_way = 2000 * report["latency_ns"]["max"] / 1e9 + 20
    assert abs(rates["typed_per_s"] * rates["window_s"] - due) <= under_way, (rates, under_way)
    assert abs(rates["answered_per_s"] * rates["window_s"] - due) <= under_way, (rates, under_way)
    assert report["gateway"]["frames"] >= 2 * (due - under_way), report["gateway"]["frames"]


@case("sessions come, type and go")
def _():
    report = play("scenario=churn")
    sessions = report["sessions"]
    assert sessions["opened"] > 20 and sessions["agent_sessions"] >= sessions["opened"], sessions
    assert sessions["opened"] - sessions["closed"] <= 20, sessions
    assert report["setup_ns"]["count"] > 0 and report["latency_ns"]["count"] > 0, report["setup_ns"]


run(before=up, after=down)

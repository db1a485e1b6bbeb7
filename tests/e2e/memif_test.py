#!/usr/bin/python3
"""The other end of memif is killed, again and again, with sessions under load: the gateway
lives, serves the next one, ends what was left under its name, and starts again where a
killed one left its sockets."""
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

import tap
from gateways import BUILD, ROOT, start, stop, wait_for

KILLS = 8 if tap.QUICK else 20
SESSIONS = 20
DIR = pathlib.Path(tempfile.mkdtemp(prefix="memif-"))
CONFIG, SOCKET, DATAPLANE, CONTROL = (str(DIR / n) for n in
                                      ("config.json", "control.sock", "dataplane.log", "control.log"))
RUN = {}


def configure():
    ports = [{"name": n, "driver": "memif", "device": f"{DIR}/{n}.sock", "options": "role=server,id=0",
              "addresses": [f"198.18.{i}.2/24"]} for i, n in enumerate(("client", "node"))]
    ports[0].update(listen=True, gateway4="198.18.0.1")
    (DIR / "secret").write_text("5a" * 32)
    (DIR / "secret").chmod(0o600)
    pathlib.Path(CONFIG).write_text(json.dumps({
        "ports": ports, "huge_pages": False, "memory_mb": 128, "sessions_max": 5000,
        "shm_path": f"{DIR}/region", "control_socket": SOCKET, "admin_listen": "",
        "agent_default": "198.18.1.129:7681", "agent_networks": ["198.18.1.0/24"],
        "agent_secret_file": f"{DIR}/secret", "state_dir": f"{DIR}/state", "log_level": "INFO"}))


def log(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f if line.startswith("{")]


def events(path, event):
    return [line for line in log(path) if line["event"] == event]


def start_dataplane():
    before = len(events(DATAPLANE, "dataplane_started")) if os.path.exists(DATAPLANE) else 0
    RUN["dataplane"] = start(DATAPLANE, f"{BUILD}/tgw-dataplane", "--config", CONFIG)
    wait_for("a dataplane", lambda: len(events(DATAPLANE, "dataplane_started")) > before, 60)


def tokens():
    path = DIR / "tokens"
    minted = subprocess.run([f"{BUILD}/tgwctl", "--socket", SOCKET, "token", "mint", "--allocation",
                             "lab", "--count", str(SESSIONS), "--ttl", "600"],
                            capture_output=True, text=True, check=True, timeout=30)
    path.write_text(minted.stdout)
    return str(path)


def rig(name, **plan):
    """Its process, with the sessions' keystrokes in a closed loop."""
    ports = [{"name": n, "driver": "memif", "device": f"{DIR}/{n}.sock", "options": "role=client,id=0",
              "addresses": [f"198.18.{i}.1/24"]} for i, n in enumerate(("client", "node"))]
    path = DIR / f"{name}.json"
    path.write_text(json.dumps({
        "name": name, "region": f"{DIR}/region", "scenario": "echo", "sessions": SESSIONS,
        "frame_bytes": 64, "ramp_per_s": 10000, "settle_ms": 0, "duration_ms": 60000,
        "report": str(DIR / f"{name}.report"), "tokens": tokens(),
        "machine": {"ports": ports, "cores": ["0"], "huge_pages": False, "memory_mb": 320}, **plan}))
    return start(str(DIR / "rig.log"), f"{BUILD}/tgw-rig", "run", str(path), cwd=ROOT)


def alive():
    code = RUN["dataplane"].poll()
    assert code is None, f"the dataplane ended with {code}: {log(DATAPLANE)[-3:]}"


def kill_one(number):
    opened = len(events(CONTROL, "session_opened"))
    process = rig("killed")
    try:
        wait_for(f"sessions of rig {number}",
                 lambda: len(events(CONTROL, "session_opened")) >= opened + SESSIONS, 60)
        time.sleep(random.random() * 0.05)
    finally:
        process.kill()
        process.wait()
    alive()


@tap.case("the gateway outlives those it shares memory with", timeout_s=600)
def _():
    for number in range(KILLS):
        kill_one(number)
    time.sleep(1)
    alive()
    downs = [line["message"] for line in events(DATAPLANE, "link_down")]
    assert "port client" in downs and "port node" in downs, downs


@tap.case("the next one is served as the first was")
def _():
    process = rig("last", duration_ms=1000)
    assert process.wait(60) == 0, (DIR / "rig.log").read_text()[-2000:]
    report = json.loads((DIR / "last.report").read_text())
    sessions = report["sessions"]
    assert sessions["opened"] >= SESSIONS and report["rates"]["answered_per_s"] > 0, sessions
    assert sessions["refused"] == sessions["lost"] == sessions["corrupt"] == 0, sessions


@tap.case("every session that was left ends under its name")
def _():
    def ended():
        opened, closed = events(CONTROL, "session_opened"), events(CONTROL, "session_closed")
        return len(closed) == len(opened)

    wait_for("the end of all sessions", ended, 110, 1)
    reasons = {line["reason"] for line in events(CONTROL, "session_closed")}
    assert reasons & {"client_lost", "upstream_lost"}, reasons
    assert reasons <= {"client_lost", "upstream_lost", "client_closed", "agent_closed"}, reasons


@tap.case("one that was killed is no obstacle to the next")
def _():
    RUN["dataplane"].send_signal(signal.SIGKILL)
    RUN["dataplane"].wait()
    assert (DIR / "client.sock").exists()
    start_dataplane()
    wait_for("the control process", lambda: subprocess.run(
        [f"{BUILD}/tgwctl", "--socket", SOCKET, "status"], capture_output=True,
        check=False).returncode == 0)
    process = rig("after", duration_ms=500)
    assert process.wait(60) == 0, (DIR / "rig.log").read_text()[-2000:]


def up():
    configure()
    start_dataplane()
    RUN["control"] = start(CONTROL, f"{BUILD}/tgw-control", "--config", CONFIG)
    wait_for("the control process", lambda: subprocess.run(
        [f"{BUILD}/tgwctl", "--socket", SOCKET, "status"], capture_output=True,
        check=False).returncode == 0)


def down():
    for process in RUN.values():
        stop(process)


sys.exit(tap.run(before=up, after=down))

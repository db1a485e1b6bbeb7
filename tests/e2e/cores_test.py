#!/usr/bin/python3
"""Two workers on ports that cannot tell connections apart: the rig's sessions come to both
cores, and every echo is what was typed."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import tap

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
RUN = pathlib.Path("/run/tgw/cores")
SHM = "/dev/shm/tgw-cores"
SESSIONS = 200
AGAIN = 75  # the exit status of a dataplane that is to be started again
VETH = [("tgw-x0", "tgw-x1"), ("tgw-y0", "tgw-y1")]


def ports(driver, devices, options, last):
    names = ("client", "node")
    return [{"name": n, "driver": driver, "device": d, "options": options,
             "addresses": [f"198.18.{i}.{last}/24"]}
            for i, (n, d) in enumerate(zip(names, devices))]


def write(name, value):
    path = RUN / name
    path.write_text(json.dumps(value))
    return str(path)


def gateway(port_list):
    port_list[0].update(listen=True, gateway4="198.18.0.1")
    secret = RUN / "secret"
    secret.write_text("0" * 64)
    secret.chmod(0o600)
    config = write("gateway.json", {
        "ports": port_list, "cores": ["0", "1"], "huge_pages": False, "memory_mb": 256,
        "sessions_max": 2000, "shm_path": SHM, "control_socket": str(RUN / "control.sock"),
        "admin_listen": "", "agent_default": "198.18.1.129:7681",
        "agent_networks": ["198.18.1.0/24"], "agent_secret_file": str(secret),
        "state_dir": str(RUN / "state"), "log_level": "INFO"})
    log = RUN / "dataplane.log"
    with open(log, "w") as out:
        process = subprocess.Popen([ROOT / "build/tgw-dataplane", "--config", config],
                                   stdout=out, stderr=subprocess.STDOUT)
    for _ in range(150):
        if "dataplane_started" in log.read_text():
            return process
        if process.poll() == AGAIN:
            return gateway(port_list)
        if process.poll() is not None:
            break
        time.sleep(0.1)
    process.kill()
    raise AssertionError(log.read_text()[-2000:])


def play(port_list, **more):
    plan = write("run.json", {
        "name": "cores", "region": SHM, "verdicts": True, "scenario": "echo",
        "sessions": SESSIONS, "frame_bytes": 300, "ramp_per_s": 2000, "settle_ms": 200,
        "duration_ms": 1000, "report": str(RUN / "report.json"),
        "machine": {"ports": port_list, "cores": ["0"], "huge_pages": False, "memory_mb": 512},
        **more})
    for _ in range(3):
        out = subprocess.run([ROOT / "build/tgw-rig", "run", plan], capture_output=True, text=True,
                             timeout=100, check=False)
        if "start it again" not in out.stderr:
            break
    assert out.returncode == 0, out.stdout + out.stderr[-2000:]
    return json.loads((RUN / "report.json").read_text())


def both_cores_relay(gateway_ports, rig_ports):
    process = gateway(gateway_ports)
    try:
        report = play(rig_ports)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
    sessions = report["sessions"]
    assert sessions["opened"] == SESSIONS, sessions
    assert sessions["corrupt"] == sessions["lost"] == sessions["refused"] == 0, sessions
    assert report["rates"]["answered_per_s"] > 0
    cores = report["gateway"]["cores"]
    assert len(cores) == 2
    for core in cores:
        assert core["sessions_accepted"] > SESSIONS / 4, cores
        assert core["frames"] > 0, cores


@tap.case("two workers behind one memif queue")
def _():
    sockets = [str(RUN / "client.sock"), str(RUN / "node.sock")]
    both_cores_relay(ports("memif", sockets, "role=server,id=0", 2),
                     ports("memif", sockets, "role=client,id=0", 1))


@tap.case("two workers over veth", quick=False)
def _():
    ends = [list(e) for e in zip(*VETH)]
    both_cores_relay(ports("af_packet", ends[0], "", 2), ports("af_packet", ends[1], "", 1))


def up():
    RUN.mkdir(parents=True, exist_ok=True)
    for a, b in VETH:
        subprocess.run(["ip", "link", "add", a, "type", "veth", "peer", "name", b], check=True)
        for device in (a, b):
            pathlib.Path(f"/proc/sys/net/ipv6/conf/{device}/disable_ipv6").write_text("1")
            subprocess.run(["ip", "link", "set", device, "up", "arp", "off"], check=True)


def down():
    for a, _ in VETH:
        subprocess.run(["ip", "link", "del", a], check=False, stderr=subprocess.DEVNULL)
    if os.path.exists(SHM):
        os.unlink(SHM)


sys.exit(tap.run(before=up, after=down))

#!/usr/bin/python3
"""What a gateway without traffic costs, and how long it takes to wake up, by port and idle_mode:
    tests/bench/idle.py [--seconds S] [--echoes N] [PORT:MODE ...]     PORT: tap, af_packet

CPU time and wake-ups of both processes over S seconds in which nothing comes; then N echo
requests of the kernel's after 0.2 s of silence each, and as many in 1.2 s steps: after a
second the sleeps are longer. Times by the kernel's clock, from just before the request is
sent until the kernel has the answer. Needs root; uses a network namespace of its own."""
import argparse
import ctypes
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CASES = ("af_packet:sleep", "tap:sleep", "tap:interrupt", "tap:pause", "tap:spin")
CLONE_NEWNET = 0x40000000


def configuration(directory, port, mode):
    ports = [{"name": name, "driver": port, "device": f"tgwi{i}", "addresses": [f"198.18.{i}.2/24"],
              "listen": i == 0} for i, name in enumerate(("client", "node"))]
    (directory / "secret").write_text("5a" * 32)
    (directory / "secret").chmod(0o600)
    path = directory / "config.json"
    path.write_text(json.dumps({
        "ports": ports, "cores": ["1"], "huge_pages": False, "memory_mb": 128, "sessions_max": 1000,
        "idle_mode": mode, "shm_path": f"{directory}/shm", "admin_listen": "",
        "control_socket": f"{directory}/control.sock", "agent_default": "198.18.1.1:7681",
        "agent_networks": ["198.18.1.0/24"], "agent_secret_file": f"{directory}/secret",
        "state_dir": f"{directory}/state", "log_level": "INFO"}))
    return path


def ip(*args):
    subprocess.run(["ip", *args], check=True)


def plug(port):
    """The kernel's ends: of veth in the same namespace, whose other ends packet sockets have."""
    for i in range(2):
        if port == "af_packet":
            ip("link", "add", f"tgwi{i}", "type", "veth", "peer", "name", f"peer{i}")
            ip("link", "set", f"tgwi{i}", "up", "arp", "off")
            for device in (f"tgwi{i}", f"peer{i}"):
                subprocess.run(["ethtool", "-K", device, "tx", "off", "gro", "off"],
                               capture_output=True, check=False)
        device = f"peer{i}" if port == "af_packet" else f"tgwi{i}"
        ip("addr", "add", f"198.18.{i}.1/24", "dev", device)
        ip("link", "set", device, "up")


def used(pid):
    """ns on a CPU, and how often it gave the CPU away."""
    ns = switches = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        ns += int((task / "schedstat").read_text().split()[0])
        status = (task / "status").read_text()
        switches += int(status.split("\nvoluntary_ctxt_switches:")[1].split()[0])
    return ns, switches


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff


def echo_us(s, number):
    head = struct.pack("!BBHHH", 8, 0, 0, os.getpid() & 0xffff, number)
    body = b"x" * 56
    packet = head[:2] + struct.pack("!H", checksum(head + body)) + head[4:] + body
    sent = time.clock_gettime_ns(time.CLOCK_REALTIME)
    s.sendto(packet, ("198.18.0.2", 0))
    while True:
        data, extra, _, _ = s.recvmsg(200, 100)
        at = data[(data[0] & 15) * 4:]
        if at[0] != 0 or at[4:8] != head[4:8]:
            continue
        seconds, ns = struct.unpack("qq", extra[0][2][:16])
        return (seconds * 10**9 + ns - sent) / 1e3


def wake_us(silence_s, echoes):
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    s.setsockopt(socket.SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS
    s.settimeout(5)
    took = []
    echo_us(s, 0)  # neighbours
    for number in range(1, echoes + 1):
        time.sleep(silence_s)
        took.append(echo_us(s, number))
    took.sort()
    return took[len(took) // 2], took[min(len(took) - 1, len(took) * 99 // 100)]


def until(good, what):
    for _ in range(200):
        if good():
            return
        time.sleep(0.1)
    raise SystemExit(f"idle.py: {what}")


def measure(port, mode, seconds, echoes):
    with tempfile.TemporaryDirectory(prefix="tgw-idle-") as name:
        directory = pathlib.Path(name)
        config, log = configuration(directory, port, mode), directory / "log"
        started = []
        try:
            if port == "af_packet":
                plug(port)
            for program in ("tgw-dataplane", "tgw-control"):
                with open(log, "a", encoding="utf-8") as out:
                    started.append(subprocess.Popen([ROOT / "build" / program, "--config", config],
                                                    stdout=out, stderr=out))
                until(lambda: "dataplane_started" in log.read_text(), log.read_text())
            if port == "tap":
                plug(port)
            until(lambda: "control_attached" in log.read_text(), log.read_text())
            time.sleep(12)  # sleeps are longest after ten seconds
            before = [used(p.pid) for p in started]
            time.sleep(seconds)
            after = [used(p.pid) for p in started]
            waits = [wake_us(silence, n) for silence, n in ((0.2, echoes), (1.2, echoes // 4))]
        finally:
            for p in reversed(started):
                p.send_signal(signal.SIGINT if p is started[0] else signal.SIGQUIT)
                p.wait(20)
            for i in range(2):
                subprocess.run(["ip", "link", "del", f"tgwi{i}"], capture_output=True, check=False)
    share = [(a[0] - b[0]) / 1e9 / seconds * 100 for a, b in zip(after, before)]
    woken = [(a[1] - b[1]) / seconds for a, b in zip(after, before)]
    (short50, short99), (long50, long99) = waits
    print(f"{port:10} {mode:10} {share[0]:6.2f} % {woken[0]:7.0f}/s {share[1]:6.2f} % {woken[1]:5.0f}/s"
          f"   {short50:7.0f} {short99:7.0f}   {long50:7.0f} {long99:7.0f}", flush=True)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--seconds", type=float, default=30)
    arguments.add_argument("--echoes", type=int, default=200)
    arguments.add_argument("cases", nargs="*", default=CASES)
    given = arguments.parse_args()
    if ctypes.CDLL(None).unshare(CLONE_NEWNET) != 0:
        raise SystemExit("idle.py: needs root")
    ip("link", "set", "lo", "up")
    print(f"{'':21}{'dataplane':>9} {'wake-ups':>9} {'control':>8} {'':>7}"
          f"   after 0.2 s: p50, p99   after 1.2 s, us")
    for case in given.cases:
        measure(*case.split(":"), given.seconds, given.echoes)


main()

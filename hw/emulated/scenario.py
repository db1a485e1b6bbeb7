#!/usr/bin/python3
"""What the emulated DPU must do, from power-on to power-off: see README.md.

    scenario.py [--short] --out DIR --agent PROGRAM

Writes DIR/log.txt (what was done and what was said), DIR/console-N.log and DIR/report.json."""
import argparse
import asyncio
import ctypes
import json
import os
import re
import subprocess
import sys
import time
import traceback
import urllib.error
import urllib.request

import websockets

from machine import CLIENT, NODE, Machine, Network, sh

GATEWAY = "198.18.0.2"
SLOTS = {"uplink": "0000:00:02.0", "host": "0000:00:03.0"}
CONFIG = {
    "ports": [
        {"name": "client", "driver": "pci", "device": SLOTS["uplink"], "listen": True,
         "addresses": [GATEWAY + "/24"], "gateway4": "198.18.0.1"},
        {"name": "node", "driver": "pci", "device": SLOTS["host"], "addresses": ["198.18.1.2/24"]}],
    "cores": ["1"], "memory_mb": 256, "sessions_max": 1000, "tls_port": 0, "run_as_user": "tgw",
    "control_group": "tgw", "agent_secret_file": "/etc/tgw/agent.secret",
    "agent_default": "198.18.1.1:7681", "agent_networks": ["198.18.1.0/24"],
}


class Log:
    def __init__(self, path):
        self.file = open(path, "w", encoding="utf-8")
        self.began = time.monotonic()

    def __call__(self, *lines):
        for i, line in enumerate("\n".join(lines).splitlines()):
            text = f"[{time.monotonic() - self.began:6.1f}] {line}" if i == 0 else f"         {line}"
            print(text, file=self.file, flush=True)


def enter(namespace):
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/run/netns/{namespace}", encoding="ascii") as f:
        assert libc.setns(f.fileno(), 0x40000000) == 0


class Run:
    """One machine with one arrangement of NICs."""

    def __init__(self, args, log, uplink, host):
        self.args, self.log = args, log
        self.nics = {"uplink": uplink, "host": host}
        self.network = Network()
        self.seconds, self.rtt_ms, self.steps = {}, {}, []
        self.agent = None
        self.machine = Machine(args.out, log, uplink, host)
        self.network.attach()

    def step(self, name, function):
        self.log(f"== {self.nics['uplink']} uplink, {self.nics['host']} host: {name}")
        began, error = time.monotonic(), None
        try:
            value = function()
            if asyncio.iscoroutine(value):
                asyncio.run(asyncio.wait_for(value, 180))
        except Exception:  # every failure is a result
            error = traceback.format_exc()
            self.log("FAILED", error)
            if self.machine.qemu.poll() is None:
                try:
                    self.machine.run("journalctl -o short-monotonic --no-pager | tail -n 40")
                except (RuntimeError, OSError) as e:
                    self.log(f"and the machine's shell does not answer: {e}")
        took = time.monotonic() - began
        self.steps.append({"name": name, "passed": not error, "seconds": round(took, 1)})
        print(f"emulated: {'ok  ' if not error else 'FAIL'} {name} ({took:.1f} s)", flush=True)
        return not error

    # What an operator does in the machine.

    def boots(self):
        self.seconds["boot"] = round(self.machine.wait_booted(), 1)
        self.machine.run("uname -srm; systemctl is-system-running; lspci -nn | grep -i ethernet")

    def installs(self):
        self.machine.run("dpkg -i /root/terminal-gateway_*_arm64.deb", 180)
        self.machine.run("tgw-dataplane --version; id tgw")

    def binds(self):
        self.machine.run("sysctl -w vm.nr_hugepages=140; grep HugePages_Free /proc/meminfo")
        self.machine.run("modprobe vfio-pci")
        for slot in SLOTS.values():
            device = f"/sys/bus/pci/devices/{slot}"
            self.machine.run(f"echo vfio-pci >{device}/driver_override; "
                             f"[ ! -e {device}/driver ] || echo {slot} >{device}/driver/unbind; "
                             f"echo {slot} >/sys/bus/pci/drivers_probe; "
                             f"[ $(basename $(readlink {device}/driver)) = vfio-pci ]")
        self.machine.run("for g in /sys/kernel/iommu_groups/*/devices/0000:00:0[23].0; do echo $g; done")

    def starts(self):
        text = json.dumps(CONFIG, indent=1)
        self.machine.run(f"cat >/etc/tgw/config.json <<'END'\n{text}\nEND", quiet=True)
        self.log("/etc/tgw/config.json:", text)
        self.machine.run("systemctl start tgw-dataplane tgw-control", 120)
        self.machine.wait("tgwctl status", 60)
        self.machine.run("systemctl show -p ActiveState,WatchdogUSec,StatusText tgw-dataplane; tgwctl status; tgwctl ports")
        self.machine.run("ps -o user,pid,args -C tgw-dataplane,tgw-control; grep HugePages_Free /proc/meminfo")

    def probes(self):
        self.machine.run("tgwctl ports probe", 60)

    def starts_agent(self):
        secret = self.machine.run("cat /etc/tgw/agent.secret", quiet=True)
        path = os.path.join(self.args.out, "agent.secret")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
            f.write(secret)
        self.agent = subprocess.Popen(
            ["ip", "netns", "exec", NODE, self.args.agent, "--listen", "198.18.1.1:7681", "--secret-file", path,
             "--shell", "/bin/bash"], stdout=open(os.path.join(self.args.out, "agent.log"), "a"), stderr=subprocess.STDOUT)

    def is_ready(self):
        deadline = time.monotonic() + 30
        while self.get("/readyz")[0] != 200:
            assert time.monotonic() < deadline, self.get("/readyz")
            time.sleep(0.5)
        self.log("GET /readyz", str(self.get("/readyz")))

    # What a client does from its namespace.

    def get(self, path):
        try:
            with urllib.request.urlopen(f"http://{GATEWAY}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()
        except OSError as e:
            return 0, str(e)

    def mint(self):
        return self.machine.run("tgwctl token mint --allocation emu", quiet=True).split()[-1]

    def connect(self, token):
        return websockets.connect(f"ws://{GATEWAY}/ws/terminal/emu?cols=100&rows=30", subprotocols=[token],
                                  compression=None, open_timeout=20, ping_interval=None)

    async def answer(self, ws, word, timeout_s=20):
        """A command typed into the shell and its output; seconds between."""
        began = time.monotonic()
        await ws.send(f"echo $((40 + 2))-{word}\n")
        got = b""
        while f"42-{word}".encode() not in got:
            piece = await asyncio.wait_for(ws.recv(), timeout_s)
            got += piece if isinstance(piece, bytes) else piece.encode()
        return time.monotonic() - began

    async def refused(self):
        """The status of an upgrade that must fail, and its envelope."""
        try:
            async with self.connect(self.mint_or_any()):
                raise AssertionError("a terminal opened")
        except websockets.exceptions.InvalidStatusCode as e:
            return e.status_code

    def mint_or_any(self):
        try:
            return self.mint()
        except RuntimeError:
            return "a" * 32

    async def a_shell(self):
        token = self.mint()
        began = time.monotonic()
        async with self.connect(token) as ws:
            assert ws.subprotocol == token
            self.seconds["to_first_answer"] = round(await self.answer(ws, "first") + 0, 3)
            self.seconds["open_and_first_answer"] = round(time.monotonic() - began, 3)
            times = sorted([1000 * await self.answer(ws, f"n{i}") for i in range(50)])
            self.rtt_ms = {"p50": round(times[25], 2), "p90": round(times[45], 2), "max": round(times[-1], 2)}
            self.log(f"50 commands, answered in ms: {self.rtt_ms}")
            await ws.send("stty size; head -c 300000 /dev/zero | tr '\\0' x; echo; echo don''e; exit 7\n")
            got = b""
            try:
                while True:
                    got += await asyncio.wait_for(ws.recv(), 60)
            except websockets.exceptions.ConnectionClosed as e:
                self.log(f"closed with {e.code}")
                assert e.code == 1000, e
            assert b"30 100" in got and b"done" in got, got[-300:]
            assert got.count(b"x") >= 300000, got.count(b"x")
        assert await self.replay(token) == 401

    async def replay(self, token):
        try:
            async with self.connect(token):
                return 101
        except websockets.exceptions.InvalidStatusCode as e:
            return e.status_code

    async def control_killed(self):
        async with self.connect(self.mint()) as ws:
            await self.answer(ws, "before")
            # The unit must not bring it back before we have looked.
            self.machine.run("mkdir -p /run/systemd/system/tgw-control.service.d; "
                             "printf '[Service]\\nRestartSec=12\\n' >/run/systemd/system/tgw-control.service.d/slow.conf; "
                             "systemctl daemon-reload")
            self.machine.run("kill -9 $(systemctl show -p MainPID --value tgw-control)")
            await asyncio.sleep(4)
            await self.answer(ws, "while-it-is-away")
            status = await self.replay("a" * 32)
            self.log(f"a new terminal meanwhile: {status}")
            assert status == 503, status
            self.machine.wait("tgwctl status", 60)
            await self.answer(ws, "after")
        async with self.connect(self.mint()) as ws:
            await self.answer(ws, "a-new-one")
        self.machine.run("rm -r /run/systemd/system/tgw-control.service.d; systemctl daemon-reload; "
                         "systemctl show -p NRestarts tgw-control")

    async def link_flaps(self):
        async with self.connect(self.mint()) as ws:
            for nic in ("nic-up", "nic-host"):
                await self.answer(ws, f"{nic}-before")
                self.machine.set_link(nic, False)
                await asyncio.sleep(2.5)
                self.log(f"{nic} down", self.machine.run("tgwctl ports", quiet=True))
                waiting = asyncio.create_task(self.answer(ws, f"{nic}-across", 60))
                await asyncio.sleep(1.5)
                assert not waiting.done(), "an answer through a link that is down"
                self.machine.set_link(nic, True)
                self.seconds[f"{nic}_typed_while_down"] = round(await waiting, 1)
                await self.answer(ws, f"{nic}-after")
            self.machine.run("journalctl -o cat -u tgw-dataplane | grep link_ || true")

    async def drains(self):
        async with self.connect(self.mint()) as ws:
            await self.answer(ws, "before")
            token = self.mint()
            self.machine.run("tgwctl drain --timeout 6")
            assert self.get("/readyz")[0] == 503
            status = await self.replay(token)
            self.log(f"a new terminal meanwhile: {status}")
            assert status == 503, status
            await self.answer(ws, "while-draining")
            try:
                while True:
                    await asyncio.wait_for(ws.recv(), 40)
            except websockets.exceptions.ConnectionClosed as e:
                self.log(f"closed with {e.code} {e.reason}")
                assert (e.code, e.reason) == (1012, "drain_timeout"), e
        self.machine.run("tgwctl undrain; tgwctl status")
        self.is_ready()
        async with self.connect(token) as ws:  # a refusal burns no token
            await self.answer(ws, "after")

    def stops(self):
        self.machine.run("systemctl stop tgw-dataplane tgw-control; systemctl is-active tgw-dataplane || true", 60)
        self.machine.run("journalctl -o cat -u tgw-dataplane -u tgw-control | tail -n 15")
        failed = self.machine.run("systemctl --failed --no-legend | wc -l")
        assert failed == "0", failed
        self.machine.run("dpkg --remove terminal-gateway && ls /etc/tgw", 120)
        self.seconds["power_on_to_off"] = round(self.machine.power_off(), 1)

    def end(self):
        if self.agent:
            self.agent.terminate()
            self.agent.wait()
        self.machine.kill()
        self.network.down()

    def report(self):
        return {"uplink": self.nics["uplink"], "host": self.nics["host"], "passed": all(s["passed"] for s in self.steps),
                "steps": self.steps, "seconds": self.seconds, "answer_ms": self.rtt_ms}


def one(args, log, number, uplink, host):
    run = Run(args, log, uplink, host)
    try:
        good = run.step("boots with systemd", run.boots) and \
            run.step("dpkg installs the package", run.installs) and \
            run.step("both NICs are bound to vfio-pci behind the SMMU", run.binds) and \
            run.step("the gateway starts by its units", run.starts) and \
            run.step("the agent starts in the node's namespace", run.starts_agent)
        if good:
            os.rename(args.out + "/console.log", f"{args.out}/console-{number}.log")
            here = os.open("/proc/self/ns/net", os.O_RDONLY)
            enter(CLIENT)
            run.step("the ports are probed", run.probes)
            run.step("ready, seen from the client's namespace", run.is_ready)
            run.step("a shell, and its end", run.a_shell)
            if not args.short:
                run.step("terminals live through kill -9 of control", run.control_killed)
                run.step("terminals live through link flaps", run.link_flaps)
            run.step("a drain", run.drains)
            assert ctypes.CDLL(None).setns(here, 0x40000000) == 0
            run.step("stop, removal, power-off", run.stops)
    finally:
        run.end()
    return run.report()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--short", action="store_true")
    p.add_argument("--out", required=True)
    p.add_argument("--agent", required=True)
    args = p.parse_args()
    args.out = os.path.abspath(args.out)
    args.agent = os.path.abspath(args.agent)
    log = Log(args.out + "/log.txt")
    began = time.monotonic()
    runs = [one(args, log, 1, "e1000e", "virtio")]
    if not args.short:
        runs.append(one(args, log, 2, "virtio", "e1000e"))
    version = re.search(r"version: '([^']+)'", open("meson.build", encoding="utf-8").read())[1]
    report = {"name": "emulated-dpu" + ("-short" if args.short else ""), "version": version,
              "rig": {"machine": "QEMU virt, GICv3, SMMUv3, 2 emulated cores, software emulation",
                      "qemu": sh("qemu-system-aarch64 --version").splitlines()[0],
                      "host_cores": os.cpu_count()},
              "passed": all(r["passed"] for r in runs), "seconds": round(time.monotonic() - began, 1), "runs": runs}
    with open(args.out + "/report.json", "w", encoding="utf-8") as f:
        json.dump(report, f, indent=1)
        f.write("\n")
    steps = [s for r in runs for s in r["steps"]]
    print(f"emulated: {sum(s['passed'] for s in steps)} passed, {sum(not s['passed'] for s in steps)} failed, "
          f"{report['seconds']} s; log and report in {args.out}")
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3
"""The gateway as its users meet it: real Linux TCP, python3-websockets, a real PTY.

Runs as root: brings the lab up, moves itself into the client's namespace, prints TAP."""
import asyncio
import hashlib
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time

import websockets

from lab_tools import HOST, LAB, ROOT, control, lab, mint

QUICK = "--quick" in sys.argv


def enter(namespace):
    """As `ip netns exec`: the network of this process becomes the client's."""
    libc = __import__("ctypes").CDLL(None, use_errno=True)
    with open(f"/run/netns/{namespace}") as f:
        assert libc.setns(f.fileno(), 0x40000000) == 0


def connect(token, path="/ws/terminal/lab", protocols=None, **more):
    return websockets.connect(f"ws://{HOST}{path}", subprotocols=protocols or [token],
                              compression=None, max_size=None, **more)


def get(path, method="GET", headers=None):
    c = http.client.HTTPConnection(HOST, timeout=5)
    c.request(method, path, headers=headers or {})
    answer = c.getresponse()
    body = json.loads(answer.read())
    return answer.status, body, answer.headers


async def refused(token, path="/ws/terminal/lab", **more):
    """The status and envelope of an upgrade that must fail."""
    key = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
           "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    if token:
        key["Sec-WebSocket-Protocol"] = token
    status, body, headers = get(path, headers={**key, **more})
    assert headers["X-Correlation-ID"] == body["correlation_id"]
    return status, body["code"], body["details"]["reason"]


async def read_until(ws, text, strip=0):
    got = b""
    while text not in got:
        got += (await asyncio.wait_for(ws.recv(), 10))[strip:]
    return got


async def a_shell_answers():
    token = mint()
    async with connect(token) as ws:
        assert ws.subprotocol == token
        await ws.send("echo $((6 * 7))-answer\n")
        await read_until(ws, b"42-answer")
        await ws.send("stty size; exit 3\n")
        await read_until(ws, b"24 80")
        await asyncio.wait_for(ws.wait_closed(), 10)
        assert ws.close_code == 1000, ws.close_code


async def channel_mode_has_hello_resize_and_exit():
    async with connect(None, protocols=["terminal.v1", mint()]) as ws:
        assert ws.subprotocol == "terminal.v1"
        await ws.send(b'\x06{"v":1,"cols":100,"rows":30}')
        hello = await asyncio.wait_for(ws.recv(), 5)
        assert hello[0] == 6 and json.loads(hello[1:])["offset"] == 0, hello
        await ws.send(b"\x00stty size\n")
        await read_until(ws, b"30 100", 1)
        await ws.send(b'\x04{"cols":132,"rows":43}')
        await ws.send(b"\x00stty size; exit 5\n")
        got = b""
        last = b""
        async for message in ws:
            last = message
            got += message[1:] if message[0] == 1 else b""
        assert b"43 132" in got
        assert last[0] == 3 and json.loads(last[1:])["exit_code"] == 5, last


async def a_token_is_good_once():
    token = mint()

    async def attempt():
        try:
            async with connect(token) as ws:
                await ws.send("exit\n")
                return "won"
        except websockets.InvalidStatusCode as e:
            return e.status_code

    results = await asyncio.gather(*(attempt() for _ in range(100)))
    assert results.count("won") == 1 and results.count(401) == 99, results
    assert (await refused(token))[2] == "token_replayed"


async def refusals_have_their_envelope():
    assert get("/healthz")[0] == 200
    assert get("/nothing")[1]["code"] == "not_found"
    assert get("/ws/terminal/lab", method="POST")[0] == 405
    assert get("/ws/terminal/lab")[0] == 426
    assert get("/ws/terminal/lab?token=abcdefghijklmnop")[1]["code"] == "token_in_query"
    assert await refused(None) == (401, "token_missing", "token_missing")
    assert await refused("x" * 43) == (401, "token_invalid", "token_invalid")
    token = mint("other")
    assert (await refused(token))[:2] == (403, "token_allocation_mismatch")
    token = mint()
    assert (await refused(token, Origin="https://evil.example"))[1] == "origin_not_allowed"
    async with connect(token) as ws:  # the refusal did not burn it
        await ws.send("exit\n")
    assert get("/x", headers={"X-Big": "y" * 9000})[0] == 431


async def a_dribbled_head_times_out():
    with socket.create_connection((HOST, 80)) as s:
        began = time.time()
        s.settimeout(10)
        s.sendall(b"GET /ws/terminal/lab HT")
        answer = s.recv(4096)
        assert b" 408 " in answer and 4 < time.time() - began < 8, answer


async def broken_frames_are_closed():
    for frame, code in ((b"\x82\x05hello", 1002), (b"\xc1\x80\0\0\0\0", 1002),
                        (b"\x82\xff\0\0\0\0\x7f\0\0\0\0\0\0\0", 1009)):
        async with connect(mint()) as ws:
            ws.transport.write(frame)
            await asyncio.wait_for(ws.wait_closed(), 10)
            assert ws.close_code == code, (frame, ws.close_code)


async def a_paste_arrives_whole():
    async with connect(mint()) as ws:
        await ws.send("stty raw -echo; echo rea''dy; head -c 1000000 | sha256sum; exit\n")
        await read_until(ws, b"ready")
        await asyncio.sleep(0.3)
        data = random.Random(4).randbytes(1000000)
        for i in range(0, len(data), 4096):
            await ws.send(data[i:i + 4096])
        await read_until(ws, hashlib.sha256(data).hexdigest().encode())


async def control_dies_and_nobody_notices():
    async with connect(mint()) as ws:
        os.kill(int(open(f"{LAB}/control.pid").read()), signal.SIGKILL)
        await asyncio.sleep(0.8)
        assert await refused("x" * 43) == (503, "service_unavailable", "control_unavailable")
        await ws.send("echo still-$((40 + 2))\n")
        await read_until(ws, b"still-42")
        restart_control()
        await asyncio.sleep(1)
        assert control("status")["sessions"] == 1
        assert get("/readyz")[0] == 200
        await ws.send("exit\n")


def restart_control():
    log = open(f"{LAB}/control.log", "a")
    p = subprocess.Popen(["build/tgw-control", "--config", f"{LAB}/config.json"], cwd=ROOT,
                         stdout=log, stderr=log)
    with open(f"{LAB}/control.pid", "w") as f:
        f.write(str(p.pid))


async def a_drain_refuses_and_is_taken_back():
    token = mint()
    async with connect(mint()) as ws:
        control("drain", timeout_s=60)
        await asyncio.sleep(0.2)
        status, body, headers = get("/readyz")
        assert status == 503 and "draining" in body["reasons"]
        status, text = admin("/readyz")
        assert status == 503 and "draining" in text
        assert metric("terminal_gateway_draining") == 1
        key = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
               "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": token}
        status, body, headers = get("/ws/terminal/lab", headers=key)
        assert status == 503 and headers["Retry-After"]
        assert body["code"] == "service_unavailable"
        assert body["message"] == "terminal gateway draining"
        await ws.send("echo alive-$((1 + 1))\n")
        await read_until(ws, b"alive-2")
        control("undrain")
        await asyncio.sleep(0.2)
        async with connect(token) as again:
            await again.send("exit\n")
        await ws.send("exit\n")


async def silent_connections_go_away():
    many = 1000 if QUICK else 9900
    sockets = [socket.create_connection((HOST, 80)) for _ in range(many)]
    async with connect(mint()) as ws:
        await ws.send("echo through-$((1 + 2))\n")
        await read_until(ws, b"through-3")
        await ws.send("exit\n")
    await asyncio.sleep(6)
    assert all(b" 408 " in s.recv(4096) for s in sockets)
    for s in sockets:
        s.close()
    await asyncio.sleep(1)
    status = control("status")
    assert status["sessions"] == 0 and status["pending"] == 0, status


async def no_secret_is_logged():
    token = mint()
    async with connect(token) as ws:
        await ws.send("exit\n")
    await asyncio.sleep(0.5)
    secret = open(f"{LAB}/agent.secret").read().strip()
    for name in ("control", "dataplane", "agent"):
        text = open(f"{LAB}/{name}.log").read()
        assert token not in text and secret not in text and "eyJ" not in text, name


async def bytes_survive_a_bad_wire():
    size = (2 if QUICK else 100) << 20
    data = random.Random(9).randbytes(size)
    async with connect(mint()) as ws:
        async def send():
            for i in range(0, size, 60000):
                await ws.send(data[i:i + 60000])
        task = asyncio.create_task(send())
        digest, got = hashlib.sha256(), 0
        while got < size:
            message = await asyncio.wait_for(ws.recv(), 30)
            digest.update(message)
            got += len(message)
        await task
        assert got == size and digest.digest() == hashlib.sha256(data).digest()


def metric(name, text=None):
    """The value of one line of the metrics."""
    for line in (text or control("metrics")["text"]).splitlines():
        if line.startswith(name + " "):
            return float(line.split()[-1])
    raise AssertionError(f"no metric {name}")


def admin(path):
    """Status and body of an admin page: it listens where the control process runs."""
    pid = open(f"{LAB}/control.pid").read().strip()
    done = subprocess.run(["nsenter", f"--net=/proc/{pid}/ns/net", "curl", "-s", "-w",
                           "\n%{http_code}", f"http://127.0.0.1:9464{path}"],
                          capture_output=True, text=True, check=True)
    body, status = done.stdout.rsplit("\n", 1)
    return int(status), body


def in_use():
    """What must be back where it was when nobody is connected."""
    text = control("metrics")["text"]
    return [metric(m, text) for m in (
        "terminal_gateway_sessions", "tcp_connections", 'dataplane_blocks_used{pool="small"}',
        'dataplane_blocks_used{pool="large"}', 'dataplane_mbufs{pool="mbufs",state="used"}')]


IDLE = []


async def the_start_is_clean():
    await asyncio.sleep(1)
    IDLE.extend(in_use())
    IDLE[1] = 0  # the readiness probes rest in TIME_WAIT
    assert IDLE[:4] == [0, 0, 0, 0], IDLE


async def nothing_leaked():
    """After everything above, hostile clients included."""
    for _ in range(90):  # TIME_WAIT and the last silent ones
        await asyncio.sleep(1)
        now = in_use()
        # A few packet buffers rest in caches and half-filled bursts.
        if now[:4] == IDLE[:4] and now[4] <= IDLE[4] + 600:
            return
    raise AssertionError(f"{now} in use, {IDLE} at the start")


async def a_browser_that_stops_reading_stops_the_shell():
    async with connect(mint(), max_queue=1) as ws:
        await ws.send("stty -echo -onlcr; echo rea''dy; seq 1 2000000; echo do''ne; exit\n")
        await read_until(ws, b"ready\n")
        stalled, last = 'terminal_stream_relay_stalled_sessions{by="client"}', -1
        for _ in range(40):  # until nothing moves any more
            await asyncio.sleep(0.25)
            moved = metric('terminal_stream_relay_bytes_total{direction="to_client"}')
            if moved == last and metric(stalled) == 1:
                break
            last = moved
        else:
            raise AssertionError("output never stopped")
        large = metric('dataplane_blocks_used{pool="large"}')
        assert large * 2048 <= 4 * 262144, f"{large} blocks held by one session"
        got = await read_until_long(ws, b"done\n")
    want = b"".join(b"%d\n" % i for i in range(1, 2000001)) + b"done\n"
    start = got.index(b"1\n2\n")
    assert got[start:start + len(want)] == want
    assert metric(stalled) == 0


async def read_until_long(ws, text):
    got = bytearray()
    while text not in got[-200:]:
        got += await asyncio.wait_for(ws.recv(), 10)
    return bytes(got)


def tgwctl(*args):
    done = subprocess.run(["build/tgwctl", *args], cwd=ROOT, capture_output=True, text=True)
    return done.returncode, done.stdout


async def tgwctl_lists_shows_and_kills():
    async with connect(mint(user_id="ann")) as ws:
        code, out = tgwctl("--json", "sessions", "list")
        session = json.loads(out)["sessions"][0]
        assert code == 0 and session["user_id"] == "ann", out
        code, out = tgwctl("sessions", "show", session["session_id"])
        assert code == 0 and "ESTABLISHED" in out and "198.18.1.1:7681" in out, out
        assert tgwctl("sessions", "kill", "no-such-session")[0] == 1
        assert tgwctl("sessions", "kill", session["session_id"])[0] == 0
        try:
            while True:
                await asyncio.wait_for(ws.recv(), 5)
        except websockets.ConnectionClosed:
            assert (ws.close_code, ws.close_reason) == (1008, "session_terminated")


async def metrics_are_clean_and_count():
    before = metric("terminal_token_replay_rejected_total")
    token = mint()
    async with connect(token) as ws:
        await ws.send("exit\n")
    assert (await refused(token))[2] == "token_replayed"
    await asyncio.sleep(0.1)
    status, text = admin("/metrics")
    assert status == 200 and admin("/healthz")[0] == 200 and admin("/readyz")[0] == 200
    assert metric("terminal_token_replay_rejected_total", text) == before + 1
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True,
                          text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr


async def configuration_changes_live_and_goes_back():
    with open(f"{LAB}/config.json") as f:
        config = json.load(f)
    with open("/tmp/tgw-fresh.json", "w") as f:
        json.dump({**config, "session_ttl_seconds": 2, "public_port": 81}, f)
    code, out = tgwctl("config", "apply", "--file", "/tmp/tgw-fresh.json", "--why", "a test")
    assert code == 0 and "session_ttl_seconds      at once" in out, out
    assert "public_port              needs a restart" in out, out
    async with connect(mint()) as ws:
        try:
            while True:
                await asyncio.wait_for(ws.recv(), 8)
        except websockets.ConnectionClosed:
            assert (ws.close_code, ws.close_reason) == (4401, "session_ttl")
    assert tgwctl("config", "freeze")[0] == 0
    assert tgwctl("config", "rollback")[0] == 1
    assert tgwctl("config", "unfreeze")[0] == 0
    assert tgwctl("config", "rollback", "--why", "the test is over")[0] == 0
    assert json.load(open(f"{LAB}/config.json")) == config
    audit = [json.loads(line) for line in open(f"{LAB}/state/audit.log")]
    audit = [a for a in audit if a["action"].startswith("config_")]
    assert [a["action"] for a in audit] == ["config_applied", "config_frozen", "config_unfrozen",
                                            "config_rolled_back"]
    assert audit[0]["why"] == "a test" and audit[0]["who"]
    os.unlink("/tmp/tgw-fresh.json")


async def bad_configuration_is_named():
    for text, key in (('{"sessions_max": 0}', "sessions_max"), ('{"no_such": 1}', "no_such"),
                      ('{"ports": [{"name": "x", "speed": 1}]}', "speed"), ("{", "JSON")):
        with open("/tmp/tgw-bad.json", "w") as f:
            f.write(text)
        for program in ("tgw-dataplane", "tgw-control"):
            done = subprocess.run([f"build/{program}", "--config", "/tmp/tgw-bad.json"], cwd=ROOT,
                                  capture_output=True, text=True, timeout=20)
            assert done.returncode == 2 and done.stderr.count("\n") == 1, (program, done)
            assert key in done.stderr, (program, key, done.stderr)
    os.unlink("/tmp/tgw-bad.json")


SHELL_CASES = [the_start_is_clean, a_shell_answers, channel_mode_has_hello_resize_and_exit, a_token_is_good_once,
               refusals_have_their_envelope, a_dribbled_head_times_out, broken_frames_are_closed,
               a_paste_arrives_whole, a_browser_that_stops_reading_stops_the_shell,
               tgwctl_lists_shows_and_kills, metrics_are_clean_and_count, control_dies_and_nobody_notices,
               a_drain_refuses_and_is_taken_back, silent_connections_go_away, no_secret_is_logged,
               configuration_changes_live_and_goes_back, bad_configuration_is_named, nothing_leaked]
ECHO_CASES = [bytes_survive_a_bad_wire]


def run(cases, number):
    failed = 0
    for case in cases:
        number += 1
        try:
            asyncio.run(asyncio.wait_for(case(), 240))
            print(f"ok {number} - e2e: {case.__name__}", flush=True)
        except BaseException as e:  # a failed case must not hide the others
            failed += 1
            print(f"not ok {number} - e2e: {case.__name__}\n# {type(e).__name__}: {e}", flush=True)
    return failed


def main():
    print(f"1..{len(SHELL_CASES) + len(ECHO_CASES)}", flush=True)
    root_ns = os.open("/proc/self/ns/net", os.O_RDONLY)
    libc = __import__("ctypes").CDLL(None)
    try:
        lab("--detach", "--no-build")
        enter("tgw-client")
        failed = run(SHELL_CASES, 0)
        libc.setns(root_ns, 0x40000000)
        lab("--detach", "--no-build", "--agent-program", "echo", LAB_LOSS="10", LAB_REORDER="10",
            LAB_DUPLICATE="10")
        enter("tgw-client")
        failed += run(ECHO_CASES, len(SHELL_CASES))
    finally:
        libc.setns(root_ns, 0x40000000)
        lab("--stop")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())

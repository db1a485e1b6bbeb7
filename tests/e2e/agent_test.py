"""tgw-agent against an independent client: the contract's sections 2 and 4, no gateway."""
import asyncio
import base64
import hashlib
import hmac
import json
import os
import re
import signal
import socket
import struct
import subprocess
import tempfile
import time

import websockets

from tap import case, run

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
AGENT = os.environ.get("TGW_AGENT", os.path.join(ROOT, "build", "tgw-agent"))
SECRET = b"a secret of the tests, 32 bytes."
SECRET_FILE = None


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def grant(allocation="lab", session="s-1", secret=SECRET, alg="HS256", life_s=30, **claims):
    body = {"iss": "terminal-gateway", "aud": allocation, "sub": "u", "sid": session,
            "exp": int(time.time()) + life_s, **claims}
    text = b64(json.dumps({"alg": alg, "typ": "JWT"}).encode()) + "." + b64(json.dumps(body).encode())
    return text + "." + b64(hmac.new(secret, text.encode(), hashlib.sha256).digest())


class Agent:
    def __init__(self, *args, secret=True):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        trust = ["--secret-file", SECRET_FILE] if secret else ["--insecure-no-grant"]
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [AGENT, "--listen", f"127.0.0.1:{self.port}", "--shell", "/bin/sh", *trust, *args],
            stdout=self.log, stderr=subprocess.STDOUT)

    def __enter__(self):
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                time.sleep(0.02)
        raise AssertionError("the agent does not listen")

    def __exit__(self, *_):
        self.process.terminate()
        assert self.process.wait(15) == 0, "the agent's exit status"

    def logged(self):
        self.log.flush()
        self.log.seek(0)
        return [json.loads(line) for line in self.log.read().splitlines()]

    def open(self, allocation="lab", session="s-1", mode="raw", size=(80, 24), token=None, **more):
        headers = {"X-Session-ID": session, "X-Correlation-ID": "corr-0001",
                   "traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01",
                   "Authorization": "Bearer " + (token or grant(allocation, session))}
        return websockets.connect(
            f"ws://127.0.0.1:{self.port}/v1/terminal/{allocation}?mode={mode}"
            f"&cols={size[0]}&rows={size[1]}",
            extra_headers=headers, compression=None, max_size=None, **more)


def hello(**more):
    return b"\x06" + json.dumps({"v": 1, "cols": 100, "rows": 30, **more}).encode()


async def until(ws, text, channel=False, timeout_s=10):
    """Output up to and with `text`."""
    got = bytearray()
    while text not in got[-len(text) - 65536:]:
        m = await asyncio.wait_for(ws.recv(), timeout_s)
        assert isinstance(m, bytes), "output comes as binary frames"
        if channel:
            assert m[:1] == b"\x01", m[:80]
            m = m[1:]
        got += m
    return bytes(got)


async def refused(agent, status, **how):
    try:
        async with agent.open(**how):
            raise AssertionError("was let in")
    except websockets.InvalidStatusCode as e:
        assert e.status_code == status, e.status_code


@case("raw: a shell of the asked size echoes and ends with 1000")
async def _():
    with Agent() as a:
        async with a.open(size=(91, 33)) as ws:
            await ws.send("stty size; echo $TERM; tty; pwd\r")
            got = await until(ws, b"/dev/pts/")
            assert b"33 91" in got and b"xterm-256color" in got, got
            await ws.send(b"exit 3\r")
            try:
                while True:
                    await asyncio.wait_for(ws.recv(), 10)
            except websockets.ConnectionClosed as e:
                assert e.rcvd.code == 1000, e
        log = a.logged()
        closed = [l for l in log if l["event"] == "session_closed"][0]
        assert closed["exit_code"] == 3 and closed["reason"] == "exit", closed
        assert closed["correlation_id"] == "corr-0001" and closed["trace_id"] == "a" * 32
        assert all("Bearer" not in json.dumps(l) for l in log)


@case("channel: hello, resize, ping, exit status, 1000")
async def _():
    with Agent() as a:
        async with a.open(mode="channel") as ws:
            await ws.send(hello())
            answer = await ws.recv()
            assert answer[:1] == b"\x06", answer
            assert json.loads(answer[1:]) == {"v": 1, "session_id": "s-1", "offset": 0}
            await ws.send(b"\x00stty size\r")
            await until(ws, b"30 100", channel=True)
            await ws.send(b'\x04{"cols":120,"rows":40}')
            await ws.send(b"\x00stty size\r")
            await until(ws, b"40 120", channel=True)
            await ws.send(b"\x08beat")
            while (m := await ws.recv()) != b"\x08beat":
                assert m[:1] == b"\x01"
            await ws.send(b"\x00printf 'la''st'; exit 7\r")
            got = b""
            with_exit = None
            try:
                while True:
                    m = await asyncio.wait_for(ws.recv(), 10)
                    assert with_exit is None, "nothing after the exit status"
                    if m[:1] == b"\x03":
                        with_exit = json.loads(m[1:])
                    got += m[1:]
            except websockets.ConnectionClosed as e:
                assert e.rcvd.code == 1000, e
            assert with_exit == {"exit_code": 7} and b"last" in got, (with_exit, got)


@case("channel: a signal ends the shell")
async def _():
    with Agent() as a:
        async with a.open(mode="channel") as ws:
            await ws.send(hello())
            await ws.send(b"\x00kill -9 $$\r")
            m = b""
            while m[:1] != b"\x03":
                m = await asyncio.wait_for(ws.recv(), 10)
            assert json.loads(m[1:]) == {"exit_code": 137, "signal": 9}, m


@case("channel: the program waits for the hello; other first frames are 1002")
async def _():
    with Agent() as a:
        for first in (b"\x00ls\r", b"", b"\x06{}", b"\x06nonsense", hello(cols=0), hello(v=2)):
            async with a.open(mode="channel") as ws:
                await ws.send(first)
                try:
                    m = await asyncio.wait_for(ws.recv(), 5)
                    raise AssertionError((first, m))
                except websockets.ConnectionClosed as e:
                    assert e.rcvd.code == 1002, (first, e)


@case("channel: FF 00 ends the program's input")
async def _():
    with Agent() as a:
        async with a.open(mode="channel") as ws:
            await ws.send(hello())
            await ws.send(b"\x00exec cat\r")
            await asyncio.sleep(0.3)
            await ws.send(b"\x00half a line")
            await ws.send(b"\xff\x00")
            m = b""
            while m[:1] != b"\x03":
                m = await asyncio.wait_for(ws.recv(), 10)
            assert json.loads(m[1:]) == {"exit_code": 0}


@case("channel: at most `window` bytes stay unacknowledged")
async def _():
    with Agent("--program", "flood", "--frame-bytes", "1000") as a:
        async with a.open(mode="channel") as ws:
            await ws.send(hello(window=10000))
            await ws.recv()
            total = 0
            for _ in range(20):
                try:
                    while True:
                        total += len(await asyncio.wait_for(ws.recv(), 0.1)) - 1
                except asyncio.TimeoutError:
                    pass
                acked = total
                await ws.send(b"\x05" + struct.pack(">Q", acked))
                assert total % 10000 == 0 and total > 0, total
            assert total == 200000, total
            await ws.send(b"\x05" + struct.pack(">Q", 1 << 40))
            try:
                while True:
                    await asyncio.wait_for(ws.recv(), 5)
            except websockets.ConnectionClosed as e:
                assert e.rcvd.code == 1002


@case("grants: each wrong one is refused with 401")
async def _():
    with Agent() as a:
        none = b64(b'{"alg":"none"}') + "." + b64(b'{"iss":"terminal-gateway"}') + "."
        good = grant()
        swapped = good.split(".")[0] + "." + grant(life_s=29).split(".")[1] + "." + good.split(".")[2]
        for bad in (grant(secret=b"x" * 32), grant(allocation="other"), grant(session="s-2"),
                    grant(life_s=-6), grant(life_s=3600), grant(iss="someone"),
                    grant(alg="HS512"), grant(exp="soon"), none, "nonsense", "a.b.c", swapped,
                    good + "x"):
            await refused(a, 401, token=bad)
        async with a.open(token=good):
            pass
        assert len([l for l in a.logged() if l["event"] == "session_refused"]) == 13
        assert all(good not in json.dumps(l) for l in a.logged())


@case("errors are JSON: 404, 426, 405, 400, 431, 503")
async def _():
    def ask(a, text):
        with socket.create_connection(("127.0.0.1", a.port), 5) as s:
            s.sendall(text)
            answer = b""
            while piece := s.recv(4096):
                answer += piece
        head, body = answer.split(b"\r\n\r\n", 1)
        json.loads(body)
        return int(head.split()[1])

    up = b"Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\n"
    key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    with Agent("--allocation", "a1", "--max-sessions", "1", secret=False) as a:
        assert ask(a, b"GET /x HTTP/1.1\r\n\r\n") == 404
        assert ask(a, b"GET /v1/terminal/a1 HTTP/1.1\r\nHost: x\r\n\r\n") == 426
        assert ask(a, b"POST /v1/terminal/a1 HTTP/1.1\r\n\r\n") == 405
        assert ask(a, b"nonsense\r\n\r\n") == 400
        assert ask(a, b"GET /v1/terminal/a1?cols=0 HTTP/1.1\r\n" + up + key + b"\r\n") == 400
        assert ask(a, b"GET /v1/terminal/a1?mode=x HTTP/1.1\r\n" + up + key + b"\r\n") == 400
        assert ask(a, b"GET /v1/terminal/a1 HTTP/1.1\r\n" + up + b"\r\n") == 400
        assert ask(a, b"GET /v1/terminal/a2 HTTP/1.1\r\n" + up + key + b"\r\n") == 404
        assert ask(a, b"GET /v1/terminal/a1 HTTP/1.1\r\nA: " + b"x" * 9000) == 431
        async with a.open(allocation="a1"):
            await refused(a, 503, allocation="a1")


@case("without a secret it starts only when told to")
def _():
    p = subprocess.run([AGENT], capture_output=True, text=True, timeout=10)
    assert p.returncode == 2 and "--secret-file" in p.stderr, p


@case("a lost connection hangs the shell up, children too")
async def _():
    with Agent() as a:
        ws = await a.open()
        await ws.send("echo shell=$$; trap '' HUP; sleep 1000 & echo pids=$!\r")
        got = b""
        while not (found := re.search(rb"shell=(\d+)\r\n(?:.*\r\n)*?pids=(\d+)\r\n", got)):
            got += await asyncio.wait_for(ws.recv(), 5)
        shell, sleeper = map(int, found.groups())
        ws.transport.abort()
        # The shell ignores HUP: the grace, then KILL. Its job ignored HUP by choice too.
        for _ in range(60):
            await asyncio.sleep(0.1)
            if not os.path.exists(f"/proc/{shell}"):
                break
        else:
            raise AssertionError("the shell lives on")
        if os.path.exists(f"/proc/{sleeper}"):
            os.kill(sleeper, signal.SIGKILL)


@case("a job in the background does not hold up the exit")
async def _():
    with Agent() as a:
        async with a.open(mode="channel") as ws:
            await ws.send(hello())
            await ws.send(b"\x00trap '' HUP; sleep 3 & exit 5\r")
            m = b""
            while m[:1] != b"\x03":
                m = await asyncio.wait_for(ws.recv(), 2.5)
            assert json.loads(m[1:]) == {"exit_code": 5}


@case("1 MB of keystrokes arrive byte for byte in a raw tty")
async def _():
    data = os.urandom(1 << 20)
    want = hashlib.sha256(data).hexdigest().encode()
    with Agent() as a:
        async with a.open() as ws:
            await ws.send("stty raw -echo; echo re''ady; head -c 1048576 | sha256sum; stty sane\r")
            await until(ws, b"ready")
            for i in range(0, len(data), 65536):
                await ws.send(data[i:i + 65536])
            assert want in await until(ws, want, timeout_s=30)


@case("a client that stops reading stops the shell; nothing is lost")
async def _():
    with Agent() as a:
        async with a.open(max_queue=1, read_limit=4096) as ws:
            await ws.send("stty -echo; PS1=; yes 0123456789 | head -c 11000000; echo do''ne\r")
            await asyncio.sleep(2)
            rss = int(open(f"/proc/{a.process.pid}/statm").read().split()[1]) * 4096
            assert rss < 64 << 20, rss
            got = await until(ws, b"done", timeout_s=30)
            assert got.count(b"0123456789\r\n") == 1000000, got.count(b"0123456789\r\n")


@case("echo, sink and flood")
async def _():
    data = os.urandom(300000)
    with Agent("--program", "echo") as a:
        async with a.open() as ws:
            await ws.send("text")
            assert await ws.recv() == "text"
            await ws.send(data)
            assert await ws.recv() == data
    with Agent("--program", "sink") as a:
        async with a.open() as ws:
            await ws.send(data)
            await asyncio.wait_for(await ws.ping(), 5)
    with Agent("--program", "flood") as a:
        ws = await a.open()
        offset = 0
        pattern = bytes(range(251)) * 20
        for _ in range(5000):
            m = await ws.recv()
            assert len(m) == 1444
            assert m == pattern[offset % 251:offset % 251 + len(m)]
            offset += len(m)
        ws.transport.abort()  # a Close would wait behind what is on the way


@case("a peer's Close is answered with its code; protocol errors with 1002 and 1009")
async def _():
    with Agent() as a:
        ws = await a.open()
        await ws.close(4000, "bye")
        assert ws.close_rcvd.code == 4000, ws.close_rcvd
        for frame, code in ((b"\x82\x01x", 1002),               # not masked
                            (b"\xf2\x81\0\0\0\0x", 1002),       # reserved bits
                            (b"\x81\x81\0\0\0\0\xff", 1007),    # not UTF-8
                            (b"\x82\xff" + struct.pack(">Q", 1 << 30) + b"\0\0\0\0x", 1009)):
            ws = await a.open()
            ws.transport.write(frame)
            try:
                while True:
                    await asyncio.wait_for(ws.recv(), 5)
            except websockets.ConnectionClosed as e:
                assert e.rcvd.code == code, (frame, e)


@case("SIGTERM closes every session with 1001 and ends")
async def _():
    with Agent() as a:
        ws = await a.open()
        a.process.send_signal(signal.SIGTERM)
        try:
            while True:
                await asyncio.wait_for(ws.recv(), 5)
        except websockets.ConnectionClosed as e:
            assert e.rcvd.code == 1001, e
        assert a.process.wait(5) == 0


@case("500 sessions at once, then nothing left of them")
async def _():
    with Agent("--program", "shell") as a:
        async def one(i):
            ws = await a.open(session=f"s-{i}", open_timeout=60)
            await ws.send("echo n-$((1+1))\r")
            await until(ws, b"n-2", timeout_s=60)
            return ws
        all_ws = await asyncio.gather(*(one(i) for i in range(500)))
        await asyncio.gather(*(ws.close() for ws in all_ws))
        for _ in range(100):
            await asyncio.sleep(0.1)
            if not subprocess.run(["pgrep", "-P", str(a.process.pid)],
                                  capture_output=True).stdout:
                break
        else:
            raise AssertionError("shells left")
        assert len(os.listdir(f"/proc/{a.process.pid}/fd")) < 30


if __name__ == "__main__":
    with tempfile.NamedTemporaryFile() as f:
        f.write(SECRET)
        f.flush()
        SECRET_FILE = f.name
        run()

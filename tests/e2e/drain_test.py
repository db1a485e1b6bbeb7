#!/usr/bin/python3
"""Drains from their order to the end of the processes. Runs as root, in a network namespace
of its own."""
import asyncio
import json
import signal
import time

import websockets

from gateways import Answer, Site, outcome, upgrade_head, wait_for
from tap import case, run

SITE = Site()


def closed_with(ws):
    return ws.close_code, ws.close_reason


def open_raw(g, token):
    """A session of a client that reads and says nothing more."""
    s = g.dial()
    s.sendall(upgrade_head(token))
    got = b""
    while b"\r\n\r\n" not in got:
        got += s.recv(4096)
    assert Answer(got).status == 101, got
    return s


def read_to_fin(s, seconds):
    """What comes until the FIN; a reset raises ConnectionResetError."""
    s.settimeout(seconds)
    got = b""
    while True:
        piece = s.recv(4096)
        if not piece:
            return got
        got += piece


async def read_close(ws, began):
    try:
        while True:
            await ws.recv()
    except websockets.ConnectionClosed:
        return time.monotonic() - began


@case("200 sessions: told, left alone, closed one by one behind the deadline, and both processes end")
async def _():
    g = SITE.gateway(drain_timeout_seconds=3)
    tokens = g.mint_many(202)
    kept = tokens.pop()
    stubborn = open_raw(g, tokens.pop())
    channel = await asyncio.gather(*(g.connect(None, protocols=["terminal.v1", t])
                                     for t in tokens[:100]))
    raw = await asyncio.gather(*(g.connect(t) for t in tokens[100:]))
    began = time.monotonic()
    g.control.send_signal(signal.SIGTERM)
    notices = await asyncio.gather(*(asyncio.wait_for(ws.recv(), 5) for ws in channel))
    assert {n[0] for n in notices} == {7}
    told = [json.loads(n[1:]) for n in notices]
    assert all(n["notice"] == "draining" and n["deadline_s"] <= 3 for n in told), told[0]
    assert g.get("/readyz").json()["reasons"] == ["draining"] and g.get("/healthz").status == 200
    assert outcome(g, kept) == (503, "draining") and g.state_of(kept) == "valid"
    assert g.ask("undrain")["code"] == "conflict"
    g.control.send_signal(signal.SIGTERM)  # once more changes nothing
    await asyncio.sleep(1)
    for ws in raw[:20]:
        await ws.send(b"on we go")
        assert await asyncio.wait_for(ws.recv(), 5) == b"on we go"
    ended = await asyncio.gather(*(read_close(ws, began) for ws in raw + channel))
    assert {closed_with(ws) for ws in raw + channel} == {(1012, "drain_timeout")}
    spread = [0] * 12
    for t in ended:
        spread[int(t)] += 1
    print(f"# closed by second after SIGTERM (deadline at 3): {spread}")
    assert spread[:2] == [0, 0] and sum(1 for n in spread if n) >= 5, "not spread"
    end = await asyncio.to_thread(read_to_fin, stubborn, 10)  # never answered: FIN all the same
    assert end[-2 - 13:] == b"\x03\xf4drain_timeout", end
    for name, process in (("control", g.control), ("dataplane", g.dataplane)):
        status = await asyncio.to_thread(process.wait, 20)
        print(f"# tgw-{name} ended {time.monotonic() - began:.1f} s after SIGTERM")
        assert status == 0, (name, status)
    assert time.monotonic() - began < 13 + 5, "the processes stayed"
    actions = [(a["action"], a["who"], a["detail"]) for a in g.audit()]
    assert actions == [
        ("drain_started", "SIGTERM", "201 sessions, deadline in 3 s"),
        ("drain_finished", "gateway", "201 sessions at the start, 201 closed at the deadline, 0 left"),
    ], actions
    closed = g.lines(event="session_closed", reason="drain_timeout")
    assert len(closed) == 201 and all(c["outcome"] == "closed" for c in closed)


@case("SIGTERM to the dataplane: it ends when the last session does, and the next one is not draining")
async def _():
    g = SITE.gateway(drain_timeout_seconds=30)
    async with g.connect(g.mint()) as ws:
        g.dataplane.send_signal(signal.SIGTERM)
        wait_for("the drain", lambda: g.order("status")["draining"])
        assert outcome(g, g.mint()) == (503, "draining")
        assert g.ask("undrain")["code"] == "conflict"
        await ws.send(b"x")
        assert await asyncio.wait_for(ws.recv(), 5) == b"x"
        assert g.dataplane.poll() is None
    assert await asyncio.to_thread(g.dataplane.wait, 10) == 0
    assert g.control.poll() is None
    g.start_dataplane()
    g.ready()
    assert not g.order("status")["draining"]
    assert outcome(g, g.mint()) == (101, "ok")
    assert [a["action"] for a in g.audit()] == ["drain_started", "drain_finished"]
    g.stop()


@case("an operator's drain: undrain takes it back, a shutdown brings it forward, SIGINT ends at once")
async def _():
    g = SITE.gateway(drain_timeout_seconds=1)
    token = g.mint()
    async with g.connect(g.mint()) as ws:
        g.order("drain", timeout_s=3600, why="a test")
        await asyncio.sleep(0.1)
        assert outcome(g, token) == (503, "draining")
        m = g.metrics()
        assert m["terminal_gateway_draining"] == 1
        assert m["terminal_gateway_drain_deadline_timestamp_seconds"] > time.time() + 3000
        g.order("undrain")
        await asyncio.sleep(0.1)
        assert outcome(g, token) == (101, "ok") and g.get("/readyz").status == 200
        g.order("drain", timeout_s=3600)
        g.control.send_signal(signal.SIGTERM)
        await read_close(ws, 0)
        assert closed_with(ws) == (1012, "drain_timeout")
    assert await asyncio.to_thread(g.control.wait, 15) == 0
    assert await asyncio.to_thread(g.dataplane.wait, 15) == 0
    started = g.audit()[0]
    assert started["why"] == "a test" and "uid 0" in started["who"], started
    assert [a["action"] for a in g.audit()] == ["drain_started", "drain_cancelled", "drain_started",
                                                "drain_brought_forward", "drain_finished"]
    g2 = SITE.gateway(drain_timeout_seconds=600)
    s = open_raw(g2, g2.mint())
    for process in (g2.control, g2.dataplane):
        process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.3)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(process.wait, 10) == 0
    s.close()


@case("nobody there: a drain is over at once; a control process started anew goes on with it")
def _():
    g = SITE.gateway(drain_timeout_seconds=600)
    s = open_raw(g, g.mint())
    g.order("drain", timeout_s=600)
    g.control.kill()
    g.control.wait()
    g.start_control()
    wait_for("the drain again", lambda: g.order("status")["draining"])
    assert g.order("status")["drain_deadline_s"] > 500
    assert outcome(g, g.mint()) == (503, "draining")
    s.close()
    wait_for("its end", lambda: g.lines(event="drain_finished"))
    g.control.send_signal(signal.SIGTERM)
    assert g.control.wait(10) == 0 and g.dataplane.wait(10) == 0


if __name__ == "__main__":
    run(SITE.__enter__, SITE.__exit__)

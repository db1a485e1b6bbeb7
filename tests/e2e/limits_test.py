#!/usr/bin/python3
"""How long a session may last and who may have how many: TTL, idleness and its notice, pings
on both legs, half-open peers on both legs, limits by user and source, the admitted share,
memory. Runs as root, in a network namespace of its own; the slow cases run side by side."""
import asyncio
import json
import socket
import time

import websockets

from gateways import Answer, Server, Site, ip, outcome, upgrade_head, wait_for
from tap import case, run

SITE = Site()
G = None


def before():
    global G
    SITE.__enter__()
    G = SITE.gateway()


async def ended(ws, seconds):
    try:
        while True:
            await asyncio.wait_for(ws.recv(), seconds)
    except websockets.ConnectionClosed:
        return ws.close_code, ws.close_reason


def frames(got):
    """(opcode, payload) of unmasked frames."""
    found = []
    while len(got) >= 2 and len(got) >= 2 + got[1]:
        found.append((got[0] & 15, got[2:2 + got[1]]))
        got = got[2 + got[1]:]
    return found


def listen_to(s, seconds, until=None):
    """What comes on a raw session in that time, without answering anything."""
    got, end = b"", time.monotonic() + seconds
    while time.monotonic() < end:
        s.settimeout(max(0.01, end - time.monotonic()))
        try:
            piece = s.recv(4096)
        except TimeoutError:
            break
        if not piece:
            break
        got += piece
        if until and until in got:
            break
    return frames(got)


def open_raw(g, token):
    s = g.dial()
    s.sendall(upgrade_head(token))
    got = b""
    while b"\r\n\r\n" not in got:
        got += s.recv(4096)
    assert Answer(got).status == 101, got
    return s


def mute_agent(port, pings):
    """An agent that upgrades, then notes pings and answers none."""
    import base64
    import hashlib

    def behave(c):
        head = b""
        while b"\r\n\r\n" not in head:
            head += c.recv(4096)
        key = [x.split(b": ")[1] for x in head.split(b"\r\n") if x.lower().startswith(b"sec-websocket-key")]
        accept = base64.b64encode(hashlib.sha1(key[0] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        c.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        while True:
            got = c.recv(4096)
            if not got:
                return
            pings.append(got[0] & 15)
    return Server((G.node, port), behave)


@case("TTL: of the token, of the configuration")
async def _():
    async with G.connect(G.mint(session_ttl_s=1)) as ws:
        assert await ended(ws, 5) == (4401, "session_ttl")
    assert G.events("closed", "session_ttl") == 1


@case("idle: data counts, pings do not")
async def _():
    async with G.connect(G.mint(idle_timeout_s=2)) as ws:
        began = time.monotonic()
        for _ in range(4):
            await asyncio.sleep(0.7)
            await ws.send(b"x")
            await ws.recv()
        for _ in range(2):
            await asyncio.sleep(0.7)
            await ws.ping()
        assert await ended(ws, 5) == (4408, "idle_timeout")
        print(f"# ended {time.monotonic() - began:.1f} s after the start, 2.8 s of it busy")
    assert G.events("closed", "idle_timeout") == 1


@case("20 s of silence: pings on both legs; 60 s before the idle end a notice; deaf and vanished peers are lost",
      quick=False, timeout_s=150)
async def _():
    vanished = SITE.gateway()  # half-open: nothing comes back any more, not even a RST
    orphan = open_raw(vanished, vanished.mint())
    ip("link", "set", f"tgw{vanished.number}k", "down")
    pings = []
    server = mute_agent(7801, pings)
    deaf = open_raw(G, G.mint())  # reads, answers nothing: its browser is gone
    heard = asyncio.create_task(asyncio.to_thread(listen_to, deaf, 70))
    patient = asyncio.create_task(keep_answering())
    async with G.connect(G.mint(agent=f"{G.node}:7801"), ping_interval=None) as to_mute, \
            G.connect(None, protocols=["terminal.v1", G.mint(idle_timeout_s=63)],
                      ping_interval=None) as ws:
        began = time.monotonic()
        notice = await asyncio.wait_for(ws.recv(), 20)
        assert notice[0] == 7 and json.loads(notice[1:]) == {"notice": "idle", "closes_in_s": 60}, notice
        print(f"# notice after {time.monotonic() - began:.1f} s of 63")
        await ws.send(b"\x00x")  # the terminal is not idle any more
        assert (await asyncio.wait_for(ws.recv(), 5))[-1:] == b"x"
        assert await ended(to_mute, 60) == (1011, "upstream_lost")
        print(f"# the mute agent's leg lost after {time.monotonic() - began:.1f} s, {len(pings)} pings")
        await patient
        assert ws.open
    assert pings[:2] == [9, 9], pings
    assert [f[0] for f in await heard] == [9, 9], await heard
    assert G.events("closed", "client_lost") >= 1 and G.events("closed", "upstream_lost") == 1
    server.close()
    line = wait_for("its end", lambda: vanished.lines(event="session_closed"), 30)[0]
    assert line["reason"] in ("client_lost", "upstream_lost"), line
    assert vanished.order("status")["sessions"] == 0
    orphan.close()
    vanished.stop()


async def keep_answering():
    """A client that answers pings stays, however silent its user is."""
    async with G.connect(G.mint(), ping_interval=None) as ws:
        await asyncio.sleep(50)
        assert ws.open


@case("sessions by user and by source, and requests by source")
def _():
    g = SITE.gateway(sessions_per_user=2, sessions_per_source=3)
    users = {u: g.mint_many(4, user_id=u) for u in ("ann", "bob")}
    held = [open_raw(g, t) for t in users["ann"][:2]]
    assert outcome(g, users["ann"][2]) == (429, "rate_limited")
    held.append(open_raw(g, users["bob"][0]))
    assert outcome(g, users["bob"][1]) == (429, "rate_limited")  # the source has three
    ip("addr", "add", f"10.9.{g.number}.77/24", "dev", f"tgw{g.number}k")
    with socket.create_connection((g.ip, 80), 5, (f"10.9.{g.number}.77", 0)) as s:
        s.sendall(upgrade_head(users["bob"][1]))
        assert b" 101 " in s.recv(4096)
    wait_for("three again", lambda: g.order("status")["sessions"] == 3)
    g.restart_control()  # the counts outlive the process that keeps them
    time.sleep(0.3)  # ... once it has asked the dataplane who is there
    token = g.mint(user_id="ann")
    assert outcome(g, token) == (429, "rate_limited")
    for s in held:
        s.close()
    wait_for("room", lambda: g.order("status")["sessions"] == 0)
    assert outcome(g, token) == (101, "ok")
    g.stop()


@case("admission: the same ones at every try, over a restart, in status and metrics")
def _():
    g = SITE.gateway()
    g.order("admit", percent=30, why="canary")
    time.sleep(0.1)

    def admitted():
        found = set()
        for n in range(100):
            reason = outcome(g, "u" * 40, f"/ws/terminal/alloc-{n}")[1]
            assert reason in ("token_invalid", "not_admitted"), reason
            if reason == "token_invalid":
                found.add(n)
        return found
    first = admitted()
    assert 15 <= len(first) <= 45, len(first)
    assert g.order("status")["admit_percent"] == 30
    assert g.metrics()["terminal_gateway_admit_percent"] == 30
    g.restart_control()
    assert g.order("status")["admit_percent"] == 30 and admitted() == first
    g.order("admit", percent=60)
    time.sleep(0.1)
    assert admitted() > first
    for percent, count in ((0, 0), (100, 100)):
        g.order("admit", percent=percent)
        time.sleep(0.1)
        assert len(admitted()) == count
    assert g.ask("admit", percent=101)["code"] == "bad_request"
    assert [a["detail"] for a in g.audit()][:2] == ["30 percent, was 100", "60 percent, was 30"]
    g.stop()


if __name__ == "__main__":
    run(before, SITE.__exit__)

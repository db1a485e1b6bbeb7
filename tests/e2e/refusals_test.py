#!/usr/bin/python3
"""Every refusal of the contract's table, by real clients: status, envelope, headers, metric
and log line; that none of them burns a token; that the checks come in their order. Runs as
root, in a network namespace of its own. reasons_test.py wants these cases' names."""
import json
import os
import re
import signal
import ssl
import subprocess
import time

from gateways import (PAGE, ROOT, Answer, Server, Site, close_of, head, outcome, upgrade_head,
                      wait_for)
from reasons import REASONS
from tap import case, run

SITE = Site()
G = None
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
IDS = {"X_Correlation_ID": None, "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
COUNT = [0]


def before():
    global G
    SITE.__enter__()
    G = SITE.gateway()


def ids():
    COUNT[0] += 1
    return {**IDS, "X_Correlation_ID": f"refusal-{COUNT[0]:04d}"}


def check(reason, request, g=None, known=True, token=None, timeout=12):
    """One refusal from every side. `known`: the head was read, so its ids are the answer's."""
    g = g or G
    info = REASONS[reason]
    earlier = g.events("rejected", reason)
    mine = ids()
    answer = Answer(g.raw(request(mine), timeout))
    body = answer.json()
    assert answer.status == info.http and body["code"] == info.code, (answer.status, body)
    assert body["message"] == info.message and body["details"]["reason"] == reason, body
    if known:
        assert body["correlation_id"] == mine["X_Correlation_ID"], body
        assert body["details"]["trace_id"] == TRACE, body
    h = answer.headers
    assert h["x-correlation-id"] == body["correlation_id"], h
    assert h["x-trace-id"] == body["details"]["trace_id"], h
    assert h["connection"] == "close" and h["content-type"] == "application/json", h
    assert ("retry-after" in h) == (info.http in (503, 429)), h
    assert int(h["content-length"]) == len(answer.body)
    lines = logged(g, reason, body["correlation_id"])
    assert lines[-1]["code"] == info.code and lines[-1]["remote"].startswith(g.node), lines
    wait_for("the metric", lambda: g.events("rejected", reason) == earlier + 1)
    if token:
        assert g.state_of(token) == "valid", "the refusal burned the token"
    return body


def logged(g, reason, correlation):
    """Opening and closing line of a refusal."""
    if g.control.poll() is not None:
        return [{"code": REASONS[reason].code, "remote": g.node}]  # nobody there to write
    lines = wait_for("the log", lambda: [x for x in g.lines(correlation_id=correlation)
                                         if x["event"] == "session_refused"] and
                     g.lines(correlation_id=correlation))
    assert [x["event"] for x in lines] == ["session_requested", "session_refused"], lines
    closing = lines[-1]
    assert (closing["level"], closing["outcome"], closing["reason"]) == ("WARN", "rejected", reason)
    return lines


def with_token(token, path="/ws/terminal/lab", **headers):
    return lambda mine: upgrade_head(token, path, **mine, **headers)


def plain(path, method="GET", **headers):
    return lambda mine: head(path, method, {**mine, **headers})


# -- syntax

@case("malformed")
def _():
    token = G.mint()
    check("malformed", with_token(token, Sec_WebSocket_Key="short"), token=token)
    check("malformed", plain("/ws/terminal/lab", Content_Length="5"))
    check("malformed", with_token(token, path="/ws/terminal/lab?cols=0"), token=token)
    check("malformed", lambda mine: b"GET\r\n\r\n", known=False)
    check("malformed", lambda mine: b"GET / HTTP/1.0\r\n\r\n", known=False)
    check("malformed", lambda mine: b"\x16\x03\x01\x02\0\x01\0\r\n\r\n", known=False)


@case("token_in_query")
def _():
    token = G.mint()
    for key in ("token", "access_token", "auth"):
        body = check("token_in_query", with_token(token, f"/ws/terminal/lab?{key}={token}"), token=token)
        assert token not in json.dumps(body)
    assert token not in SITE.texts()


@case("token_missing")
def _():
    check("token_missing", with_token(None))
    check("token_missing", with_token("terminal.v1"))


@case("token_invalid")
def _():
    check("token_invalid", with_token("u" * 40))
    check("token_invalid", with_token("short"))
    check("token_invalid", with_token("x" * 2049))


@case("not_found")
def _():
    check("not_found", plain("/"))
    check("not_found", with_token("u" * 40, "/ws/terminal/no/such"))
    check("not_found", with_token("u" * 40, "/ws/terminal/" + "a" * 65))


@case("method_not_allowed")
def _():
    check("method_not_allowed", plain("/ws/terminal/lab", "POST"))
    check("method_not_allowed", plain("/healthz", "DELETE"))


@case("upgrade_required")
def _():
    token = G.mint()
    check("upgrade_required", plain("/ws/terminal/lab"))
    check("upgrade_required", with_token(token, Sec_WebSocket_Version="8"), token=token)


@case("headers_too_large")
def _():
    check("headers_too_large", plain("/ws/terminal/lab", X_Big="y" * 9000), known=False)


@case("request_timeout")
def _():
    check("request_timeout", lambda mine: b"GET /ws/terminal/lab HT", known=False)


# -- what the gateway cannot do just now

@case("draining")
def _():
    token = G.mint()
    G.order("drain", timeout_s=60)
    body = check("draining", with_token(token), token=token)
    assert body["message"] == "terminal gateway draining"
    G.order("undrain")
    wait_for("readiness", lambda: G.get("/readyz").status == 200)
    assert outcome(G, token) == (101, "ok")


@case("not_admitted")
def _():
    token = G.mint()
    G.order("admit", percent=0)
    time.sleep(0.1)
    check("not_admitted", with_token(token), token=token)
    G.order("admit", percent=100)
    time.sleep(0.1)
    assert outcome(G, token) == (101, "ok")


@case("capacity")
def _():
    g = SITE.gateway(sessions_max=1)
    first, second = g.mint_many(2)
    with g.dial() as s:
        s.sendall(upgrade_head(first))
        assert b" 101 " in s.recv(4096)
        check("capacity", with_token(second), g=g, token=second)
        assert "no_capacity" in g.get("/readyz").json()["reasons"]
    wait_for("room", lambda: g.order("status")["sessions"] == 0)
    assert outcome(g, second) == (101, "ok")
    g.stop()


@case("rate_limited")
def _():
    g = SITE.gateway(rate_per_source=1, rate_burst=3, sessions_per_user=1)
    tokens = g.mint_many(3, user_id="ann")
    for _ in range(2):
        assert outcome(g, "u" * 40) == (401, "token_invalid")
    with g.dial() as s:
        s.sendall(upgrade_head(tokens[0]))
        assert b" 101 " in s.recv(4096)
        check("rate_limited", with_token(tokens[1]), g=g, token=tokens[1])  # of the source
        time.sleep(1.2)
        check("rate_limited", with_token(tokens[1]), g=g, token=tokens[1])  # of the user
    wait_for("room", lambda: g.order("status")["sessions"] == 0)
    time.sleep(1.2)
    assert outcome(g, tokens[1]) == (101, "ok")
    g.stop()


@case("token_store_unavailable")
def _():
    g = SITE.gateway(wait=False, token_store="redis", redis_url="redis://127.0.0.1:1")
    g.unready("token_store_unavailable")
    check("token_store_unavailable", with_token("u" * 40), g=g)
    g.stop()


@case("control_unavailable")
def _():
    g = SITE.gateway()
    g.control.kill()
    g.control.wait()
    g.unready("control_unavailable")
    answer = g.upgrade("u" * 40, **ids())
    body = answer.json()
    assert answer.status == 503 and body["code"] == "service_unavailable", body
    assert body["details"]["reason"] == "control_unavailable" and answer.headers["retry-after"]
    assert body["correlation_id"] == answer.headers["x-correlation-id"] == f"refusal-{COUNT[0]:04d}"
    g.restart_control()
    assert g.events("rejected", "control_unavailable") == 1
    assert logged(g, "control_unavailable", body["correlation_id"])  # the ring kept the event
    g.stop()


# -- who may

@case("origin_not_allowed")
def _():
    token = G.mint()
    for origin in ("https://evil.example", PAGE + ".evil", "null", PAGE.upper()):
        check("origin_not_allowed", with_token(token, Origin=origin), token=token)
    assert outcome(G, token, Origin=PAGE) == (101, "ok")


@case("token_expired")
def _():
    token = G.mint(ttl_s=1)
    time.sleep(2.1)
    check("token_expired", with_token(token))


@case("token_replayed")
def _():
    token = G.mint()
    assert outcome(G, token) == (101, "ok")
    count = G.metrics()["terminal_token_replay_rejected_total"]
    check("token_replayed", with_token(token))
    assert G.metrics()["terminal_token_replay_rejected_total"] == count + 1


@case("token_allocation_mismatch")
def _():
    token = G.mint("other")
    check("token_allocation_mismatch", with_token(token), token=token)


# -- the agent

def agent(behave, port):
    return Server((G.node, port), behave)


def read_head(c):
    got = b""
    while b"\r\n\r\n" not in got:
        got += c.recv(4096)
    return got


def say(text):
    def behave(c):
        read_head(c)
        c.sendall(text)
        time.sleep(0.2)
    return behave


@case("allocation_not_found")
def _():
    server = agent(say(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"), 7701)
    body = check("allocation_not_found", with_token(G.mint(agent=f"{G.node}:7701")))
    assert body["details"]["session_id"] and body["details"]["resource_name"].endswith(
        "gpuaas/allocation:lab"), body
    server.close()


@case("upstream_unavailable")
def _():
    check("upstream_unavailable", with_token(G.mint(agent=f"{G.node}:7702")))  # nobody listens
    check("upstream_unavailable", with_token(G.mint(agent="192.0.2.1:7702")))  # not an agent's
    for n, text in enumerate((b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 500 Oops\r\n\r\n", b"",
                              b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                              b"Connection: Upgrade\r\nSec-WebSocket-Accept: wrong\r\n\r\n")):
        server = agent(say(text), 7710 + n)
        check("upstream_unavailable", with_token(G.mint(agent=f"{G.node}:{7710 + n}")))
        server.close()
    assert G.metrics()['terminal_stream_relay_setup_total{result="failed"}'] >= 5


@case("upstream_timeout")
def _():
    server = agent(lambda c: time.sleep(8), 7703)
    check("upstream_timeout", with_token(G.mint(agent=f"{G.node}:7703")))
    server.close()


@case("client_gone")
def _():
    server = agent(lambda c: time.sleep(3), 7704)
    earlier = G.events("rejected", "client_gone")
    mine = ids()
    with G.dial() as s:
        s.sendall(upgrade_head(G.mint(agent=f"{G.node}:7704"), **mine))
        wait_for("the dial", lambda: G.order("status")["pending"] == 1)
    wait_for("the metric", lambda: G.events("rejected", "client_gone") == earlier + 1)
    logged(G, "client_gone", mine["X_Correlation_ID"])
    server.close()


# -- TLS, before there is a request

def tls_gateway(**config):
    tls = f"{SITE.folder}/tls"
    if not os.path.exists(tls):
        subprocess.run(["sh", "platform/lab/certificates.sh", tls], cwd=ROOT, check=True)
    g = SITE.gateway(tls_certificates=[f"{tls}/gateway.pem:{tls}/gateway.key"], **config)
    context = ssl.create_default_context(cafile=f"{tls}/ca.pem")
    context.check_hostname = False
    return g, context


def told_of(g, reason):
    """Its line in the log, by which its evidence is found."""
    line = wait_for("the log", lambda: g.lines(event="session_refused", reason=reason))[0]
    assert (line["level"], line["outcome"], line["code"]) == ("WARN", "rejected", reason), line
    assert line["remote"].startswith(g.node), line
    assert re.fullmatch("[0-9a-f]{32}", line["correlation_id"]), line
    assert g.lines(correlation_id=line["correlation_id"]) == [line]  # there was no request


@case("tls_handshake_failed, tls_handshake_timeout, tls_version_refused, tls_overloaded")
def _():
    g, context = tls_gateway(tls_handshakes_max=8)
    token = g.mint()
    with context.wrap_socket(g.dial(443)) as s:
        s.sendall(upgrade_head(token))
        assert b" 101 " in s.recv(4096)

    def rejected(reason):
        return g.events("rejected", reason)
    with g.dial(443) as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for("tls_handshake_failed", lambda: rejected("tls_handshake_failed") == 1)
    told_of(g, "tls_handshake_failed")
    # A ClientHello of TLS 1.0 and nothing newer.
    hello = b"\x03\x01" + bytes(32) + b"\0" + b"\0\x02\xc0\x09" + b"\x01\0"
    hello = b"\x01" + len(hello).to_bytes(3, "big") + hello
    with g.dial(443) as s:
        s.sendall(b"\x16\x03\x01" + len(hello).to_bytes(2, "big") + hello)
        assert s.recv(100)[:1] == b"\x15"  # an alert
        wait_for("tls_version_refused", lambda: rejected("tls_version_refused") == 1)
    told_of(g, "tls_version_refused")
    began = time.monotonic()
    for _ in range(60):  # one who does nothing else is counted each time, not written down
        try:
            with g.dial(443) as s:
                s.sendall(b"GET / HTTP/1.1\r\n\r\n")
                s.recv(100)
        except ConnectionError:
            pass
    wait_for("all of them", lambda: rejected("tls_handshake_failed") +
             rejected("tls_overloaded") >= 61)
    took = time.monotonic() - began
    lines = [x for x in g.lines(event="session_refused") if x["reason"].startswith("tls_")]
    assert 2 < len(lines) <= 10 * (took + 3), (len(lines), took)
    time.sleep(1.1)  # the others are to have their lines
    silent = [g.dial(443) for _ in range(12)]
    for s in silent:
        s.sendall(b"\x16\x03\x01\x02\0\x01")  # begun: from here on it costs something
    wait_for("tls_overloaded", lambda: rejected("tls_overloaded") >= 1)
    told_of(g, "tls_overloaded")
    wait_for("tls_handshake_timeout", lambda: rejected("tls_handshake_timeout") >= 1, 20)
    told_of(g, "tls_handshake_timeout")
    for s in silent:
        s.close()
    with context.wrap_socket(g.dial(443)) as s:
        s.sendall(upgrade_head(g.mint()))
        assert b" 101 " in s.recv(4096)
    g.stop()


@case("event_ring_full", quick=False)
def _():
    """A control process that stands still costs log lines, never a session."""
    g = SITE.gateway()
    with g.dial() as s:
        s.sendall(upgrade_head(g.mint()))
        assert b" 101 " in s.recv(4096)
        g.control.send_signal(signal.SIGSTOP)
        for _ in range(4200):
            assert g.get("/nothing").status == 404
        s.sendall(b"\x82\x81\0\0\0\0x")
        assert s.recv(100) == b"\x82\x01x"
        g.control.send_signal(signal.SIGCONT)
        g.ready()
        m = wait_for("it again", g.metrics)
        assert m['dataplane_drops_total{reason="event_ring_full"}'] >= 100, m
        assert m["dataplane_ring_lost_total"] == m['dataplane_drops_total{reason="event_ring_full"}']
        wait_for("its sessions", lambda: len(g.order("sessions.list")["sessions"]) == 1)
    g.stop()


# -- the order, and what browsers see

@case("the checks come in the contract's order")
def _():
    g = SITE.gateway(sessions_max=1, rate_per_source=1, rate_burst=1)
    token, other = g.mint(), g.mint("other")

    def reason(t, **more):
        answer = g.upgrade(t, **more)
        return answer.json()["details"]["reason"]
    bad = {"Origin": "https://evil.example"}
    with g.dial() as s:
        s.sendall(upgrade_head(g.mint()))
        assert b" 101 " in s.recv(4096)
        g.order("admit", percent=0)
        g.order("drain", timeout_s=60)
        time.sleep(0.2)
        assert reason(token, **bad, Sec_WebSocket_Key="x") == "malformed"
        assert reason(token, **bad) == "draining"
        g.order("undrain")
        time.sleep(0.2)
        assert reason(token, **bad) == "capacity"
    wait_for("room", lambda: g.order("status")["sessions"] == 0)
    assert reason(token, **bad) == "not_admitted"
    g.order("admit", percent=100)
    time.sleep(1.2)
    for _ in range(3):
        assert reason(token, **bad) == "origin_not_allowed"  # and no request of its rate is used
    assert reason(other) == "token_allocation_mismatch"
    assert reason(other) == "rate_limited"
    assert (g.state_of(token), g.state_of(other)) == ("valid", "valid")
    time.sleep(1.2)
    assert outcome(g, token) == (101, "ok")
    g.stop()


@case("browser_refusals close: a page's script sees the code, the operator the refusal")
def _():
    g = SITE.gateway(browser_refusals="close")
    hang = Server((g.node, 7705), say(b"HTTP/1.1 500 Oops\r\n\r\n"))

    def closed(token, reason, code, path="/ws/terminal/lab", **headers):
        mine = ids()
        earlier = g.events("rejected", reason)
        raw = g.raw(upgrade_head(token, path, **mine, **{"Origin": PAGE, **headers}))
        want = f"{REASONS[reason].code} {mine['X_Correlation_ID']}"
        assert close_of(raw) == (code, want), raw
        wait_for("the metric", lambda: g.events("rejected", reason) == earlier + 1)
        logged(g, reason, mine["X_Correlation_ID"])

    closed("u" * 40, "token_invalid", 1008)
    closed(g.mint("other"), "token_allocation_mismatch", 1008)
    closed(g.mint(), "origin_not_allowed", 1008, Origin="https://evil.example")
    closed(g.mint(agent=f"{g.node}:7705"), "upstream_unavailable", 1011)
    closed(None, "token_missing", 1008)
    assert g.upgrade("u" * 40).status == 401  # no browser
    assert g.get("/ws/terminal/lab", Origin=PAGE).status == 426  # asked for no upgrade
    g.order("drain", timeout_s=60)
    time.sleep(0.2)
    closed(g.mint(), "draining", 1013)
    hang.close()
    g.stop()


@case("no secret in any output")
def _():
    token = G.mint()
    outcome(G, token)
    outcome(G, token)
    texts = SITE.texts()
    assert token not in texts and "planted-agent-secret" not in texts and "eyJ" not in texts


if __name__ == "__main__":
    run(before, SITE.__exit__)

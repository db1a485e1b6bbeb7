#!/usr/bin/python3
"""Tokens in real Redis servers: one, behind TLS, behind sentinels, in a cluster; away and
back. Runs as root, in a network namespace of its own."""
import asyncio
import hashlib
import json
import subprocess
import time

import websockets

from gateways import ROOT, Site, outcome, wait_for
from redis_servers import Redis, cluster
from tap import case, run

SITE = Site()
SECRET = "planted-store-password"
KEPT = {}


def before():
    SITE.__enter__()
    KEPT["redis"] = Redis(SITE.folder, 7001)
    KEPT["g"] = SITE.gateway(token_store="redis", redis_url="redis://127.0.0.1:7001/2")


def after():
    for name, server in KEPT.items():
        if isinstance(server, Redis):
            server.stop()
    SITE.__exit__()


def key_of(token):
    return "terminal:token:{" + hashlib.sha256(token.encode()).hexdigest() + "}"


def good(g, reason="ok"):
    return (101 if reason == "ok" else 401, reason)


@case("a token in Redis is good once, and leaves what the contract says")
def _():
    g, redis = KEPT["g"], KEPT["redis"]
    token = g.mint(user_id="ann")
    value = json.loads(redis.cli("-n", "2", "get", key_of(token)))
    assert value["allocation_id"] == "lab" and value["user_id"] == "ann", value
    assert int(redis.cli("-n", "2", "ttl", key_of(token))) > 0
    assert outcome(g, token) == (101, "ok")
    assert redis.cli("-n", "2", "exists", key_of(token)) == "0"
    assert 86000 < int(redis.cli("-n", "2", "ttl", key_of(token) + ":used")) <= 86400
    assert outcome(g, token) == (401, "token_replayed")
    assert outcome(g, "x" * 40) == (401, "token_invalid")
    assert token not in redis.cli("-n", "2", "keys", "*")
    m = g.metrics()
    assert m['terminal_token_consume_total{result="ok"}'] == 1
    assert m["terminal_token_replay_rejected_total"] == 1
    assert m["terminal_token_consume_duration_seconds_count"] == 3
    assert m["terminal_token_consume_duration_seconds_sum"] > 0


@case("claims of an API service reach the session")
async def _():
    g, redis = KEPT["g"], KEPT["redis"]
    token = "a-token-of-the-api-service"
    trace = "0af7651916cd43dd8448eb211c80319c"
    claims = {"allocation_id": "lab", "session_id": "s-from-api", "user_id": "bob", "region": "eu",
              "tenant_id": "t1", "project_id": "p1", "agent": f"{g.node}:7681",
              "exp": int(time.time()) + 60, "correlation_id": "corr-of-the-api",
              "traceparent": f"00-{trace}-b7ad6b7169203331-01", "session_ttl_s": 2, "extra": [1]}
    redis.cli("-n", "2", "set", key_of(token), json.dumps(claims), "EX", "60")
    async with g.connect(token) as ws:
        got = {k: ws.response_headers[k] for k in ("X-Session-ID", "X-Correlation-ID", "X-Trace-ID")}
        assert got == {"X-Session-ID": "s-from-api", "X-Correlation-ID": "corr-of-the-api",
                       "X-Trace-ID": trace}, got
        await asyncio.wait_for(ws.wait_closed(), 10)
        assert (ws.close_code, ws.close_reason) == (4401, "session_ttl")
    line = wait_for("the log", lambda: g.lines(session_id="s-from-api", event="session_closed"))[0]
    assert line["resource_name"] == "core42:aicloud:eu:t1:p1:gpuaas/allocation:lab", line


@case("a mismatch does not burn it; expired, revoked and broken ones are told apart")
def _():
    g, redis = KEPT["g"], KEPT["redis"]
    token = g.mint("other")
    assert outcome(g, token) == (403, "token_allocation_mismatch")
    assert g.state_of(token) == "valid"
    assert outcome(g, token, "/ws/terminal/other") == (101, "ok")
    assert g.state_of(token) == "used"
    short = g.mint(ttl_s=1)
    time.sleep(2.1)
    assert outcome(g, short) == (401, "token_expired") and g.state_of(short) == "expired"
    revoked = g.mint()
    g.order("token.revoke", token=revoked)
    assert outcome(g, revoked) == (401, "token_invalid") and g.state_of(revoked) == "unknown"
    assert g.ask("token.revoke", token=revoked)["code"] == "not_found"
    for value in ("not json", "[]", '{"allocation_id": 7}', '{"allocation_id": "lab"}',
                  '{"allocation_id": "lab", "exp": 9999999999, "agent": "nowhere"}'):
        redis.cli("-n", "2", "set", key_of("broken-token-of-somebody"), value)
        assert outcome(g, "broken-token-of-somebody")[0] in (401, 403), value


@case("many are minted at once, and a server that forgot the script is taught again")
def _():
    g, redis = KEPT["g"], KEPT["redis"]
    tokens = g.mint_many(10000)
    assert len(set(tokens)) == 10000
    redis.cli("script", "flush")
    assert outcome(g, tokens[-1]) == (101, "ok")
    assert outcome(g, tokens[-1]) == (401, "token_replayed")


@case("the server away: refused at once, sessions untouched, and back by itself")
async def _():
    g, redis = KEPT["g"], KEPT["redis"]
    async with g.connect(g.mint()) as ws:
        for away, back in ((redis.kill, redis.start), (redis.freeze, redis.thaw)):
            away()
            for n in range(3):  # the deadline first, the breaker later
                began = time.monotonic()
                assert outcome(g, "t" * 40) == (503, "token_store_unavailable")
                print(f"# refused after {(time.monotonic() - began) * 1000:.0f} ms")
            ready = wait_for("readiness", lambda: g.get("/readyz").status == 503 and g.get("/readyz"))
            assert "token_store_unavailable" in ready.json()["reasons"]
            status = g.order("status")
            assert not status["ready"] and not status["token_store"]["ok"], status
            await ws.send(b"still here")
            assert await asyncio.wait_for(ws.recv(), 5) == b"still here"
            assert g.ask("token.mint", allocation_id="lab")["code"] == "unavailable"
            back()
            wait_for("readiness again", lambda: g.get("/readyz").status == 200, 15)
            assert outcome(g, g.mint()) == (101, "ok")
    assert g.metrics()['terminal_token_consume_total{result="token_store_unavailable"}'] >= 6


@case("a password, a user of the ACL, and none of them in any output")
def _():
    redis = KEPT["acl"] = Redis(SITE.folder, 7002, "--user", "gw", "on", f">{SECRET}-acl",
                                "~terminal:token:*", "+eval", "+evalsha", "+get", "+set", "+del",
                                "+exists", "--requirepass", SECRET)
    g = SITE.gateway(token_store="redis", redis_url=f"redis://gw:{SECRET}-acl@127.0.0.1:7002")
    assert outcome(g, g.mint(), X_Correlation_ID="the-acl-case") == (101, "ok")
    g2 = SITE.gateway(token_store="redis", redis_url=f"redis://:{SECRET}@127.0.0.1:7002")
    assert outcome(g2, g2.mint()) == (101, "ok")
    g3 = SITE.gateway(wait=False, token_store="redis",
                      redis_url=f"redis://gw:{SECRET}-wrong@127.0.0.1:7002")
    lost = wait_for("the refusal", lambda: g3.lines(event="token_store_lost"))
    assert "WRONGPASS" in lost[0]["message"], lost
    g3.unready("token_store_unavailable")
    assert outcome(g3, "t" * 40) == (503, "token_store_unavailable")
    shown = json.dumps([x.order("config.show") for x in (g, g2, g3)])
    assert "127.0.0.1:7002" in shown and SECRET not in shown
    assert SECRET not in SITE.texts() + json.dumps(g.order("evidence", correlation_id="the-acl-case"))
    for x in (g, g2, g3):
        x.stop()
    redis.stop()


@case("TLS: verified against redis_ca, refused without")
def _():
    tls = f"{SITE.folder}/tls"
    subprocess.run(["sh", "platform/lab/certificates.sh", tls], cwd=ROOT, check=True)
    redis = KEPT["tls"] = Redis(SITE.folder, 7003, tls=tls)
    g = SITE.gateway(token_store="redis", redis_url="rediss://127.0.0.1:7003",
                     redis_ca=f"{tls}/ca.pem", redis_certificate=f"{tls}/gateway.pem:{tls}/gateway.key")
    tokens = g.mint_many(2000)  # more than one record, both ways
    assert outcome(g, tokens[0]) == (101, "ok") and outcome(g, tokens[0]) == (401, "token_replayed")
    g2 = SITE.gateway(wait=False, token_store="redis", redis_url="rediss://127.0.0.1:7003")
    lost = wait_for("the refusal", lambda: g2.lines(event="token_store_lost"))[0]
    assert "certificate" in lost["message"], lost
    g2.unready("token_store_unavailable")
    assert outcome(g2, tokens[1]) == (503, "token_store_unavailable")
    g3 = SITE.gateway(wait=False, token_store="redis", redis_url="rediss://127.0.0.2:7003",
                      redis_ca=f"{tls}/ca.pem")  # another name than the certificate's
    redis.cli("config", "set", "bind", "127.0.0.1 127.0.0.2", check=False)
    lost = wait_for("the refusal", lambda: [x for x in g3.lines(event="token_store_lost")])
    g3.unready("token_store_unavailable")
    assert outcome(g3, tokens[1]) == (503, "token_store_unavailable")
    assert outcome(g, tokens[1]) == (101, "ok")
    for x in (g, g2, g3):
        x.stop()
    redis.stop()


@case("sentinels: the new master is found, and keeps what the old one knew", quick=False)
def _():
    master = KEPT["master"] = Redis(SITE.folder, 7011)
    replica = KEPT["replica"] = Redis(SITE.folder, 7012, "--replicaof", "127.0.0.1", "7011")
    wait_for("the replica", lambda: "master_link_status:up" in replica.cli("info", "replication"))
    for port in (7021, 7022):
        KEPT[f"s{port}"] = Redis(
            SITE.folder, port, "sentinel monitor tokens 127.0.0.1 7011 2",
            "sentinel down-after-milliseconds tokens 500", "sentinel failover-timeout tokens 3000",
            sentinel=True)
    sentinel = KEPT["s7021"]
    wait_for("the sentinels", lambda: "num-other-sentinels\n1" in sentinel.cli("sentinel", "master", "tokens")
             and "num-slaves\n1" in sentinel.cli("sentinel", "master", "tokens"), 20)
    g = SITE.gateway(token_store="redis",
                     redis_url="redis-sentinel://127.0.0.1:7099,127.0.0.1:7022,127.0.0.1:7021/tokens")
    used, kept = g.mint_many(2)
    assert outcome(g, used) == (101, "ok")
    assert master.cli("wait", "1", "1000") == "1"
    master.kill()
    assert outcome(g, kept) == (503, "token_store_unavailable")
    wait_for("the failover", lambda: replica.cli("role").startswith("master"), 30)
    wait_for("readiness", lambda: g.get("/readyz").status == 200, 20)
    assert outcome(g, used) == (401, "token_replayed")
    assert outcome(g, kept) == (101, "ok")
    moved = [line["message"] for line in g.lines(event="token_store_master")]
    assert moved == ["tokens is 127.0.0.1:7011", "tokens is 127.0.0.1:7012"], moved
    g.stop()
    for name in ("s7021", "s7022", "replica"):
        KEPT[name].stop()


@case("a cluster: every slot is found, a moved one followed, one on the move waited for", quick=False)
def _():
    nodes = cluster(SITE.folder, (7031, 7032, 7033))
    for n in nodes:
        KEPT[f"c{n.port}"] = n
    g = SITE.gateway(token_store="redis", redis_url="redis-cluster://127.0.0.1:7033,127.0.0.1:7099")
    wait_for("every node", lambda: len(g.lines(event="token_store_found")) >= 3)
    tokens = sorted(g.mint_many(60))  # minted ones come node by node
    assert all(int(n.cli("dbsize")) > 5 for n in nodes)
    for token in tokens[:40]:
        assert outcome(g, token) == (101, "ok") and outcome(g, token) == (401, "token_replayed")
    followed = [t for t in tokens[40:] if owner(nodes, t) is nodes[0]][:2]
    moved, moving = followed
    move(nodes, moved, nodes[1])  # whole: MOVED
    assert outcome(g, moved) == (101, "ok")
    slot = slot_of(nodes[0], moving)
    nodes[2].cli("cluster", "setslot", slot, "importing", name_of(nodes[0]))
    nodes[0].cli("cluster", "setslot", slot, "migrating", name_of(nodes[2]))
    assert outcome(g, moving) == (503, "token_store_unavailable")  # its marker cannot be written
    assert g.state_of(moving) == "valid"
    nodes[0].cli("migrate", "127.0.0.1", "7033", key_of(moving), "0", "1000")
    assert outcome(g, moving) == (101, "ok")  # ASK
    assert nodes[2].cli("asking") == "OK"
    for n in nodes:
        n.cli("cluster", "setslot", slot, "node", name_of(nodes[2]))
    assert outcome(g, moving) == (401, "token_replayed")
    nodes[1].kill()  # a third of the tokens, no more
    left = [t for t in tokens[40:] if t not in followed]
    kept = [t for t in left if owner(nodes[::2], t)]
    assert outcome(g, kept[0]) == (101, "ok")
    lost = next(t for t in left if t not in kept)
    assert outcome(g, lost) == (503, "token_store_unavailable")
    nodes[1].start()
    g.stop()
    for n in nodes:
        n.stop()


def slot_of(node, token):
    return node.cli("cluster", "keyslot", key_of(token))


def name_of(node):
    return node.cli("cluster", "myid")


def owner(nodes, token):
    """The node that has the key itself."""
    for n in nodes:
        if n.cli("exists", key_of(token)) == "1":
            return n
    return None


def move(nodes, token, to):
    """A slot with all that is in it, as a rebalancing does it."""
    slot, source = slot_of(to, token), owner(nodes, token)
    to.cli("cluster", "setslot", slot, "importing", name_of(source))
    source.cli("cluster", "setslot", slot, "migrating", name_of(to))
    for key in source.cli("cluster", "getkeysinslot", slot, "100").split("\n"):
        source.cli("migrate", "127.0.0.1", str(to.port), key, "0", "1000")
    for n in (to, source, *nodes):
        n.cli("cluster", "setslot", slot, "node", name_of(to))


@case("a race of 1,000 clients over 4 gateways: each token is consumed once", quick=False)
async def _():
    url = "redis://127.0.0.1:7001/2"
    gateways = [KEPT["g"]] + [SITE.gateway(token_store="redis", redis_url=url) for _ in range(3)]
    tokens = gateways[0].mint_many(25)
    wins = {t: 0 for t in tokens}
    others = {}
    go = asyncio.Event()

    async def attempt(i):
        g, token = gateways[i % 4], tokens[i // 40]
        await go.wait()
        try:
            async with g.connect(token, open_timeout=60) as ws:
                wins[token] += 1
                await ws.send(b"x")
                await ws.recv()
        except websockets.InvalidStatusCode as e:
            others[e.status_code] = others.get(e.status_code, 0) + 1

    tasks = [asyncio.create_task(attempt(i)) for i in range(1000)]
    go.set()
    await asyncio.gather(*tasks)
    print(f"# {sum(wins.values())} sessions of {len(tokens)} tokens, refusals {others}")
    assert set(wins.values()) == {1} and others == {401: 975}, (wins, others)
    assert sum(g.metrics()["terminal_token_replay_rejected_total"] for g in gateways) >= 975


if __name__ == "__main__":
    run(before, after)

#!/usr/bin/python3
"""docs/operations.md against a live gateway: every command in it is run, every metric query is
evaluated by a real Prometheus, every log query finds its lines; alert rules and dashboard use
what exists. As root; prints TAP."""
import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse
import urllib.request

import websockets
import yaml

from lab_tools import HOST, LAB, ROOT, control, lab, mint
from tap import case, run

DOC = os.path.join(ROOT, "docs/operations.md")
PROMETHEUS = "http://127.0.0.1:19090"
work = tempfile.mkdtemp(prefix="tgw-runbook-")
facts = {}  # what $SESSION and the rest stand for
server = None
# The user's side lives through all cases, so it has an event loop of its own.
user = asyncio.new_event_loop()
threading.Thread(target=user.run_forever, daemon=True).start()


def blocks(kind):
    """(section, text) of each fenced block of that kind."""
    section, inside, found = "", None, []
    for line in open(DOC):
        if inside is None and line.startswith("#"):
            section = line.strip("# \n")
        if line.startswith("```"):
            if inside is None:
                inside = [line[3:].strip(), []]
            else:
                if inside[0] == kind:
                    found.append((section, "".join(inside[1])))
                inside = None
        elif inside is not None:
            inside[1].append(line)
    assert found
    return found


async def live_session():
    """A session that stays: a second one of its allocation is refused its replay."""
    token = mint("runbook")
    headers = {"X-Correlation-ID": "runbook-0001"}
    facts["ws"] = await websockets.connect(f"ws://{HOST}/ws/terminal/runbook", subprotocols=[token],
                                           extra_headers=headers, compression=None)
    await facts["ws"].send("echo up\n")
    try:
        await websockets.connect(f"ws://{HOST}/ws/terminal/runbook", subprotocols=[token],
                                 extra_headers={"X-Correlation-ID": "runbook-0002"})
    except websockets.InvalidStatusCode as e:
        assert e.status_code == 401
    with socket.create_connection((HOST, 443), timeout=5) as s:
        s.sendall(b"GET / HTTP/1.1\r\n\r\n")  # a client that speaks no TLS
        s.recv(100)
    facts["SESSION"] = control("sessions.list")["sessions"][0]["session_id"]
    facts["CORRELATION"] = "runbook-0001"
    facts["URL"] = f"ws://{HOST}"


def environment():
    config = os.path.join(work, "config.json")
    if not os.path.exists(config):
        shutil.copy(f"{LAB}/config.json", config)
    return {**os.environ, "PATH": f"{ROOT}/build:{os.environ['PATH']}", "CONFIG": config,
            **{k: v for k, v in facts.items() if isinstance(v, str)}}


@case("every command of the guide does what it says", timeout_s=180)
def _():
    asyncio.run_coroutine_threadsafe(live_session(), user).result(10)
    for section, text in blocks("sh"):
        if "sessions kill" in text:
            continue  # last: the others want the session
        done = subprocess.run(["sh", "-e", "-c", text], env=environment(), cwd=work, timeout=60,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert done.returncode == 0, f"{section}:\n{text}\n{done.stdout}{done.stderr}"
        facts[f"out {section}"] = facts.get(f"out {section}", "") + done.stdout
    assert control("status")["ready"] and control("status")["admit_percent"] == 100


@case("what the commands print is what the guide reads in it")
def _():
    assert "ready" in facts["out The first three minutes"]
    slow = facts["out Terminals are slow"]
    for word in ("srtt_us", "retransmits", "unread_bytes", "cwnd_bytes"):
        assert word in slow, slow
    assert "not_ready" not in facts["out Drain and undrain"]
    listing = facts["out Evidence"]
    for name in ("gateway.log", "audit.log", "config.json", "metrics-after.prom", "status.json"):
        assert name in listing, listing
    outside = facts["out From outside"]
    assert re.search(r"pass +a replay is refused", outside), outside
    assert "FAIL" not in outside and "clean" in outside, outside


@case("the capture is a pcapng of headers that tcpdump reads")
def _():
    path, secret = "/tmp/session.pcapng", b"not-for-the-file"
    done = subprocess.Popen([f"{ROOT}/build/tgwctl", "capture", "--session", facts["SESSION"],
                             "--seconds", "2", "-w", path], stdout=subprocess.PIPE, text=True)
    time.sleep(0.7)
    send = facts["ws"].send("echo " + secret.decode() + "\n")
    asyncio.run_coroutine_threadsafe(send, user).result(5)
    out, _ = done.communicate(timeout=15)
    packets = int(re.match(r"(\d+) packets, 0 missed", out).group(1))
    text = subprocess.run(["tcpdump", "-nr", path], capture_output=True, text=True, check=True)
    lines = text.stdout.splitlines()
    assert len(lines) == packets >= 6, text.stdout
    assert any("> 198.18.0.2.80:" in line for line in lines), lines
    assert any("> 198.18.1.1.7681:" in line for line in lines), lines
    assert secret not in open(path, "rb").read()
    os.unlink(path)


@case("the probe names an edge that is not public or does not answer, with a fix")
def _():
    for url, check in (("ws://127.0.0.1:9", "address is public"), ("ws://127.0.0.1:9", "TCP connects"),
                       ("wss://no-such-name.invalid", "name resolves")):
        done = subprocess.run([f"{ROOT}/build/tgwctl", "probe", url], capture_output=True, text=True)
        assert done.returncode == 1, done
        assert re.search(rf"FAIL +{check}.*\n +try: \w+", done.stdout), done.stdout


@case("the evidence holds no secret")
def _():
    secret = open(f"{LAB}/agent.secret").read().strip()
    tar = open("/tmp/evidence.tar", "rb").read()
    assert b"runbook-0001" in tar and secret.encode() not in tar
    os.unlink("/tmp/evidence.tar")


def query(text):
    url = f"{PROMETHEUS}/api/v1/query?" + urllib.parse.urlencode({"query": text})
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)["data"]["result"]


def start_prometheus():
    global server
    rules = yaml.safe_load(open(f"{ROOT}/platform/kubernetes/alerts.yaml"))["spec"]
    with open(f"{work}/rules.yaml", "w") as f:
        yaml.safe_dump(rules, f)
    with open(f"{work}/prometheus.yml", "w") as f:
        yaml.safe_dump({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": [{"job_name": "terminal-gateway",
                                "static_configs": [{"targets": ["127.0.0.1:9464"]}]}]}, f)
    server = subprocess.Popen(
        ["prometheus", f"--config.file={work}/prometheus.yml", f"--storage.tsdb.path={work}/tsdb",
         "--web.listen-address=127.0.0.1:19090"], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
    for _ in range(150):
        try:
            if len(query("count_over_time(terminal_gateway_sessions[1m]) >= 4")):
                return
        except OSError:
            pass
        time.sleep(0.2)
    raise AssertionError("Prometheus did not scrape the gateway")


@case("every metric query of the guide has an answer from a real Prometheus", timeout_s=90)
def _():
    start_prometheus()
    for section, text in blocks("promql"):
        for line in text.splitlines():
            bare = re.sub(r" (>|>=|<) [0-9.]+$", "", line)  # a threshold may well be quiet
            assert query(bare), f"{section}: {line}"
    for _, text in blocks("promql"):
        for line in text.splitlines():
            query(line)


@case("Prometheus loads the alert rules, and none fires on a gateway that is well")
def _():
    with urllib.request.urlopen(f"{PROMETHEUS}/api/v1/rules", timeout=10) as answer:
        rules = [r for g in json.load(answer)["data"]["groups"] for r in g["rules"]]
    assert len(rules) >= 10 and all(r["health"] == "ok" for r in rules), rules
    assert not [r["name"] for r in rules if r["state"] == "firing"]


def matches(line, conditions):
    try:
        entry = json.loads(line)
    except ValueError:
        return False
    return all(str(entry.get(key)) == value for key, value in conditions)


@case("every log query of the guide finds lines, as Loki would filter them")
def _():
    lines = [line for name in ("control", "dataplane", "agent")
             for line in open(f"{LAB}/{name}.log")]
    for section, text in blocks("logql"):
        for line in text.splitlines():
            for name, value in facts.items():
                line = line.replace(f"${name}", value) if isinstance(value, str) else line
            conditions = re.findall(r'([a-z_]+)="([^"]*)"', line)
            assert conditions and conditions[0][0] == "service", line
            assert any(matches(entry, conditions) for entry in lines), f"{section}: {line}"


@case("one correlation id leads through gateway and agent, with trace and resource")
def _():
    gateway = [json.loads(line) for line in open(f"{LAB}/control.log")]
    mine = [e for e in gateway if e.get("correlation_id") == "runbook-0001"]
    assert [e["event"] for e in mine][:2] == ["session_requested", "session_opened"], mine
    opened = mine[1]
    assert opened["session_id"] == facts["SESSION"] and len(opened["trace_id"]) == 32
    agent = [json.loads(line) for line in open(f"{LAB}/agent.log")]
    theirs = [e for e in agent if e.get("session_id") == facts["SESSION"]]
    assert theirs and all(e["service"] == "gpuaas-node-agent" for e in theirs)
    assert theirs[0]["correlation_id"] == "runbook-0001"
    assert theirs[0]["trace_id"] == opened["trace_id"]
    assert theirs[0]["resource_name"] == opened["resource_name"]


@case("a session is ended by hand, and the log tells")
def _():
    text = next(t for _, t in blocks("sh") if "sessions kill" in t)
    subprocess.run(["sh", "-e", "-c", text], env=environment(), check=True, capture_output=True)
    for _ in range(50):
        if "session_terminated" in open(f"{LAB}/control.log").read():
            return
        time.sleep(0.1)
    raise AssertionError("no session_terminated in the log")


@case("alert rules: each fires on its trouble and not without it, and links to its section")
def _():
    rules = yaml.safe_load(open(f"{ROOT}/platform/kubernetes/alerts.yaml"))["spec"]
    with open(f"{work}/rules.yaml", "w") as f:
        yaml.safe_dump(rules, f)
    shutil.copy(f"{ROOT}/tests/platform/kubernetes/alerts_test.yaml", work)
    done = subprocess.run(["promtool", "test", "rules", f"{work}/alerts_test.yaml"],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    tested = open(f"{work}/alerts_test.yaml").read()
    guide = open(DOC).read()
    for group in rules["groups"]:
        for rule in group["rules"]:
            assert f"\n### {rule['alert']}\n" in guide, rule["alert"]
            assert rule["annotations"]["runbook_url"].endswith("#" + rule["alert"].lower())
            assert f"alertname: {rule['alert']}\n        exp_alerts:\n" in tested


def metrics_that_exist():
    text = urllib.request.urlopen("http://127.0.0.1:9464/metrics", timeout=10).read().decode()
    names = set(re.findall(r"^# TYPE (\w+) ", text, re.M))
    histograms = re.findall(r"^# TYPE (\w+) histogram", text, re.M)
    return names | {h + s for h in histograms for s in ("_bucket", "_sum", "_count")}, text


@case("/metrics is clean by promtool, and rules and dashboard use only what exists")
def _():
    names, text = metrics_that_exist()
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True,
                          text=True)
    assert done.returncode == 0 and not done.stderr.strip(), done.stderr
    used = open(f"{ROOT}/platform/kubernetes/alerts.yaml").read()
    used = " ".join(re.findall(r"expr: \|-\n((?: {12}.*\n)+)", used))
    for panel in json.load(open(f"{ROOT}/platform/kubernetes/dashboard.json"))["panels"]:
        used += " ".join(t["expr"] for t in panel["targets"])
    wanted = set(re.findall(r"\b((?:terminal|dataplane|tcp|ws|tls)_\w+)", used))
    assert len(wanted) > 20 and not wanted - names, wanted - names


def before():
    lab("--detach", "--no-build")


def after():
    if server:
        server.kill()
        server.wait()
    lab("--stop")
    shutil.rmtree(work)


run(before, after)

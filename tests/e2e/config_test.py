#!/usr/bin/python3
"""Configuration while it runs: versions, what needs a restart, freeze, the audit trail; and
what the processes may do. Runs as root, in a network namespace of its own."""
import json
import os
import pwd
import signal
import socket
import subprocess
import time

from gateways import BUILD, ROOT, Site, outcome, upgrade_head, wait_for
from tap import case, run

SITE = Site()


def text(g, **changes):
    return json.dumps({**g.config, **changes})


def status_of(process):
    with open(f"/proc/{process.pid}/status") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


@case("check explains, apply is whole or nothing, rollback goes back, freeze refuses")
def _():
    g = SITE.gateway()
    before = open(g.config_file).read()
    changed = text(g, session_ttl_seconds=5, sessions_max=7, browser_refusals="close")
    shown = {c["key"]: c["live"] for c in g.order("config.check", config=changed)["changes"]}
    assert shown == {"session_ttl_seconds": True, "sessions_max": False, "browser_refusals": True}
    assert open(g.config_file).read() == before
    applied = g.order("config.apply", config=changed, who="release job 7", why="canary\ttest".replace("\t", " "))
    assert applied["version"] == 2 and len(applied["changes"]) == 3
    assert json.loads(open(g.config_file).read())["session_ttl_seconds"] == 5
    assert g.order("config.show")["session_ttl_seconds"] == 5
    assert g.order("config.show")["sessions_max"] == 2000  # until a restart
    for bad, named in (("{", "JSON"), (text(g, sessions_max=0), "sessions_max"),
                       (text(g, no_such=1), "no_such"), (text(g, log_level="LOUD"), "log_level")):
        reply = g.ask("config.apply", config=bad)
        assert reply["code"] == "config_invalid" and named in reply["message"], reply
    assert g.order("status")["config_version"] == 2
    assert g.ask("config.apply", config=changed, why="two\nlines")["code"] == "bad_request"
    g.order("config.freeze", why="incident 12")
    assert g.ask("config.apply", config=before)["code"] == "frozen"
    assert g.ask("config.rollback")["code"] == "frozen"
    g.restart_control()
    assert g.order("status")["config_frozen"]
    g.order("config.unfreeze")
    assert g.order("config.rollback", why="back")["version"] == 1
    assert open(g.config_file).read() == before
    kept = sorted(os.listdir(f"{g.config['state_dir']}/config"))
    assert kept == ["1.json", "2.json"], kept
    assert os.stat(f"{g.config['state_dir']}/config/1.json").st_mode & 0o77 == 0
    audit = g.audit()
    assert [a["action"] for a in audit] == ["config_applied", "config_frozen", "config_unfrozen",
                                            "config_rolled_back"]
    me = f"{pwd.getpwuid(os.getuid()).pw_name} (uid {os.getuid()}, pid {os.getpid()})"
    assert audit[0]["who"] == me + ", says release job 7", audit[0]
    assert audit[0]["why"] == "canary test" and audit[1]["who"] == me, audit
    assert g.lines(event="config_applied")[0]["message"].endswith("says release job 7: canary test")
    g.stop()


@case("SIGHUP takes an edited file, and keeps what runs when it is broken")
def _():
    g = SITE.gateway()
    g.config["idle_timeout_seconds"] = 77
    g.write_config()
    g.control.send_signal(signal.SIGHUP)
    wait_for("the change", lambda: g.order("config.show")["idle_timeout_seconds"] == 77)
    with open(g.config_file, "w") as f:
        f.write("{")
    g.control.send_signal(signal.SIGHUP)
    wait_for("its refusal", lambda: g.lines(event="config_refused"))
    assert g.order("config.show")["idle_timeout_seconds"] == 77
    assert [a["who"] for a in g.audit()] == ["SIGHUP"]
    g.stop()


@case("live keys act on the next request")
def _():
    g = SITE.gateway()
    token, second = g.mint(), g.mint()
    g.order("config.apply", config=text(g, allow_missing_origin=False))
    time.sleep(0.1)
    assert outcome(g, token) == (403, "origin_not_allowed")
    assert outcome(g, token, Origin=g.config["allowed_origins"][0]) == (101, "ok")
    g.order("config.apply", config=text(g, agent_networks=["10.99.0.0/16"]))
    assert outcome(g, second) == (502, "upstream_unavailable")
    g.stop()


@case("an ordinary user behind a filter, and nothing is missing")
def _():
    user = pwd.getpwnam("nobody")
    g = SITE.gateway(wait=False, run_as_user="nobody", control_group="daemon")
    os.chown(g.folder, user.pw_uid, -1)
    os.chown(g.config_file, user.pw_uid, -1)
    g.ready()
    for process in (g.control, g.dataplane):
        status = status_of(process)
        assert status["Uid"].split() == [str(user.pw_uid)] * 4, status["Uid"]
        assert status["Groups"].strip() == "" and status["CapEff"].strip("0 ") == "", status
        assert status["NoNewPrivs"].strip() == "1" and status["Seccomp"].strip() == "2", status
    where = os.stat(g.socket)
    assert where.st_mode & 0o777 == 0o660 and where.st_uid == user.pw_uid and where.st_gid == 1
    assert outcome(g, g.mint()) == (101, "ok")
    g.order("admit", percent=50)
    assert g.order("config.apply", config=text(g, idle_timeout_seconds=5))["version"] == 2
    g.order("sessions.list")
    assert "terminal_gateway_sessions" in subprocess.run(
        ["curl", "-fs", f"http://127.0.0.1:{g.admin_port}/metrics"], capture_output=True, text=True,
        check=True).stdout
    g.order("drain", timeout_s=1)
    g.control.send_signal(signal.SIGTERM)
    assert g.control.wait(15) == 0 and g.dataplane.wait(15) == 0


def policies(process):
    """(thread name, (policy, priority)) of each thread"""
    found = []
    for tid in map(int, os.listdir(f"/proc/{process.pid}/task")):
        with open(f"/proc/{process.pid}/task/{tid}/comm") as f:
            name = f.read().strip()
        policy = os.sched_getscheduler(tid) & ~os.SCHED_RESET_ON_FORK
        found.append((name, (policy, os.sched_getparam(tid).sched_priority)))
    return found


@case("worker_priority is the cores' alone, and stays when privileges are gone")
def _():
    tls = f"{SITE.folder}/tls"
    subprocess.run(["sh", "platform/lab/certificates.sh", tls], cwd=ROOT, check=True,
                   capture_output=True)
    ordinary = (os.SCHED_OTHER, 0)
    for priority, wanted in ((7, (os.SCHED_FIFO, 7)), (0, ordinary)):
        g = SITE.gateway(worker_priority=priority, run_as_user="nobody" if priority else "",
                         tls_certificates=[f"{tls}/gateway.pem:{tls}/gateway.key"])
        found = policies(g.dataplane)
        workers = [p for n, p in found if n.startswith("rte-worker")]
        others = {n: p for n, p in found if not n.startswith("rte-worker")}
        assert workers == [wanted], found
        assert {"tgw-tls-0", "tgw-dataplane"} <= set(others), found
        assert set(others.values()) == {ordinary}, found
        assert outcome(g, g.mint()) == (101, "ok")
        g.stop()


@case("worker_priority that the kernel refuses is said")
def _():
    g = SITE.gateway()
    g.stop()
    g.config["worker_priority"] = 7
    g.write_config()
    done = subprocess.run(["setpriv", "--bounding-set", "-sys_nice", "--inh-caps", "-sys_nice",
                           f"{BUILD}/tgw-dataplane", "--config", g.config_file],
                          capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2, done
    assert "worker_priority: the kernel refuses SCHED_FIFO: Operation not permitted" in done.stderr, done


def agreed_ecn(connection):
    return bool(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[5] & 8)  # TCPI_OPT_ECN


@case("ECN is agreed on with browsers and agents that want it, unless the configuration says no")
def _():
    with open("/proc/sys/net/ipv4/tcp_ecn", "w") as f:
        f.write("1")
    for g, wanted in ((SITE.gateway(), True), (SITE.gateway(ecn=False), False)):
        token = g.mint(agent=f"{g.node}:7799")
        with socket.create_server((g.node, 7799)) as agent, g.dial() as browser:
            agent.settimeout(10)
            browser.sendall(upgrade_head(token))
            with agent.accept()[0] as dialled:
                assert (agreed_ecn(browser), agreed_ecn(dialled)) == (wanted, wanted), wanted
        g.stop()


@case("what cannot be is said in one line")
def _():
    g = SITE.gateway()
    for change, named in (({"run_as_user": "nobody-of-that-name"}, "run_as_user"),
                          ({"control_group": "no-such-group"}, "control_group"),
                          ({"token_store": "redis", "redis_url": "redis://u:planted@h:x"}, "redis_url"),
                          ({"token_store": "redis", "redis_url": "rediss://h", "redis_ca": "/nowhere"},
                           "redis_ca"),
                          ({"redis_timeout_ms": 5000}, "redis_timeout_ms"),
                          ({"agent_secret_file": "/nowhere"}, "agent_secret_file")):
        bad = f"{SITE.folder}/bad.json"
        with open(bad, "w") as f:
            f.write(text(g, **change, control_socket=f"{SITE.folder}/bad.sock", admin_listen=""))
        done = subprocess.run([f"{BUILD}/tgw-control", "--config", bad], capture_output=True, text=True,
                              timeout=20, check=False)
        assert done.returncode == 2 and done.stderr.count("\n") == 1, (named, done)
        assert named in done.stderr and "planted" not in done.stderr, done.stderr
    g.stop()


if __name__ == "__main__":
    run(SITE.__enter__, SITE.__exit__)

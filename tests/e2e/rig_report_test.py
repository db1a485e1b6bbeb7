#!/usr/bin/python3
"""A report made by tgw-rig holds to hw/rig/report.schema.json. The gateway and the rig over
memif on this machine, for a second."""
import json
import os
import signal
import subprocess
import tempfile
import time

import jsonschema

from tap import case, run

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
SCHEMA = json.load(open(os.path.join(ROOT, "hw", "rig", "report.schema.json")))
DIR = tempfile.mkdtemp(prefix="rig-report-")


def configuration(name, text, **more):
    """One of the bench's files with our own sockets and region."""
    text = text.replace("/run/tgw/bench", DIR).replace("/dev/shm/tgw-bench", f"{DIR}/region")
    path = f"{DIR}/{name}.json"
    config = {**json.loads(text), **more}
    if "sessions_max" in config:
        config["sessions_max"] = 1000
    with open(path, "w") as f:
        json.dump(config, f)
    return path


def stand_still(who, rig, seconds):
    """Again and again until the rig ends, so that its window has some of it."""
    while rig.poll() is None:
        who.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        who.send_signal(signal.SIGCONT)
        time.sleep(0.1)


def report(gateway_has={}, plan_has={}, still_s=0, still="rig"):
    with open(f"{DIR}/agent.secret", "w") as f:
        f.write("5a" * 32)
    runs = os.path.join(ROOT, "hw", "rig", "runs")
    gateway = configuration("gateway", open(f"{runs}/gateway.json").read(), **gateway_has)
    plan = configuration("plan", open(f"{runs}/echo.json").read(), **plan_has)
    with open(f"{DIR}/gateway.log", "w") as log:
        dataplane = subprocess.Popen(["build/tgw-dataplane", "--config", gateway], cwd=ROOT,
                                     stdout=log, stderr=log)
    try:
        for _ in range(200):
            if "dataplane_started" in open(f"{DIR}/gateway.log").read():
                break
            time.sleep(0.1)
        out = f"{DIR}/report.json"
        with subprocess.Popen(["build/tgw-rig", "run", plan, "sessions=50", "duration_ms=1000",
                               f"report={out}"], cwd=ROOT, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True) as rig:
            if still_s:
                stand_still(rig if still == "rig" else dataplane, rig, still_s)
            errors = rig.communicate(timeout=60)[1]
        assert os.path.exists(out), errors + open(f"{DIR}/gateway.log").read()
        return json.load(open(out))
    finally:
        dataplane.send_signal(signal.SIGINT)
        dataplane.wait(20)


REPORT = {}


@case("the schema is one, and a report of the rig holds to it")
def _():
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    REPORT.update(report())
    jsonschema.validate(REPORT, SCHEMA)
    assert REPORT["sessions"]["opened"] >= 50 and REPORT["gateway"]["frames"] > 0, REPORT["sessions"]


@case("browsers with TLS resume, all from the ticket of one full handshake")
def _():
    tls = f"{DIR}/tls"
    subprocess.run(["sh", "platform/lab/certificates.sh", tls], cwd=ROOT, check=True,
                   capture_output=True)
    secure = report({"tls_certificates": [f"{tls}/gateway.pem:{tls}/gateway.key"]},
                    {"gateway": "198.18.0.2:443", "tls_ca": f"{tls}/ca.pem"})
    jsonschema.validate(secure, SCHEMA)
    sessions = secure["sessions"]
    assert sessions["opened"] == sessions["tls_handshakes"] == sessions["tls_resumed"] == 50, sessions
    assert secure["gateway"]["counters"]["tls_records_in"] > 0, secure["gateway"]["counters"]
    assert secure["rates"]["answered_per_s"] > 0


@case("a rig that was held up says so, and for how long")
def _():
    still_s = 0.06
    held = report(still_s=still_s)
    jsonschema.validate(held, SCHEMA)
    stalls = held["rig_stalls"]
    assert stalls["count"] > 0 and stalls["longest_us"] >= still_s * 1e6, stalls
    left_out(held)


def left_out(held):
    """Some of the echoes are, the longest among them."""
    every, rest = held["latency_ns"], held["undisturbed_ns"]
    assert 0 <= rest["count"] < every["count"], (rest, every)
    assert abs(held["undisturbed"]["share"] * every["count"] - rest["count"]) < 1, held
    assert rest["max"] < every["max"], (rest["max"], every["max"])


@case("so does a gateway that was, through its counters")
def _():
    still_s = 0.06
    held = report(still_s=still_s, still="gateway")
    jsonschema.validate(held, SCHEMA)
    assert held["undisturbed"]["gateway_seen"]
    stalls = held["undisturbed"]["gateway_stalls"]
    assert stalls["count"] > 0 and stalls["longest_us"] >= still_s * 1e6, stalls
    assert held["gateway"]["counters"]["stalls"] >= stalls["count"], held["gateway"]["counters"]
    left_out(held)
    assert 0 < stalls["share"] < 1, stalls


@case("what is no report does not")
def _():
    def refused(change):
        copy = json.loads(json.dumps(REPORT))
        change(copy)
        try:
            jsonschema.validate(copy, SCHEMA)
        except jsonschema.ValidationError:
            return
        raise AssertionError("a bad report passed")

    refused(lambda r: r.pop("latency_ns"))
    refused(lambda r: r["sessions"].update(opened="many"))
    refused(lambda r: r["rates"].update(window_s=-1))
    refused(lambda r: r["latency_ns"]["histogram"].append([1]))
    refused(lambda r: r.update(version="?"))


run()

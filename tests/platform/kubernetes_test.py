#!/usr/bin/python3
"""platform/kubernetes/gateway.yaml: shape, and the rules that make it work. Prints TAP."""
import json
import os
import re
import sys
import traceback

import yaml

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
HERE = os.path.join(ROOT, "platform/kubernetes")

# Keys that the API knows, as far as this file goes: a misspelt one is ignored by a cluster.
KNOWN = {
    "pod": {"nodeSelector", "tolerations", "shareProcessNamespace", "automountServiceAccountToken",
            "securityContext", "terminationGracePeriodSeconds", "initContainers", "containers", "volumes"},
    "container": {"name", "image", "command", "securityContext", "resources", "lifecycle", "volumeMounts",
                  "ports", "envFrom", "startupProbe", "livenessProbe", "readinessProbe"},
    "probe": {"httpGet", "periodSeconds", "failureThreshold", "timeoutSeconds", "initialDelaySeconds"},
    "mount": {"name", "mountPath", "readOnly"},
    "volume": {"name", "configMap", "secret", "emptyDir", "hostPath"},
}


def load():
    with open(os.path.join(HERE, "gateway.yaml"), encoding="utf-8") as f:
        documents = list(yaml.safe_load_all(f))
    return {d["kind"]: d for d in documents}


KINDS = load()
SPEC = KINDS["DaemonSet"]["spec"]
POD = SPEC["template"]["spec"]
CONTAINERS = {c["name"]: c for c in POD["containers"]}
EVERY = POD["initContainers"] + POD["containers"]
CONFIG = json.loads(KINDS["ConfigMap"]["data"]["config.json"])


def known(what, found):
    assert set(found) <= KNOWN[what], set(found) - KNOWN[what]


def shape():
    for kind, api in (("Namespace", "v1"), ("ConfigMap", "v1"), ("DaemonSet", "apps/v1")):
        assert KINDS[kind]["apiVersion"] == api
    for kind in ("ConfigMap", "DaemonSet"):
        assert KINDS[kind]["metadata"]["namespace"] == KINDS["Namespace"]["metadata"]["name"]
    assert SPEC["selector"]["matchLabels"].items() <= SPEC["template"]["metadata"]["labels"].items()
    known("pod", POD)
    for c in EVERY:
        known("container", c)
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            known("probe", c.get(probe, {}))
        for mount in c["volumeMounts"]:
            known("mount", mount)
    for v in POD["volumes"]:
        known("volume", v)


def mounts_name_volumes():
    volumes = {v["name"] for v in POD["volumes"]}
    used = {m["name"] for c in EVERY for m in c["volumeMounts"]}
    assert used == volumes, used ^ volumes
    assert CONTAINERS["dataplane"]["volumeMounts"] == CONTAINERS["control"]["volumeMounts"]
    paths = {m["mountPath"] for m in CONTAINERS["control"]["volumeMounts"]}
    for file in (CONFIG["agent_secret_file"], "/etc/tgw/config.json", "/dev/shm/tgw", "/run/tgw/control.sock"):
        assert os.path.dirname(file) in paths, file


def config_is_ours():
    with open(os.path.join(ROOT, "dataplane/config/config.def"), encoding="utf-8") as f:
        keys = set(re.findall(r"^TGW_KEY\(\w+, +(\w+),", f.read(), re.M)) | {"ports"}
    assert set(CONFIG) <= keys, set(CONFIG) - keys
    assert "redis_url" not in CONFIG, "a URL with a password belongs into the secret"


def probes():
    control = CONTAINERS["control"]
    port = {p["name"]: p["containerPort"] for p in control["ports"]}["admin"]
    assert CONFIG["admin_listen"] == f"0.0.0.0:{port}"
    paths = {p: control[p]["httpGet"]["path"] for p in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert paths == {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    assert all(control[p]["httpGet"]["port"] == "admin" for p in paths)
    assert not any("Probe" in key for key in CONTAINERS["dataplane"]), "a probe would end live terminals"


def drains():
    stop = CONTAINERS["dataplane"]["lifecycle"]["preStop"]["exec"]["command"][-1]
    seconds = int(re.search(r"tgwctl drain --timeout (\d+)", stop)[1])
    assert seconds == CONFIG["drain_timeout_seconds"]
    assert POD["terminationGracePeriodSeconds"] >= seconds + 30
    assert "tgw-dataplane" in CONTAINERS["control"]["lifecycle"]["preStop"]["exec"]["command"][-1]
    assert POD["shareProcessNamespace"] is True
    assert SPEC["updateStrategy"]["rollingUpdate"]["maxUnavailable"] == 1


def resources():
    r = CONTAINERS["dataplane"]["resources"]
    assert r["requests"] == r["limits"], "whole cores want the guaranteed class"
    assert CONTAINERS["control"]["resources"]["requests"] == CONTAINERS["control"]["resources"]["limits"]
    assert int(r["limits"]["cpu"]) == len(CONFIG["cores"]) + 1, "a core a worker, and the main thread's"
    assert 1024 >= CONFIG["memory_mb"] and r["limits"]["hugepages-2Mi"] == "1Gi"
    assert int(r["limits"]["nvidia.com/tgw_sf"]) == len(CONFIG["ports"])


def confined():
    control = CONTAINERS["control"]["securityContext"]
    assert control["capabilities"]["drop"] == ["ALL"] and control["allowPrivilegeEscalation"] is False
    assert not any(c.get("securityContext", {}).get("privileged") for c in EVERY)
    with open(os.path.join(HERE, "Containerfile"), encoding="utf-8") as f:
        assert f"useradd -r -u {control['runAsUser']} " in f.read()
    assert POD["securityContext"]["fsGroup"] == control["runAsUser"]
    assert len({c["image"] for c in EVERY}) == 1


CASES = [
    ("kinds, labels and keys", shape),
    ("mounts and volumes agree", mounts_name_volumes),
    ("the configuration holds keys that exist", config_is_ours),
    ("probes ask the control process", probes),
    ("a pod drains before it goes", drains),
    ("whole cores, huge pages, a function a port", resources),
    ("nobody has more rights than needed", confined),
]


def main():
    failed = 0
    print(f"1..{len(CASES)}")
    for number, (name, case) in enumerate(CASES, 1):
        try:
            case()
            print(f"ok {number} - kubernetes: {name}")
        except Exception:
            failed += 1
            print(f"not ok {number} - kubernetes: {name}")
            for line in traceback.format_exc().splitlines()[-6:]:
                print(f"#   {line}")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())

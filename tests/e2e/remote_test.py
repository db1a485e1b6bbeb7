#!/usr/bin/python3
"""tgwctl --connect: a DPU's control process from its host over mutual TLS. No lab is needed:
the control process answers without a dataplane. Prints TAP."""
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time

from lab_tools import ROOT
from tap import case, run

work = tempfile.mkdtemp(prefix="tgw-remote-")
process = None
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    ADDRESS = f"127.0.0.1:{free.getsockname()[1]}"


def openssl(*args):
    subprocess.run(["openssl", *args], cwd=work, check=True, capture_output=True)


def authority(name):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}", "-days", "2")


def certificate(name, subject, ca="ca", san="IP:127.0.0.1"):
    with open(f"{work}/{name}.ext", "w") as f:
        f.write(f"subjectAltName={san}\n")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
            f"{name}.key", "-out", f"{name}.csr", "-subj", subject)
    openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key",
            "-CAcreateserial", "-out", f"{name}.pem", "-days", "2", "-extfile", f"{name}.ext")


def configure(**more):
    config = {"shm_path": f"{work}/shm", "state_dir": f"{work}/state", "admin_listen": "",
              "control_socket": f"{work}/control.sock", "agent_secret_file": f"{work}/secret",
              "agent_default": "127.0.0.1:7681", "agent_networks": ["127.0.0.0/8"],
              "remote_listen": ADDRESS, "remote_certificate": f"{work}/dpu.pem:{work}/dpu.key",
              "remote_ca": f"{work}/ca.pem", **more}
    with open(f"{work}/config.json", "w") as f:
        json.dump(config, f)


def tgwctl(who, *args, ca="ca", to=ADDRESS):
    done = subprocess.run([f"{ROOT}/build/tgwctl", "--connect", to, "--certificate",
                           f"{work}/{who}.pem", "--key", f"{work}/{who}.key", "--ca",
                           f"{work}/{ca}.pem", *args], capture_output=True, text=True, timeout=30)
    return done.returncode, done.stdout + done.stderr


def log():
    return open(f"{work}/control.log").read()


def before():
    global process
    with open(f"{work}/secret", "w") as f:
        f.write("0123456789abcdef" * 4)
    authority("ca")
    authority("other")
    certificate("dpu", "/CN=dpu-1")
    certificate("elsewhere", "/CN=dpu-2", san="IP:127.0.0.9")
    certificate("ann", "/OU=operator/CN=ann")
    certificate("bob", "/OU=read-only/CN=bob")
    certificate("carl", "/OU=visitor/CN=carl")
    certificate("eve", "/OU=operator/CN=eve", ca="other")
    configure()
    process = subprocess.Popen([f"{ROOT}/build/tgw-control", "--config", f"{work}/config.json"],
                               stdout=open(f"{work}/control.log", "w"), stderr=subprocess.STDOUT)
    for _ in range(100):
        if "control_started" in log():
            return
        time.sleep(0.05)
    raise AssertionError(log())


def after():
    process.send_signal(signal.SIGQUIT)
    process.wait(10)
    shutil.rmtree(work)


@case("an operator may do everything, and the audit log says who it was")
def _():
    code, out = tgwctl("ann", "admit", "40")
    assert code == 0, out
    code, out = tgwctl("ann", "--json", "status")
    assert json.loads(out)["admit_percent"] == 40, out  # exit 1: no dataplane, not ready
    assert '"ann (operator, from 127.0.0.1)' in open(f"{work}/state/audit.log").read()
    assert tgwctl("ann", "token", "mint", "--allocation", "a")[0] == 0


@case("a reader may look and change nothing")
def _():
    code, out = tgwctl("bob", "--json", "status")
    assert json.loads(out)["admit_percent"] == 40, out
    assert tgwctl("bob", "metrics")[0] == 0 and tgwctl("bob", "config", "show")[0] == 0
    for words in (("admit", "100"), ("drain",), ("token", "mint", "--allocation", "a"),
                  ("sessions", "kill", "x"), ("config", "freeze"), ("config", "rollback"),
                  ("capture", "--session", "x", "-w", f"{work}/none")):
        code, out = tgwctl("bob", *words)
        assert code == 1 and "may only read" in out, (words, out)
    assert json.loads(tgwctl("bob", "--json", "status")[1])["admit_percent"] == 40


@case("a certificate of another authority, without a role, or none at all gets nowhere")
def _():
    for who in ("eve", "carl"):
        code, out = tgwctl(who, "status")
        assert code == 3, (who, code, out)
    context = ssl.create_default_context(cafile=f"{work}/ca.pem")
    try:
        with socket.create_connection(tuple(ADDRESS.split(":")), 5) as raw:
            with context.wrap_socket(raw, server_hostname="127.0.0.1") as s:
                s.sendall(b'{"id":1,"cmd":"status"}\n')
                assert s.recv(100) == b""
    except ssl.SSLError:
        pass
    assert log().count("remote_refused") == 3, log()


@case("the caller checks the DPU: authority, address")
def _():
    assert tgwctl("ann", "status", ca="other")[0] == 3
    host, port = ADDRESS.split(":")
    code, out = tgwctl("ann", "status", to=f"127.0.0.9:{port}")
    assert code == 3, out


@case("nothing but TLS 1.3, and rubbish is hung up on")
def _():
    context = ssl.create_default_context(cafile=f"{work}/ca.pem")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(f"{work}/ann.pem", f"{work}/ann.key")
    try:
        with socket.create_connection(tuple(ADDRESS.split(":")), 5) as raw:
            context.wrap_socket(raw, server_hostname="127.0.0.1")
        raise AssertionError("TLS 1.2 was accepted")
    except ssl.SSLError:
        pass
    with socket.create_connection(tuple(ADDRESS.split(":")), 5) as raw:
        raw.sendall(b'{"id":1,"cmd":"status"}\n' * 10)
        raw.settimeout(5)
        while raw.recv(1000):
            pass


@case("a silent caller is let go, and many of them do not keep others out for long")
def _():
    silent = [socket.create_connection(tuple(ADDRESS.split(":")), 5) for _ in range(20)]
    time.sleep(6)
    assert tgwctl("ann", "ports")[0] == 0
    for s in silent:
        s.close()


@case("a long answer comes whole")
def _():
    code, out = tgwctl("ann", "token", "mint", "--allocation", "a", "--count", "5000")
    assert code == 0 and out.count("\n") == 5000 and len(set(out.split("\n"))) == 5001


@case("a caller that leaves before its answer harms nobody")
def _():
    for _ in range(20):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(f"{work}/control.sock")
            s.sendall(b'{"id":1,"cmd":"metrics"}\n' * 50)
    assert tgwctl("ann", "ports")[0] == 0 and process.poll() is None


@case("a configuration without the certificate or the authority is refused by its key")
def _():
    for key in ("remote_certificate", "remote_ca"):
        for value in ("", "/nonexistent/x:/nonexistent/y"):
            configure(**{key: value})
            done = subprocess.run([f"{ROOT}/build/tgw-control", "--config", f"{work}/config.json"],
                                  capture_output=True, text=True, timeout=20)
            assert done.returncode == 2 and key in done.stderr, (key, value, done)


run(before, after)

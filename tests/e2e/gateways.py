"""Gateways of a test's own: real processes in a network namespace that only this test has,
so that nothing clashes with a lab. One wire a gateway; clients and agents are the kernel.

    with Site() as site:
        g = site.gateway(session_ttl_seconds=2)
        status, body, headers = g.upgrade(g.mint())
"""
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import websockets

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("TGW_BUILD", os.path.join(ROOT, "build"))
AGAIN = 75  # its exit status when the next start may do better
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
PAGE = "https://page.example"
LIBC = ctypes.CDLL(None, use_errno=True)


def wait_for(what, check, seconds=10, pause=0.05):
    """The first true answer of check()."""
    end = time.monotonic() + seconds
    while True:
        try:
            found = check()
        except (OSError, ValueError, AssertionError) as e:
            found, why = None, repr(e)
        else:
            why = "not so"
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"{what}: {why} after {seconds} s")
        time.sleep(pause)


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


def start(log, *command, **more):
    return subprocess.Popen(command, stdout=open(log, "a"), stderr=subprocess.STDOUT,
                            start_new_session=True, **more)


def stop(process, signals=(signal.SIGINT, signal.SIGKILL)):
    for number in signals:
        if process.poll() is not None:
            return
        process.send_signal(number)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            pass


class Answer:
    """One HTTP answer, read to its end."""

    def __init__(self, raw):
        head, _, self.body = raw.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1]) if lines[0] else 0
        self.headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers[name.lower()] = value.strip()

    def json(self):
        return json.loads(self.body)


class Gateway:
    """tgw-dataplane and tgw-control on a wire of their own."""

    def __init__(self, site, number, config):
        self.site, self.number = site, number
        self.ip, self.node = f"10.9.{number}.2", f"10.9.{number}.1"
        self.folder = os.path.join(site.folder, f"g{number}")
        os.makedirs(self.folder)
        self.socket = f"{self.folder}/control.sock"
        self.log, self.dataplane_log = f"{self.folder}/control.log", f"{self.folder}/dataplane.log"
        self.config_file = f"{self.folder}/config.json"
        self.admin_port = 9500 + number
        wire = f"tgw{number}"
        ip("link", "add", f"{wire}k", "type", "veth", "peer", "name", f"{wire}d")
        with open(f"/proc/sys/net/ipv6/conf/{wire}d/disable_ipv6", "w") as f:
            f.write("1")
        ip("addr", "add", f"{self.node}/24", "dev", f"{wire}k")
        ip("link", "set", f"{wire}d", "up", "arp", "off")
        ip("link", "set", f"{wire}k", "up")
        for end in "kd":
            subprocess.run(["ethtool", "-K", wire + end, "tx", "off", "tso", "off", "gso", "off",
                            "gro", "off"], capture_output=True, check=False)
        self.config = {
            "ports": [{"name": "wire", "driver": "af_packet", "device": f"{wire}d", "listen": True,
                       "addresses": [f"{self.ip}/24"], "gateway4": self.node}],
            "huge_pages": False, "memory_mb": 128, "sessions_max": 2000,
            "shm_path": f"/dev/shm/tgw-{os.getpid()}-{number}", "control_socket": self.socket,
            "admin_listen": f"127.0.0.1:{self.admin_port}", "state_dir": f"{self.folder}/state",
            "agent_secret_file": site.secret_file, "agent_default": f"{self.node}:7681",
            "agent_networks": [f"10.9.{number}.0/24"], "allowed_origins": [PAGE], **config}
        self.write_config()
        self.dataplane = self.control = None
        self.start_dataplane()
        self.start_control()

    def write_config(self):
        with open(self.config_file, "w") as f:
            json.dump(self.config, f)

    def start_dataplane(self):
        self.dataplane = start(self.dataplane_log, f"{BUILD}/tgw-dataplane", "--config",
                               self.config_file)

    def start_control(self, **environment):
        self.control = start(self.log, f"{BUILD}/tgw-control", "--config", self.config_file,
                             env={**os.environ, **environment})

    def restart_control(self):
        """kill -9, and another one in its place that has the dataplane."""
        self.control.kill()
        self.control.wait()
        self.start_control()
        wait_for("the control process", lambda: self.order("status")["dataplane"]["attached"])
        return self.ready()

    def supervise(self):
        """As systemd does: a process that may have more luck is started again."""
        ended = self.dataplane.poll()
        if ended == AGAIN:
            self.start_dataplane()
        elif ended is not None:
            with open(self.dataplane_log) as f:
                raise AssertionError(f"the dataplane ended with {ended}: {f.read()[-300:]}")

    def readyz(self):
        self.supervise()
        return self.get("/readyz")

    def ready(self):
        wait_for(f"gateway {self.number} ready", lambda: self.readyz().status == 200, 20)
        return self

    def unready(self, *reasons):
        """Waits until it is not ready for these reasons alone."""
        wait_for(f"gateway {self.number} not ready", lambda: self.readyz().status == 503 and
                 self.get("/readyz").json()["reasons"] == list(reasons), 20)
        return self

    def stop(self):
        for process in (self.dataplane, self.control):
            stop(process)

    # -- the operator's side

    def ask(self, cmd, **args):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(self.socket)
            s.sendall((json.dumps({"id": 7, "cmd": cmd, "args": args}) + "\n").encode())
            return json.loads(s.makefile().readline())

    def order(self, cmd, **args):
        reply = self.ask(cmd, **args)
        assert reply["ok"], reply
        return reply["result"]

    def mint(self, allocation="lab", **args):
        return self.order("token.mint", allocation_id=allocation, **args)["tokens"][0]["token"]

    def mint_many(self, count, allocation="lab", **args):
        tokens = self.order("token.mint", allocation_id=allocation, count=count, **args)["tokens"]
        return [t["token"] for t in tokens]

    def state_of(self, token):
        return self.order("token.inspect", token=token)["state"]

    def metrics(self):
        values = {}
        for line in self.order("metrics")["text"].splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                values[name] = float(value)
        return values

    def events(self, outcome, reason):
        name = f'terminal_gateway_ws_events_total{{outcome="{outcome}",reason="{reason}"}}'
        return self.metrics()[name]

    def lines(self, **match):
        """The log lines whose fields are so."""
        with open(self.log) as f:
            found = [json.loads(line) for line in f if line.startswith("{")]
        return [f for f in found if all(f.get(k) == v for k, v in match.items())]

    def audit(self):
        with open(f"{self.config['state_dir']}/audit.log") as f:
            return [json.loads(line) for line in f]

    # -- the browser's side

    def dial(self, port=80, timeout=10):
        return socket.create_connection((self.ip, port), timeout)

    def raw(self, request, timeout=10):
        """The bytes that come back until the gateway's FIN."""
        with self.dial(timeout=timeout) as s:
            s.sendall(request)
            got = b""
            while True:
                piece = s.recv(65536)
                if not piece:
                    return got
                got += piece

    def get(self, path, method="GET", timeout=10, **headers):
        return Answer(self.raw(head(path, method, headers), timeout))

    def upgrade(self, token, path="/ws/terminal/lab", timeout=10, **headers):
        """An upgrade that must fail."""
        return Answer(self.raw(upgrade_head(token, path, **headers), timeout))

    def connect(self, token, path="/ws/terminal/lab", protocols=None, **more):
        return websockets.connect(f"ws://{self.ip}{path}", subprotocols=protocols or [token],
                                  compression=None, max_size=None, **more)


def head(path, method="GET", headers=None):
    lines = [f"{method} {path} HTTP/1.1", "Host: gateway"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in (headers or {}).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def upgrade_head(token, path="/ws/terminal/lab", **headers):
    wanted = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
              "Sec-WebSocket-Key": KEY}
    if token:
        wanted["Sec-WebSocket-Protocol"] = token
    wanted.update({k.replace("_", "-"): v for k, v in headers.items()})
    return head(path, "GET", {k: v for k, v in wanted.items() if v is not None})


class Server:
    """A TCP server that does what a function does with each connection: the agents that no
    agent should be."""

    def __init__(self, address, behave):
        self.listener = socket.create_server(address)
        self.behave = behave
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection:
            try:
                self.behave(connection)
            except OSError:
                pass

    def close(self):
        self.listener.close()


class Site:
    """A network namespace with one agent on every wire and as many gateways as asked for."""

    def __init__(self, program="echo"):
        self.program = program
        self.gateways, self.agent = [], None

    def __enter__(self):
        assert LIBC.unshare(0x40000000) == 0, "needs root, for a network namespace"
        ip("link", "set", "lo", "up")
        self.folder = tempfile.mkdtemp(prefix="tgw-e2e-")
        os.chmod(self.folder, 0o755)
        self.secret_file = f"{self.folder}/secret"
        with open(self.secret_file, "w") as f:
            f.write("planted-agent-secret-0123456789abcdef")
        self.start_agent()
        return self

    def start_agent(self, *more):
        self.agent = start(f"{self.folder}/agent.log", f"{BUILD}/tgw-agent", "--secret-file",
                           self.secret_file, "--listen", "0.0.0.0:7681", "--program",
                           self.program, "--max-sessions", "8192", *more)

    def gateway(self, wait=True, **config):
        g = Gateway(self, len(self.gateways) + 1, config)
        self.gateways.append(g)
        return g.ready() if wait else g

    def __exit__(self, *_):
        for g in self.gateways:
            for p in (g.dataplane, g.control):
                if p.poll() is None:
                    p.send_signal(signal.SIGINT)
        for g in self.gateways:
            g.stop()
            for path in (g.config["shm_path"],):
                if os.path.exists(path):
                    os.unlink(path)
        stop(self.agent)
        if os.environ.get("TGW_KEEP"):
            print("# kept:", self.folder)
        else:
            shutil.rmtree(self.folder)

    def texts(self):
        """Everything that the processes wrote, for a search for secrets."""
        text = ""
        for folder, _, names in os.walk(self.folder):
            for name in names:
                if name.endswith(".log"):
                    with open(os.path.join(folder, name), errors="replace") as f:
                        text += f.read()
        return text


def close_of(raw):
    """Code and reason of the one Close frame in what a server sent, after its 101."""
    answer = Answer(raw)
    frame = answer.body
    assert answer.status == 101 and frame[0] == 0x88, raw
    payload = frame[2:2 + frame[1]]
    return int.from_bytes(payload[:2], "big"), payload[2:].decode()


def number(text, pattern):
    return int(re.search(pattern, text)[1])


def outcome(g, token, path="/ws/terminal/lab", **headers):
    """(status, reason) of an upgrade; a session that began is ended at once."""
    with g.dial() as s:
        s.sendall(upgrade_head(token, path, **headers))
        got = b""
        while b"\r\n\r\n" not in got:
            piece = s.recv(65536)
            assert piece, "the gateway said nothing"
            got += piece
        answer = Answer(got)
        if answer.status == 101:
            s.sendall(b"\x88\x82\0\0\0\0\x03\xe8")
            return 101, "ok"
        while len(answer.body) < int(answer.headers["content-length"]):
            answer.body += s.recv(65536)
        return answer.status, answer.json()["details"]["reason"]

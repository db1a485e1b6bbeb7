#!/usr/bin/python3
"""TLS as clients that nobody here wrote meet it: curl, OpenSSL, GnuTLS, Python, nginx,
Chromium, nmap, testssl.sh; certificates exchanged live; where secrets lie.

Runs as root: brings the lab up with TLS on both legs, moves into the client's namespace."""
import asyncio
import base64
import ctypes
import hashlib
import http.server
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time

import websockets

from tap import case, run

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HOST, URL = "198.18.0.2", "https://198.18.0.2"
LAB = "/run/tgw/lab"
CA = f"{LAB}/tls/ca.pem"
TMP = tempfile.mkdtemp(prefix="tgw-tls-e2e-")
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: gateway.lab\r\n\r\n"
NEGOTIATED = {}  # client -> what it agreed on


def sh(*args, **more):
    return subprocess.run(args, cwd=ROOT, capture_output=True, text=True, timeout=60, **more)


def lab(*args):
    done = sh("sh", "platform/lab/run.sh", *args)
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]


HOME = os.open("/proc/self/ns/net", os.O_RDONLY)


def enter(namespace):
    with open(f"/run/netns/{namespace}") as f:
        assert ctypes.CDLL(None, use_errno=True).setns(f.fileno(), 0x40000000) == 0


def before():
    lab("--detach", "--no-build", "--tls-agent")
    enter("tgw-client")


def after():
    for client, what in sorted(NEGOTIATED.items()):
        print(f"# {client}: {what}")
    ctypes.CDLL(None).setns(HOME, 0x40000000)
    lab("--stop")
    shutil.rmtree(TMP)


def control(cmd, **args):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect("/run/tgw/control.sock")
        s.sendall((json.dumps({"id": 7, "cmd": cmd, "args": args}) + "\n").encode())
        reply = json.loads(s.makefile().readline())
    assert reply["ok"], reply
    return reply["result"]


def mint():
    return control("token.mint", allocation_id="lab")["tokens"][0]["token"]


def metric(name):
    for line in control("metrics")["text"].splitlines():
        if line.startswith(name + " "):
            return float(line.split()[-1])
    raise AssertionError(f"no metric {name}")


def wait_for(condition, what, seconds=8):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def pid_of(name):
    with open(f"{LAB}/{name}.pid") as f:
        return int(f.read())


def log(name="dataplane"):
    with open(f"{LAB}/{name}.log") as f:
        return f.read()


def context(version=None):
    c = ssl.create_default_context(cafile=CA)
    if version:
        c.minimum_version = c.maximum_version = version
    return c


async def terminal(url=f"wss://{HOST}", command="echo $((6 * 7))-answer", expect=b"42-answer", **more):
    if url.startswith("wss"):
        more.setdefault("ssl", context())
    async with websockets.connect(f"{url}/ws/terminal/lab", subprotocols=[mint()],
                                  compression=None, max_size=None, **more) as ws:
        await ws.send(command + "; exit\n")
        got = b""
        while expect not in got:
            got += await asyncio.wait_for(ws.recv(), 10)
        await asyncio.wait_for(ws.wait_closed(), 10)
        assert ws.close_code == 1000
        return got


def s_client(*args, send=REQUEST, lines=(), wait=b"ok\"}"):
    """openssl s_client: `lines` one after the other as typed, then `send`."""
    p = subprocess.Popen(["openssl", "s_client", "-connect", f"{HOST}:443", "-CAfile", CA, *args],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    for line in lines:
        time.sleep(0.4)
        try:
            p.stdin.write(line)
            p.stdin.flush()
        except BrokenPipeError:
            break
    time.sleep(0.3)
    out = b""
    try:
        p.stdin.write(send)
        p.stdin.flush()
    except BrokenPipeError:
        pass
    os.set_blocking(p.stdout.fileno(), False)
    end = time.monotonic() + 6
    while time.monotonic() < end:
        piece = p.stdout.read()
        if piece:
            out += piece
        elif piece == b"" or p.poll() is not None:
            break
        else:
            time.sleep(0.02)
        if wait in out:
            break
    p.kill()
    out += p.stdout.read() or b""
    p.wait()
    return out.decode(errors="replace")


@case("curl, TLS 1.3 and 1.2")
def _():
    for args, version in ((["--tlsv1.3"], "TLSv1.3"), (["--tls-max", "1.2"], "TLSv1.2")):
        done = sh("curl", "-sv", "--cacert", CA, *args, "--http2", f"{URL}/healthz")
        assert json.loads(done.stdout) == {"status": "ok"}, done
        assert f"SSL connection using {version}" in done.stderr, done.stderr
        assert "server accepted http/1.1" in done.stderr, done.stderr
        NEGOTIATED[f"curl {version}"] = re.search("connection using (.*)", done.stderr)[1]
    done = sh("curl", "-s", "--cacert", CA, "--tlsv1.1", "--tls-max", "1.1", URL)
    assert done.returncode == 35, done


@case("Python's ssl, a shell over TLS 1.3 and 1.2")
async def _():
    for version in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
        await terminal(ssl=context(version))
        with socket.create_connection((HOST, 443)) as raw, \
                context(version).wrap_socket(raw, server_hostname="gateway.lab") as s:
            NEGOTIATED[f"Python {s.version()}"] = s.cipher()[0]
            s.sendall(REQUEST)
            assert b"200 OK" in s.recv(4096)


@case("Python's ssl, bulk both ways")
async def _():
    size = 3_000_000
    async with websockets.connect(f"wss://{HOST}/ws/terminal/lab", subprotocols=[mint()],
                                  ssl=context(), compression=None, max_size=None) as ws:
        await ws.send(f"stty raw -echo; echo rea''dy; head -c {size} | sha256sum; "
                      f"seq 1 300000 | sha256sum; seq 1 300000; exit\n")
        got = b""
        while b"ready" not in got:
            got += await asyncio.wait_for(ws.recv(), 5)
        await asyncio.sleep(0.2)
        data = os.urandom(size)
        for i in range(0, size, 40000):
            await ws.send(data[i:i + 40000])
        got = bytearray()
        try:
            while True:
                got += await asyncio.wait_for(ws.recv(), 10)
        except websockets.ConnectionClosed:
            pass
    numbers = b"".join(b"%d\n" % i for i in range(1, 300001))
    assert hashlib.sha256(data).hexdigest().encode() in got
    assert numbers.replace(b"\n", b"\r\n") in got or numbers in got


@case("OpenSSL: every suite and group of TLS 1.3")
def _():
    for suite in ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"):
        for group in ("X25519", "P-256"):
            out = s_client("-tls1_3", "-ciphersuites", suite, "-groups", group)
            assert f"Cipher is {suite}" in out and "Verify return code: 0" in out, out
            assert "200 OK" in out, out
    out = s_client("-tls1_3", "-groups", "P-384")
    assert "handshake failure" in out, out


@case("OpenSSL: RSA and ECDSA certificates, TLS 1.2 suites")
def _():
    for algorithm, cipher in (("ECDSA+SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"),
                              ("RSA-PSS+SHA256", "ECDHE-RSA-AES256-GCM-SHA384"),
                              ("RSA-PSS+SHA256", "ECDHE-RSA-CHACHA20-POLY1305")):
        out = s_client("-sigalgs", algorithm)
        assert ("Peer signature type: " + algorithm.split("+")[0]) in out, out
        out = s_client("-tls1_2", "-cipher", cipher)
        assert f"Cipher is {cipher}" in out and "200 OK" in out, out
    for bad in ("ECDHE-ECDSA-AES128-SHA256", "AES128-GCM-SHA256", "DHE-RSA-AES128-GCM-SHA256"):
        assert "handshake failure" in s_client("-tls1_2", "-cipher", bad), bad


@case("OpenSSL: key updates both ways")
def _():
    came, sent = metric("tls_key_updates_in_total"), metric("tls_key_updates_out_total")
    out = s_client("-tls1_3", lines=[b"k\n", b"K\n", b"K\n"])
    assert "KEYUPDATE" in out and "200 OK" in out, out
    assert metric("tls_key_updates_in_total") == came + 3
    assert metric("tls_key_updates_out_total") == sent + 2


@case("OpenSSL: renegotiation is refused")
def _():
    out = s_client("-tls1_2", lines=[b"R\n"])
    assert "RENEGOTIATING" in out and "no renegotiation" in out, out


@case("OpenSSL: sessions resume")
def _():
    session = f"{TMP}/session"
    resumed = metric("tls_resumptions_total")
    for version in ("-tls1_3", "-tls1_2"):
        out = s_client(version, "-sess_out", session)
        assert "New, TLSv1." in out and "200 OK" in out, out
        for _ in range(2):  # each time with the ticket of the time before
            out = s_client(version, "-sess_in", session, "-sess_out", session)
            assert "Reused, TLSv1." in out and "200 OK" in out, out
    assert metric("tls_resumptions_total") == resumed + 4
    out = s_client("-tls1_2", "-reconnect")
    assert out.count("Reused, TLSv1.2") == 5, out
    assert "Max Early Data: 0" in s_client("-tls1_3")


@case("OpenSSL: nothing older than TLS 1.2")
def _():
    refused = metric('terminal_gateway_ws_events_total{outcome="rejected",reason="tls_version_refused"}')
    for version in ("-tls1", "-tls1_1"):
        out = s_client(version, "-cipher", "ALL:@SECLEVEL=0", send=b"")
        assert "protocol version" in out, out
    assert metric('terminal_gateway_ws_events_total{outcome="rejected",'
                  'reason="tls_version_refused"}') == refused + 2


def gnutls(*args, send):
    p = subprocess.Popen(["gnutls-cli", "--x509cafile", CA, "--port", "443", HOST, *args],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    for piece in send:
        time.sleep(0.5)
        p.stdin.write(piece)
        p.stdin.flush()
    time.sleep(0.7)
    p.stdin.close()
    out = p.stdout.read()
    p.wait(10)
    return out.decode(errors="replace")


@case("GnuTLS: TLS 1.3 and 1.2, resumed, keys updated")
def _():
    priority = "NORMAL:-VERS-ALL:+VERS-TLS1.%d"
    for minor in (3, 2):
        out = gnutls("--priority", priority % minor, "--resume", send=[REQUEST])
        assert "200 OK" in out and "Status: The certificate is trusted" in out, out
        assert "*** This is a resumed session" in out, out
        NEGOTIATED[f"GnuTLS TLS 1.{minor}"] = re.search("Description: (.*)", out)[1]
    updates = metric("tls_key_updates_in_total")
    out = gnutls("--inline-commands", "--priority", priority % 3, send=[b"^rekey^\n", REQUEST])
    assert "200 OK" in out, out
    assert metric("tls_key_updates_in_total") > updates, out


@case("nginx as a proxy in front")
async def _():
    with open(f"{TMP}/nginx.conf", "w") as f:
        f.write(f"""
user root; pid {TMP}/nginx.pid; error_log {TMP}/nginx.log; worker_processes 1;
events {{}}
http {{
  access_log off; client_body_temp_path {TMP}/b; proxy_temp_path {TMP}/p; fastcgi_temp_path {TMP}/f;
  uwsgi_temp_path {TMP}/u; scgi_temp_path {TMP}/s;
  server {{
    listen 127.0.0.1:8081;
    location / {{
      proxy_pass {URL}; proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";
      proxy_ssl_verify on; proxy_ssl_trusted_certificate {CA}; proxy_ssl_name gateway.lab;
      proxy_ssl_server_name on; proxy_ssl_protocols TLSv1.2 TLSv1.3; proxy_ssl_session_reuse on;
    }}
  }}
}}""")
    resumed = metric("tls_resumptions_total")
    p = subprocess.Popen(["nginx", "-c", f"{TMP}/nginx.conf", "-g", "daemon off;"])
    try:
        wait_for(lambda: socket.socket().connect_ex(("127.0.0.1", 8081)) == 0, "nginx is not up")
        for _ in range(4):
            await terminal("ws://127.0.0.1:8081")
    finally:
        p.terminate()
        p.wait(10)
    assert metric("tls_resumptions_total") > resumed
    NEGOTIATED["nginx"] = "a shell through it, with resumption"


def spki(path):
    key = sh("openssl", "x509", "-in", path, "-noout", "-pubkey").stdout
    der = base64.b64decode("".join(key.splitlines()[1:-1]))
    return base64.b64encode(hashlib.sha256(der).digest()).decode()


PAGE = """<script>
const ws = new WebSocket("wss://198.18.0.2/ws/terminal/lab", ["%s"]);
ws.binaryType = "arraybuffer";
let got = "";
const tell = (text) => fetch("/result", {method: "POST", body: text});
ws.onopen = () => ws.send("echo $((6 * 7))-chromium; exit\\n");
ws.onmessage = (m) => got += new TextDecoder().decode(m.data);
ws.onclose = (c) => tell(c.code + " " + got);
</script>"""


@case("Chromium: a shell over wss", timeout_s=60)
def _():
    result = []

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write((PAGE % mint()).encode() if self.path == "/" else b"")

        def do_POST(self):
            result.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 8000), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    keys = ",".join(spki(f"{LAB}/tls/{n}.pem") for n in ("gateway", "gateway-rsa"))
    p = subprocess.Popen(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         f"--user-data-dir={TMP}/chromium", f"--ignore-certificate-errors-spki-list={keys}",
         "--remote-debugging-port=0", "http://127.0.0.1:8000/"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    done = metric("tls_handshakes_13_total")
    try:
        wait_for(lambda: result, "Chromium tells nothing", 40)
    finally:
        os.killpg(p.pid, signal.SIGKILL)
        p.wait(10)
        server.shutdown()
        server.server_close()
    assert result[0].startswith(b"1000 ") and b"42-chromium" in result[0], result
    assert metric("tls_handshakes_13_total") > done
    NEGOTIATED["Chromium"] = "TLS 1.3, a shell over wss"


@case("nmap finds nothing but ECDHE with AEAD", timeout_s=60)
def _():
    out = sh("nmap", "-Pn", "-n", "-p", "443", "--script", "ssl-enum-ciphers", HOST).stdout
    ciphers = re.findall(r"(TLS_\w+)", out)
    assert "TLSv1.2:" in out and "TLSv1.3:" in out and ciphers, out
    assert "TLSv1.1" not in out and "TLSv1.0" not in out and "SSLv" not in out, out
    bad = [c for c in ciphers if "GCM" not in c and "CHACHA20" not in c
           or not re.match("TLS_(ECDHE_(RSA|ECDSA)_WITH|AKE_WITH)_", c)]
    assert not bad, bad
    assert "least strength: A" in out, out
    NEGOTIATED["nmap"] = "least strength A, " + ", ".join(sorted(set(ciphers)))


@case("testssl.sh finds no weakness", quick=False, timeout_s=100)
def _():
    path = f"{TMP}/testssl.json"
    sh("testssl", "--quiet", "--color", "0", "--warnings", "off", "--fast", "--nodns", "none", "-p", "-H", "-R", "-C",
       "-B", "-T", "--jsonfile", path, f"{HOST}:443")
    found = {f["id"]: (f["severity"], f["finding"]) for f in json.load(open(path))}
    assert found["TLS1_3"][0] == "OK" and found["TLS1_2"][0] == "OK", found
    for old in ("SSLv2", "SSLv3", "TLS1", "TLS1_1"):
        assert "not offered" in found[old][1], found
    bad = {k: v for k, v in found.items() if v[0] in ("LOW", "MEDIUM", "HIGH", "CRITICAL")}
    bad.pop("scanProblem", None)
    assert not bad, bad
    NEGOTIATED["testssl.sh"] = "no finding of any severity"


@case("an end without close_notify is told from one with it")
def _():
    name = 'dataplane_drops_total{reason="tls_truncated"}'
    cut = metric(name)
    s = context().wrap_socket(socket.create_connection((HOST, 443)), server_hostname="gateway.lab")
    s.sendall(b"GET /hea")
    with socket.socket(fileno=s.detach()) as raw:
        raw.shutdown(socket.SHUT_WR)  # a FIN, no more
        wait_for(lambda: metric(name) == cut + 1, "the cut was not seen")
        seen = metric(name)
    s = context().wrap_socket(socket.create_connection((HOST, 443)), server_hostname="gateway.lab")
    s.sendall(REQUEST)
    got = b""
    while piece := s.recv(4096):
        got += piece  # our close_notify comes before the FIN: Python raises if it is missing
    assert b"200 OK" in got
    s.unwrap().close()
    time.sleep(0.3)
    assert metric(name) == seen


def serial_of(name="gateway.lab"):
    with socket.create_connection((HOST, 443)) as raw, \
            context().wrap_socket(raw, server_hostname=name) as s:
        return s.getpeercert()["serialNumber"]


def make_certificate(path, name, days):
    done = sh("openssl", "req", "-x509", "-nodes", "-days", str(days), "-newkey", "ec", "-pkeyopt",
              "ec_paramgen_curve:P-256", "-keyout", f"{path}.key", "-out", f"{path}.pem", "-subj",
              f"/CN={name}", "-CA", CA, "-CAkey", f"{LAB}/tls/ca.key", "-addext",
              f"subjectAltName=DNS:{name},IP:{HOST}", "-addext", "basicConstraints=critical,CA:FALSE",
              "-addext", "keyUsage=critical,digitalSignature")
    assert done.returncode == 0, done.stderr


EXPIRY = "terminal_gateway_tls_certificate_expiry_timestamp_seconds"
LOADS = "terminal_gateway_tls_certificate_loads_total"
FAILURES = "terminal_gateway_tls_certificate_load_failures_total"


@case("certificates are exchanged under a running session")
async def _():
    first, until = serial_of(), metric(EXPIRY)
    assert abs(until - time.time() - 30 * 86400) < 86400
    async with websockets.connect(f"wss://{HOST}/ws/terminal/lab", subprotocols=[mint()],
                                  ssl=context(), compression=None) as ws:
        # The watch: new files under the old names.
        make_certificate(f"{TMP}/new", "gateway.lab", 20)
        loads = metric(LOADS)
        for kind in ("pem", "key"):
            shutil.copy(f"{TMP}/new.{kind}", f"{LAB}/tls/next")
            os.rename(f"{LAB}/tls/next", f"{LAB}/tls/gateway.{kind}")
        wait_for(lambda: metric(LOADS) > loads and metric(EXPIRY) < until, "not loaded")
        assert serial_of() != first
        # A pair that does not belong together: said once, the old one kept.
        second, failures = serial_of(), metric(FAILURES)
        make_certificate(f"{TMP}/other", "gateway.lab", 20)
        shutil.copy(f"{TMP}/other.key", f"{LAB}/tls/gateway.key")
        wait_for(lambda: metric(FAILURES) > failures, "not refused")
        time.sleep(1.2)
        assert metric(FAILURES) == failures + 1 and serial_of() == second
        assert '"certificates_refused"' in log() and "gateway.key" in log()
        # SIGHUP tries again.
        os.kill(pid_of("control"), signal.SIGHUP)
        wait_for(lambda: metric(FAILURES) > failures + 1, "SIGHUP did not reach the dataplane")
        shutil.copy(f"{TMP}/new.key", f"{LAB}/tls/gateway.key")
        loads = metric(LOADS)
        wait_for(lambda: metric(LOADS) > loads, "not loaded again")
        await ws.send("echo still-$((40 + 2)); exit\n")
        got = b""
        while b"still-42" not in got:
            got += await asyncio.wait_for(ws.recv(), 5)


@case("tgwctl config apply brings a certificate for another name")
def _():
    make_certificate(f"{LAB}/tls/second", "second.lab", 9)
    config = json.load(open(f"{LAB}/config.json"))
    before_it = serial_of()
    config["tls_certificates"].append(f"{LAB}/tls/second.pem:{LAB}/tls/second.key")
    with open(f"{TMP}/fresh.json", "w") as f:
        json.dump(config, f)
    loads = metric(LOADS)
    done = sh("build/tgwctl", "config", "apply", "--file", f"{TMP}/fresh.json", "--why", "a test")
    assert done.returncode == 0 and "tls_certificates         at once" in done.stdout, done
    wait_for(lambda: metric(LOADS) > loads, "not loaded")
    assert serial_of("second.lab") != before_it and serial_of("gateway.lab") == before_it
    assert metric(EXPIRY) < time.time() + 10 * 86400  # soon: a warning in the log
    assert '"certificate_expires"' in log()
    done = sh("build/tgwctl", "config", "rollback", "--why", "the test is over")
    assert done.returncode == 0, done
    wait_for(lambda: metric(LOADS) > loads + 1, "not loaded back")
    assert serial_of("gateway.lab") == before_it


@case("the agent's leg is mutual TLS")
async def _():
    await terminal()
    done = sh("ip", "netns", "exec", "tgw-node", "sh", "-c",
              f"echo | openssl s_client -connect 198.18.1.1:7681 -CAfile {CA} 2>&1; "
              "curl -s -m 3 http://198.18.1.1:7681/; echo curl $?")
    assert "Verify return code: 0" in done.stdout and "TLSv1.3" in done.stdout, done.stdout
    assert "curl 0" not in done.stdout, done.stdout
    wait_for(lambda: log("agent").count("tls_handshake_failed") >= 2, log("agent")[-500:])


def mappings(pid):
    """(from, to, in a core dump?) of every writable mapping."""
    found, area = [], None
    for line in open(f"/proc/{pid}/smaps"):
        head = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line)
        if head:
            area = (int(head[1], 16), int(head[2], 16), head[3], line)
        elif line.startswith("VmFlags:") and area and "w" in area[2]:
            found.append((area[0], area[1], " dd" not in line, area[3]))
    return found


def search(pid, needles):
    """How often one of the needles lies in dumped and in other memory."""
    dumped, hidden = [], 0
    pages = open(f"/proc/{pid}/pagemap", "rb")
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for begin, end, in_dump, line in mappings(pid):
            pages.seek(begin // 4096 * 8)
            entries = pages.read((end - begin) // 4096 * 8)
            if not any(entries[7::8]):
                continue
            for at in range(begin, end, 1 << 20):
                size = min((1 << 20) + 64, end - at)
                part = entries[(at - begin) // 4096 * 8:(at - begin + size + 4095) // 4096 * 8]
                if not any(b & 0x80 for b in part[7::8]):
                    continue
                try:
                    memory.seek(at)
                    data = memory.read(size)
                except OSError:
                    continue
                for needle in needles:
                    if needle in data:
                        hidden += not in_dump
                        if in_dump:
                            dumped.append(line.strip())
    return dumped, hidden


@case("secrets: not in logs, evidence, shared memory, nor where a core dump would take them")
async def _():
    keys = f"{TMP}/keys"
    c = context()
    c.keylog_filename = keys
    async with websockets.connect(f"wss://{HOST}/ws/terminal/lab", subprotocols=[mint()], ssl=c,
                                  compression=None) as ws:
        correlation = ws.response_headers["X-Correlation-ID"]
        await ws.send("echo $((6 * 7))-answer\n")
        got = b""
        while b"42-answer" not in got:
            got += await asyncio.wait_for(ws.recv(), 5)
        texts = re.findall(r"_TRAFFIC_SECRET_0 \S+ (\w+)", open(keys).read())
        assert len(texts) == 2, open(keys).read()
        needles = [bytes.fromhex(t) for t in texts]
        pem = open(f"{LAB}/tls/gateway.key").read().splitlines()[1].encode()
        dumped, hidden = await asyncio.to_thread(search, pid_of("dataplane"), needles + [pem])
        assert hidden, "the search found nothing at all"
        assert not dumped, dumped
    places = [f"{LAB}/{n}" for n in os.listdir(LAB) if n.endswith(".log")] + ["/dev/shm/tgw-lab"]
    for root, _, files in os.walk(f"{LAB}/state"):
        places += [os.path.join(root, n) for n in files]
    everything = b"".join(open(p, "rb").read() for p in places)
    everything += sh("build/tgwctl", "evidence", "--correlation-id", correlation).stdout.encode()
    for text in texts:
        assert text.encode() not in everything and bytes.fromhex(text) not in everything
    assert b"PRIVATE KEY" not in everything and pem not in everything


if __name__ == "__main__":
    run(before, after)

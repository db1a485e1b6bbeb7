"""Throughput under loss: our stack against Linux's (cubic), over one wire, round about.

  python3 tests/bench/loss.py [--loss PER_MILLE] [--delay-us ONE_WAY] [--bytes N] [--rounds N]

Needs root. Three namespaces: the subject (our stack, or the kernel's, at one address), a middle
that loses and delays in both directions alike (bench-middle), and a Linux peer. The subject sends
to the peer, then receives from it. Reports; asserts nothing."""
import argparse
import os
import socket
import statistics
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STACK = os.path.join(ROOT, "build", "tests", "interop", "interop-stack")
MIDDLE = os.path.join(ROOT, "build", "tests", "bench", "bench-middle")
SUBJECT, BETWEEN, PEER = "tgw-loss-subject", "tgw-loss-middle", "tgw-loss-peer"
DROP, SOURCE = 9, 19


# Inside the subject's namespace, when the subject is the kernel: what interop-stack does.

def cubic(s):
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
    return s


def serve(port, work):
    s = cubic(socket.create_server(("198.18.0.2", port)))
    while True:
        c, _ = s.accept()
        threading.Thread(target=work, args=(c,), daemon=True).start()


def drop(c):
    room = bytearray(1 << 20)
    while c.recv_into(room):
        pass
    c.close()


def source(c):
    left, block = int(c.recv(24)), bytes(1 << 20)
    while left:
        n = c.send(block[:min(left, len(block))])
        left -= n
    c.shutdown(socket.SHUT_WR)
    c.recv(1)
    c.close()


# Inside the peer's.

def run_peer(what, total):
    """Seconds from the request to the last byte at the other end."""
    c = cubic(socket.create_connection(("198.18.0.2", SOURCE if what == "sends" else DROP), timeout=120))
    began = time.monotonic()
    if what == "sends":
        c.sendall(b"%d\n" % total)
        got, room = 0, bytearray(1 << 20)
        while n := c.recv_into(room):
            got += n
        c.shutdown(socket.SHUT_WR)
    else:
        got, block = 0, bytes(1 << 20)
        while got < total:
            got += c.send(block[:min(total - got, len(block))])
        c.shutdown(socket.SHUT_WR)
        c.recv(1)
    if got != total:
        sys.exit(f"{got} bytes of {total}")
    print(time.monotonic() - began)


# Outside.

def sh(command):
    subprocess.run(command, shell=True, check=True)


def in_ns(ns, *args):
    return ["ip", "netns", "exec", ns, *args]


def tear_down():
    for ns in (SUBJECT, BETWEEN, PEER):
        subprocess.run(["ip", "netns", "del", ns], stderr=subprocess.DEVNULL, check=False)


def set_up():
    tear_down()
    for ns in (SUBJECT, BETWEEN, PEER):
        sh(f"ip netns add {ns} && ip -n {ns} link set lo up")
    for ns, dev, between in ((SUBJECT, "subject0", "middle0"), (PEER, "peer0", "middle1")):
        sh(f"ip link add {dev} netns {ns} type veth peer name {between} netns {BETWEEN}")
        sh(f"ip netns exec {ns} ethtool -K {dev} tx off tso off gso off gro off >/dev/null")
        sh(f"ip netns exec {BETWEEN} sysctl -qw net.ipv6.conf.{between}.disable_ipv6=1")
        sh(f"ip -n {ns} link set {dev} up && ip -n {BETWEEN} link set {between} up")
    sh(f"ip -n {PEER} addr add 198.18.0.1/24 dev peer0")
    for ns in (SUBJECT, PEER):
        sh(f"ip netns exec {ns} sysctl -qw net.ipv4.tcp_no_metrics_save=1")


class Process:
    """Something that says "ready" and ends with its standard input."""

    def __init__(self, args):
        self.p = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.p.stdout.readline().strip() != "ready":
            raise RuntimeError(f"does not start: {args}")

    def end(self):
        self.p.stdin.close()
        self.p.wait(20)
        return self.p.stdout.read()


def start_subject(name):
    if name == "ours":
        return Process(in_ns(SUBJECT, STACK, "subject0", "1500", "0", "0", "0"))
    sh(f"ip -n {SUBJECT} addr add 198.18.0.2/24 dev subject0")
    return Process(in_ns(SUBJECT, sys.executable, __file__, "--kernel"))


def end_subject(name, process):
    process.end()
    if name == "Linux":
        sh(f"ip -n {SUBJECT} addr del 198.18.0.2/24 dev subject0")


def measure(name, what, total):
    out = subprocess.run(in_ns(PEER, sys.executable, __file__, "--peer", what, str(total)), stdout=subprocess.PIPE,
                         text=True, check=True, timeout=280).stdout
    rate = total / float(out) / 1e6
    print(f"{name:6} {what:9} {total / 1e6:.0f} MB in {float(out):6.2f} s, {rate:7.2f} MB/s", flush=True)
    return rate


def main():
    if "--kernel" in sys.argv:
        for port, work in ((DROP, drop), (SOURCE, source)):
            threading.Thread(target=serve, args=(port, work), daemon=True).start()
        time.sleep(0.3)
        print("ready", flush=True)
        sys.stdin.read()
        return
    if "--peer" in sys.argv:
        run_peer(sys.argv[-2], int(sys.argv[-1]))
        return
    a = argparse.ArgumentParser()
    a.add_argument("--loss", type=int, default=10)
    a.add_argument("--delay-us", type=int, default=1000)
    a.add_argument("--bytes", type=int, default=100_000_000)
    a.add_argument("--rounds", type=int, default=3)
    o = a.parse_args()
    rates = {}
    try:
        set_up()
        for r in range(o.rounds):
            for name in ("ours", "Linux") if r % 2 == 0 else ("Linux", "ours"):
                # The same seed for both: the wire loses alike as far as what crosses it is alike.
                middle = Process(in_ns(BETWEEN, MIDDLE, "middle0", "middle1", str(o.loss), str(o.delay_us), str(r)))
                subject = start_subject(name)
                for what in ("sends", "receives"):
                    rates.setdefault((what, name), []).append(measure(name, what, o.bytes))
                end_subject(name, subject)
                print("#", middle.end().strip().replace("\n", "; "))
    finally:
        tear_down()
    for what in ("sends", "receives"):
        ours, linux = (rates[(what, name)] for name in ("ours", "Linux"))
        each = [x / y for x, y in zip(ours, linux)]
        print(f"subject {what}: ours {statistics.mean(ours):.2f} MB/s, Linux {statistics.mean(linux):.2f} MB/s, "
              f"ratio {statistics.mean(ours) / statistics.mean(linux):.2f} ({min(each):.2f} to {max(each):.2f} a round)")


if __name__ == "__main__":
    main()

"""Our stack against Linux over a veth pair, both directions, both families.

  python3 tests/interop/interop_test.py [--long]     --long: stalls of minutes, more bytes

Needs root. Linux stands in a namespace of its own, our stack (interop-stack) in another."""
import os
import select
import socket
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STACK = os.path.join(ROOT, "build", "tests", "interop", "interop-stack")
OURS, PEER, REBORN = "tgw-io-ours", "tgw-io-peer", "tgw-io-again"
OUR_ADDR = {4: "198.18.0.2", 6: "fd18::2"}
PEER_ADDR = {4: "198.18.0.1", 6: "fd18::1"}
PATTERN = bytes((i * 7 + (i >> 8) * 3) & 255 for i in range(65536)) * 2
LONG = "--long" in sys.argv


def pattern(at, n):
    at %= 65536
    return PATTERN[at:at + n]


# The Linux side: runs inside the namespace.

def echo_server():
    s = socket.socket(socket.AF_INET6)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    s.bind(("::", 7))
    s.listen(1024)
    print("ready", flush=True)

    def serve(c):
        try:
            while data := c.recv(65536):
                c.sendall(data)
        except OSError:
            pass
        c.close()

    while True:
        c, _ = s.accept()
        threading.Thread(target=serve, args=(c,), daemon=True).start()


def one_client(addr, total, stall_s, rounds):
    """True when all that was sent came back, in order, and the end too."""
    c = socket.create_connection((addr, 7), timeout=200)
    if rounds:
        c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(rounds):
            c.sendall(pattern(i * 32, 32))
            got = b""
            while len(got) < 32:
                more = c.recv(32 - len(got))
                if not more:
                    return False
                got += more
            if got != pattern(i * 32, 32):
                return False
        c.close()
        return True

    def send():
        at = 0
        while at < total:
            n = min(32768, total - at)
            c.sendall(pattern(at, n))
            at += n
        c.shutdown(socket.SHUT_WR)

    t = threading.Thread(target=send, daemon=True)
    t.start()
    time.sleep(stall_s)
    at = 0
    while data := c.recv(32768):
        if data != pattern(at, len(data)):
            return False
        at += len(data)
    t.join()
    c.close()
    return at == total


def clients(addr, total, count, parallel, stall_s, rounds):
    good, lock, left = [0], threading.Lock(), [count]

    def run():
        while True:
            with lock:
                if left[0] == 0:
                    return
                left[0] -= 1
            try:
                ok = one_client(addr, total, stall_s, rounds)
            except OSError as e:
                print("#", e, flush=True)
                ok = False
            with lock:
                good[0] += ok

    threads = [threading.Thread(target=run) for _ in range(parallel)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    print(good[0], flush=True)


# The test's side.

def sh(command):
    subprocess.run(command, shell=True, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def tear_down():
    for ns in (OURS, PEER, REBORN):
        subprocess.run(["ip", "netns", "del", ns], stderr=subprocess.DEVNULL, check=False)


def address_peer(ns, mtu):
    sh(f"ip -n {ns} link set tgwio1 mtu {mtu} up && ip -n {ns} link set lo up &&"
       f"ip -n {ns} addr add 198.18.0.1/24 dev tgwio1 && ip -n {ns} addr add fd18::1/64 dev tgwio1 nodad &&"
       f"ip netns exec {ns} ethtool -K tgwio1 tx off tso off gso off gro off")


def set_up(mtu):
    tear_down()
    sh(f"ip netns add {OURS} && ip netns add {PEER} &&"
       f"ip link add tgwio0 netns {OURS} type veth peer name tgwio1 netns {PEER} &&"
       f"ip -n {OURS} link set tgwio0 mtu {mtu} up")
    address_peer(PEER, mtu)


def in_ns(ns, *args):
    return ["ip", "netns", "exec", ns, *args]


def lines_until(p, seconds, word=None):
    """The next line that begins with word; None when it does not come."""
    end = time.monotonic() + seconds
    while True:
        left = end - time.monotonic()
        if left <= 0 or not select.select([p.stdout], [], [], left)[0]:
            return None
        line = p.stdout.readline()
        if not line:
            return None
        if word is None or line.startswith(word):
            return line.strip()


class Pair:
    def __init__(self, mtu=1500, loss=0, reorder=0, duplicate=0):
        set_up(mtu)
        self.mtu = mtu
        self.stack = subprocess.Popen(in_ns(OURS, STACK, "tgwio0", str(mtu), str(loss), str(reorder), str(duplicate)),
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.server = self.serve(PEER)
        if lines_until(self.stack, 20, "ready") is None or lines_until(self.server, 20, "ready") is None:
            raise RuntimeError("a side does not start")

    def serve(self, ns):
        return subprocess.Popen(in_ns(ns, sys.executable, __file__, "--echo-server"), stdout=subprocess.PIPE, text=True)

    def tell(self, line):
        self.stack.stdin.write(line + "\n")
        self.stack.stdin.flush()

    def to_linux(self, family, total, count=1, parallel=1, seconds=120):
        """Our stack as the client."""
        self.tell(f"echo {PEER_ADDR[family]} 7 {total} {count} {parallel}")
        answer = lines_until(self.stack, seconds, "done")
        return answer == f"done {count} 0 {count * total}", answer

    def from_linux(self, family, total, count=1, parallel=1, stall_s=0, rounds=0, seconds=240):
        p = subprocess.run(in_ns(PEER, sys.executable, __file__, "--clients", OUR_ADDR[family], str(total), str(count),
                                 str(parallel), str(stall_s), str(rounds)), stdout=subprocess.PIPE, text=True,
                           timeout=seconds, check=False)
        return p.stdout.strip().split("\n")[-1] == str(count), p.stdout.strip()[-200:]

    def clean(self):
        """Nothing is held once connections and TIME_WAIT are over."""
        for _ in range(60):
            self.tell("usage")
            line = lines_until(self.stack, 5, "usage")
            if line and line.split()[1:3] == ["0", "0"]:
                return True, line
            time.sleep(0.1)
        return False, line

    def close(self):
        self.stack.stdin.close()
        self.server.kill()
        self.server.wait()
        try:
            self.stack.wait(10)
        except subprocess.TimeoutExpired:
            self.stack.kill()
            self.stack.wait()


CASES = []


def case(name, result):
    ok, detail = result
    CASES.append(ok)
    print(f"{'ok' if ok else 'not ok'} {len(CASES)} - interop: {name}", flush=True)
    if not ok:
        print(f"# {detail}", flush=True)


def plain():
    pair = Pair()
    big = 200_000_000 if LONG else 10_000_000
    for f in (4, 6):
        case(f"bulk to Linux, IPv{f}", pair.to_linux(f, big))
        case(f"bulk from Linux, IPv{f}", pair.from_linux(f, big))
        case(f"ping-pong, IPv{f}", pair.from_linux(f, 0, rounds=2000))
        case(f"5,000 short connections to Linux, IPv{f}", pair.to_linux(f, 100, 5000, 64))
        case(f"5,000 short connections from Linux, IPv{f}", pair.from_linux(f, 100, 5000, 16))
        case(f"a reader that stalls, IPv{f}", pair.from_linux(f, 3_000_000, stall_s=150 if LONG else 4))
    case("nothing is left", pair.clean())
    pair.close()


def rough():
    for loss, reorder, duplicate in ((10, 0, 0), (50, 0, 0), (100, 0, 0), (0, 200, 0), (10, 100, 50)):
        pair = Pair(loss=loss, reorder=reorder, duplicate=duplicate)
        name = f"loss {loss / 10:g}%, reordered {reorder / 10:g}%, duplicates {duplicate / 10:g}%"
        total = 300_000 if loss > 20 else 2_000_000
        case(f"to Linux, {name}", pair.to_linux(6 if loss else 4, total))
        case(f"from Linux, {name}", pair.from_linux(4 if loss else 6, total))
        pair.tell("usage")
        usage = lines_until(pair.stack, 5, "usage") or "usage 0 0 0"
        if loss:
            case(f"we retransmitted, {name}", (int(usage.split()[3]) > 0, usage))
        pair.close()


def sizes():
    for mtu in (1280, 1400, 4000, 9000):
        pair = Pair(mtu=mtu)
        case(f"MTU {mtu}, to Linux", pair.to_linux(6, 3_000_000))
        case(f"MTU {mtu}, from Linux", pair.from_linux(4, 3_000_000))
        pair.close()


def reboot():
    """Linux forgets everything: what was open is reset at the next byte, and new ones work."""
    pair = Pair()
    pair.tell(f"hold {PEER_ADDR[4]} 7")
    held = lines_until(pair.stack, 10, "held")
    mac = subprocess.run(["ip", "netns", "exec", PEER, "cat", "/sys/class/net/tgwio1/address"], stdout=subprocess.PIPE,
                         text=True, check=True).stdout.strip()
    sh(f"ip netns add {REBORN} && ip -n {PEER} link set tgwio1 netns {REBORN} &&"
       f"ip -n {REBORN} link set tgwio1 address {mac}")
    pair.server.kill()
    pair.server.wait()
    address_peer(REBORN, pair.mtu)
    pair.server = pair.serve(REBORN)
    up = lines_until(pair.server, 10, "ready")
    pair.tell("poke")
    ended = lines_until(pair.stack, 30, "ended")
    case("a peer that rebooted resets", (held and up and ended == "ended reset", (held, up, ended)))
    case("and is spoken to again", pair.to_linux(4, 100_000))
    case("nothing is left of it", pair.clean())
    pair.close()


def main():
    if "--echo-server" in sys.argv:
        echo_server()
    if "--clients" in sys.argv:
        a = sys.argv[sys.argv.index("--clients") + 1:]
        clients(a[0], *(int(x) for x in a[1:6]))
        return 0
    try:
        for part in (plain, rough, sizes, reboot):
            part()
    except (OSError, RuntimeError, subprocess.SubprocessError) as e:
        case("the rig", (False, e))
    finally:
        tear_down()
        print(f"1..{len(CASES)}")
    return 0 if all(CASES) else 1


if __name__ == "__main__":
    sys.exit(main())

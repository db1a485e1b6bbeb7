#!/usr/bin/python3
"""Ports of a running gateway: probed on command, links that go and come back, and what is
wrong with a configuration said in one line. Runs as root, in the lab."""
import asyncio
import json
import os
import socket
import subprocess
import tempfile

import websockets

from tap import case, run

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
SOCKET = "/run/tgw/control.sock"


def lab(*args):
    subprocess.run(["sh", "platform/lab/run.sh", *args], cwd=ROOT, check=True,
                   stdout=subprocess.DEVNULL)


def inside(namespace):
    """The network of this process becomes that one's."""
    libc = __import__("ctypes").CDLL(None, use_errno=True)
    with open(f"/run/netns/{namespace}") as f:
        assert libc.setns(f.fileno(), 0x40000000) == 0


HOME = os.open("/proc/self/ns/net", os.O_RDONLY)


def outside(*command):
    """Where the gateway's ends of the wires are."""
    subprocess.run(["nsenter", f"--net=/proc/{os.getpid()}/fd/{HOME}", *command], check=True)


def control(cmd, **args):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(SOCKET)
        s.sendall((json.dumps({"id": 7, "cmd": cmd, "args": args}) + "\n").encode())
        reply = json.loads(s.makefile().readline())
    return reply


def probe():
    done = subprocess.run(["build/tgwctl", "--json", "ports", "probe"], cwd=ROOT,
                          capture_output=True, text=True, timeout=60)
    ports = json.loads(done.stdout)["ports"]
    return done.returncode, {p["name"]: {c["check"]: c for c in p["checks"]} for p in ports}


@case("both ports of the lab pass their probe")
def _():
    code, ports = probe()
    assert code == 0, ports
    for name in ("client", "node"):
        states = {k: c["state"] for k, c in ports[name].items()}
        assert {states[k] for k in ("link", "neighbour", "echo", "tcp", "mtu")} == {"pass"}, states
        # af_packet offers nothing: software does all of it, and the probe came through it.
        assert {states[k] for k in ("tx_ip_cksum", "tx_l4_cksum", "tx_tso", "rx_cksum")} == {"absent"}
        assert ports[name]["mtu"]["value"] == 1500
    done = subprocess.run(["build/tgwctl", "ports", "probe"], cwd=ROOT, capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 0 and "round trip, TCP" in done.stdout and not done.stderr


@case("a path with a smaller MTU is told, with what to do, and is exit 1")
def _():
    subprocess.run(["ip", "link", "set", "eth0", "mtu", "1400"], check=True)
    try:
        code, ports = probe()
        assert code == 1
        mtu = ports["client"]["mtu"]
        # Not the number: the kernel's ring holds a frame that the wire refused, and all
        # that stand behind it.
        assert mtu["state"] == "fail" and "mtu" in mtu["fix"], mtu
        assert ports["node"]["mtu"]["state"] == "pass"
    finally:
        subprocess.run(["ip", "link", "set", "eth0", "mtu", "1500"], check=True)


@case("a port that is not there is refused by the dataplane")
def _():
    assert control("ports.probe", port=3)["ok"] is False
    assert control("ports.probe", port=99)["code"] == "bad_request"


@case("a session lives through the loss of either link")
async def _():
    token = control("token.mint", allocation_id="lab")["result"]["tokens"][0]["token"]
    async with websockets.connect("ws://198.18.0.2/ws/terminal/lab", subprotocols=[token],
                                  compression=None) as ws:
        async def says(text):
            got = b""
            while text not in got:
                got += await asyncio.wait_for(ws.recv(), 30)

        await ws.send("echo one-$((1 + 1))\n")
        await says(b"one-2")
        for number, device in enumerate(("tgw-c0", "tgw-n0")):
            outside("ip", "link", "set", device, "down")
            await asyncio.sleep(1.5)
            name = ("client", "node")[number]
            ports = {p["name"]: p for p in control("ports")["result"]["ports"]}
            assert ports[name]["link_up"] is False, ports
            await ws.send(f"echo back-{number}-$((40 + 2))\n")  # into the void
            await asyncio.sleep(1)
            outside("ip", "link", "set", device, "up")
            await says(f"back-{number}-42".encode())
        assert control("status")["result"]["sessions"] == 1
        await ws.send("exit\n")
    log = open("/run/tgw/lab/dataplane.log").read()
    assert log.count('"link_down"') >= 2 and log.count('"link_up"') >= 2, log


def starts(port, *, prelude="", **config):
    """Status and the one line of a dataplane whose first port is `port`, in a network and
    a mount namespace of its own."""
    ports = [{"name": "first", "driver": "ring"}, {"name": "up", **port}]
    text = {"huge_pages": False, "memory_mb": 128, "cores": ["0"], "shm_path": "/dev/shm/tgw-ports-test",
            "ports": ports, **config}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
        json.dump(text, f)
        f.flush()
        script = (f"ip link add bad0 type veth peer name bad1; ip link set bad0 up; {prelude}\n"
                  f"exec build/tgw-dataplane --config {f.name}")
        done = subprocess.run(["unshare", "-nm", "sh", "-c", script], cwd=ROOT, capture_output=True,
                              text=True, timeout=30)
    assert not os.path.exists("/dev/shm/tgw-ports-test"), "something was left behind"
    return done.returncode, done.stderr


# A PCI function bound to the kernel's driver, one to vfio-pci, one to mlx5_core.
FAKE_PCI = """
t=$(mktemp -d); for a in 2:e1000e 3:vfio-pci 4:mlx5_core; do
mkdir -p $t/0000:0${a%:*}:00.0; ln -s /x/${a#*:} $t/0000:0${a%:*}:00.0/driver; done
mount --bind $t /sys/bus/pci/devices
"""

# An empty /dev/vfio of this namespace's own.
VFIO = "mkdir -p /dev/vfio; mount -t tmpfs tmpfs /dev/vfio\n"

BAD = [
    ("a netdev that is missing", {"driver": "af_packet", "device": "gone0"}, {}, "gone0"),
    ("a driver that is none", {"driver": "tulip", "device": "x"}, {}, "none of af_packet"),
    ("a wrong PCI address", {"driver": "pci", "device": "3:q"}, {}, "no PCI address such as"),
    ("a PCI address where nothing is", {"driver": "pci", "device": "0000:7f:1f.7"}, {}, "lspci"),
    ("a NIC that is the kernel's", {"driver": "pci", "device": "0000:02:00.0"},
     {"prelude": FAKE_PCI}, "bound to e1000e"),
    ("no huge pages for a NIC", {"driver": "pci", "device": "0000:03:00.0"},
     {"prelude": FAKE_PCI + VFIO + "touch /dev/vfio/vfio; umount /dev/hugepages 2>/dev/null",
      "huge_pages": True, "memory_mb": 1000000}, "nr_hugepages"),
    ("no vfio for what is bound to it", {"driver": "pci", "device": "0000:03:00.0"},
     {"prelude": FAKE_PCI + VFIO}, "no /dev/vfio/vfio"),
    ("the profile of another board", {"driver": "mlx5", "device": "0000:02:00.0"},
     {"prelude": FAKE_PCI}, "mlx5 wants mlx5_core"),
    ("a scalable function that was not made", {"driver": "mlx5", "device": "mlx5_core.sf.4"}, {},
     "devlink port add"),
    ("an MTU that the device has not", {"driver": "af_packet", "device": "bad0", "mtu": 9000}, {"memory_mb": 400},
     "bad0 takes 1500"),
    ("a device without enough queues", {"driver": "af_xdp", "device": "bad0"},
     {"cores": ["0", "1"], "prelude": "mount -t sysfs sysfs /sys"}, "bad0 has 1 queue(s), 2 cores"),
    ("an MTU out of range", {"driver": "ring", "mtu": 70000}, {}, "mtu"),
    ("a VLAN out of range", {"driver": "ring", "vlan": 4095}, {}, "vlan"),
    ("a CPU that is not there", {"driver": "ring"}, {"cores": ["4000"]}, "CPU 4000"),
]

for title, port, extra, says in BAD:
    @case(f"bad input: {title}")
    def _(port=port, extra=extra, says=says):
        code, err = starts(port, **extra)
        assert code == 2 and says in err and err.count("\n") == 1, (code, err)


def before():
    lab("--detach", "--no-build", "--no-tls")
    inside("tgw-client")


def after():
    __import__("ctypes").CDLL(None).setns(HOME, 0x40000000)
    lab("--stop")
    if os.path.isdir("/dev/vfio") and not os.listdir("/dev/vfio"):
        os.rmdir("/dev/vfio")


run(before, after)

#!/usr/bin/python3
"""tgw-bringup against made-up machines, and live on a veth pair. Runs as root."""
import json
import os
import shutil
import subprocess
import tempfile

from tap import case, run

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
PROGRAM = os.path.join(ROOT, "build", "tgw-bringup")
UP = "0000:03:00.0"      # e1000e, up
LOGIN = "0000:04:00.0"   # virtio, carries the login
DPU = "0000:05:00.0"     # mlx5


class Machine:
    """A tree such as the kernel shows."""

    def __init__(self):
        self.root = tempfile.mkdtemp(prefix="bringup-")
        self.put("proc/meminfo", "MemTotal: 8 kB\nHugePages_Free:     512\nHugepagesize:    2048 kB\n")
        self.put("proc/mounts", "none /dev/hugepages hugetlbfs rw 0 0\n")
        self.put("proc/net/route", self.route("mgmt", "00000000", "0101A8C0", "00000000")
                 + self.route("mgmt", "0001A8C0", "00000000", "00FFFFFF"))
        self.put("proc/net/ipv6_route", "")
        self.put("proc/net/tcp", "")
        os.makedirs(self.path("sys/kernel/iommu_groups/7"))
        self.dir("sys/bus/pci/drivers/vfio-pci")
        self.nic(UP, "e1000e", "lan0", 7, "0x8086", "0x10d3")
        self.nic(LOGIN, "virtio-pci", "mgmt", 8, "0x1af4", "0x1041", child="virtio3")
        self.nic(DPU, "mlx5_core", "p0", 9, "0x15b3", "0xa2d6")

    def path(self, name):
        return os.path.join(self.root, name)

    def dir(self, name):
        os.makedirs(self.path(name), exist_ok=True)

    def put(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w") as f:
            f.write(text)

    def get(self, name):
        with open(self.path(name)) as f:
            return f.read().strip()

    def link(self, name, target):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        os.symlink(target, self.path(name))

    @staticmethod
    def route(dev, dest, gateway, mask):
        return f"{dev}\t{dest}\t{gateway}\t0003\t0\t0\t0\t{mask}\t0\t0\t0\n"

    def nic(self, address, driver, netdev, group, vendor, device, child=""):
        at = f"sys/devices/pci0000:00/{address}"
        self.put(f"{at}/vendor", vendor + "\n")
        self.put(f"{at}/device", device + "\n")
        self.link(f"sys/bus/pci/devices/{address}", self.path(at))
        self.dir(f"sys/bus/pci/drivers/{driver}")
        self.link(f"{at}/driver", self.path(f"sys/bus/pci/drivers/{driver}"))
        self.link(f"{at}/iommu_group", f"/sys/kernel/iommu_groups/{group}")
        port = f"{at}/{child}/net/{netdev}" if child else f"{at}/net/{netdev}"
        for name, text in (("carrier", "1"), ("speed", "10000"), ("mtu", "1500")):
            self.put(f"{port}/{name}", text + "\n")
        for queue in range(4):
            self.dir(f"{port}/queues/rx-{queue}")
        self.link(f"{port}/device", self.path(f"{at}/{child}" if child else at))
        self.link(f"sys/class/net/{netdev}", self.path(port))

    def run(self, *args, **env):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("SSH_")}
        done = subprocess.run([PROGRAM, *args, "--root", self.root], capture_output=True,
                              text=True, env={**clean, **env}, timeout=20)
        return done.returncode, done.stdout, done.stderr

    def check(self, *args):
        code, out, err = self.run("check", "--json", *args)
        assert not err, err
        report = json.loads(out)
        assert report["ok"] == (code == 0), (code, out)
        return code, {(f["subject"], f["check"]): f for f in report["findings"]}

    def config(self, **more):
        port = {"name": "up", "driver": "pci", "device": UP, "addresses": ["198.18.0.2/24"]}
        port.update(more.pop("port", {}))
        self.put("config.json", json.dumps({"ports": [port], **more}))
        return self.path("config.json")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        shutil.rmtree(self.root)


def one_line(code, out, err, want, text):
    assert code == want and not out and err.count("\n") == 1 and text in err, (code, out, err)


@case("a good machine passes, a NIC of the kernel's is told how to be bound")
def _():
    with Machine() as m:
        code, found = m.check(UP)
        assert code == 1
        assert found["machine", "IOMMU"]["state"] == "pass"
        assert found["machine", "huge pages"]["detail"].startswith("1024 MB free")
        driver = found[UP, "driver"]
        assert driver["state"] == "fail" and f"bind {UP}" in driver["fix"] and "undo" in driver["fix"]
        assert found[UP, "link"]["detail"] == "up, 10000 Mbit/s"
        assert found[UP, "queues"]["detail"].startswith("4,")
        code, found = m.check(DPU)  # shared with the kernel: nothing to bind
        assert code == 0 and found[DPU, "driver"]["state"] == "pass"
        code, found = m.check("lan0")  # by name, the same
        assert found["lan0", "driver"]["state"] == "fail"
        code, out, err = m.run("check", UP)
        assert "fix: tgw-bringup bind" in out and "pass  machine" in out


@case("what the machine lacks is said with what to do")
def _():
    with Machine() as m:
        shutil.rmtree(m.path("sys/kernel/iommu_groups"))
        shutil.rmtree(m.path("sys/bus/pci/drivers/vfio-pci"))
        m.put("proc/meminfo", "HugePages_Free: 10\nHugepagesize: 2048 kB\n")
        m.put("proc/mounts", "")
        code, found = m.check("--config", m.config(memory_mb=512))
        assert code == 1
        for check, fix in (("IOMMU", "iommu"), ("vfio", "modprobe vfio-pci"), ("huge pages", "echo 256"),
                           ("hugetlbfs", "mount -t hugetlbfs")):
            f = found["machine", check]
            assert f["state"] == "fail" and fix in f["fix"], f
        # Ports of software want none of it.
        config = m.config(huge_pages=False, port={"driver": "af_packet", "device": "lan0"})
        code, found = m.check("--config", config)
        assert {f["state"] for (s, _), f in found.items() if s == "machine"} == {"note"}, found


@case("link, MTU and queues are held against the configuration")
def _():
    with Machine() as m:
        m.put(f"sys/devices/pci0000:00/{UP}/net/lan0/carrier", "0\n")
        config = m.config(cores=[str(i) for i in range(8)], port={"mtu": 9000})
        code, found = m.check("--config", config)
        assert code == 1
        assert "ip link set lan0 up" in found[UP, "link"]["fix"]
        assert "mtu 9000" in found[UP, "MTU"]["fix"]
        assert "8 cores" in found[UP, "queues"]["detail"]


@case("wrong input is one line and exit 2")
def _():
    with Machine() as m:
        one_line(*m.run("check", "0000:09:00.0"), 2, "no PCI function 0000:09:00.0")
        one_line(*m.run("check", "wlan7"), 2, "neither a PCI address nor")
        one_line(*m.run("check", "../../../etc"), 2, "neither a PCI address nor")
        one_line(*m.run("bind", "lan0"), 2, "no PCI address")
        one_line(*m.run("bind", DPU), 2, "mlx5_core, which shares it")
        one_line(*m.run("undo", UP), 2, "was not bound by")
        one_line(*m.run("check", "--config", m.config(port={"device": "0000:0a:00.0"})), 2,
                 "no PCI function 0000:0a:00.0")
        assert m.run("bind")[0] == 2 and m.run("nonsense")[0] == 2 and m.run("check", "-x")[0] == 2
        shutil.rmtree(m.path("sys/bus/pci/drivers/vfio-pci"))
        one_line(*m.run("bind", UP), 2, "modprobe vfio-pci")
    with Machine() as m:
        os.unlink(m.path(f"sys/devices/pci0000:00/{UP}/iommu_group"))
        one_line(*m.run("bind", UP), 2, "in no IOMMU group")
        assert not os.path.exists(m.path("run/tgw/bringup")), "nothing is half-bound"


@case("a NIC is bound, remembered and given back")
def _():
    with Machine() as m:
        at = f"sys/devices/pci0000:00/{UP}"
        code, out, err = m.run("bind", "--dry-run", UP)
        assert code == 0 and out.splitlines() == [
            f"echo {UP} >/sys/bus/pci/devices/{UP}/driver/unbind",
            f"echo vfio-pci >/sys/bus/pci/devices/{UP}/driver_override",
            f"echo {UP} >/sys/bus/pci/drivers_probe"], out
        assert not os.path.exists(m.path("run")), "a dry run writes nothing"
        assert m.run("bind", UP) == (0, "", "")
        assert m.get("sys/bus/pci/drivers/e1000e/unbind") == UP
        assert m.get(f"{at}/driver_override") == "vfio-pci"
        assert m.get("sys/bus/pci/drivers_probe") == UP
        assert m.get(f"run/tgw/bringup/{UP}") == "e1000e"
        # The kernel would have moved it by now.
        os.unlink(m.path(f"{at}/driver"))
        m.link(f"{at}/driver", m.path("sys/bus/pci/drivers/vfio-pci"))
        assert m.run("bind", UP) == (0, "", ""), "again is harmless"
        assert m.get(f"run/tgw/bringup/{UP}") == "e1000e"
        assert m.run("undo") == (0, "", "")
        assert m.get("sys/bus/pci/drivers/vfio-pci/unbind") == UP
        assert m.get(f"{at}/driver_override") == ""
        assert os.listdir(m.path("run/tgw/bringup")) == []


@case("the NIC of the login is never taken")
def _():
    def refused(m, why, address=UP, **env):
        code, out, err = m.run("bind", address, **env)
        assert code == 1 and why in err and err.count("\n") == 1, (code, err)
        assert not os.path.exists(m.path(f"sys/devices/pci0000:00/{address}/driver_override"))

    with Machine() as m:
        refused(m, "the default route", LOGIN)
        # 10.0.0.0/8 goes over lan0, and somebody is logged in from there.
        routes = m.get("proc/net/route") + "\n"
        m.put("proc/net/route", routes + m.route("lan0", "0000000A", "00000000", "000000FF"))
        assert m.run("bind", "--dry-run", UP)[0] == 0
        refused(m, "login from 10.1.2.3", SSH_CONNECTION="10.1.2.3 50000 10.0.0.1 22")
        refused(m, "login from 10.1.2.3", SSH_CONNECTION="10.1.2.3 50000 10.0.0.1 22")
        # Under sudo only the connection itself tells.
        m.put("proc/net/tcp", "  sl  local rem\n"
              "   0: 0100000A:0016 0302010A:C350 01 00000000:00000000 00:00000000 0 0 0\n")
        refused(m, "login from 10.1.2.3")
        m.put("proc/net/tcp", "  sl  local rem\n"
              "   0: 0100000A:0016 00000000:0000 0A 00000000:00000000 00:00000000 0 0 0\n")
        assert m.run("bind", "--dry-run", UP)[0] == 0, "a listening sshd is no login"
        # Over a VLAN on a bond on the NIC.
        m.put("proc/net/route", routes + m.route("bond0.5", "0000000A", "00000000", "000000FF"))
        m.dir("sys/class/net/bond0.5/lower_bond0")
        m.dir("sys/class/net/bond0/lower_lan0")
        refused(m, "login from 10.1.2.3", SSH_CONNECTION="10.1.2.3 50000 10.0.0.1 22")
        m.put("proc/net/tcp6", "  sl  local rem\n   0: 000000000000000000000000010000FE:0016 "
              "000018FD000000000000000001000000:C350 01 00000000:00000000 00:00000000 0 0 0\n")
        m.put("proc/net/ipv6_route", "fd180000000000000000000000000000 40 " + "0" * 32 + " 00 " + "0" * 32
              + " 00000100 00000001 00000000 00000001     lan0\n")
        refused(m, "login from fd18::1")


@case("the ports of a configuration are probed on the wire")
def _():
    space = f"bring{os.getpid()}"

    def ip(*args):
        subprocess.run(["ip", *args], check=True)

    def probe(**port):
        config = {"huge_pages": False, "memory_mb": 128, "cores": ["0"], "ports": [
            {"name": "up", "driver": "af_packet", "device": "tgwb0", "addresses": ["198.18.7.2/24"],
             "gateway4": "198.18.7.1", **port}]}
        with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
            json.dump(config, f)
            f.flush()
            done = subprocess.run([PROGRAM, "probe", "--json", "--config", f.name],
                                  capture_output=True, text=True, timeout=60)
        found = {}
        if done.stdout:
            found = {f["check"]: f["state"] for f in json.loads(done.stdout.splitlines()[-1])["findings"]}
        return done.returncode, found, done.stderr

    try:
        ip("netns", "add", space)
        ip("link", "add", "tgwb0", "type", "veth", "peer", "name", "eth0", "netns", space)
        ip("link", "set", "tgwb0", "up", "arp", "off")
        ip("-n", space, "addr", "add", "198.18.7.1/24", "dev", "eth0")
        ip("-n", space, "link", "set", "eth0", "up")
        for prefix, device in (([], "tgwb0"), (["ip", "netns", "exec", space], "eth0")):
            subprocess.run([*prefix, "ethtool", "-K", device, "tx", "off", "gro", "off"],
                           capture_output=True)
        code, found, err = probe()
        assert code == 0 and found["round trip, TCP"] == "pass" and found["MTU"] == "pass", (code, found, err)
        ip("-n", space, "link", "set", "eth0", "mtu", "1300")
        code, found, err = probe()
        assert code == 1 and found["MTU"] == "fail" and found["round trip, ICMP"] == "pass", found
        ip("-n", space, "link", "set", "eth0", "mtu", "1500")
        code, found, err = probe(vlan=9)  # the neighbour is in none
        assert code == 1 and found["neighbour resolves"] == "fail", found
        ip("-n", space, "link", "set", "eth0", "down")
        code, found, err = probe()
        assert code == 1 and found["link"] == "fail" and found["neighbour resolves"] == "note", found
    finally:
        subprocess.run(["ip", "link", "del", "tgwb0"], capture_output=True)
        subprocess.run(["ip", "netns", "del", space], capture_output=True)


run()

"""The emulated machine: QEMU, its console for a root shell, its monitor, and the namespaces
that its two NICs lead to."""
import json
import os
import re
import socket
import subprocess
import time

CLIENT, NODE = "tgw-emu-client", "tgw-emu-node"
NICS = {
    "e1000e": "e1000e,romfile=",
    "virtio": "virtio-net-pci,romfile=,disable-legacy=on,iommu_platform=on",
}


def sh(command, check=True):
    done = subprocess.run(["sh", "-c", command], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    if check and done.returncode != 0:
        raise RuntimeError(f"{command}: {done.stdout}")
    return done.stdout


class Network:
    """A tap device a NIC, each moved into the namespace of whoever is behind it."""

    ends = ((CLIENT, "tgw-et0", "198.18.0.1/24"), (NODE, "tgw-et1", "198.18.1.1/24"))

    def __init__(self):
        self.down()
        for namespace, tap, _ in self.ends:
            sh(f"ip netns add {namespace}; ip tuntap add {tap} mode tap vnet_hdr")

    def attach(self):
        """After QEMU has opened the taps."""
        for namespace, tap, address in self.ends:
            sh(f"ip link set {tap} netns {namespace}")
            sh(f"ip -n {namespace} addr add {address} dev {tap}; ip -n {namespace} link set lo up;"
               f"ip -n {namespace} link set {tap} up")

    def down(self):
        for namespace, tap, _ in self.ends:
            sh(f"ip link del {tap} 2>/dev/null; ip netns del {namespace} 2>/dev/null", check=False)


class Machine:
    def __init__(self, out, log, uplink, host_side):
        self.log = log
        self.folder = out
        self.began = time.monotonic()
        for name in ("qmp", "hvc"):
            if os.path.exists(f"{out}/{name}.sock"):
                os.unlink(f"{out}/{name}.sock")
        self.console_log = open(f"{out}/console.log", "wb")  # QEMU's own output too
        self.qemu = subprocess.Popen([
            "qemu-system-aarch64", "-M", "virt,gic-version=3,iommu=smmuv3",
            "-cpu", "max,pauth-impdef=on", "-smp", "2", "-m", "2048", "-nodefaults", "-nographic",
            "-accel", "tcg,thread=multi", "-kernel", f"{out}/vmlinuz", "-initrd", f"{out}/initrd",
            "-append", "rdinit=/lib/systemd/systemd console=ttyAMA0 quiet loglevel=4 panic=-1 "
                       "systemd.show_status=yes systemd.firstboot=no arm-smmu-v3.disable_bypass=0",
            "-serial", "stdio", "-nic", "none",
            "-netdev", "tap,id=up,ifname=tgw-et0,script=no,downscript=no",
            "-device", f"{NICS[uplink]},id=nic-up,netdev=up,addr=2,mac=52:54:00:00:00:01",
            "-netdev", "tap,id=host,ifname=tgw-et1,script=no,downscript=no",
            "-device", f"{NICS[host_side]},id=nic-host,netdev=host,addr=3,mac=52:54:00:00:00:02",
            "-device", "virtio-serial-pci,addr=8", "-chardev",
            f"socket,id=hvc,path={out}/hvc.sock,server=on,wait=off",
            "-device", "virtconsole,chardev=hvc",
            "-qmp", f"unix:{out}/qmp.sock,server=on,wait=off", "-no-reboot",
        ], stdin=subprocess.DEVNULL, stdout=self.console_log, stderr=subprocess.STDOUT)
        self.shell = self._connect("hvc")
        self.monitor = self._connect("qmp").makefile("rw")
        json.loads(self.monitor.readline())
        self._monitor("qmp_capabilities")

    def _connect(self, name):
        for _ in range(100):
            s = socket.socket(socket.AF_UNIX)
            try:
                s.connect(f"{self.folder}/{name}.sock")
                return s
            except OSError:
                s.close()
                if self.qemu.poll() is not None:
                    break
                time.sleep(0.1)
        raise RuntimeError(f"QEMU did not start: {open(f'{self.folder}/console.log').read()[-500:]}")

    def _monitor(self, command, **arguments):
        self.monitor.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.monitor.flush()
        while True:
            answer = json.loads(self.monitor.readline())
            if "error" in answer:
                raise RuntimeError(f"{command}: {answer['error']}")
            if "return" in answer:
                return answer["return"]

    def set_link(self, nic, up):
        self._monitor("set_link", name=nic, up=up)

    def _read_until(self, mark, deadline):
        got = b""
        while mark not in got:
            self.shell.settimeout(max(0.1, deadline - time.monotonic()))
            piece = self.shell.recv(65536)
            if not piece:
                raise RuntimeError(f"the machine is gone; it said: {got[-500:]!r}")
            got += piece
        return got

    def wait_booted(self, timeout_s=180):
        """Until the shell answers."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            self.shell.sendall(b"stty -echo -onlcr -icanon 2>/dev/null; PS1=; PS2=; echo boo''ted\n")
            try:
                self._read_until(b"booted", time.monotonic() + 2)
                took = time.monotonic() - self.began
                self.run("true", quiet=True)  # and with it what earlier attempts still answer
                return took
            except (TimeoutError, socket.timeout):
                if self.qemu.poll() is not None:
                    break
        raise RuntimeError("the machine did not come up: " + sh(f"tail -c 1500 {self.folder}/console.log"))

    def run(self, command, timeout_s=60, check=True, quiet=False):
        """A command in the machine's root shell; its output."""
        self.shell.sendall(f"{{ {command}\n}} </dev/null 2>&1; echo @e''nd $?\n".encode())
        text = self._read_until(b"@end ", time.monotonic() + timeout_s)
        while not text.split(b"@end ")[1].endswith(b"\n"):
            text += self.shell.recv(100)
        output, status = text.decode(errors="replace").split("@end ")
        output = re.sub(r"\(Reading database \.\.\. (?:\d+%)?", "", output.replace("\r", "")).strip()
        if not quiet:
            self.log(f"dpu# {command}", output)
        if check and int(status) != 0:
            raise RuntimeError(f"in the machine: {command}: status {status.strip()}: {output[-600:]}")
        return output

    def wait(self, command, timeout_s=60):
        deadline = time.monotonic() + timeout_s
        while self.run(f"{command} >/dev/null 2>&1 && echo yes || echo no", quiet=True) != "yes":
            if time.monotonic() > deadline:
                raise RuntimeError(f"in the machine, never true: {command}")
            time.sleep(0.3)

    def power_off(self):
        """Seconds from power-on to power-off."""
        self.shell.sendall(b"systemctl poweroff\n")
        self.qemu.wait(60)
        return time.monotonic() - self.began

    def kill(self):
        if self.qemu.poll() is None:
            self.qemu.kill()
            self.qemu.wait()
        self.console_log.close()

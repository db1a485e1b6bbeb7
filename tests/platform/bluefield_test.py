#!/usr/bin/python3
"""platform/bluefield against a made-up sysfs; commands are recorded, not run. Prints TAP."""
import os
import shutil
import subprocess
import sys
import tempfile
import traceback

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
HERE = os.path.join(ROOT, "platform/bluefield")
BOARDS = {"bf2": ("0xa2d6", 8, 16000), "bf3": ("0xa2dc", 16, 32000)}
UPLINK = "sys/bus/pci/devices/0000:03:00.0"

# Writes its name and arguments down; mlxdevm also answers as it would.
RECORDER = """#!/bin/sh
name=$(basename "$0")
case "$name $*" in
"mlxdevm port show") cat "$RECORD/sf" 2>/dev/null; exit 0 ;;
"mlxdevm port add "*)
    n=$(echo "$*" | sed 's/.*sfnum //'); mkdir -p "$RECORD/sys/bus/auxiliary/devices/mlx5_core.sf.$((n - 6))"
    echo "pci/0000:03:00.0/3$n: type eth netdev en3f0pf0sf$n flavour pcisf controller 0 pfnum 0 sfnum $n" >>"$RECORD/sf"
    echo "$n" >"$RECORD/sys/bus/auxiliary/devices/mlx5_core.sf.$((n - 6))/sfnum" ;;
"mlxdevm port del "*) sed -i "\\|^$3:|d" "$RECORD/sf" ;;
"ip -o addr "*) echo "2: p0    inet 10.9.0.5/24 brd 10.9.0.255 scope global p0"; exit 0 ;;
esac
echo "$name $*" >>"$RECORD/commands"
"""


class Board:
    def __init__(self, kind):
        device, cpus, memory_mb = BOARDS[kind]
        self.dir = tempfile.mkdtemp(prefix="tgw-board-")
        self.put(UPLINK + "/vendor", "0x15b3\n")
        self.put(UPLINK + "/device", device + "\n")
        for netdev in ("p0", "pf0hpf", "oob_net0", "tmfifo_net0"):
            self.put(f"sys/class/net/{netdev}/ifindex", "1\n")
        self.put("proc/cpuinfo", "processor\t: 0\n" * cpus)
        self.put("proc/meminfo", f"MemTotal:       {memory_mb * 1024} kB\n")
        self.put("proc/sys/vm/nr_hugepages", "16\n")
        self.put("usr/sbin/tgw-dataplane", "")
        self.put("usr/sbin/tgw-agent", "")
        self.put("etc/default/grub.d/README", "")
        shutil.copy(os.path.join(ROOT, "platform/debian/config.json"), self.put("etc/tgw/config.json", ""))
        for name in ("mlxdevm", "ovs-vsctl", "systemctl", "sysctl", "update-grub", "ip", "chgrp",
                     "networkctl", "install"):
            os.chmod(self.put(f"bin/{name}", RECORDER), 0o755)

    def put(self, path, text):
        full = os.path.join(self.dir, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as f:
            f.write(text)
        return full

    def read(self, path):
        with open(os.path.join(self.dir, path), encoding="utf-8") as f:
            return f.read()

    def has(self, path):
        return os.path.exists(os.path.join(self.dir, path))

    def run(self, script, *args, status=0, **env):
        done = subprocess.run(["sh", os.path.join(HERE, script), *args], text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False,
                              env={"PATH": f"{self.dir}/bin:/usr/sbin:/usr/bin", "TGW_ROOT": self.dir,
                                   "RECORD": self.dir, "MLXDEVM": f"{self.dir}/bin/mlxdevm", **env})
        assert done.returncode == status, f"status {done.returncode}: {done.stdout}"
        return done.stdout

    def commands(self):
        return [c.rstrip() for c in self.read("commands").splitlines()] if self.has("commands") else []

    def tree(self):
        """Every file but the recorder's own, with its text."""
        found = {}
        for folder, _, names in os.walk(self.dir):
            for name in names:
                path = os.path.relpath(os.path.join(folder, name), self.dir)
                if path.split("/")[0] not in ("bin", "commands", "sf") and "/auxiliary/" not in path:
                    found[path] = self.read(path)
        return found


def on_both(function):
    for kind in BOARDS:
        board = Board(kind)
        try:
            function(board, kind)
        finally:
            shutil.rmtree(board.dir)


def sets_up(board, kind):
    board.run("setup.sh", kind)
    commands = board.commands()
    pages = {"bf2": "1024", "bf3": "2048"}[kind]
    for wanted in (f"sysctl -q -w vm.nr_hugepages={pages}", "update-grub",
                   "mlxdevm port add pci/0000:03:00.0 flavour pcisf pfnum 0 sfnum 10",
                   "mlxdevm port function set pci/0000:03:00.0/310 trust on state active",
                   "ovs-vsctl --may-exist add-port tgw-uplink p0",
                   "ovs-vsctl --may-exist add-port tgw-host en3f0pf0sf11",
                   "systemctl enable tgw-setup tgw-dataplane tgw-control"):
        assert wanted in commands, (wanted, commands)
    assert f"isolcpus=managed_irq,domain,{'2,3' if kind == 'bf2' else '4,5'}" in board.read("etc/default/grub.d/60-tgw.cfg")
    config = __import__("json").loads(board.read("etc/tgw/config.json"))
    assert [p["device"] for p in config["ports"]] == ["mlx5_core.sf.4", "mlx5_core.sf.5"]
    assert len(config["cores"]) == {"bf2": 6, "bf3": 12}[kind] and config["idle_mode"] == "spin"
    assert config["sessions_max"] == {"bf2": 500000, "bf3": 1000000}[kind]


def twice_is_once(board, kind):
    board.run("setup.sh", kind)
    first, commands = board.tree(), board.commands()
    board.put("proc/sys/vm/nr_hugepages", "1024\n")  # as the first run has left it
    said = board.run("setup.sh", kind)
    assert "left as it is" in said
    again = board.tree()
    first["proc/sys/vm/nr_hugepages"] = "1024\n"
    assert again == first, set(again.items()) ^ set(first.items())
    assert not [c for c in board.commands()[len(commands):] if "port add" in c and "mlxdevm" in c]


def undoes_all(board, kind):
    before = board.tree()
    board.run("setup.sh", kind)
    board.run("setup.sh", "undo")
    after = board.tree()
    kept = after.pop("etc/tgw/config.json.bluefield")  # what an operator may have put into it
    assert "mlx5_core.sf." in kept
    assert after == before, set(after.items()) ^ set(before.items())
    assert "sysctl -q -w vm.nr_hugepages=16" in board.commands()
    assert board.read("sf") == ""
    assert "nothing to undo" in board.run("setup.sh", "undo", status=1)


def dry_run_touches_nothing(board, kind):
    before = board.tree()
    said = board.run("setup.sh", kind, "--dry-run")
    assert board.tree() == before and board.commands() == [], board.commands()
    assert "would run: update-grub" in said and "would write /etc/sysctl.d/60-tgw.conf" in said
    board.run("setup.sh", kind)
    made, commands = board.tree(), board.commands()
    board.run("setup.sh", "undo", "--dry-run")
    assert board.tree() == made and board.commands() == commands


def refuses_clearly(board, kind):
    other = {"bf2": "bf3", "bf3": "bf2"}[kind]
    before = board.tree()

    def refused(words, script="setup.sh", args=(kind,), **env):
        said = board.run(script, *args, status=2, **env)
        assert words in said and len(said.splitlines()) == 1, said
        assert board.commands() == [], board.commands()

    refused("take the other profile", args=(other,))
    refused('no profile "bf9"', args=("bf9",))
    refused("you are logged in by p0", SSH_CONNECTION="10.9.0.1 5000 10.9.0.5 22")
    for path, words in ((UPLINK + "/device", "no BlueField"), ("sys/class/net/pf0hpf", "not in DPU mode"),
                        ("usr/sbin/tgw-dataplane", "is not installed")):
        full = os.path.join(board.dir, path)
        os.rename(full, full + ".away")
        refused(words)
        os.rename(full + ".away", full)
    board.put("proc/meminfo", "MemTotal: 4000000 kB\n")
    refused("of memory here")
    board.put("proc/meminfo", before["proc/meminfo"])
    assert board.tree() == before


def host_side(board, _):
    before = board.tree()
    secret = board.put("bin/secret", "0123456789abcdef0123")
    said = board.run("host.sh", "setup", "--secret", secret, "--dry-run")
    assert board.tree() == before and board.commands() == [] and "would run: systemctl" in said
    board.run("host.sh", "setup", "--secret", secret)
    assert "192.168.100.1/30" in board.read("etc/systemd/network/60-tgw-tmfifo.network")
    assert "systemctl enable --now tgw-agent" in board.commands()
    assert any(c.startswith("install -o root -g tgw-agent -m 640") for c in board.commands())
    board.run("host.sh", "undo")
    assert board.tree() == before
    board.put("bin/short", "short")
    assert "at least 16 bytes" in board.run("host.sh", "setup", "--secret", board.dir + "/bin/short", status=2)


def unit_is_sound(board, kind):
    """The unit that setup writes, with the package's own, before systemd's eyes."""
    board.run("setup.sh", kind)
    tree = tempfile.mkdtemp()
    try:
        units = tree + "/usr/lib/systemd/system"
        os.makedirs(units)
        for name in ("tgw-dataplane", "tgw-control"):
            shutil.copy(f"{ROOT}/platform/debian/gateway/{name}.service", units)
            os.makedirs(f"{tree}/usr/sbin", exist_ok=True)
            os.chmod(shutil.copy("/bin/true", f"{tree}/usr/sbin/{name}"), 0o755)
        shutil.copytree(f"{board.dir}/etc/systemd", f"{tree}/etc/systemd")
        for path in (f"{HERE}/functions.sh", "/bin/kill"):
            os.makedirs(os.path.dirname(tree + path), exist_ok=True)
            os.chmod(shutil.copy("/bin/true", tree + path), 0o755)
        for name in ("sysinit", "basic", "shutdown", "multi-user", "network-pre"):
            with open(f"{units}/{name}.target", "w", encoding="ascii") as f:
                f.write("[Unit]\nDefaultDependencies=no\n")
        out = subprocess.run(["systemd-analyze", "verify", "--man=no", f"--root={tree}", "tgw-setup.service",
                              "tgw-dataplane.service", "tgw-control.service"], text=True, check=False,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert out.returncode == 0 and out.stdout == "", out.stdout
    finally:
        shutil.rmtree(tree)


def shellcheck(_board, kind):
    if kind == "bf2":
        scripts = [os.path.join(HERE, n) for n in sorted(os.listdir(HERE)) if n.endswith(".sh")]
        for folder in ("platform/debian", "hw/emulated"):
            scripts += [os.path.join(ROOT, folder, n) for n in sorted(os.listdir(os.path.join(ROOT, folder)))
                        if n.endswith(".sh")]
        out = subprocess.run(["shellcheck", "-x", *scripts], text=True, check=False, stdout=subprocess.PIPE)
        assert out.returncode == 0, out.stdout


CASES = [
    ("setup makes the functions, reserves, configures", sets_up),
    ("setup twice is setup once", twice_is_once),
    ("undo leaves what was there before", undoes_all),
    ("--dry-run touches nothing", dry_run_touches_nothing),
    ("what does not fit is refused in one line, with nothing done", refuses_clearly),
    ("the host's side", host_side),
    ("systemd accepts the units", unit_is_sound),
    ("shellcheck", shellcheck),
]


def main():
    failed = 0
    print(f"1..{len(CASES)}")
    for number, (name, case) in enumerate(CASES, 1):
        try:
            on_both(case)
            print(f"ok {number} - bluefield: {name}")
        except Exception:
            failed += 1
            print(f"not ok {number} - bluefield: {name}")
            for line in traceback.format_exc().splitlines()[-12:]:
                print(f"#   {line}")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())

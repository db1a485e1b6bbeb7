#!/usr/bin/python3
"""The Debian packages: lintian, contents, and their life in a root of their own (install,
upgrade, remove, purge). Wants root, for chroot. Prints TAP."""
import os
import re
import subprocess
import sys

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
DEBS = os.path.join(ROOT, "build-deb")
CHROOT = os.path.join(ROOT, "build-deb-root")
BASE = ("base-files base-passwd bash dash coreutils diffutils findutils grep gzip sed tar util-linux "
        "debianutils init-system-helpers dpkg perl-base libc-bin login systemd-standalone-sysusers").split()
GATEWAY, AGENT = "terminal-gateway", "terminal-gateway-agent"
ARCHITECTURES = {"amd64": "x86-64", "arm64": "aarch64"}


def run(*command, check=True):
    done = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    assert not check or done.returncode == 0, f"{' '.join(command)}: {done.stdout[-1500:]}"
    return done.stdout


def deb(package, arch, version="0.1.0-1"):
    return f"{DEBS}/{package}_{version}_{arch}.deb"


def inside(script, check=True):
    """A shell script in the root, with /proc, /dev and the packages under /debs."""
    mounts = (f"mount --bind /dev {CHROOT}/dev && mount -t proc proc {CHROOT}/proc && "
              f"mount --bind /sys {CHROOT}/sys && "
              f"mkdir -p {CHROOT}/debs && mount --bind {DEBS} {CHROOT}/debs && ")
    return run("unshare", "-m", "sh", "-c",
               mounts + f'exec chroot {CHROOT} env -i PATH=/usr/sbin:/usr/bin DEBIAN_FRONTEND=noninteractive '
               'sh -ec "$1"', "sh", script, check=check)


def depends(path):
    """Names that satisfy the package, the last of alternatives."""
    field = run("dpkg-deb", "-f", path, "Depends")
    return [re.sub(r"\s*\(.*?\)", "", d).split("|")[-1].strip() for d in field.split(",")]


def lintian():
    for arch in ARCHITECTURES:
        for package in (GATEWAY, AGENT):
            text = run("lintian", "--allow-root", "--fail-on", "none", deb(package, arch))
            assert not re.search(r"^E:", text, re.M), text


def contents():
    """Both architectures hold the same files, each for its own machine."""
    for package in (GATEWAY, AGENT):
        lists = []
        for arch, word in ARCHITECTURES.items():
            lines = run("dpkg-deb", "-c", deb(package, arch)).splitlines()
            lists.append([(x.split()[0], x.split()[1], x.split()[5]) for x in lines])
            for name in [x[2] for x in lists[-1] if re.search("/s?bin/.", x[2])]:
                piece = run("sh", "-c", f"dpkg-deb --fsys-tarfile {deb(package, arch)} | tar -xO {name} | file -")
                assert word in piece and "stripped" in piece and "pie" in piece, piece
        assert lists[0] == lists[1], f"{package}: {set(lists[0]) ^ set(lists[1])}"
        assert all(owner == "root/root" for _, owner, _ in lists[0])


def clean():
    run("sh", "platform/debian/root.sh", "amd64", CHROOT, *BASE,
        *sorted(set(depends(deb(GATEWAY, "amd64")) + depends(deb(AGENT, "amd64")))))
    inside(f"dpkg --purge {GATEWAY} {AGENT} >/dev/null 2>&1; rm -rf /etc/tgw /etc/tgw-agent", check=False)


def installs():
    clean()
    said = inside(f"dpkg -i /debs/{GATEWAY}_0.1.0-1_amd64.deb /debs/{AGENT}_0.1.0-1_amd64.deb")
    assert "systemctl enable --now tgw-dataplane tgw-control" in said, said
    inside("""
        for program in tgw-dataplane tgw-control tgwctl; do $program --version; done
        tgw-agent --help
        getent passwd tgw && getent passwd tgw-agent
        [ "$(stat -c %U:%G:%a /etc/tgw)" = root:tgw:770 ]
        [ "$(stat -c %U:%G:%a /etc/tgw/config.json)" = root:tgw:640 ]
        [ "$(stat -c %U:%G:%a /etc/tgw/agent.secret)" = root:tgw:640 ]
        [ "$(stat -c %s /etc/tgw/agent.secret)" = 64 ]
        [ "$(stat -c %U:%G:%a /etc/tgw-agent)" = root:tgw-agent:750 ]""")


def says_what_is_missing():
    """The configuration as installed names no port: one line that says so, status 2."""
    text = inside("tgw-dataplane --config /etc/tgw/config.json && exit 1; echo status $?", check=False)
    assert text.endswith("tgw-dataplane: ports: at least one port is needed\nstatus 2\n"), text


def upgrade_keeps():
    said = inside(f"""
        sed -i 's/"memory_mb": 512/"memory_mb": 640/' /etc/tgw/config.json
        cp -p /etc/tgw/agent.secret /tmp/secret.before
        dpkg -i --force-confold /debs/{GATEWAY}_0.1.0-2_amd64.deb
        cmp /etc/tgw/agent.secret /tmp/secret.before
        grep -q '"memory_mb": 640' /etc/tgw/config.json
        [ "$(stat -c %U:%G:%a /etc/tgw/config.json)" = root:tgw:640 ]
        dpkg-query -W -f '${{Version}}' {GATEWAY} | grep -qx 0.1.0-2""")
    assert "running gateway is still 0.1.0-1" in said, said


def remove_keeps():
    inside(f"""
        dpkg --remove {GATEWAY}
        [ ! -e /usr/sbin/tgw-dataplane ]
        grep -q '"memory_mb": 640' /etc/tgw/config.json
        cmp /etc/tgw/agent.secret /tmp/secret.before
        dpkg -i /debs/{GATEWAY}_0.1.0-2_amd64.deb
        grep -q '"memory_mb": 640' /etc/tgw/config.json
        cmp /etc/tgw/agent.secret /tmp/secret.before""")


def purge_leaves_nothing():
    inside(f"""
        mkdir -p /var/lib/tgw/config /etc/systemd/system/multi-user.target.wants
        ln -sf /usr/lib/systemd/system/tgw-dataplane.service /etc/systemd/system/multi-user.target.wants/
        dpkg --purge {GATEWAY} {AGENT}
        rm -f /tmp/secret.before
        left=$(find /etc /var/lib /usr -path /var/lib/dpkg -prune -o -name '*tgw*' -print \
            -o -name 'terminal-gateway*' -print)
        [ -z "$left" ] || {{ echo "left: $left"; exit 1; }}""")


def units():
    """systemd-analyze reads them with the programs in place."""
    run("sh", "-c", f"""
        set -e; t=$(mktemp -d); trap 'rm -rf $t' EXIT
        mkdir -p $t/usr/lib/systemd/system
        for p in {GATEWAY} {AGENT}; do dpkg-deb -x {DEBS}/${{p}}_0.1.0-1_amd64.deb $t; done
        for unit in sysinit basic shutdown multi-user network-online network-pre; do
            printf '[Unit]\\nDefaultDependencies=no\\n' >$t/usr/lib/systemd/system/$unit.target; done
        mkdir -p $t/bin && printf '#!/bin/sh\n' >$t/bin/kill && chmod 755 $t/bin/kill
        out=$(systemd-analyze verify --man=no --root=$t \
            tgw-dataplane.service tgw-control.service tgw-agent.service 2>&1) || {{ echo "$out"; exit 1; }}
        [ -z "$out" ] || {{ echo "$out"; exit 1; }}""")


CASES = [
    ("lintian finds no error", lintian),
    ("both architectures hold the same files, each its own programs", contents),
    ("systemd accepts the units", units),
    ("install: users, folders, a secret, programs that start", installs),
    ("as installed it says what is missing", says_what_is_missing),
    ("an upgrade keeps configuration and secret", upgrade_keeps),
    ("a removal keeps configuration and secret", remove_keeps),
    ("a purge leaves nothing", purge_leaves_nothing),
]


def main():
    failed = 0
    print(f"1..{len(CASES)}")
    for arch in ARCHITECTURES:
        run("sh", "platform/debian/deb.sh", arch)
    run("sh", "platform/debian/deb.sh", "amd64", "0.1.0-2")
    for number, (name, case) in enumerate(CASES, 1):
        try:
            case()
            print(f"ok {number} - package: {name}", flush=True)
        except AssertionError as e:
            failed += 1
            print(f"not ok {number} - package: {name}", flush=True)
            for line in str(e).splitlines():
                print(f"#   {line}")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())

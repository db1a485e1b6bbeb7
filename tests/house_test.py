#!/usr/bin/python3
"""The rules of the house (docs/architecture.md), checked by reading the tree. Prints TAP."""
import os
import re
import subprocess
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
CODE = ("control", "dataplane", "drivers", "hw", "platform", "tests")

# Who may include whom, beside itself and C headers. A room not named here may not include
# any other.
MAY = {
    "dataplane/contract": set(),
    "dataplane/config": {"contract"},
    "dataplane/core": {"contract"},
    "drivers": {"dpdk"},
    "dataplane/net": {"contract", "core", "drivers", "dpdk"},
    "dataplane/tcp": {"contract", "core", "net", "drivers", "dpdk"},
    "dataplane/tls": {"contract", "core"},
    "dataplane/web": {"contract"},
    "dataplane/agent": {"contract", "web"},
    "dataplane/relay": {"contract", "core", "web"},
    "dataplane/session": {"contract", "core", "web", "agent", "relay"},
    "control": {"contract", "config", "control/redis", "control/tls"},
    "control/tls": set(),
    "control/redis": {"control/tls"},
    "control/cli": {"contract", "config"},
    "platform/host": {"contract", "web"},
}
FILE_LINES_MAX, HEADER_LINES_MAX, FUNCTION_LINES_MAX, MEDIAN_LINES_MAX = 600, 200, 70, 15


def files(*tops, ends=(".c", ".h")):
    for top in tops:
        for folder, _, names in os.walk(os.path.join(ROOT, top)):
            for name in sorted(names):
                if name.endswith(ends):
                    yield os.path.relpath(os.path.join(folder, name), ROOT)


def text(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


def room_of(include):
    """The room that an include names; None for C headers and a room's own."""
    if include.startswith(("rte_", "ethdev")):
        return "dpdk"
    if include.startswith("control/") and include.count("/") > 1:
        return include.rsplit("/", 1)[0]  # control's inner rooms
    first = include.split("/")[0]
    return first if "/" in include else None


def includes():
    wrong = []
    for path in files("control", "dataplane", "drivers", "platform"):
        folder = os.path.dirname(path)
        if folder == "dataplane":  # the composition root sees everything
            continue
        allowed = MAY.get(folder, set())
        for quoted, angled in re.findall(r'^#include (?:"([^"]+)"|<([^>]+)>)', text(path), re.M):
            room = room_of(quoted or angled)
            own = folder.split("/")[-1]
            if angled and room != "dpdk":
                continue
            if room and room != own and room not in allowed:
                wrong.append(f"{path} includes {quoted or angled}")
    return wrong


def sizes():
    wrong = []
    for path in files(*CODE):
        lines = text(path).count("\n")
        limit = HEADER_LINES_MAX if path.endswith(".h") else FILE_LINES_MAX
        if lines > limit:
            wrong.append(f"{path}: {lines} lines, {limit} at most")
    return wrong


def functions():
    """(lines, name, path) of every function."""
    listing = subprocess.run(
        ["ctags", "-f", "-", "--fields=+ne", "--kinds-C=f", "--languages=C", "-R", *CODE],
        cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for line in listing.splitlines():
        begin, end = re.search(r"\tline:(\d+)", line), re.search(r"\tend:(\d+)", line)
        name, path = line.split("\t")[:2]
        if begin and end and path.endswith(".c"):
            yield int(end[1]) - int(begin[1]) + 1, name, path


def function_sizes():
    every = sorted(functions())
    assert len(every) > 500, "ctags found hardly any function"
    wrong = [f"{path}: {name} has {n} lines" for n, name, path in every if n > FUNCTION_LINES_MAX]
    median = every[len(every) // 2][0]
    if median > MEDIAN_LINES_MAX:
        wrong.append(f"the median function has {median} lines")
    return wrong


def clocks():
    """Time is an argument: only the composition root and tests read a clock."""
    rooms = [r for r in MAY if r.startswith("dataplane/")]
    return [p for p in files(*rooms) if re.search(r"\b(clock_gettime|gettimeofday|rte_rdtsc)\b", text(p))]


def hardware():
    """No NIC or board in an #if outside of its room."""
    word = re.compile(r"^#\s*(?:el)?if.*\b(MLX|BLUEFIELD|AF_XDP|MEMIF|VIRTIO|__aarch64__)", re.M | re.I)
    return [p for p in files("control", "dataplane") if word.search(text(p))]


def leftovers():
    word = re.compile(r"\b(TO[D]O|FI[X]ME|X[X]X)\b|\.\./[s]hared|/[w]ork/")  # matches all but itself
    every = files(*CODE, "docs", ends=(".c", ".h", ".def", ".sh", ".py", ".md", ".mjs", ".js"))
    return [p for p in every if "node_modules" not in p and word.search(text(p))]


def configuration():
    """Every key stands in docs/configuration.md, and nothing else."""
    keys = set(re.findall(r"^TGW_KEY\(\w+, +(\w+),", text("dataplane/config/config.def"), re.M))
    table = text("docs/configuration.md").split("\nA port:")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    told = set(re.findall(r"`(\w+)`", " ".join(cells))) - {"ports"}
    assert len(keys) > 40
    return [f"not told: {k}" for k in keys - told] + [f"no such key: {k}" for k in told - keys]


CASES = [
    ("rooms include only what they may", includes),
    ("files are short", sizes),
    ("functions are short", function_sizes),
    ("no room reads a clock", clocks),
    ("no room but the drivers knows hardware", hardware),
    ("nothing is left to be done", leftovers),
    ("the configuration's page tells every key", configuration),
]


def main():
    failed = 0
    print(f"1..{len(CASES)}")
    for number, (name, case) in enumerate(CASES, 1):
        wrong = case()
        failed += bool(wrong)
        print(f"{'not ok' if wrong else 'ok'} {number} - house: {name}")
        for line in wrong[:20]:
            print(f"#   {line}")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3
"""Instructions a frame or a session, counted by callgrind in the gateway's own turns of bench-inside,
against the figures in budget.json: more than 5 % above one fails. The count repeats to the
instruction on one machine; another compiler or C library moves it, so both are noted there.

    tests/bench/budget.py            check
    tests/bench/budget.py --record   write what is counted now into budget.json
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
BENCH = HERE.parent.parent / "build/tests/bench/bench-inside"
SLACK = 1.05
CASES = {  # arguments, what the bench counts of each unit
    "echo of 64 bytes, a frame": (["100", "echo", "64", "60"], 1),
    "echo of 64 bytes among 1,000 sessions, a frame": (["1000", "idle", "64", "60", "100"], 1),
    "flood, a KiB": (["16", "flood", "64", "10"], 1),
    "paste, a frame": (["16", "paste", "1024", "10"], 1),
    "a session from SYN to FIN": (["1000", "churn", "64", "60"], 2),  # a keystroke, its echo
}


def count(args, frames):
    with tempfile.TemporaryDirectory() as folder:
        out = subprocess.run(
            ["valgrind", "--tool=callgrind", "--toggle-collect=measured_turns",
             f"--callgrind-out-file={folder}/out", str(BENCH), *args],
            capture_output=True, text=True, timeout=120, check=False)
    text = out.stdout + out.stderr
    collected = re.search(r"Collected : (\d+)", text)
    units = re.search(r"(?:frames|KiB) (\d+)", out.stdout)
    if out.returncode or not collected or not units or not int(units[1]):
        sys.exit(f"budget.py: bench-inside {' '.join(args)} failed:\n{text[-2000:]}")
    return int(collected[1]) / int(units[1]) * frames


def compiler():
    return subprocess.run(["gcc", "-dumpfullversion"], capture_output=True, text=True,
                          check=True).stdout.strip()


def main():
    path = HERE / "budget.json"
    counted = {name: round(count(*case)) for name, case in CASES.items()}
    if sys.argv[1:] == ["--record"]:
        path.write_text(json.dumps({"gcc": compiler(), "instructions": counted}, indent=2) + "\n")
        return
    recorded = json.loads(path.read_text())
    print(f"1..{len(CASES)}")
    for number, (name, now) in enumerate(counted.items(), 1):
        budget = recorded["instructions"][name]
        good = now <= budget * SLACK
        print(f"{'ok' if good else 'not ok'} {number} - budget: {name}: {now} instructions, "
              f"recorded {budget}")
        if not good:
            print(f"# recorded with gcc {recorded['gcc']}, this is gcc {compiler()}")


main()

"""TAP in a few lines: cases are functions; a failure is an exception.

    @case("a shell echoes", quick=True)
    def _(): ...
    run()
"""
import asyncio
import inspect
import sys
import time
import traceback

QUICK = "--quick" in sys.argv
_cases = []


def case(name, quick=True, timeout_s=120):
    def add(function):
        if quick or not QUICK:
            _cases.append((name, function, timeout_s))
        return function

    return add


def _call(function, timeout_s):
    if inspect.iscoroutinefunction(function):
        asyncio.run(asyncio.wait_for(function(), timeout_s))
    else:
        function()


def run(before=None, after=None):
    """Run every case; exits non-zero when one failed. `before` failing fails them all."""
    only = [a for a in sys.argv[1:] if not a.startswith("-")]
    cases = [c for c in _cases if not only or any(o in c[0] for o in only)]
    failed, broken = 0, None
    print(f"1..{len(cases)}", flush=True)
    try:
        if before:
            before()
    except Exception:
        broken = traceback.format_exc()
    for number, (name, function, timeout_s) in enumerate(cases, 1):
        began, error = time.monotonic(), broken
        if not broken:
            try:
                _call(function, timeout_s)
            except (Exception, SystemExit):
                error = traceback.format_exc()
        took = time.monotonic() - began
        print(f"{'not ok' if error else 'ok'} {number} - {name} ({took:.1f} s)", flush=True)
        if error:
            failed += 1
            for line in error.strip().splitlines()[-12:]:
                print("# " + line, flush=True)
    if after:
        after()
    sys.exit(1 if failed else 0)

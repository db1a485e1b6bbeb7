"""The named reasons of dataplane/contract/reason.def."""
import collections
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEF = os.path.join(ROOT, "dataplane", "contract", "reason.def")
Reason = collections.namedtuple("Reason", "kind http code close message")


def read():
    pattern = r'^TGW_REASON\((\w+),\s*(\w+),\s*(\d+),\s*(\w+),\s*(\d+),\s*"(.*)"\)'
    with open(DEF) as f:
        found = re.findall(pattern, f.read(), re.M)
    return {name: Reason(kind, int(http), code, int(close), message)
            for kind, name, http, code, close, message in found}


REASONS = read()

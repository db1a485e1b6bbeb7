#!/usr/bin/python3
"""The lab's page in a real Chromium (page_test.mjs): brings the lab up, prints TAP. As root."""
import os
import subprocess
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def sh(*args, **more):
    return subprocess.run(["sh", *args], cwd=ROOT, check=True, **more)


def main():
    sh("platform/lab/page/build.sh", "build", "--with-tests", stdout=sys.stderr)
    try:
        sh("platform/lab/run.sh", "--detach", "--no-build", stdout=subprocess.DEVNULL)
        return subprocess.run(["node", "tests/e2e/page_test.mjs"], cwd=ROOT).returncode
    finally:
        sh("platform/lab/run.sh", "--stop", stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())

"""What end-to-end tests share: the lab up and down, its control socket, tokens."""
import json
import os
import socket
import subprocess

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
HOST = "198.18.0.2"
SOCKET = "/run/tgw/control.sock"
LAB = "/run/tgw/lab"


def lab(*args, **env):
    subprocess.run(["sh", "platform/lab/run.sh", *args], cwd=ROOT, check=True,
                   stdout=subprocess.DEVNULL, env={**os.environ, **env})


def control(cmd, **args):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(SOCKET)
        s.sendall((json.dumps({"id": 7, "cmd": cmd, "args": args}) + "\n").encode())
        reply = json.loads(s.makefile().readline())
    assert reply["ok"] and reply["id"] == 7, reply
    return reply["result"]


def mint(allocation="lab", **args):
    return control("token.mint", allocation_id=allocation, **args)["tokens"][0]["token"]

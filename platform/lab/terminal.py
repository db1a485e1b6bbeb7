#!/usr/bin/python3
"""A terminal through the lab's gateway: mints a token, opens the WebSocket, raw mode."""
import asyncio
import json
import os
import shutil
import socket
import sys
import termios
import tty

import websockets

GATEWAY = os.environ.get("TGW_URL", "ws://198.18.0.2")
CONTROL = os.environ.get("TGW_SOCKET", "/run/tgw/control.sock")


def mint(allocation):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(CONTROL)
        request = {"id": 1, "cmd": "token.mint", "args": {"allocation_id": allocation}}
        s.sendall((json.dumps(request) + "\n").encode())
        return json.loads(s.makefile().readline())["result"]["tokens"][0]["token"]


async def relay(allocation):
    size = shutil.get_terminal_size()
    url = f"{GATEWAY}/ws/terminal/{allocation}?cols={size.columns}&rows={size.lines}"
    async with websockets.connect(url, subprotocols=[mint(allocation)], compression=None) as ws:
        loop = asyncio.get_running_loop()
        keys = asyncio.Queue()
        loop.add_reader(0, lambda: keys.put_nowait(os.read(0, 4096)))

        async def type_keys():
            while True:
                await ws.send(await keys.get())

        typing = asyncio.create_task(type_keys())
        async for data in ws:
            os.write(1, data)
        typing.cancel()
        loop.remove_reader(0)


def main():
    allocation = sys.argv[1] if len(sys.argv) > 1 else "lab"
    before = termios.tcgetattr(0) if os.isatty(0) else None
    if before:
        tty.setraw(0)
    try:
        asyncio.run(relay(allocation))
    finally:
        if before:
            termios.tcsetattr(0, termios.TCSADRAIN, before)


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""Keystrokes one after the other through a WebSocket that echoes; prints "P50 P99 COUNT" in us.

   keystroke.py URL CA SECONDS [SUBPROTOCOL]"""
import asyncio
import ssl
import sys
import time

import websockets


async def main(url, ca, seconds, protocol=None):
    took = []
    async with websockets.connect(url, ssl=ssl.create_default_context(cafile=ca), compression=None,
                                  subprotocols=[protocol] if protocol else None) as ws:
        end = time.monotonic() + float(seconds)
        while time.monotonic() < end:
            began = time.perf_counter_ns()
            await ws.send(b"k" * 32)
            await ws.recv()
            took.append(time.perf_counter_ns() - began)
            await asyncio.sleep(0.002)
    took.sort()
    print(took[len(took) // 2] // 1000, took[len(took) * 99 // 100] // 1000, len(took))


asyncio.run(main(*sys.argv[1:]))

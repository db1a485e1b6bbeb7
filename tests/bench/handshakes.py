#!/usr/bin/python3
"""Handshakes one after the other for SECONDS, each connection closed at once; prints how many.
With "resumed" all but the first come from its ticket; "hold COUNT" upgrades COUNT connections
to WebSocket at PATH, says "held" and keeps them until it is killed.

   handshakes.py ADDRESS:PORT CA SECONDS [resumed] | ADDRESS:PORT CA hold COUNT PATH"""
import socket
import ssl
import sys
import time

where, ca, how, *more = sys.argv[1:]
address, port = where.rsplit(":", 1)
context = ssl.create_default_context(cafile=ca)
context.minimum_version = ssl.TLSVersion.TLSv1_3


def connect(session=None):
    plain = socket.create_connection((address, int(port)), timeout=5)
    return context.wrap_socket(plain, server_hostname=address, session=session)


def ticket():
    with connect() as s:
        s.settimeout(0.5)
        try:
            s.recv(1)  # the tickets are read on the way
        except TimeoutError:
            pass
        return s.session


def hold(count, path):
    kept = [connect() for _ in range(count)]
    for s in kept:
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                  .encode())
        assert b" 101 " in s.recv(4096)
    print("held", flush=True)
    time.sleep(60)


def shake(seconds, resumed):
    session = ticket() if resumed else None
    done, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        with connect(session) as s:
            assert s.session_reused == resumed
        done += 1
    print(done)


if how == "hold":
    hold(int(more[0]), more[1])
else:
    shake(float(how), more == ["resumed"])

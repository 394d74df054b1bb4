"""Carries frames between two interfaces, late or not at all; netem is not in every kernel.

    nsenter --net=NAMESPACE python3 chaos_relay.py INTERFACE INTERFACE

Each line of the standard input is "DELAY LOSS": seconds, and the part of all frames that vanishes.
Its end ends the relay.
"""

import random
import select
import socket
import sys
import time
from collections import deque

ETH_P_ALL = 3
SOL_PACKET, PACKET_IGNORE_OUTGOING, PACKET_VNET_HDR = 263, 23, 15
MOST = 1 << 17  # bytes of a frame: with the header before it, checksums and segments stay undone


def raw_socket(interface: str) -> socket.socket:
    """All that arrives at an interface, and a way out of it."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    sock.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    sock.bind((interface, 0))
    return sock


def main(left: str, right: str) -> None:
    """Relay until the standard input ends."""
    ends = {one: raw_socket(name) for one, name in (("left", left), ("right", right))}
    waiting: deque[tuple[float, socket.socket, bytes]] = deque()
    delay, loss = 0.0, 0.0
    sources = [*ends.values(), sys.stdin]
    print("ready", flush=True)  # noqa: T201  # the test waits for it
    while True:
        patience = max(waiting[0][0] - time.monotonic(), 0.0) if waiting else None
        for source in select.select(sources, [], [], patience)[0]:
            if source is sys.stdin:
                line = sys.stdin.readline()
                if not line:
                    return
                delay, loss = map(float, line.split())
                continue
            frame = source.recv(MOST)
            out = ends["right" if source is ends["left"] else "left"]
            if random.random() >= loss:  # noqa: S311  # packets are lost, no secret is made
                waiting.append((time.monotonic() + delay, out, frame))
        while waiting and waiting[0][0] <= time.monotonic():
            _, out, frame = waiting.popleft()
            out.send(frame)


if __name__ == "__main__":
    main(*sys.argv[1:])

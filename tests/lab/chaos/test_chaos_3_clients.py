"""Clients that ask too much, too slowly, or not to the end."""

import contextlib
import socket
import struct
import time

import pytest
from chaos_flood import Flood
from chaos_wait import until_well
from lab_hosts import HOSTS, unit_properties
from lab_plays import PORT
from lab_usage import memory

CLIENTS = 8
SECONDS = 60.0
TIMES = 4
P99 = 4.0  # seconds; the aim is 2, and the flood runs on the same two cores. The figure is printed
GROWTH = 1.2
SLOW = 200  # connections
BODY = 10_000_000


def test_overload(made_fleet, tell):
    until_well()
    can = len(Flood().run(5, clients=CLIENTS).waits) / 5
    Flood().run(5, rate=TIMES * can)  # queues and passes are as large as they get
    before, pids = memory(), _pids()
    flood = Flood().run(SECONDS, rate=TIMES * can)
    with made_fleet.load(made_fleet.now) as load:
        time.sleep(5)
    grown = max(size / before[host] for host, size in memory().items())
    tell(
        f"{can:.0f}/s it can do; of {sum(flood.statuses.values())} in {SECONDS:.0f} s "
        f"{dict(flood.statuses)}, admitted p99 {flood.p99:.2f} s, "
        f"memory at most {grown:.2f} of before; then {load}"
    )
    load.check()
    assert set(flood.statuses) <= {200, 429, 503}
    assert flood.statuses[429] + flood.statuses[503] > flood.statuses[200]
    assert flood.bare == 0
    assert flood.p99 < P99
    assert grown < GROWTH
    assert _pids() == pids


@pytest.mark.parametrize("kind", ["slow", "huge", "half-closed", "vanishing"])
def test_bad_clients(under_load, kind):
    """The others, in `under_load`, do not notice."""
    with under_load() as load, contextlib.ExitStack() as stack:
        ends = time.monotonic() + 6
        sockets = [stack.enter_context(_open()) for _ in range(SLOW if kind == "slow" else 0)]
        while time.monotonic() < ends:
            if kind == "slow":
                for sock in sockets:
                    with contextlib.suppress(OSError):  # nginx has lost patience
                        sock.send(b"X")
                time.sleep(0.5)
            else:
                _once(kind)
    assert load.longest < P99


def _open() -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", PORT), timeout=5)
    sock.send(b"POST /process HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    return sock


def _once(kind: str) -> None:
    length = BODY if kind == "huge" else 100
    head = b"POST /process HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % length
    with socket.create_connection(("127.0.0.1", PORT), timeout=5) as sock:
        sock.send(head)
        if kind == "huge":
            with contextlib.suppress(OSError):
                sock.sendall(b" " * BODY)
            with contextlib.suppress(ConnectionError):
                assert sock.recv(100).split()[1] == b"413"
        elif kind == "half-closed":
            sock.send(b'{"instances":')
            sock.shutdown(socket.SHUT_WR)
            time.sleep(0.2)
        else:
            sock.send(b'{"instances":["who has gone before the answer?"]}'.ljust(length))
            time.sleep(0.02)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _pids() -> dict[str, str]:
    """The main process of every service: another one after a crash."""
    return {
        f"{host} {unit}": unit_properties(host, f"{unit}.service", "MainPID")["MainPID"]
        for host, (_, units) in HOSTS.items()
        for unit in units
    }

"""Which ports of some hosts accept a connection; run inside a lab's network namespace.

python lab_scan.py SOURCE FIRST LAST HOST…   prints one JSON object: host -> ports, those alone
"""

import errno
import json
import resource
import select
import socket
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import islice

AT_ONCE = 8000
PATIENCE = 0.5  # seconds that the last of them are given: no hop here takes a hundredth of it


def scan(source: str, targets: Iterable[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    """The targets that accept a connection from an address of this machine."""
    poll, waiting = select.epoll(), {}
    for target in targets:
        family = socket.AF_INET6 if ":" in source else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        sock.bind((source, 0))
        status = sock.connect_ex(target)
        assert status in (0, errno.EINPROGRESS, errno.ECONNREFUSED), (target, status)
        waiting[sock.fileno()] = (sock, target)
        poll.register(sock, select.EPOLLOUT)
    ends = time.monotonic() + PATIENCE
    while (left := ends - time.monotonic()) > 0:
        for number, _ in poll.poll(left, AT_ONCE):
            sock, target = waiting.pop(number)
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                yield target
            poll.unregister(number)
            sock.close()
    for sock, _ in waiting.values():
        sock.close()
    poll.close()


def main(source: str, first: int, last: int, *hosts: str) -> None:
    """Scan and print."""
    limit = AT_ONCE + 100
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    targets = ((host, port) for port in range(first, last + 1) for host in hosts)
    found: dict[str, list[int]] = {host: [] for host in hosts}
    while some := list(islice(targets, AT_ONCE)):
        for host, port in scan(source, some):
            found[host].append(port)
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])

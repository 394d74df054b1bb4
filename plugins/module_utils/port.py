"""Who listens on a port of loopback: the kernel's word, whatever an answer says of itself."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
_LISTEN = "0A"
_FAMILIES = {"tcp": socket.AF_INET, "tcp6": socket.AF_INET6}
# 127.0.0.1, 0.0.0.0 and ::, as the kernel writes them: where a call to 127.0.0.1 may end.
_LOCAL = frozenset({"0100007F", "00000000", "0" * 32})


def sockets(port: int, *, anywhere: bool = False) -> set[str]:
    """Return the sockets that listen on a TCP port, as /proc/*/fd names them.

    Args:
        port: the port.
        anywhere: also those on other addresses than loopback's.
    """
    return {inode for _, address, inode in _listening(port) if anywhere or address in _LOCAL}


def addresses(port: int) -> set[str]:
    """Return where this host listens on a TCP port, as units write it: `0.0.0.0:7100`."""
    found = set()
    for family, address, _ in _listening(port):
        # The kernel writes words of four bytes, each backwards.
        words = [bytes.fromhex(address[at : at + 8])[::-1] for at in range(0, len(address), 8)]
        name = socket.inet_ntop(family, b"".join(words))
        found.add(f"[{name}]:{port}" if ":" in name else f"{name}:{port}")
    return found


def _listening(port: int) -> Iterator[tuple[socket.AddressFamily, str, str]]:
    """Yield family, address as the kernel writes it, and socket as /proc/*/fd names it."""
    for table, family in _FAMILIES.items():
        with suppress(FileNotFoundError):  # a kernel without IPv6
            for line in (PROC / "net" / table).read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                address, _, number = fields[1].partition(":")
                if fields[3] == _LISTEN and int(number, 16) == port:
                    yield family, address, f"socket:[{fields[9]}]"


def holds(process: int, port: int) -> bool:
    """Whether a process, and nobody else, listens on a TCP port of loopback."""
    listening = sockets(port)
    return bool(listening) and listening <= _open(process)


def has(process: int, port: int) -> bool:
    """Whether a process listens on a TCP port of any address."""
    return bool(sockets(port, anywhere=True) & _open(process))


def owner(port: int) -> str:
    """Name who listens on a TCP port of loopback; "" where nobody does."""
    return _named(sockets(port))


def shared(process: int, port: int) -> str:
    """Name who else listens on a TCP port of any address; "" where nobody but a process does."""
    return _named(sockets(port, anywhere=True) - _open(process))


def children(process: int) -> set[int]:
    """Return the children of a process; none of process 0, which is none."""
    found = set()
    for status in PROC.glob("[0-9]*/stat") if process else ():
        with suppress(OSError):  # ended meanwhile
            # After the name, which may hold anything: state, parent.
            fields = status.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            if int(fields[1]) == process:
                found.add(int(status.parent.name))
    return found


def _named(listening: set[str]) -> str:
    """Name a process that has one of the sockets; "" where there are none."""
    if not listening:
        return ""
    for directory in PROC.glob("[0-9]*"):
        if listening & _open(int(directory.name)):
            with suppress(OSError):
                name = (directory / "comm").read_text(encoding="utf-8").strip()
                return f"{name} (process {directory.name})"
    return "a process of another user"


def _open(process: int) -> set[str]:
    """What a process has open; nothing where it has ended or is not ours to look at."""
    found = set()
    with suppress(OSError):
        for link in (PROC / str(process) / "fd").iterdir():
            with suppress(OSError):
                found.add(str(link.readlink()))
    return found

"""Who listens on a port of loopback: the kernel's word, whatever an answer says of itself."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
_LISTEN = "0A"
# 127.0.0.1, 0.0.0.0 and ::, as the kernel writes them: where a call to 127.0.0.1 may end.
_LOCAL = frozenset({"0100007F", "00000000", "0" * 32})


def sockets(port: int, *, anywhere: bool = False) -> set[str]:
    """Return the sockets that listen on a TCP port, as /proc/*/fd names them.

    Args:
        port: the port.
        anywhere: also those on other addresses than loopback's.
    """
    found = set()
    for table in ("tcp", "tcp6"):
        with suppress(FileNotFoundError):  # a kernel without IPv6
            for line in (PROC / "net" / table).read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                address, _, number = fields[1].partition(":")
                near = anywhere or address in _LOCAL
                if fields[3] == _LISTEN and int(number, 16) == port and near:
                    found.add(f"socket:[{fields[9]}]")
    return found


def holds(process: int, port: int) -> bool:
    """Whether a process, and nobody else, listens on a TCP port of loopback."""
    listening = sockets(port)
    return bool(listening) and listening <= _open(process)


def has(process: int, port: int) -> bool:
    """Whether a process listens on a TCP port of any address."""
    return bool(sockets(port, anywhere=True) & _open(process))


def owner(port: int) -> str:
    """Name who listens on a TCP port of loopback; "" where nobody does."""
    listening = sockets(port)
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

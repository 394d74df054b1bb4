"""The processes of one unit: any of them answers health pages and metrics for all.

What is imported here is in the arbiter's memory too: only what is light.
"""

from __future__ import annotations

import logging
import mmap
import shutil
import struct
import tempfile
import time
from pathlib import Path

log = logging.getLogger(__name__)

# A slot: 0 free, 1 loading, 2 ready; and when its process last proved that it answers (monotonic).
_SLOT = struct.Struct("<Bd")
_FREE, _LOADING, _READY = range(3)
# How long a process may take to answer another one, in seconds.
PATIENCE = 2.0
# Asks a process for itself alone.
ALONE_HEADER = "Askfleet-Alone"


class Board:
    """Memory that a unit's processes share, one slot each; made before the first of them is.

    Attributes:
        count: how many processes there are.
        directory: of the sockets by which they ask each other; private to the unit under systemd.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._memory = mmap.mmap(-1, count * _SLOT.size)
        self.directory = Path(tempfile.mkdtemp(prefix="askfleet-")) if count > 1 else None

    def take(self) -> int:
        """A free slot, for a process that is about to be made."""
        slot = next(slot for slot in range(self.count) if self._get(slot)[0] == _FREE)
        self._set(slot, _LOADING)
        return slot

    def free(self, slot: int) -> None:
        """Its process is gone."""
        self._set(slot, _FREE)

    def mark_ready(self, slot: int) -> bool:
        """Its process can answer; whether all can now."""
        self._set(slot, _READY)
        return all(self._get(slot)[0] == _READY for slot in range(self.count))

    def mark_alive(self, slot: int) -> None:
        """Its process has just answered its own liveness question."""
        self._set(slot, _READY)

    def silent(self, seconds: float) -> list[int]:
        """The processes that were ready and have not answered for so long."""
        begun = time.monotonic() - seconds
        slots = ((slot, *self._get(slot)) for slot in range(self.count))
        return [slot for slot, state, when in slots if state == _READY and when < begun]

    def others(self, slot: int) -> list[int]:
        """The other processes that are ready."""
        slots = range(self.count)
        return [one for one in slots if one != slot and self._get(one)[0] == _READY]

    def socket_of(self, slot: int) -> str:
        """Where a process listens for the others alone."""
        return str(Path(self.directory or "/") / f"{slot}.sock")

    def close(self) -> None:
        """Remove what it has on the disk."""
        if self.directory is not None:
            shutil.rmtree(self.directory, ignore_errors=True)

    def _get(self, slot: int) -> tuple[int, float]:
        state, when = _SLOT.unpack_from(self._memory, slot * _SLOT.size)
        return state, when

    def _set(self, slot: int, state: int) -> None:
        _SLOT.pack_into(self._memory, slot * _SLOT.size, state, time.monotonic())


class Siblings:
    """One process of several, and how it asks the others."""

    def __init__(self, board: Board, slot: int) -> None:
        self.board = board
        self.slot = slot

    def ask(self, path: str, headers: dict[str, str]) -> dict[int, bytes | None]:
        """What each other process that is ready says of itself; None where it says nothing."""
        return {
            slot: get(self.board.socket_of(slot), path, PATIENCE, {**headers, ALONE_HEADER: "1"})
            for slot in self.board.others(self.slot)
        }


def get(socket_path: str, path: str, seconds: float, headers: dict[str, str]) -> bytes | None:
    """The body of GET ``path`` over a unix socket; None without an answer of 200 or 503.

    Health pages say 503 of a process that takes no traffic. Any other status is an error's.
    """
    import http.client  # only here: this module comes before "starting" can be said
    import socket

    connection = http.client.HTTPConnection("localhost", timeout=seconds)
    try:
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(seconds)
        connection.sock.connect(socket_path)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        return body if answer.status in (200, 503) else None
    except (OSError, http.client.HTTPException) as error:
        log.warning("%s does not answer %s: %s", socket_path, path, error)
        return None
    finally:
        connection.close()

"""The wire of one host: whole, slow, lossy or cut."""

import subprocess
import sys
from pathlib import Path

from lab_hosts import NAMESPACE, run_on

RELAY = Path(__file__).with_name("chaos_relay.py")
INNER, OUTER = "relay-in", "relay-out"


class Wire:
    """All that goes to and comes from a host passes a relay while the `with` lasts.

    Attributes:
        delay: seconds for each frame, in each direction.
        loss: the part of all frames that vanishes, 0 to 1.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._delay, self._loss = 0.0, 0.0
        self._relay: subprocess.Popen[str] | None = None

    def __enter__(self) -> "Wire":
        self._veth = self._find()
        self._inner, self._outer = f"{INNER}{self._number}", f"{OUTER}{self._number}"
        _ip("link", "add", self._inner, "type", "veth", "peer", "name", self._outer)
        self._relay = subprocess.Popen(
            [*_within(), sys.executable, RELAY, self._veth, self._inner],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._relay.stdout is not None
        for end in (self._inner, self._outer):
            _ip("link", "set", end, "up", "promisc", "on")
        _ip("link", "set", self._veth, "promisc", "on")
        assert self._relay.stdout.readline() == "ready\n"
        _ip("link", "set", self._veth, "nomaster")
        _ip("link", "set", self._outer, "master", "br0")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._relay is not None
        _ip("link", "set", self._veth, "master", "br0", "promisc", "off")
        _ip("link", "delete", self._inner)
        assert self._relay.stdin is not None
        self._relay.stdin.close()
        self._relay.kill()
        self._relay.wait()

    @property
    def delay(self) -> float:
        return self._delay

    @delay.setter
    def delay(self, seconds: float) -> None:
        self._delay = seconds
        self._tell()

    @property
    def loss(self) -> float:
        return self._loss

    @loss.setter
    def loss(self, part: float) -> None:
        self._loss = part
        self._tell()

    def _tell(self) -> None:
        assert self._relay is not None
        assert self._relay.stdin is not None
        self._relay.stdin.write(f"{self._delay} {self._loss}\n")
        self._relay.stdin.flush()

    def _find(self) -> str:
        """The interface at this end of the host's cable."""
        self._number = run_on(self._host, "cat", "/sys/class/net/host0/iflink").strip()
        for line in _ip("-oneline", "link").splitlines():
            number, name = line.split(": ")[:2]
            if number == self._number:
                return name.partition("@")[0]
        raise LookupError(self._host)


def _within() -> list[str]:
    return ["nsenter", f"--net={NAMESPACE}"]


def _ip(*arguments: str) -> str:
    command = [*_within(), "ip", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout

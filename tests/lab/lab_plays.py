"""Run a playbook against the test lab, and read its recap."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
NAME = "askfleet-test"
SUBNET = "198.18.1"
PORT = 8081
URL = f"http://127.0.0.1:{PORT}"

# Always this lab, whatever the caller's shell says: the tests take it down.
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
    "ASKFLEET_LAB_NAME": NAME,
    "ASKFLEET_LAB_SUBNET": SUBNET,
    "ASKFLEET_LAB_PORT": str(PORT),
    "ANSIBLE_NOCOLOR": "1",
    "PATH": f"{BIN}:{os.environ['PATH']}",
}

_RECAP = re.compile(r"^(\S+)\s+: (ok=.*)$", re.MULTILINE)
_TASK = re.compile(r"^(?:TASK|RUNNING HANDLER|PLAY) \[(.*)\]", re.MULTILINE)
_CHANGED = re.compile(r"^changed: \[([^\]]+)\]")
_REPORTED = 12000  # characters of a failed play's output that are shown


@dataclass(frozen=True)
class Play:
    """A play that has ended: its exit status, its output and how long it took."""

    name: str
    status: int
    output: str
    seconds: float

    @property
    def recap(self) -> dict[str, dict[str, int]]:
        """Host -> ok, changed, unreachable, failed, … as the recap counts them."""
        _, _, end = self.output.rpartition("PLAY RECAP")
        return {
            host: {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", counts)}
            for host, counts in _RECAP.findall(end)
        }

    @property
    def changes(self) -> list[str]:
        """What changed: "task on host", in order."""
        found, task = [], ""
        for line in self.output.splitlines():
            if heading := _TASK.match(line):
                task = heading[1]
            elif changed := _CHANGED.match(line):
                found.append(f"{task} on {changed[1]}")
        return found

    def succeeded(self) -> "Play":
        """Assert that it did; the end of its output is in the failure."""
        assert self.status == 0, f"{self.name} failed:\n{self.output[-_REPORTED:]}"
        return self

    def changed_nothing(self) -> "Play":
        """Assert that it succeeded and that every host reports changed=0."""
        self.succeeded()
        changed = {host: counts["changed"] for host, counts in self.recap.items()}
        assert changed, f"{self.name} has no recap:\n{self.output[-_REPORTED:]}"
        assert not any(changed.values()), f"{self.name} changed something: {self.changes}"
        return self


def play(playbook: str, *arguments: str, timeout: float = 600) -> Play:
    """Run a playbook of the repository; raises TimeoutExpired and leaves no process behind."""
    return _run(playbook, [f"{BIN}/ansible-playbook", playbook, *arguments], timeout)


def _run(name: str, command: Sequence[str], timeout: float) -> Play:
    start = time.monotonic()
    # A session of its own: Ctrl-C reaches the tests, and they end the play with all its forks.
    with subprocess.Popen(
        command,
        cwd=REPO,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=timeout)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return Play(name, process.returncode, output, time.monotonic() - start)

"""Run a playbook against the test lab, and read its recap."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
# Two checkouts can test side by side: each with a lab's name and a port of its own.
NAME = os.environ.get("ASKFLEET_TEST_LAB_NAME", "askfleet-test")
SUBNET = "198.18.1"
PORT = int(os.environ.get("ASKFLEET_TEST_LAB_PORT", "8081"))
LOGS = REPO / "var/test/lab/plays"  # what every play has said, for who repairs
# Each pair of replicas has one host of either, as where people migrate.
RELEASES = ("bookworm", "trixie")
URL = f"http://127.0.0.1:{PORT}"

# Always this lab, whatever ASKFLEET_LAB_NAME says: the tests take it down.
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
    "ASKFLEET_LAB_NAME": NAME,
    "ASKFLEET_LAB_SUBNET": SUBNET,
    "ASKFLEET_LAB_PORT": str(PORT),
    "ASKFLEET_LAB_RELEASES": ",".join(RELEASES),
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "1",  # else a task is named when its first host has done it
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

    def failed(self, *told: str) -> "Play":
        """Assert that it failed, and that its output holds every one of these texts."""
        assert self.status != 0, f"{self.name} succeeded:\n{self.output[-_REPORTED:]}"
        output = " ".join(self.output.split())  # long messages are folded
        missing = [one for one in told if one not in output]
        assert not missing, f"{self.name} does not say {missing}:\n{self.output[-_REPORTED:]}"
        return self

    @property
    def sent(self) -> int:
        """Bytes that an update says it sent to all hosts."""
        (told,) = re.findall(r"([\d,]+) bytes were sent", " ".join(self.output.split()))
        return int(told.replace(",", ""))

    def changed_nothing(self) -> "Play":
        """Assert that it succeeded and that every host reports changed=0."""
        self.succeeded()
        changed = {host: counts["changed"] for host, counts in self.recap.items()}
        assert changed, f"{self.name} has no recap:\n{self.output[-_REPORTED:]}"
        assert not any(changed.values()), f"{self.name} changed something: {self.changes}"
        return self


def play(playbook: str, *arguments: str, timeout: float = 600) -> Play:
    """Run a playbook of the repository; raises TimeoutExpired and leaves no process behind."""
    with Running(playbook, *arguments) as running:
        return running.done(timeout)


class Running:
    """A playbook that runs beside the test; with a `with`, none of its processes outlives that.

    Its output can be read while it comes. Every task is named as it begins.
    """

    def __init__(self, playbook: str, *arguments: str) -> None:
        self.name = playbook
        self._start = time.monotonic()
        self._lines: list[str] = []
        # A session of its own: Ctrl-C reaches the tests, and they end the play with all its forks.
        self._process = subprocess.Popen(
            [f"{BIN}/ansible-playbook", playbook, *arguments],
            cwd=REPO,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        self._kill_all()
        self._process.wait()
        self._reader.join()
        LOGS.mkdir(parents=True, exist_ok=True)
        log = LOGS / f"{time.strftime('%H%M%S')}-{self.name.rpartition('/')[2]}.log"
        log.write_text(self.output, encoding="utf-8")

    @property
    def output(self) -> str:
        """What it has said so far."""
        return "".join(self._lines)

    @property
    def alive(self) -> bool:
        """Whether its main process still runs."""
        return self._process.poll() is None

    @property
    def tasks(self) -> list[str]:
        """The tasks that have begun, of all plays, in order."""
        return [line[6:].rpartition("]")[0] for line in self._lines if line.startswith("TASK [")]

    def begun(self, task: str) -> Callable[[], bool]:
        """A condition: a task of this name has begun."""
        return lambda: any(task in one for one in self.tasks)

    def kill(self, *, with_forks: bool) -> None:
        """SIGKILL the main process, or all; forks that are left finish what they are at."""
        if with_forks:
            self._kill_all()
        else:
            self._process.kill()
        self._process.wait()

    def done(self, timeout: float = 600) -> Play:
        """Wait for its end."""
        self._process.wait(timeout)
        self._reader.join()
        seconds = time.monotonic() - self._start
        return Play(self.name, self._process.returncode, self.output, seconds)

    def _kill_all(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line)  # others read the list meanwhile

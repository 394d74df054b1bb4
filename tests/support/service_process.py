"""A service in its real gunicorn process, started as systemd starts it."""

import os
import re
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

from small_generations import link

# This checkout's services, wherever the virtualenv has another one installed from.
ROOT = Path(__file__).parents[2]
GUNICORN = Path(sys.executable).with_name("gunicorn")
# What systemd does between fork and exec: sockets become descriptors 3 and up, LISTEN_PID our own.
LAUNCH = (
    "import fcntl, os, sys;"
    "fds = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 50) for fd in sys.argv[1].split(',')];"
    "[os.dup2(fd, place) for place, fd in enumerate(fds, 3)];"
    "os.environ.update(LISTEN_FDS=str(len(fds)), LISTEN_PID=str(os.getpid()));"
    "os.execv(sys.argv[2], sys.argv[2:])"
)
PATIENCE = 60.0


class ServiceProcess:
    """One service: what it tells systemd, and ways to ask it."""

    def __init__(
        self,
        service: str,
        environ: dict[str, str],
        log: Path,
        *,
        activated: bool = True,
        ipv6: bool = False,
        notify: str = "",
        bind: str = "127.0.0.1:0",
    ) -> None:
        self.log = log
        self.states: list[str] = []
        self.notifications = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notifications.bind(notify or f"\0askfleet-test-{os.getpid()}-{time.monotonic_ns()}")
        address = self.notifications.getsockname()
        if isinstance(address, bytes):
            address = "@" + address[1:].decode()
        command = [
            str(GUNICORN),
            "--config",
            "python:app.service.gunicorn_config",
            f"app.{service}.wsgi:application",
        ]
        self.listener: socket.socket | None = None
        self._second: socket.socket | None = None
        self.port = 0
        fds: tuple[int, ...] = ()
        own = {
            "NOTIFY_SOCKET": address,
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            **environ,
        }
        if activated:
            self.listener = socket.create_server(("127.0.0.1", 0))
            self.port = self.listener.getsockname()[1]
            fds = (self.listener.fileno(),)
            if ipv6:  # the second socket of an IPv6 host
                self._second = socket.create_server(("::", self.port), family=socket.AF_INET6)
                fds = (*fds, self._second.fileno())
            command = [sys.executable, "-c", LAUNCH, ",".join(map(str, fds)), *command]
        else:
            own["ASKFLEET_BIND"] = bind
        self.started = time.monotonic()
        with log.open("wb") as sink:
            self.process = subprocess.Popen(
                command, env=own, stdout=sink, stderr=sink, pass_fds=fds, cwd=log.parent
            )

    def close(self) -> None:
        """End the process, whatever the test left of it."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.notifications.close()
        if self._second is not None:
            self._second.close()
        if self.listener is not None:
            self.listener.close()

    # --- notifications ---

    def heard(self, timeout: float = 0.0) -> str | None:
        """The next notification within ``timeout`` seconds, or None."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.notifications, selectors.EVENT_READ)
            if not selector.select(timeout):
                return None
        state = self.notifications.recv(4096).decode()
        self.states.append(state)
        return state

    def wait_for(self, wanted: str) -> float:
        """Wait for a notification with this line; returns seconds since the start."""
        ends = time.monotonic() + PATIENCE
        while (left := ends - time.monotonic()) > 0 and self.process.poll() is None:
            state = self.heard(min(left, 0.5))
            if state is not None and wanted in state.splitlines():
                return time.monotonic() - self.started
        raise AssertionError(f"no {wanted}; heard {self.states}; log:\n{self.log.read_text()}")

    def ready(self) -> float:
        seconds = self.wait_for("READY=1")
        if not self.port:
            found = re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", self.log.read_text())
            assert found
            self.port = int(found.group(1))
        return seconds

    # --- requests ---

    def connect(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def get(self, path: str, **headers: str) -> int:
        connection = self.connect()
        try:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request("GET", path, headers=names)
            return connection.getresponse().status
        finally:
            connection.close()

    # --- the end ---

    def wait_for_log(self, line: str) -> None:
        """Wait until the process has logged this."""
        ends = time.monotonic() + PATIENCE
        while line not in self.log.read_text():
            assert time.monotonic() < ends, self.log.read_text()
            time.sleep(0.02)

    def terminate(self) -> None:
        self.process.terminate()

    def exit_code(self) -> int:
        return self.process.wait(PATIENCE)


class HalfRequest:
    """A request whose last bytes are still to come: it is in flight until ``finish``."""

    def __init__(self, port: int, head: bytes, body: bytes = b"") -> None:
        self._rest = body[-1:] if body else b"\r\n"
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        start = head + b"\r\n" + body[:-1] if body else head
        self._socket.sendall(start)

    def finish(self) -> HTTPResponse:
        """Send the rest; the response, its body read."""
        self._socket.sendall(self._rest)
        response = HTTPResponse(self._socket)
        response.begin()
        response.read()
        self._socket.close()
        return response

    def close(self) -> None:
        self._socket.close()


@contextmanager
def shard_process(generation: Path, directory: Path) -> Iterator[ServiceProcess]:
    """Shard 0 of a generation, READY; its log has no stack trace at the end.

    Its drain flag is ``directory / "drain"``.
    """
    environ = {
        "ASKFLEET_SHARD": "0",
        "ASKFLEET_LINKS": str(link(directory / "links", generation)),
        "ASKFLEET_DRAIN_FILE": str(directory / "drain"),
    }
    with service("shard", environ, directory) as process:
        process.ready()
        yield process
        told = process.log.read_text()
        assert "Traceback" not in told, told[-3000:]


@contextmanager
def service(
    name: str, environ: dict[str, str], directory: Path, **options: object
) -> Iterator[ServiceProcess]:
    """A running service, gone at the end of the block."""
    directory.mkdir(parents=True, exist_ok=True)
    process = ServiceProcess(name, environ, directory / "log", **options)  # type: ignore[arg-type]  # passed on
    try:
        yield process
    finally:
        process.close()

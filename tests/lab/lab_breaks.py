"""What happens to a host: it dies, ssh hangs, its disk is small, a port or a unit is taken."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lab_hosts import host_processes, root, run_on
from lab_plays import play

SPARE = 64_000_000  # what an update wants to be left free
DATA = "/srv/askfleet"
SMALL = "/run/small"
STATE_DIR = "/var/lib/askfleet"
SMALL_STATE = "/run/small-state"
STATE_SIZE = 8_000_000
SQUATTER = """
import socket
server = socket.create_server(("", {port}))
while True:
    server.accept()[0].close()
"""

FAILING = """
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200 if self.path == "/livez" else 500)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST

ThreadingHTTPServer(("", {port}), Handler).serve_forever()
"""


def kill_host(host: str) -> None:
    """End all of a host's processes at once; the kernel closes their connections."""
    for pid in reversed(host_processes(host)):
        os.kill(pid, signal.SIGKILL)


def signal_unit(host: str, unit: str, name: str) -> None:
    """Send all processes of a unit a signal."""
    run_on(host, "systemctl", "kill", f"--signal={name}", "--kill-who=all", unit)


def shut_down(host: str) -> None:
    """Shut a host down in good order, as a reboot begins; returns when it is off."""
    leader, _ = host_processes(host)
    run_on(host, "systemctl", "reboot", check=False)
    while Path(f"/proc/{leader}").exists():  # it does not boot it again by itself
        time.sleep(0.05)


def revive() -> None:
    """Boot what is not up."""
    play("playbooks/lab.yml").succeeded()


@contextmanager
def silent_ssh(host: str) -> Iterator[list[str]]:
    """A list; whoever calls `cut` with it makes sshd answer nothing until the block ends."""
    stopped: list[str] = []
    try:
        yield stopped
    finally:
        run_on(host, "kill", "-CONT", *stopped, check=False) if stopped else None


def cut_ssh(host: str, stopped: list[str]) -> None:
    """Stop sshd and every session of it: connections stay open and say nothing."""
    stopped += run_on(host, "pgrep", "--exact", "sshd").split()
    run_on(host, "kill", "-STOP", *stopped)


@contextmanager
def small_disk(host: str, free: int) -> Iterator[None]:
    """Put the host's data on a small file system of its own; what was there before comes back."""
    used = int(run_on(host, "du", "--summarize", "--block-size=1", DATA).split()[0])
    size = used + SPARE + free
    run_on(host, "mkdir", "-p", SMALL)
    run_on(host, "mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", SMALL)
    run_on(host, "cp", "--archive", f"{DATA}/.", SMALL)
    run_on(host, "mount", "--bind", SMALL, DATA)
    try:
        yield
    finally:
        run_on(host, "umount", "--lazy", DATA)
        run_on(host, "umount", "--lazy", SMALL)


def fill_disk(host: str, left: int) -> None:
    """Take the space of the host's data but for a little."""
    told = run_on(host, "stat", "--file-system", "--format=%a %S", DATA).split()
    free = int(told[0]) * int(told[1])
    run_on(host, "fallocate", f"--length={free - left}", f"{DATA}/.filler")


@contextmanager
def small_state(host: str) -> Iterator[Callable[[], None]]:
    """A function that fills the host's /var/lib/askfleet; what was there before comes back."""
    run_on(host, "mkdir", "-p", SMALL_STATE)
    options = f"size={STATE_SIZE},mode=0755"
    run_on(host, "mount", "-t", "tmpfs", "-o", options, "tmpfs", SMALL_STATE)
    run_on(host, "cp", "--archive", f"{STATE_DIR}/.", SMALL_STATE)
    run_on(host, "mount", "--bind", SMALL_STATE, STATE_DIR)
    fill = f"cat /dev/zero > {STATE_DIR}/.filler"
    try:
        yield lambda: run_on(host, "sh", "-c", fill, check=False) and None
    finally:
        run_on(host, "umount", "--lazy", STATE_DIR)
        run_on(host, "umount", "--lazy", SMALL_STATE)


@contextmanager
def read_only_data(host: str) -> Iterator[Callable[[], None]]:
    """A function that makes the host's data read-only, as after a disk error."""
    run_on(host, "mount", "--bind", DATA, DATA)
    try:
        yield lambda: run_on(host, "mount", "-o", "remount,bind,ro", DATA) and None
    finally:
        run_on(host, "umount", "--lazy", DATA)


@contextmanager
def dangling_link(host: str, unit: str) -> Iterator[None]:
    """What a shard host's link `current` names is gone, and its service was started since."""
    part = run_on(host, "readlink", f"{DATA}/shard/current").strip()
    run_on(host, "mv", part, f"{DATA}/.away")
    try:
        run_on(host, "systemctl", "restart", unit, check=False)
        yield
    finally:
        run_on(host, "mv", f"{DATA}/.away", part)
        run_on(host, "systemctl", "restart", unit)


@contextmanager
def maskable(host: str, unit: str) -> Iterator[Callable[[], None]]:
    """A function that masks the unit; it is as it was when the block ends."""
    file = root(host) / "etc/systemd/system" / unit
    away = file.with_name(f"{file.name}.away")

    def mask() -> None:
        file.rename(away)  # `systemctl mask` does not replace a unit that lies there
        file.symlink_to("/dev/null")
        run_on(host, "systemctl", "daemon-reload")

    try:
        yield mask
    finally:
        if away.exists():
            away.replace(file)
        run_on(host, "systemctl", "daemon-reload")
        # systemd forgot what it knew of the masked unit, and ended it when no watchdog came.
        run_on(host, "systemctl", "restart", unit)


@contextmanager
def answers_500(host: str, unit: str, port: int) -> Iterator[None]:
    """In place of the service something answers 500 to all but /livez."""
    run_on(host, "systemctl", "stop", f"{unit}.socket", f"{unit}.service")
    program = FAILING.format(port=port)
    run_on(host, "systemd-run", "--collect", "--unit=failing", "python3", "-c", program)
    try:
        yield
    finally:
        run_on(host, "systemctl", "stop", "failing.service")
        run_on(host, "systemctl", "start", f"{unit}.service")


@contextmanager
def without_directory(host: str, directory: str) -> Iterator[None]:
    """Remove a directory; a copy of it is put in its place when the block ends."""
    run_on(host, "cp", "--archive", directory, f"{directory}.copy")
    run_on(host, "rm", "-r", directory)
    try:
        yield
    finally:
        run_on(host, "mv", f"{directory}.copy", directory)


@contextmanager
def truncated(host: str, file: str) -> Iterator[None]:
    """Cut a file that a service has open; its content is written back into it in the end."""
    run_on(host, "cp", "--archive", file, f"{file}.copy")
    run_on(host, "truncate", "--size=4096", file)
    try:
        yield
    finally:
        run_on(host, "cp", "--no-preserve=all", f"{file}.copy", file)
        run_on(host, "rm", f"{file}.copy")


@contextmanager
def port_taken(host: str, unit: str, port: int) -> Iterator[None]:
    """Another program has the service's port, and hangs up on whoever calls."""
    run_on(host, "systemctl", "stop", f"{unit}.socket", f"{unit}.service")
    try:
        program = SQUATTER.format(port=port)
        run_on(host, "systemd-run", "--collect", "--unit=squatter", "python3", "-c", program)
        yield
    finally:
        run_on(host, "systemctl", "stop", "squatter.service")
        run_on(host, "systemctl", "start", f"{unit}.service")

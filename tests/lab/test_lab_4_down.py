"""What a lab leaves behind: nothing."""

import socket
from pathlib import Path

from lab_hosts import NAMESPACE, RUN, STATE
from lab_plays import NAME, PORT, play


def test_lab_down_leaves_nothing():
    play("playbooks/lab_down.yml").succeeded()
    assert not _processes()
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8")
    assert f"/{NAME}" not in mounts
    assert not NAMESPACE.exists()
    assert not list(Path("/sys/fs/cgroup").rglob(f"askfleet-lab/{NAME}"))
    assert not STATE.exists()
    assert not RUN.exists()
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", PORT)) != 0


def test_lab_down_again_changes_nothing():
    play("playbooks/lab_down.yml").changed_nothing()


def _processes() -> list[str]:
    """Command lines that name something of this lab."""
    marks = (f"--machine={NAME}-", f"{STATE}/", f"{RUN}/", str(NAMESPACE))
    lines = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if any(mark in line for mark in marks):
            lines.append(line)
    return lines

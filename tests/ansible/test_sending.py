"""While files are sent, a terminal shows how far each host is; nothing of that stays."""

from __future__ import annotations

import importlib.util
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest
from ansible_sources import ROOT, Run


def load() -> ModuleType:
    path = ROOT / "plugins/callback/sending.py"
    spec = importlib.util.spec_from_file_location("sending", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["sending"] = module
    spec.loader.exec_module(module)
    return module


callback = load()


def process(
    proc: Path, pid: int, parent: int, *, written: int = 0, mark: str = "", name: str = "rsync"
) -> None:
    directory = proc / str(pid)
    directory.mkdir(parents=True)
    (directory / "stat").write_text(f"{pid} ({name}) S {parent} 1 1")
    (directory / "io").write_text(f"rchar: 1\nwchar: {written}\nsyscr: 2\n")
    environ = b"PATH=/bin\0" + (f"ASKFLEET_SENDS={mark}\0".encode() if mark else b"")
    (directory / "environ").write_bytes(environ)


def test_only_what_the_play_sends_is_seen(tmp_path: Path) -> None:
    process(tmp_path, 10, 1, name="ansible (x) y")
    process(tmp_path, 11, 10, name="sh")
    process(tmp_path, 12, 11, written=100, mark="shard-a 900")
    process(tmp_path, 13, 12, written=700, mark="shard-a 900")  # its other half
    process(tmp_path, 14, 10, written=5, mark="shard-b 0")
    process(tmp_path, 15, 10, written=5)  # sends something else
    process(tmp_path, 16, 1, written=5, mark="shard-c 9")  # another play
    (tmp_path / "17").mkdir()  # has just ended
    (tmp_path / "self").mkdir()
    assert callback.sendings(10, tmp_path) == {"shard-a": (700, 900), "shard-b": (5, 0)}


@pytest.mark.parametrize(
    ("looks", "told"),
    [
        ([(0, 1000, 4000)], "a  1.0 kB of 4.0 kB"),
        ([(0, 1000, 4000), (2, 2000, 4000)], "a  2.0 kB of 4.0 kB  500 B/s  0:04 left"),
        ([(0, 0, 9_000_000_000), (1, 9_000_000, 9_000_000_000)],
         "a  9.0 MB of 9.0 GB  9.0 MB/s  16:39 left"),
        ([(0, 1000, 0), (1, 3000, 0)], "a  3.0 kB  2.0 kB/s"),
        ([(0, 1000, 2000), (1, 3000, 2000)], "a  3.0 kB of 3.0 kB  2.0 kB/s"),
        ([(0, 1000, 2000), (1, 1000, 2000)], "a  1.0 kB of 2.0 kB"),
    ],
)  # fmt: skip
def test_rate_and_time_left_are_of_the_last_looks(
    looks: list[tuple[float, int, int]], told: str
) -> None:
    seen = [(when, callback.Sending(done, wanted)) for when, done, wanted in looks]
    assert callback.progress("a", seen) == told


def test_what_went_over_the_wire_is_what_rsync_says() -> None:
    text = "Number of files: 3\nTotal bytes sent: 1,000\nTotal bytes received: 35\n"
    assert callback.moved({"results": [{"msg": text}, {"msg": text}, {"skipped": True}]}) == 2070
    assert callback.moved({"msg": text}) == 1035
    assert callback.moved({"msg": ["x"]}) == 0


BOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - name: Send
      ansible.posix.synchronize:
        src: "{{ playbook_dir }}/source/"
        dest: "{{ playbook_dir }}/{{ inventory_hostname }}-{{ item }}/"
        rsync_opts: [--stats, "--bwlimit={{ rate }}"]
      environment:
        ASKFLEET_SENDS: "{{ inventory_hostname }} 1000000"
      loop: [x, y]
      when: inventory_hostname != 'c'
    - name: Refuse it
      ansible.builtin.fail: {msg: "a\\nb\\nc"}
      when: inventory_hostname == 'a'
"""


def command(tmp_path: Path, rate: int) -> list[str | Path]:
    (tmp_path / "source").mkdir()
    (tmp_path / "source/one").write_bytes(os.urandom(1_000_000))
    (tmp_path / "book.yml").write_text(BOOK)
    python = f"ansible_python_interpreter={sys.executable}"
    extra = ["-e", python, "-e", f"rate={rate}"]
    return ["-i", "a,b,c,", "-c", "local", *extra, tmp_path / "book.yml"]


def screen(written: str) -> list[str]:
    """The lines of a terminal that has been written this, or an error for what it cannot."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[\d;]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", written):
        if part == "\r":
            column = 0
        elif part == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif part == "\x1b[J":
            lines[row:] = [lines[row][:column]]
        elif part.endswith("A"):
            row -= int(part[2:-1])
        else:
            assert not part.startswith("\x1b"), part
            lines[row] = lines[row][:column].ljust(column) + part + lines[row][column + len(part) :]
            column += len(part)
    return lines


class Terminal:
    """A play with a terminal of its own."""

    def __init__(self, arguments: list[str | Path]) -> None:
        self._main, side = pty.openpty()
        environ = {k: v for k, v in os.environ.items() if not k.startswith("ANSIBLE_")}
        environ["ANSIBLE_CALLBACK_PLUGINS"] = str(ROOT / "playbooks/callback_plugins")
        environ |= {"ANSIBLE_NOCOLOR": "1", "COLUMNS": "90", "LINES": "30"}
        program = Path(sys.executable).parent / "ansible-playbook"
        self.process = subprocess.Popen(
            [program, *arguments], cwd=ROOT, env=environ, stdin=side, stdout=side, stderr=side,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
        os.close(side)
        self.written = ""

    def read(self, until: str = "\0") -> None:
        """Read until this is there, or it ends."""
        while until not in self.written:
            try:
                self.written += os.read(self._main, 4096).decode()
            except OSError:  # the other side is closed
                break

    def close(self) -> None:
        self.read()
        self.process.wait(60)
        os.close(self._main)


@pytest.mark.slow
def test_progress_is_seen_and_leaves_nothing(tmp_path: Path) -> None:
    terminal = Terminal(command(tmp_path, 600))
    terminal.close()
    assert re.search(r"  a  \d.+ of 1\.0 MB  \d.+B/s  0:0\d left", terminal.written)
    shown = [line.rstrip() for line in screen(terminal.written)]
    assert not [line for line in shown if "left" in line or " of 1.0 MB" in line]
    for line in ("changed: [a] => (item=x)", "changed: [b] => (item=y)", "a\nb\nc"):
        assert [one.strip() for one in shown if one.strip() in line.split("\n")], line
    assert len([line for line in shown if re.fullmatch(r"  [ab]: 2\.0 MB in .+/s", line)]) == 2


@pytest.mark.slow
def test_elsewhere_each_host_has_one_line(play: Run, tmp_path: Path) -> None:
    done = play(*command(tmp_path, 0))
    assert done.returncode == 2, done.stdout
    told = [line for line in done.stdout.splitlines() if "MB" in line]
    assert sorted(line[:12] for line in told) == ["  a: 2.0 MB ", "  b: 2.0 MB "]
    assert "\x1b" not in done.stdout


@pytest.mark.slow
def test_ctrl_c_ends_it(tmp_path: Path) -> None:
    terminal = Terminal(command(tmp_path, 50))
    terminal.read(until="of 1.0 MB")
    os.killpg(terminal.process.pid, signal.SIGINT)
    begun = time.monotonic()
    terminal.close()
    assert time.monotonic() - begun < 30
    assert terminal.process.returncode != 0
    assert not [line for line in screen(terminal.written) if "left" in line]

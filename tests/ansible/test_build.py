"""A build in a play shows its progress, says why it failed, and ends with the play."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_sources import ROOT, Run

BOOK = """
- hosts: localhost
  gather_facts: false
  tasks:
    - askfleet.fleet.build:
        argv: [sh, -c, '{script}']
        chdir: /
        log: {log}
      register: built
    - debug:
        msg: "{{{{ built.id }}}}, changed: {{{{ built.changed }}}}"
"""


@pytest.fixture
def build(tmp_path: Path) -> Callable[[str], Path]:
    def book(script: str) -> Path:
        path = tmp_path / "book.yml"
        path.write_text(BOOK.format(script=script, log=tmp_path / "log/build.log"))
        return path

    return book


@pytest.mark.slow
def test_its_result_is_the_last_word(
    play: Run, build: Callable[[str], Path], tmp_path: Path
) -> None:
    script = 'echo "encoding: 1 of 2" >&2; echo "{\\"id\\": \\"A\\", \\"new\\": true}"'
    done = play(build(script))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "A, changed: True" in done.stdout
    lines = done.stdout.splitlines()
    first = lines.index(f"The build's log: {tmp_path}/log/build.log")
    assert lines[first + 1] == "  encoding: 1 of 2"
    assert (tmp_path / "log/build.log").read_text() == "encoding: 1 of 2\n"


@pytest.mark.parametrize("says", ["error: no model", "build: error: no model"])
@pytest.mark.slow
def test_its_reason_stands_alone(play: Run, build: Callable[[str], Path], says: str) -> None:
    script = f'echo "reading: 1" >&2; echo "{says}" >&2; echo "publish one" >&2; exit 1'
    done = play(build(script))
    assert done.returncode == 2
    told = done.stdout.partition("fatal:")[2]
    assert "The build failed: no model" in told
    assert "publish one" in told
    assert "reading" not in told
    assert "argv" not in told
    assert "cmd" not in told


@pytest.fixture
def running(build: Callable[[str], Path], tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    script = f'echo $$ >{tmp_path}/pid; echo "encoding: 1 of 2" >&2; exec sleep 60'
    with subprocess.Popen(
        [Path(sys.executable).parent / "ansible-playbook", build(script)],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # As a terminal would: who starts tests in the background has them ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        yield process
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.slow
def test_its_progress_is_seen_while_it_runs_and_ctrl_c_ends_it(
    running: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert running.stdout is not None
    assert any("encoding: 1 of 2" in line for line in running.stdout)  # it runs for a minute more
    builder = int((tmp_path / "pid").read_text())
    os.killpg(running.pid, signal.SIGINT)
    running.wait(60)  # Ansible waits for its forks
    ends = time.monotonic() + 10
    while Path(f"/proc/{builder}").exists():
        assert time.monotonic() < ends, "the build goes on"
        time.sleep(0.05)


ROLE = """
- hosts: localhost
  gather_facts: false
  tasks:
    - include_role: {name: generation, tasks_from: build, public: true}
"""


@pytest.mark.parametrize("field", ["", "Frage"])
@pytest.mark.slow
def test_the_corpus_is_read_as_the_play_was_told(play: Run, tmp_path: Path, field: str) -> None:
    (tmp_path / "faq.csv").write_text("Frage;Antwort\nWie geht das?;So.\n")
    told = {
        "askfleet_fleet": {"shards": [0, 1]},
        "askfleet_source_dir": str(ROOT),
        "askfleet_build_dir": str(tmp_path),
        "corpus": str(tmp_path / "faq.csv"),
        "model": str(tmp_path / "no-model"),
        "text_field": field,
    }
    (tmp_path / "told.json").write_text(json.dumps(told))
    (tmp_path / "book.yml").write_text(ROLE)
    done = play(tmp_path / "book.yml", "-e", f"@{tmp_path}/told.json")
    assert done.returncode == 2
    expected = "is not a sealed model artefact" if field else "name one with --text-field"
    assert expected in done.stdout

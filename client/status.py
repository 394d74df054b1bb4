"""What every host serves: ``status.yml`` run quietly, and its table."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from app.errors import ConfigError
from client.answer import plain

COLUMNS = ("host", "service", "release", "current", "previous", "model", "health", "documents")
# What a narrow terminal does without, in this order.
DISPENSABLE = ("release", "model", "documents", "previous")
LAST = 12  # lines of a play that failed before it knew anything


def status(arguments: argparse.Namespace, console: Any) -> int:
    """Run the playbook and show what it found.

    Args:
        arguments: ``project``, a checkout; ``inventory`` or None; ``verify``.
        console: of rich; None prints the JSON that the playbook wrote.

    Returns:
        The exit status of the playbook: 0 when nothing is inconsistent.

    Raises:
        ConfigError: there is no such playbook, or no Ansible.
    """
    project = arguments.project.resolve()
    program = Path(sys.executable).parent / "ansible-playbook"
    if not (project / "status.yml").is_file():
        raise ConfigError(f"{project} is no checkout of askfleet: --project DIR names one")
    if not program.exists():
        raise ConfigError(f"there is no {program}: `make setup` installs Ansible")
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "status.json"
        command = [str(program), "status.yml", "-e", json.dumps({"status_file": str(file)})]
        if arguments.verify:
            command += ["-e", "verify=true"]
        if arguments.inventory:
            typed = Path(arguments.inventory)  # or a list of hosts
            command += ["-i", str(typed.resolve()) if typed.exists() else arguments.inventory]
        settings = {"ANSIBLE_CONFIG": str(project / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        with console.status("Asking every host …") if console else nullcontext():
            done = subprocess.run(  # noqa: S603  # our own playbook
                command,
                cwd=project,
                env={**os.environ, **settings},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
        found = file.read_text("utf-8") if file.exists() else ""
    if not found:
        for line in _said(done):
            print(plain(line), file=sys.stderr)
        print(f"error: status.yml ended with {done.returncode}", file=sys.stderr)
        return done.returncode or 1
    if console is None:
        print(found.rstrip())
    else:
        show(console, json.loads(found))
    return done.returncode


def _said(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The playbook's summary where it has one, or the end of what it said."""
    _, heading, summary = done.stdout.partition("SUMMARY ")
    if heading:
        return summary.splitlines()[1:]
    return (done.stderr.strip() or done.stdout.strip()).splitlines()[-LAST:]


def show(console: Any, found: dict[str, Any]) -> None:
    """Print a row for every service, then what is inconsistent.

    Args:
        console: of rich; columns that do not fit its width are left out.
        found: ``rows``, ``serves``, ``notes`` and ``faults``, as the playbook writes them.
    """
    left_out: tuple[str, ...] = ()
    for count in range(len(DISPENSABLE) + 1):
        left_out = DISPENSABLE[:count]
        table = _table(found["rows"], left_out)
        free = console.options.update(max_width=1_000)
        if console.measure(table, options=free).maximum <= console.width:
            break
    console.print(table)
    console.print()
    for line in [found["serves"], *found["notes"]]:
        console.print(plain(line), style="dim")
    for fault in found["faults"]:
        console.print(plain(f"<- {fault}"), style="red")
    if not found["faults"]:
        console.print("Nothing is inconsistent.", style="green")
    if left_out:
        console.print(f"A wider terminal shows {', '.join(left_out)}, too.", style="dim")


def _table(rows: Sequence[dict[str, Any]], left_out: Sequence[str]) -> Any:
    from rich.table import Table
    from rich.text import Text

    names = [name for name in COLUMNS if name not in left_out]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in names:
        table.add_column(name, no_wrap=True, justify="right" if name == "documents" else "left")
    table.add_column("", no_wrap=True)
    for row in rows:
        cells = [Text(plain(row[name])) for name in names]
        mark = "<-" if row["faults"] else ""
        table.add_row(*cells, Text(mark), style="red" if row["faults"] else "")
    return table

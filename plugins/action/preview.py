"""Ansible action: ask a gateway real questions of two generations, and judge what changes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from ansible.plugins.action import ActionBase

from app.errors import AskfleetError
from app.wire.preview import Pair
from index_builder.preview.command import Judged, judged
from index_builder.preview.wanted import Wanted
from index_builder.progress import Progress, show

# Questions of one call: their answers are about 2 MB, and progress is shown after each.
CALL = 200
EVERY = 10.0  # seconds between two lines


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """What Ansible loads."""

    _supports_check_mode = False
    _requires_connection = True

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask, and judge; the result has its lines and the report."""
        super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(
            {
                "argv": {"type": "list", "elements": "str", "default": []},
                "questions": {"type": "list", "elements": "path", "required": True},
                "qrels": {"type": "str", "default": ""},
                "fields": {"type": "list", "elements": "str", "default": []},
                "limit": {"type": "int", "default": 5000},
                "names": {"type": "list", "elements": "str", "default": []},
                "gates": {"type": "dict", "default": {}},
                "report_dir": {"type": "path", "required": True},
            }
        )
        try:
            wanted = Wanted.read(
                [Path(one) for one in given["questions"]],
                Path(given["qrels"]) if given["qrels"] else None,
                given["limit"],
                _plain(given["fields"]),
                given["gates"],
            )
            for line in wanted.remarks:
                self._show(line)
            if not given["argv"]:
                return {"changed": False, "questions": len(wanted.texts)}
            pairs = list(self._ask(given["argv"], wanted.texts))
            found = judged(wanted, pairs, _plain(given["names"]), Path(given["report_dir"]))
            for line in found.lines:
                self._show(f"  {line}")
        except AskfleetError as error:
            return {"failed": True, "msg": str(error)}
        return _result(found)

    def _ask(self, argv: Sequence[str], questions: Sequence[str]) -> Iterator[Pair]:
        """Both answers of each question; the connection that broke is told as Ansible does."""
        command = shlex.join(argv)
        progress = Progress(_Lines(self), interval=EVERY)  # type: ignore[arg-type]  # it has what is used
        with progress.bar("preview", len(questions), "questions") as bar:
            for place in range(0, len(questions), CALL):
                some = questions[place : place + CALL]
                done = self._low_level_execute_command(
                    command, sudoable=True, in_data=msgspec.json.encode(some)
                )
                if done["rc"] != 0:
                    told = (done["stderr"] or done["stdout"]).strip()
                    raise AskfleetError(f"{argv[0]} ended with status {done['rc']}: {told}")
                lines = done["stdout"].splitlines()
                yield from (msgspec.json.decode(line, type=Pair) for line in lines if line)
                bar.update(len(some))

    def _show(self, line: str) -> None:
        show(self._display.display, line)


class _Lines:
    """A stream whose lines Ansible displays."""

    def __init__(self, action: ActionModule) -> None:
        self._action = action

    def write(self, text: str) -> None:
        if text.strip():
            self._action._show(f"  {text.rstrip()}")

    def flush(self) -> None:
        """Nothing waits."""

    def isatty(self) -> bool:
        return False


def _plain(texts: Sequence[str]) -> list[str]:
    """Texts without Ansible's tags, which only its own serializers take."""
    return [str.__str__(text) for text in texts]


def _result(found: Judged) -> dict[str, Any]:
    told = {"changed": False, "told": found.lines, "report": str(found.report)}
    if found.faults:
        told |= {"failed": True, "msg": "; ".join(found.faults)}
    return told

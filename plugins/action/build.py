"""Ansible action: run a build on the controller, and show its progress while it runs."""

from __future__ import annotations

import json
import re
import subprocess
from collections import deque
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from index_builder.progress import show

# The line in which the builder, or its argument parser, says why it refuses.
SAYS = re.compile(r"(?:^|: )error: (.+)")
LAST = 10  # lines that are looked at for it


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """What Ansible loads."""

    _supports_check_mode = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the build; the result has its id, or `msg` alone."""
        super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            {
                "argv": {"type": "list", "elements": "str", "required": True},
                "chdir": {"type": "path", "required": True},
                "log": {"type": "path", "required": True},
            }
        )
        log = Path(arguments["log"])
        self._show(f"The build's log: {log}")
        try:
            status, output, last = self._build(arguments["argv"], arguments["chdir"], log)
        except OSError as error:
            return {"failed": True, "msg": f"{error.filename}: {error.strerror}"}
        if status:
            reason = _reason(last) or f"it ended with status {status}"
            return {"failed": True, "msg": f"The build failed: {reason}\nIts log: {log}"}
        built = json.loads(output)
        return {"changed": built["new"], "id": built["id"]}

    def _build(self, argv: list[str], chdir: str, log: Path) -> tuple[int, str, list[str]]:
        """Run it; returns its status, its output and the last lines of its log."""
        log.parent.mkdir(parents=True, exist_ok=True)
        last: deque[str] = deque(maxlen=LAST)
        with (
            log.open("w", encoding="utf-8", buffering=1) as file,
            subprocess.Popen(  # noqa: S603  # the role's own command
                argv, cwd=chdir, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            ) as build,
        ):
            # Its output is one short line, so no pipe fills while the other one is read.
            for line in build.stderr or ():
                file.write(line)
                last.append(line.rstrip())
                self._show(f"  {line.rstrip()}")
            output = build.stdout.read() if build.stdout else ""
        return build.returncode, output, list(last)

    def _show(self, line: str) -> None:
        show(self._display.display, line)


def _reason(last: list[str]) -> str:
    """What the builder says from that line on; all of the lines where none is that one."""
    for place in reversed(range(len(last))):
        if found := SAYS.search(last[place]):
            return "\n".join([found[1], *last[place + 1 :]])
    return "\n".join(last)

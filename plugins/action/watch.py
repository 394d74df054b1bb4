"""Ansible action: watch a gateway that was switched beside those that were not, and judge it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase

from index_builder.progress import show
from index_builder.watch.counts import Counts, less, read, together
from index_builder.watch.verdict import LEAST, worse

EVERY = 10.0  # seconds between two looks, at least
LOOKS = 30  # at most


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """What Ansible loads."""

    _supports_check_mode = False
    _requires_connection = True

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Watch; the result says what was seen, or in what the gateway is worse."""
        super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(
            {
                "url": {"type": "str", "required": True},
                "others": {"type": "list", "elements": "str", "required": True},
                "seconds": {"type": "int", "required": True},
            }
        )
        seconds = float(given["seconds"])
        every = max(EVERY, seconds / LOOKS)
        looks = max(round(seconds / every), 1)
        begun = time.monotonic()
        first = self._look(given, task_vars)
        told = "nothing was seen"
        for look in range(1, looks + 1):
            if "others" not in first:
                return first
            time.sleep(max(begun + seconds * look / looks - time.monotonic(), 0.0))
            now = self._look(given, task_vars)
            if "others" not in now:
                return now
            flipped, others, before = _since(first, now)
            reasons = worse(flipped, others, before, looks)
            if reasons:
                since = f"{time.monotonic() - begun:.0f} s after it was switched it is worse"
                return {"failed": True, "msg": f"{since}: {'; '.join(reasons)}"}
            own, theirs = (int(counts.get("questions", 0)) for counts in (flipped, others))
            told = f"{own:,} questions here, {theirs:,} on the others"
            if min(own, theirs) < LEAST:
                told += ": too few to judge"
            self._show(f"  watch: {seconds * look / looks:.0f} of {seconds:.0f} s, {told}")
        return {"changed": False, "told": told}

    def _look(self, given: Mapping[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        about = {"url": given["url"], "others": given["others"]}
        found: dict[str, Any] = self._execute_module(
            module_name="askfleet.fleet.metrics", module_args=about, task_vars=task_vars
        )
        if "others" in found:
            found["own"] = read(found["own"])
            found["others"] = {url: read(text) for url, text in found["others"].items()}
        return found

    def _show(self, line: str) -> None:
        show(self._display.display, line)


def _since(
    first: Mapping[str, Any], now: Mapping[str, Any]
) -> tuple[Counts, Counts, tuple[Counts, Counts]]:
    """What this gateway and the others have counted since, and what they had before."""
    both = [url for url in first["others"] if url in now["others"]]
    others = together(less(now["others"][url], first["others"][url]) for url in both)
    before = together(first["others"][url] for url in both)
    return less(now["own"], first["own"]), others, (dict(first["own"]), before)

"""Callback: a run that failed ends with a summary of at most ten lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ansible import constants, context
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: ending
type: aggregate
short_description: End a run that failed with a summary
description:
  - After the recap, what failed, where and why, what tasks have changed, and what to do next. A
    playbook that knows more hands its own lines over as the custom statistic C(askfleet_summary).
  - A task that fails with a list of messages may have one that begins with C(next:), which says
    what to do.
  - Ansible loads this plugin by itself, because a link to its directory lies beside the playbooks.
"""

LINES = 10  # of a summary, at most
_REASONS = 7
_WIDTH = 240  # characters of a line
_AGAIN = "next: remove the cause, then run the same command again."


class Failure(NamedTuple):
    """The last failure of a host: the task, its messages, and whether it is about that host."""

    task: str
    messages: tuple[str, ...]
    of_host: bool = True


def ending(
    book: str, failures: Mapping[str, Failure], changed: Sequence[str], *, check: bool
) -> list[str]:
    """Sum up a run that failed, from what its tasks returned.

    Args:
        book: the playbook.
        failures: by host, those that failed in the end, in order.
        changed: hosts on which a task has changed something.
        check: whether the run was one of check mode, where nothing is changed.
    """
    told = [text for failure in failures.values() for text in failure.messages]
    hints = [text for text in dict.fromkeys(told) if text.startswith("next:")]
    reasons = list(_reasons(failures))
    shown = reasons[:_REASONS]
    if len(reasons) > len(shown):
        shown[-1] += f" (and {len(reasons) - len(shown)} more, shown above)"
    state = f"state: before that, tasks have changed {', '.join(changed)}"
    if check or not changed:
        state = "state: no task of this run has changed a host"
    return [_short(line) for line in (f"{book} failed.", *shown, state, (hints or [_AGAIN])[0])]


def _reasons(failures: Mapping[str, Failure]) -> Iterator[str]:
    """A line for each message; hosts that failed alike are named together."""
    hosts: dict[Failure, list[str]] = {}
    for host, failure in failures.items():
        hosts.setdefault(failure, []).append(host)
    for failure, where in hosts.items():
        head = (
            f"why: {', '.join(where)}: {failure.task}"
            if failure.of_host
            else f"why: {failure.task}"
        )
        reasons = [text for text in failure.messages if not _is_no_reason(text)]
        yield f"{head}: {reasons[0] if reasons else 'no reason was given'}"
        yield from (f"why: {text}" for text in reasons[1:])


def _is_no_reason(text: str) -> bool:
    """A hint, or what the line `state` says from what tasks have returned."""
    return text.startswith("next:") or text.endswith("has been touched.")


def messages(result: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a failed task says: the messages of its failed items, or its own."""
    failed = [one for one in result.get("results", ()) if one.get("failed")]
    if failed:
        return tuple(dict.fromkeys(text for one in failed for text in messages(one)))
    said = result.get("msg", "")
    texts = [str(one) for one in said] if isinstance(said, list) else [str(said)]
    errors = str(result.get("stderr") or result.get("module_stderr") or "").strip()
    if errors:
        texts.append(errors.splitlines()[-1])
    return tuple(filter(None, texts))


def _short(line: str) -> str:
    """One line without line breaks, cut in its middle, so that its end stays."""
    text = " ".join(line.split())
    if len(text) <= _WIDTH:
        return text
    half = (_WIDTH - 3) // 2
    return f"{text[:half]} … {text[-half:]}"


class CallbackModule(CallbackBase):  # type: ignore[misc]  # Ansible has no types
    """Collects failures and changes; prints the summary last."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "askfleet.fleet.ending"

    def __init__(self) -> None:
        super().__init__()
        self._book = "the playbook"
        self._failures: dict[str, Failure] = {}
        self._changed: dict[str, None] = {}

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Remember its name."""
        self._book = Path(playbook._file_name).name

    def v2_runner_on_ok(self, result: Any) -> None:
        """Remember who was changed."""
        if result.result.get("changed") and result.host.get_name() != "localhost":
            self._changed[result.host.get_name()] = None

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Remember the last failure; whether it was rescued is known in the end."""
        if not ignore_errors:
            self._remember(result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Remember it like a failure."""
        self._remember(result)

    def _remember(self, result: Any) -> None:
        host, task = result.host.get_name(), result.task.get_name().partition(" : ")
        self._failures.pop(host, None)
        # On the controller, and once for all, a task judges others; its messages name them.
        of_host = host != "localhost" and not result.task.run_once
        self._failures[host] = Failure(task[2] or task[0], messages(result.result), of_host)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Print the summary where a host failed or was unreachable in the end."""
        lost = [host for host in self._failures if host in stats.failures or host in stats.dark]
        if not lost:
            return
        handed = stats.custom.get("_run", {}).get("askfleet_summary")
        check = bool(context.CLIARGS.get("check"))
        failures = {host: self._failures[host] for host in lost}
        lines = handed or ending(self._book, failures, sorted(self._changed), check=check)
        self._display.banner("SUMMARY")
        for line in lines:
            self._display.display(line, color=constants.COLOR_ERROR)

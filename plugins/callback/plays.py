"""Callback: the plays of a playbook are numbered, for who watches."""

from __future__ import annotations

from ansible.playbook import Playbook
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: plays
type: aggregate
short_description: Number the plays, as in (3/17) Stage on each host its own part
description:
  - A playbook of one play is left as it is.
  - Ansible loads this plugin by itself, because a link to its directory lies beside the playbooks.
author: askfleet
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]  # Ansible has no types
    """What Ansible loads."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "plays"

    def v2_playbook_on_start(self, playbook: Playbook) -> None:
        """Put the number before each name; Ansible has not begun with the first play yet."""
        plays = playbook.get_plays()
        if len(plays) == 1:
            return
        for place, play in enumerate(plays, 1):
            play.name = f"({place}/{len(plays)}) {play.get_name()}"

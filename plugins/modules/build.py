"""What `ansible-doc` shows of the action plugin of this name, which does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: build
short_description: Build a generation, and show the build's progress line by line
description:
  - Runs on the controller, whatever the host. The build's lines are shown as they come, and kept in
    a log, whose path is shown first.
  - The build is a process of the task's own group, so Ctrl-C ends it with the play.
options:
  argv:
    description: The command. It prints its result as a line of JSON, its progress on stderr.
    type: list
    elements: str
    required: true
  chdir:
    description: Where it runs.
    type: path
    required: true
  log:
    description: The file that keeps its lines.
    type: path
    required: true
author: askfleet
"""

EXAMPLES = r"""
- name: Build a generation
  askfleet.fleet.build:
    argv: [python, -m, index_builder, build, --json, --corpus, questions.jsonl]
    chdir: "{{ askfleet_source_dir }}"
    log: var/build.log
"""

RETURN = r"""
id:
  description: The generation's id.
  type: str
  returned: success
"""
